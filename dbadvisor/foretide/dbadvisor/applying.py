"""What to do next in `mode: Apply`: create an index, drop one, or wait. No step is taken here.

Each call looks at what there is, not at what was meant to be: after a crash in the middle of a
build the database tells how far that came. Indexes are created one at a time, best first, and only
in a maintenance window that is expected to be long enough. The queries of the table are watched
from then on (`verdicts.py`); an index that makes one slower is dropped again at once, whether a
window is open or not, as that holds nobody up and the query suffers now. Only indexes that say that
they were created for this resource are ever dropped, and what a failed build of theirs has left.

The caller, at each tick:

    decision = decide(state, wanted, observed, policy, now)
    ...                               # keep decision.state, before anything else
    outcome = perform(decision.step, changing, attempt)   # it may take hours
    state = recorded(decision.state, decision.step, outcome, now)
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from foretide.dbadvisor import ddl, deltas, existing, verdicts
from foretide.dbadvisor.applying_state import LIVE, Applied, Phase, State
from foretide.dbadvisor.applying_steps import (
    Create,
    Drop,
    Observed,
    Policy,
    Rest,
    Step,
    Wanted,
    Why,
    claim,
    clean_up,
    creation,
    hindered,
    is_being_built,
    pieces,
)
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.snapshot import Index, Relation
from foretide.dbadvisor.verdicts import Outcome as Told
from foretide.dbadvisor.verdicts import Timing
from foretide.dbadvisor.verifying import Regression

MOST_ATTEMPTS = 3
BACKOFF = 300.0  # seconds after a failed attempt
TRY_FAILED_AGAIN = 7 * 86_400.0
# Of indexes that are not there any more.
MOST_REMEMBERED = 50
SHOWN_WATCHES = 5
# Queries that are run before and after, where texts with constants are known.
MOST_TRIED = 10
_AFTER = {
    Told.KEEP: Phase.KEPT,
    Told.UNPROVEN: Phase.UNPROVEN,
    Told.REVERT: Phase.REVERTING,
}
# No permission, no such table, column or function, not immutable, not supported, too large, there
# already: it will not help to try again.
FINAL = frozenset({"42501", "42P01", "42703", "42883", "42P17", "0A000", "54000", "42P07"})


@dataclass(frozen=True, slots=True)
class Decision:
    """The step, and the state that must be kept before it is taken."""

    step: Step
    state: State


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a step: how long it took, and PostgreSQL's error with its SQLSTATE, if any.
    `slower`: queries that were tried before and after, and are slower with the index.
    """

    seconds: float
    error: str = ""
    code: str = ""
    slower: tuple[Regression, ...] = ()


def decide(
    state: State, wanted: Sequence[Wanted], observed: Observed, policy: Policy, now: float
) -> Decision:
    """The next step. `wanted` are the indexes of the advice, best first."""
    state = _adopted(_caught_up(state, observed, policy, now), observed, policy, now)
    for place, each in enumerate(state):
        if each.phase is Phase.REVERTING and now >= each.tried + BACKOFF:
            drop = _reverting(each, observed, policy)
            if drop is not None:
                return Decision(drop, _with(state, place, replace(each, tried=now)))
    for place, each in enumerate(state):
        if each.phase is Phase.BUILDING and not is_being_built(each, observed):
            return _unfinished(state, place, observed, policy, now)
    return _new(state, wanted, observed, policy, now)


def recorded(state: State, step: Step, outcome: Outcome, now: float) -> State:
    """The state after a step. What it says of the database is corrected by the next look at it."""
    if isinstance(step, Rest):
        return state
    changed = []
    for each in state:
        if each.index == step.index and each.phase in LIVE:
            if isinstance(step, Create):
                each = replace(each, seconds=outcome.seconds)
            if outcome.error:
                each = replace(each, reason=outcome.error)
                if isinstance(step, Create) and outcome.code in FINAL:
                    each = replace(each, phase=Phase.FAILED, since=now, watches=())
            elif outcome.slower:
                reason = _slower(outcome.slower[0])
                each = replace(each, phase=Phase.REVERTING, since=now, tried=0.0, reason=reason)
        changed.append(each)
    return tuple(changed)


def _slower(worst: Regression) -> str:
    return (
        f"query {worst.query} takes {worst.after:.3g} ms instead of {worst.before:.3g} ms, "
        "run twice with constants that are known of it"
    )


def suspects(state: State) -> frozenset[str]:
    """The queries whose plans the next decision wants to know."""
    return frozenset(
        watch.query
        for each in state
        if each.phase is Phase.VERIFYING
        for watch in each.watches
        if not watch.control
    )


def _caught_up(state: State, observed: Observed, policy: Policy, now: float) -> State:
    """The state by what there is now."""
    counters = verdicts.timings(deltas.total(observed.snapshot))
    gone = [each for each in state if each.phase not in LIVE]
    forgotten = gone[: max(0, len(gone) - MOST_REMEMBERED)]
    kept = []
    for each in state:
        if each in forgotten:
            continue
        if each.phase is Phase.FAILED and now >= each.since + TRY_FAILED_AGAIN:
            continue
        if each.phase is Phase.BUILDING:
            each = _built(each, observed, policy, counters, now)
        elif each.phase in LIVE:
            if observed.created.get(each.index) != policy.owner:
                each = _lost(each, observed, now)
            elif each.phase is Phase.VERIFYING:
                each = verified(each, observed, policy.verify_seconds, counters, now)
        kept.append(each)
    return tuple(kept)


def _built(
    each: Applied,
    observed: Observed,
    policy: Policy,
    counters: Mapping[str, Timing],
    now: float,
) -> Applied:
    index = observed.indexes.get(each.index)
    owned = observed.created.get(each.index) == policy.owner
    if index is None or not index.valid or not owned or is_being_built(each, observed):
        return each
    marked = tuple(
        replace(watch, mark=counters.get(watch.query, Timing())) for watch in each.watches
    )
    there = observed.indexes
    size = sum(there[one].bytes for one in pieces(each, observed.tables) if one in there)
    return replace(
        each,
        phase=Phase.VERIFYING,
        since=now,
        bytes=float(size) or each.bytes,
        reason="",
        watches=marked,
    )


def _lost(each: Applied, observed: Observed, now: float) -> Applied:
    """It is not there any more, or says no longer that it is ours."""
    if each.candidate.table not in observed.tables:
        return each  # not everything could be read
    if each.index in observed.indexes:
        reason = "its comment was changed: it is left alone from now on"
        return replace(each, phase=Phase.GONE, since=now, reason=reason, watches=())
    if each.phase is Phase.REVERTING:
        return replace(each, phase=Phase.REVERTED, since=now)
    return replace(each, phase=Phase.GONE, since=now, reason="somebody dropped it", watches=())


def verified(
    each: Applied,
    observed: Observed,
    seconds: float,
    counters: Mapping[str, Timing],
    now: float,
) -> Applied:
    """After another look at the queries that are watched: still so, kept, unproven, or to be
    reverted. After so many seconds nobody waits any longer.
    """
    there = observed.indexes
    watches = verdicts.looked_at(each.watches, counters)
    parents = {index.relation.name: index.parent for index in there.values()}
    own = [one for one in pieces(each, observed.tables) if one in there]
    verdict = verdicts.decide(
        watches,
        each.name,
        {query: _roots(names, parents) for query, names in observed.uses.items()},
        age=now - each.since,
        limit=seconds,
        scans=sum(there[one].scans for one in own) if own else None,
    )
    each = replace(each, watches=watches, reason=verdict.reason)
    if verdict.outcome is Told.WAIT:
        return each
    phase = _AFTER[verdict.outcome]
    told = {*verdict.faster, *verdict.slower}
    shown = sorted(
        (watch for watch in watches if watch.query in told),
        key=lambda watch: (-abs(watch.added_ms) * watch.before.calls, watch.query),
    )
    return replace(each, phase=phase, since=now, tried=0.0, watches=tuple(shown[:SHOWN_WATCHES]))


def _roots(names: Iterable[str], parents: Mapping[str, Relation | None]) -> frozenset[str]:
    """The same with the names of the partitioned indexes that they are parts of."""
    found = set()
    for name in names:
        current: str | None = name
        while current is not None and current not in found:
            found.add(current)
            parent = parents.get(current)
            current = parent.name if parent is not None else None
    return frozenset(found)


def _adopted(state: State, observed: Observed, policy: Policy, now: float) -> State:
    """With indexes that say that they are ours, of which the state knows nothing: it was lost."""
    known = {each.index for each in state if each.phase in LIVE}
    found = [
        Applied(
            index.relation.name,
            candidate_of(index),
            Phase.UNPROVEN,
            begun=0.0,
            since=now,
            tried=0.0,
            bytes=float(index.bytes),
            reason="found in the database: how queries were without it is not known",
        )
        for index in observed.snapshot.indexes
        if observed.created.get(index.relation) == policy.owner
        and index.parent is None
        and index.valid
        and index.relation not in known
    ]
    adopted = {each.index for each in found}
    return (*(each for each in state if each.index not in adopted), *found)


def candidate_of(index: Index) -> Candidate:
    """An index that is there, as one that could be created."""
    return Candidate(index.table, index.keys, index.include, index.predicate)


def _reverting(each: Applied, observed: Observed, policy: Policy) -> Drop | None:
    index = observed.indexes.get(each.index)
    if index is None or observed.created.get(each.index) != policy.owner:
        return None
    return Drop(each.index, ddl.removal(index, observed.tables), each.reason)


def _unfinished(
    state: State, place: int, observed: Observed, policy: Policy, now: float
) -> Decision:
    """A build that was begun, and that nobody works on: by what it has left behind."""
    each, there, tables = state[place], observed.indexes, observed.tables
    if each.index in there and there[each.index].valid:
        return Decision(claim(each.index, policy), state)
    whole = each.candidate.table in tables and tables[each.candidate.table].kind != "p"
    given_up = each.attempts >= MOST_ATTEMPTS
    left = [name for name in pieces(each, tables) if name in there]
    if left and (whole or given_up):
        statements = clean_up(left, observed)
        return Decision(Drop(each.index, statements, "left behind by a failed build"), state)
    if given_up:
        reason = f"{each.attempts} attempts failed: {each.reason or 'the build was interrupted'}"
        failed = replace(each, phase=Phase.FAILED, since=now, reason=reason, watches=())
        return Decision(Rest(Why.LATER, f"{each.name}: {reason}"), _with(state, place, failed))
    if now < each.tried + BACKOFF:
        message = f"{each.name}: {each.reason or 'the build was interrupted'}"
        return Decision(Rest(Why.LATER, message, each.tried + BACKOFF), state)
    others = (*state[:place], *state[place + 1 :])
    wanted = Wanted(each.candidate, each.bytes)
    step: Step = hindered(observed, policy, now) or creation(wanted, others, observed, policy, now)
    if isinstance(step, Create):
        each = replace(each, tried=now, attempts=each.attempts + 1)
        step = _trying(step, each)
    return Decision(step, _with(state, place, each))


def _new(
    state: State, wanted: Sequence[Wanted], observed: Observed, policy: Policy, now: float
) -> Decision:
    """The best index that may be created now."""
    left = [one for one in wanted if _is_missing(one, state, observed)]
    refused = hindered(observed, policy, now) if left else _idle(state, observed)
    if refused is not None:
        return Decision(refused, state)
    for one in left:
        step = creation(one, state, observed, policy, now)
        if isinstance(step, Create):
            begun = _begun(one, step.index, observed, now)
            return Decision(_trying(step, begun), (*state, begun))
        refused = refused or step
    return Decision(refused or _idle(state, observed), state)


def _is_missing(one: Wanted, state: State, observed: Observed) -> bool:
    """Whether nobody has created it, or anything that does the same, and we have not tried yet."""
    own = Relation(one.candidate.table.schema, ddl.name_of(one.candidate))
    if any(each.index == own for each in state):
        return False
    there = observed.indexes.get(own)
    others = [index for index in observed.indexes.values() if index.table == one.candidate.table]
    return (there is None or not there.valid) and not existing.serves(others, one.candidate)


def _idle(state: State, observed: Observed) -> Rest:
    if observed.builds and any(each.phase is Phase.BUILDING for each in state):
        return Rest(Why.RUNNING, observed.builds[0].told)
    verifying = [each.name for each in state if each.phase is Phase.VERIFYING]
    if verifying:
        return Rest(Why.VERIFYING, f"queries are watched with {', '.join(verifying)}")
    return Rest(Why.NOTHING, "no index is to be created")


def _begun(one: Wanted, index: Relation, observed: Observed, now: float) -> Applied:
    counters = verdicts.timings(deltas.total(observed.snapshot))
    concerned = observed.concerned.get(one.candidate.table, frozenset()) | {*one.queries}
    watches = verdicts.watching(observed.before, counters, concerned)
    return Applied(
        index.name, one.candidate, Phase.BUILDING, now, now, now, one.bytes, 1, watches=watches
    )


def _trying(step: Create, each: Applied) -> Create:
    queries = [watch.query for watch in each.watches if not watch.control]
    return replace(step, queries=tuple(queries[:MOST_TRIED]))


def _with(state: State, place: int, changed: Applied) -> State:
    return (*state[:place], changed, *state[place + 1 :])
