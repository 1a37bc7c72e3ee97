"""The whole advice for a database, out of what was collected from it.

All that is decided is a pure function of what was observed and of the planner's answers, which are
asked for through the `Database` door: the same input gives the same advice. One query that cannot
be planned or understood stops no other; what is missing is told in `Advice.remarks`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from foretide.dbadvisor import (
    charging,
    distribution,
    forms,
    index_advice,
    inverted,
    locks,
    remarks,
    repeated,
    scans,
)
from foretide.dbadvisor.caching import CacheAdvice
from foretide.dbadvisor.database import Database, DatabaseAway, DatabaseError
from foretide.dbadvisor.drops import Drops, find_drops
from foretide.dbadvisor.forms import Form
from foretide.dbadvisor.index_advice import Matter
from foretide.dbadvisor.observed import Observed, Settings
from foretide.dbadvisor.parsing import parse_all
from foretide.dbadvisor.planning import Unplanned
from foretide.dbadvisor.report import (
    Advice,
    IndexSet,
    Locks,
    QueryFacts,
    Remark,
    Topic,
    WorkloadFacts,
)
from foretide.dbadvisor.scopes import Catalog
from foretide.dbadvisor.uses import Parsed, Unparsed

MB = 2**20
# What indexes may take where nobody says: of what tables take.
USUAL_SHARE = 0.2
LEAST_BUDGET = 10.0 * MB
SHOWN = 2_000  # characters of a query
_BLOCK = 8192
_LAST = ("N+1", "caching", "locks and distribution")

Progress = Callable[[int, int, str], None]


def advise(
    database: Database,
    observed: Observed,
    settings: Settings | None = None,
    *,
    progress: Progress = lambda done, total, label: None,
    stop: Callable[[], bool] = lambda: False,
) -> Advice:
    """All of it.

    `progress` is told how many steps are done, of how many. Once `stop` says so, what is known by
    then is made the best of; without it, the advice depends on nothing but what goes in.

    Raises:
        DatabaseAway: the server does not answer.
    """
    return _Advising(database, observed, settings or Settings(), progress, stop).advise()


class _Advising:
    def __init__(
        self,
        database: Database,
        observed: Observed,
        settings: Settings,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> None:
        self._database = database
        self._observed = observed
        self._snapshot = observed.snapshot
        self._settings = settings
        self._progress = progress
        self._stop = stop
        self._remarks: list[Remark] = []
        self._tried = 0
        self._looked = observed.workload.queries[: settings.queries]

    def advise(self) -> Advice:
        planned, unplanned = self._planned()
        found = self._scans(planned)
        indexes = self._indexes(planned, found)
        chosen = 2 * len(self._looked)
        self._step(chosen, _LAST[0])
        repeats = repeated.repeats(self._database, self._observed)
        self._step(chosen + 1, _LAST[1])
        caches = self._caches()
        self._step(chosen + 2, _LAST[2])
        activities = self._observed.activities
        advice = Advice(
            self._snapshot.database,
            self._snapshot.version,
            self._snapshot.at,
            self._facts(planned, unplanned, indexes.costs),
            self._with_remedies(found, indexes.indexes),
            indexes.indexes,
            self._drops(),
            repeats,
            caches,
            Locks(
                locks.worst_blockers(activities),
                locks.lingering(activities[-1]) if activities else (),
                locks.waits(activities),
                len(activities),
            ),
            tuple(
                each
                for each in distribution.findings(self._snapshot, self._observed.before)
                if self._settings.wants(each.relation)
            ),
            tuple(sorted(unplanned, key=lambda each: each.expected)),
        )
        return replace(advice, remarks=self._all_remarks())

    def _step(self, number: int, label: str) -> None:
        """Each query is planned, then tried with indexes; the rest are single steps."""
        self._progress(number, 2 * len(self._looked) + len(_LAST), label)

    def _stop_choosing(self) -> bool:
        """Whether to stop, asked for each query that is tried, and then for each set."""
        self._tried = min(self._tried + 1, len(self._looked))
        self._step(len(self._looked) + self._tried, "choosing indexes")
        return self._stop()

    def _planned(self) -> tuple[list[Form], list[Unplanned]]:
        schemas = {table.relation.schema for table in self._snapshot.tables}
        planned, unplanned = forms.plan(
            self._database,
            self._looked,
            sorted(schemas - {"public"}),
            told=lambda done: self._step(done, "planning"),
            stop=self._stop,
        )
        return planned if self._observed.timed else forms.timed_by_cost(planned), unplanned

    def _scans(self, planned: Sequence[Form]) -> list[scans.TableScan]:
        # The plan of one form stands for all of them.
        first = {form.query.id: form for form in reversed(planned)}
        whole = [replace(form.planned, query=form.query) for form in first.values()]
        found = scans.table_scans(whole, self._snapshot.tables)
        return [scan for scan in found if self._settings.wants(scan.table)]

    def _indexes(
        self, planned: Sequence[Form], found: Sequence[scans.TableScan]
    ) -> index_advice.Found:
        parsed = self._parsed(planned)
        matter = Matter(
            self._snapshot,
            planned,
            parsed,
            found,
            self._budget(),
            self._settings.least_share,
            self._settings.wants,
            charging.charge(self._observed, planned, parsed),
        )
        indexes = index_advice.advise(self._database, matter, self._stop_choosing)
        reason = indexes.indexes.unverified
        if reason:
            missing = reason == index_advice.NO_HYPOPG
            topic = Topic.EXTENSION_MISSING if missing else Topic.INCOMPLETE
            self._remarks.append(Remark(topic, reason))
        return indexes

    def _with_remedies(
        self, found: Sequence[scans.TableScan], chosen: IndexSet
    ) -> tuple[scans.TableScan, ...]:
        """For scans of queries that no chosen index helps."""
        helped: set[str] = set()
        for index in chosen.indexes:
            known = (each.query for each in index.queries)
            helped |= set(known if index.verified else index.candidate.queries)
        tables = {table.relation: table for table in self._snapshot.tables}
        return tuple(
            scan
            if scan.query in helped
            else replace(scan, remedy=inverted.remedy(scan, tables, self._snapshot.indexes))
            for scan in found
        )

    def _parsed(self, planned: Sequence[Form]) -> list[Parsed | Unparsed]:
        queries = {form.query.id: form.query for form in planned}
        parsed = parse_all(queries.values(), Catalog.of(self._snapshot))
        odd = [each.id for each in parsed if isinstance(each, Unparsed)]
        if odd:
            message = (
                f"{len(odd)} queries have a plan, but their text is not understood, so that no "
                f"index was thought of for them: {remarks.some(odd)}"
            )
            self._remarks.append(Remark(Topic.INCOMPLETE, message))
        return parsed

    def _budget(self) -> float:
        if self._settings.budget is not None:
            return self._settings.budget
        block = int(self._snapshot.settings.get("block_size", _BLOCK))
        taken = sum(table.pages for table in self._snapshot.tables if table.kind != "p") * block
        return max(LEAST_BUDGET, USUAL_SHARE * taken)

    def _caches(self) -> tuple[CacheAdvice, ...]:
        try:
            return repeated.caches(
                self._database, self._observed, self._looked, self._settings.caches
            )
        except DatabaseAway:
            raise
        except DatabaseError as error:
            message = f"caching: whether functions are volatile could not be read: {error}"
            self._remarks.append(Remark(Topic.INCOMPLETE, message))
            return ()

    def _drops(self) -> Drops:
        found = find_drops(
            self._snapshot,
            minimum_age=self._settings.minimum_age,
            first_seen=self._observed.first_seen,
        )
        wanted = tuple(drop for drop in found.drops if self._settings.wants(drop.table))
        return replace(found, drops=wanted)

    def _facts(
        self,
        planned: Sequence[Form],
        unplanned: Sequence[Unplanned],
        costs: Mapping[str, tuple[float, float]],
    ) -> WorkloadFacts:
        workload = self._observed.workload
        ms = {
            query.id: query.total_ms if self._observed.timed else 0.0 for query in workload.queries
        }
        ms |= {form.query.id: form.query.total_ms for form in planned}
        counted = [form.query.id for form in planned]
        total = sum(ms.values())
        nothing: tuple[float | None, float | None] = (None, None)
        facts = [
            QueryFacts(
                query.id,
                _shown(query.text),
                query.calls,
                ms[query.id],
                query.rows,
                ms[query.id] / total if total else 0.0,
                costs.get(query.id, nothing)[0],
                costs.get(query.id, nothing)[1],
                counted.count(query.id),
            )
            for query in self._looked
        ]
        able = set(counted)
        return WorkloadFacts(
            self._observed.source,
            workload.seconds,
            len(workload.queries),
            sum(query.calls for query in workload.queries),
            total,
            len(able),
            len(able) + sum(not each.expected for each in unplanned),
            tuple(sorted(facts, key=lambda one: (-one.total_ms, one.id))),
        )

    def _all_remarks(self) -> tuple[Remark, ...]:
        """Those of what was seen last."""
        first = []
        if self._stop():
            message = "the work was ended early: what is here is what was known by then"
            first.append(Remark(Topic.ENDED_EARLY, message))
        first += remarks.of_settings(self._settings, self._snapshot)
        workload = self._observed.workload
        last = remarks.of_snapshot(self._snapshot, workload)
        last += [Remark(Topic.INCOMPLETE, text) for text in self._observed.missing]
        if len(self._looked) < len(workload.queries):
            total = sum(query.total_ms for query in workload.queries)
            left = total - sum(query.total_ms for query in self._looked)
            message = (
                f"the {len(self._looked):,} costliest of {len(workload.queries):,} queries are "
                f"looked at; the others take {left / total if total else 0:.1%} of the time"
            )
            last.append(Remark(Topic.INCOMPLETE, message))
        if not self._observed.timed:
            message = "no times are known: they are guessed from what the planner thinks of queries"
            last.append(Remark(Topic.INCOMPLETE, message))
        return (*first, *self._remarks, *last)


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
