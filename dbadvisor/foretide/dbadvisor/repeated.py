"""What is asked again and again: N+1 with the batch for it, and answers that could be cached."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from foretide.dbadvisor import cacheable, caching
from foretide.dbadvisor.caching import CacheAdvice
from foretide.dbadvisor.database import Database
from foretide.dbadvisor.executed import executions
from foretide.dbadvisor.nplusone import advice as batches
from foretide.dbadvisor.nplusone import detecting, watching
from foretide.dbadvisor.nplusone.findings import Finding, Kind
from foretide.dbadvisor.nplusone.texts import normalize
from foretide.dbadvisor.observed import Observed
from foretide.dbadvisor.report import Repeats
from foretide.dbadvisor.snapshot import Query, Workload
from foretide.dbadvisor.writes import may_write

UNSEEN = (
    "N+1 shows itself only over time: nothing was watched, and neither a log nor spans were given"
)


def repeats(database: Database, observed: Observed) -> Repeats:
    """N+1 by all that was observed. What single executions show is surer than counters.

    Raises:
        DatabaseAway: nobody answers.
    """
    if not observed.events and not observed.windows:
        return Repeats(unproven=UNSEEN)
    catalog = observed.snapshot.foreign_keys
    findings: dict[tuple[Kind, str], Finding] = {}
    for found in (
        detecting.detect(observed.events, catalog, _rows_of(observed.workload)),
        watching.watch(observed.windows, observed.activities, catalog),
    ):
        for finding in found:
            findings.setdefault((finding.kind, normalize(finding.child).fingerprint), finding)
    every = sorted(findings.values(), key=lambda each: (-(each.seconds or 0), -each.calls))
    return Repeats(
        batches.advise(every, observed.snapshot, database),
        tuple(each for each in every if each.kind is Kind.REDUNDANT),
    )


def caches(
    database: Database, observed: Observed, looked: Sequence[Query], processes: int
) -> tuple[CacheAdvice, ...]:
    """What caching would bring for each of the queries that are looked at.

    Raises:
        DatabaseError: it was refused to tell what functions do.
        DatabaseAway: nobody answers.
    """
    ids = {query.id for query in looked}
    # What writes counts for all, however seldom it is called.
    queries = tuple(
        query for query in observed.workload.queries if query.id in ids or may_write(query.text)
    )
    some = replace(observed.workload, queries=queries)
    advice = caching.advise(
        some,
        observed.snapshot,
        volatilities=cacheable.volatilities(database, caching.functions_called(some)),
        before=observed.before,
        executions=executions(observed.events, some),
        windows=observed.windows,
        pulses=observed.pulses,
        marks=observed.marks,
        constants=observed.constants,
        caches=processes,
    )
    return tuple(each for each in advice if each.query.id in ids)


def _rows_of(workload: Workload) -> dict[str, float]:
    """How many rows a statement returns per call, by fingerprint."""
    calls: dict[str, float] = defaultdict(float)
    rows: dict[str, float] = defaultdict(float)
    for query in workload.queries:
        name = normalize(query.text).fingerprint
        calls[name] += query.calls
        rows[name] += query.rows
    return {name: rows[name] / calls[name] for name in calls if calls[name] > 0 and rows[name] > 0}
