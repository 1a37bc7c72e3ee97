"""A whole advice as the parts of a status: ranked, bounded, with the figures it comes from. Pure.

It is done where the advice is made, in a worker process: what advice consists of is not imported by
the operator's own.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from foretide.dbadvisor.caching import Cacheable, CacheAdvice
from foretide.dbadvisor.distribution import Finding
from foretide.dbadvisor.drops import Drop
from foretide.dbadvisor.nplusone.advice import Advice as Batch
from foretide.dbadvisor.report import Advice, Change, IndexAdvice, WorkloadFacts
from foretide.dbadvisor.scans import TableScan

from ..api import databaseadvisor_status as api
from ..api.databaseadvisor import MOST_SHOWN
from ..api.fields import ApiModel, format_duration
from ..conditions import timestamp
from .figures import figure, quantity, shortened

Json = dict[str, Any]

# Characters of a statement that is to be run: all of it, or nothing.
LONGEST_STATEMENT = 4_000
# All lists of a status together: etcd takes 1.5 MB, and every watch gets it at each change.
MOST_BYTES = 100_000
TOO_LONG = "-- too long to be shown here: foretide advise prints it"


def summarized(advice: Advice, most: int) -> Json:
    """The parts of a status that an advice says, `most` findings of each kind at the most."""
    texts = {query.id: query.text for query in advice.workload.queries}
    worth = [each for each in advice.caches if each.saved > 0]
    missed = [each for each in advice.unplanned if not each.expected]
    lists: dict[str, list[Json]] = {
        "indexes": [_index(each, advice.workload) for each in advice.indexes.indexes[:most]],
        "drops": [_drop(each) for each in advice.drops.drops[:most]],
        "repeats": [_repeat(each) for each in advice.repeats.batches[:most]],
        "caches": [_cache(each) for each in worth[:most]],
        "distribution": [_distribution(each) for each in advice.distribution[:most]],
        "scans": [_scan(each, texts) for each in advice.scans[:most]],
        "unplanned": [
            _json(api.UnplannedStatus(id=each.id, reason=shortened(each.reason)))
            for each in missed[:most]
        ],
    }
    counts = {
        "indexes": len(advice.indexes.indexes),
        "drops": len(advice.drops.drops),
        "repeats": len(advice.repeats.batches),
        "caches": len(worth),
        "distribution": len(advice.distribution),
        "scans": len(advice.scans),
        "unplanned": len(missed),
    }
    return {
        "advice": _whole(advice),
        "workload": _workload(advice.workload),
        "counts": counts,
        "dropsUnproven": shortened(advice.drops.unproven) or None,
        "remarks": [shortened(it.message) for it in advice.remarks[: api.MOST_REMARKS]] or None,
        **{name: found or None for name, found in bounded(lists).items()},
    }


def bounded(
    lists: Mapping[str, Sequence[Json]], most_bytes: int = MOST_BYTES
) -> dict[str, list[Json]]:
    """As much of all lists as fits, by leaving out the last of whichever takes most."""
    kept = {name: list(found) for name, found in lists.items()}
    sizes = {name: [len(json.dumps(it)) for it in found] for name, found in kept.items()}
    while sum(map(sum, sizes.values())) > most_bytes:
        largest = max(sorted(sizes), key=lambda name: sum(sizes[name]))
        kept[largest].pop()
        sizes[largest].pop()
    return kept


def _json(model: ApiModel) -> Json:
    return model.model_dump(by_alias=True, mode="json", exclude_none=True)


def _object(model: ApiModel) -> Json:
    """A part that is merged into what is there: what is not known takes away what was."""
    return model.model_dump(by_alias=True, mode="json")


def _statements(statements: Sequence[str]) -> list[str]:
    told = [it if len(it) <= LONGEST_STATEMENT else TOO_LONG for it in statements]
    if len(told) > api.MOST_STATEMENTS:  # a table of a thousand partitions has two for each
        return [*told[: api.MOST_STATEMENTS - 1], TOO_LONG]
    return told


def _change(change: Change) -> api.QueryChangeStatus:
    return api.QueryChangeStatus(
        id=change.query, before=figure(change.before), after=figure(change.after)
    )


def _whole(advice: Advice) -> Json:
    chosen = advice.indexes
    share, beyond = (
        figure(100 * (1 - after / chosen.before_ms)) if chosen.before_ms > 0 else None
        for after in (chosen.after_ms, chosen.beyond_ms)
    )
    verified = not chosen.unverified
    worse = [_change(each) for each in chosen.regressions[: api.MOST_QUERIES]]
    return _object(
        api.AdviceStatus(
            at=timestamp(advice.at),
            saved_percent=share if verified else None,
            size=quantity(chosen.bytes),
            budget=quantity(chosen.budget),
            beyond_budget=quantity(chosen.beyond_bytes) if chosen.beyond_bytes else None,
            beyond_saved_percent=beyond if chosen.beyond_bytes else None,
            plans_asked=chosen.asked,
            candidates=chosen.candidates,
            regressions=worse or None,
            unverified=shortened(chosen.unverified) or None,
        )
    )


def _workload(facts: WorkloadFacts) -> Json:
    planned = figure(100 * facts.planned / facts.plannable) if facts.plannable else None
    return _object(
        api.WorkloadStatus(
            source=shortened(facts.source),
            period=None if facts.seconds is None else format_duration(facts.seconds),
            queries=facts.known,
            calls=figure(facts.calls),
            seconds=figure(facts.total_ms / 1000),
            planned_percent=planned,
        )
    )


def _index(index: IndexAdvice, facts: WorkloadFacts) -> Json:
    share = 100 * index.saved_ms / facts.total_ms if facts.total_ms > 0 else None
    return _json(
        api.IndexStatus(
            name=index.name,
            table=str(index.candidate.table),
            statements=_statements(index.statements),
            undo=_statements(index.undo) or None,
            size=quantity(index.bytes),
            saved_percent=None if share is None else figure(share),
            saved_seconds_per_hour=_per_hour(index.saved_ms, facts.seconds),
            queries=[_change(each) for each in index.queries[: api.MOST_QUERIES]] or None,
            worst=None if index.worst is None else _change(index.worst),
            why=shortened(index.why),
            verified=index.verified,
            replaces=[str(it) for it in index.replaces[:MOST_SHOWN]] or None,
        )
    )


def _per_hour(milliseconds: float, seconds: float | None) -> str | None:
    return figure(3.6 * milliseconds / seconds) if seconds else None


def _drop(drop: Drop) -> Json:
    return _json(
        api.DropStatus(
            name=str(drop.index),
            table=str(drop.table),
            reason=drop.reason,
            message=shortened(drop.message),
            size=quantity(drop.bytes),
            statements=_statements(drop.statements),
            caveats=[shortened(it) for it in drop.caveats[: api.MOST_STATEMENTS]] or None,
        )
    )


def _repeat(each: Batch) -> Json:
    found, proof = each.finding, each.proof
    proven = proof is not None and proof.equal
    batch = None
    if each.rewrite is not None:
        long = len(each.rewrite.batch) > LONGEST_STATEMENT
        batch = TOO_LONG if long else each.rewrite.batch
    return _json(
        api.RepeatStatus(
            look_up=shortened(found.child),
            parent=None if found.parent is None else shortened(found.parent),
            calls=figure(found.calls),
            per_parent=figure(found.per_parent),
            evidence=[shortened(it) for it in found.evidence[: api.MOST_QUERIES]] or None,
            batch=batch,
            speedup=figure(proof.speedup) if proof is not None and proven else None,
            keys=proof.keys if proof is not None and proven else None,
            reason=shortened(each.reason) or None,
        )
    )


def _cache(each: CacheAdvice) -> Json:
    verdict = each.verdict
    assert isinstance(verdict, Cacheable)
    assert verdict.ttl is not None  # where something is saved there is one
    chosen = next(it for it in verdict.projections if it.ttl == verdict.ttl)
    return _json(
        api.CacheStatus(
            id=each.query.id,
            text=shortened(each.query.text),
            ttl=format_duration(verdict.ttl),
            hit_percent=figure(100 * chosen.invalidated),
            saved_seconds_per_hour=figure(3.6 * chosen.saved),
            tables=[str(it) for it in verdict.tables[:MOST_SHOWN]],
            basis=shortened(verdict.basis),
        )
    )


def _distribution(finding: Finding) -> Json:
    return _json(
        api.DistributionStatus(
            kind=str(finding.kind),
            relation=str(finding.relation),
            column=finding.column,
            message=shortened(finding.message),
            remedy=shortened(finding.remedy),
            statements=_statements(finding.statements) or None,
        )
    )


def _scan(scan: TableScan, texts: Mapping[str, str]) -> Json:
    return _json(
        api.ScanStatus(
            table=str(scan.table),
            query=scan.query,
            text=shortened(texts.get(scan.query, "")),
            calls=figure(scan.calls),
            seconds=figure(scan.ms / 1000),
            wasted_rows=figure(scan.wasted),
        )
    )
