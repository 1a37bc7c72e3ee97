"""Indexes that somebody else has created are watched as well: did they do what they were made for?

Nothing is changed here. An index that appears between two looks is watched as one of our own would
be (`verdicts.py`); where it makes queries slower, its revert is proposed, with the statements.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from foretide.dbadvisor import ddl, deltas, verdicts
from foretide.dbadvisor.applying import candidate_of, verified
from foretide.dbadvisor.applying_state import Applied, Phase, State
from foretide.dbadvisor.applying_steps import Observed
from foretide.dbadvisor.snapshot import Index, Relation, Snapshot

# Indexes that are followed and remembered, the newest first.
MOST_FOLLOWED = 30


@dataclass(frozen=True, slots=True)
class Proposal:
    """To drop an index again, and why; the statements are to be run one by one."""

    index: Relation
    reason: str
    statements: tuple[str, ...]


def followed(
    state: State,
    earlier: Snapshot | None,
    observed: Observed,
    now: float,
    *,
    seconds: float = verdicts.VERIFY_SECONDS,
) -> State:
    """The state after another look: phases are Verifying, Kept, Unproven and Reverting (which is
    proposed). `earlier` is the snapshot of the last look; without one nothing is new.

    `observed.concerned` and `observed.before` are wanted of each look, as nobody knows beforehand
    when an index will appear; `observed.uses` as `applying.suspects(state)` says.
    """
    counters = verdicts.timings(deltas.total(observed.snapshot))
    there = observed.indexes
    kept = []
    for each in state:
        if each.index not in there and each.candidate.table in observed.tables:
            continue  # whoever dropped it knows why
        if each.phase is Phase.VERIFYING:
            each = verified(each, observed, seconds, counters, now)
        kept.append(each)
    known = {each.index for each in state}
    if earlier is not None:
        known |= {index.relation for index in earlier.indexes if index.valid}
        # A table that could not be read the last time has no new indexes.
        readable = {table.relation for table in earlier.tables}
        kept += [
            _begun(index, observed, now)
            for index in observed.snapshot.indexes
            if index.relation not in known and index.table in readable and _is_for_speed(index)
        ]
    return tuple(sorted(kept, key=lambda each: (-each.begun, each.name))[:MOST_FOLLOWED])


def proposals(state: State, observed: Observed) -> Sequence[Proposal]:
    """The indexes that should be dropped again."""
    there = observed.indexes
    return [
        Proposal(each.index, each.reason, ddl.removal(there[each.index], observed.tables))
        for each in state
        if each.phase is Phase.REVERTING and each.index in there
    ]


def _is_for_speed(index: Index) -> bool:
    """Whether it is there for nothing but to make queries faster, and complete."""
    return (
        index.valid
        and index.parent is None
        and not (index.unique or index.constraint or index.replica_identity)
    )


def _begun(index: Index, observed: Observed, now: float) -> Applied:
    counters = verdicts.timings(deltas.total(observed.snapshot))
    concerned = observed.concerned.get(index.table, frozenset())
    return Applied(
        index.relation.name,
        candidate_of(index),
        Phase.VERIFYING,
        begun=now,
        since=now,
        tried=now,
        bytes=float(index.bytes),
        watches=verdicts.watching(observed.before, counters, concerned),
    )
