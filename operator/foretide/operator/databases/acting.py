"""`mode: Apply` in a database: what there is to see, what to do next, and doing it.

It takes what parses SQL, so the operator imports it only once a DatabaseAdvisor is in that mode.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foretide.dbadvisor import applying, builds, following, maintenance, verdicts
from foretide.dbadvisor.applying import Decision, Outcome, recorded
from foretide.dbadvisor.applying_state import State
from foretide.dbadvisor.applying_steps import Create, Observed, Policy, Rest, Step, Wanted
from foretide.dbadvisor.changing import Attempt, Changer, perform
from foretide.dbadvisor.connection import Connection, Limits, Target
from foretide.dbadvisor.database import Database
from foretide.dbadvisor.nplusone.texts import tokens
from foretide.dbadvisor.snapshot import Query, Relation
from foretide.dbadvisor.trying import TIMEOUT_MS, Trier
from foretide.dbadvisor.verifying import Trial

from ..api.databaseadvisor import MaintenanceWindowSpec
from .applying import WORKING
from .consulting import Chosen
from .history import History, workload
from .member import Member
from .watching import APPLICATION

__all__ = ["Decision", "Outcome", "Step", "recorded"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What only this mode looks at: see `Observed`."""

    builds: tuple[builds.Build, ...]
    created: Mapping[Relation, str]
    forbidden: Mapping[Relation, str]
    uses: Mapping[str, frozenset[str]]


def look(database: Database, queries: Sequence[Query]) -> Seen:
    """Look at it, and at the plans of these queries. Raises as `Database.rows` does."""
    return Seen(
        builds.running(database),
        builds.created(database),
        builds.forbidden(database),
        builds.used(database, queries),
    )


def suspects(state: State, history: History) -> list[Query]:
    """The queries whose plans the next decision wants to know."""
    wanted = applying.suspects(state)
    if not wanted or history.last is None:
        return []
    return [query for query in workload(history).queries if query.id in wanted]


def policy(
    owner: str, windows: Sequence[MaintenanceWindowSpec], budget: float, most: int
) -> Policy:
    """What the resource allows; `owner` is its namespace and name."""
    found = tuple(
        maintenance.Window.of([str(day) for day in it.days], it.start, it.duration, it.time_zone)
        for it in windows
    )
    return Policy(owner, found, budget, most)


def decided(
    state: State,
    chosen: Sequence[Chosen],
    seen: Seen,
    history: History,
    allowed: Policy,
    now: float,
) -> Decision:
    """What to do next. It may take a while where there are thousands of queries."""
    assert history.last is not None  # it has just been looked at
    known = workload(history)
    is_open = maintenance.current(allowed.windows, now) is not None
    observed = Observed(
        history.last,
        seen.builds,
        seen.created,
        seen.forbidden,
        history.activities[-1] if history.activities else None,
        verdicts.timings(known),
        _concerned(known.queries, [it.candidate.table for it in chosen]) if is_open else {},
        seen.uses,
    )
    wanted = [Wanted(it.candidate, it.bytes, it.queries) for it in chosen]
    return applying.decide(state, wanted, observed, allowed, now)


def followed(
    member: Member, seen: Seen | None, now: float
) -> tuple[State, Mapping[str, tuple[str, ...]]]:
    """Indexes that somebody else has created, after another look, and the statements that would
    drop those that do harm, by name.
    """
    last, earlier = member.history.last, member.earlier
    assert last is not None  # it has just been looked at
    known = workload(member.history)
    observed = Observed(
        last,
        before=verdicts.timings(known),
        concerned=_concerned(known.queries, sorted({it.table for it in last.indexes})),
        uses=seen.uses if seen is not None else {},
    )
    ours = {each.index for each in member.state}
    state = following.followed(member.theirs, earlier, observed, now)
    state = tuple(each for each in state if each.index not in ours)
    proposed = following.proposals(state, observed)
    return state, {str(it.index): it.statements for it in proposed}


def told(step: Step) -> tuple[str, str]:
    """What is done now, or why nothing is: a reason for machines and a sentence for people."""
    if isinstance(step, Rest):
        return str(step.why), step.message
    return WORKING, f"works on {step.index}"


def act(step: Step, target: Target, samples: Mapping[str, str]) -> Outcome:
    """Take a step; it may take hours. `samples` are texts with constants, by the query's id."""
    changer = Changer(target, application=APPLICATION)
    if not isinstance(step, Create) or not samples:
        return perform(step, changer)
    limits = Limits(statement=TIMEOUT_MS / 1000)
    with Connection(target, limits=limits, application=APPLICATION) as database:
        return perform(step, changer, _attempt(database, samples))


def samples_of(history: History) -> dict[str, str]:
    """A text with constants of each query of which one is known."""
    if history.last is None:
        return {}
    return {str(queryid): text for queryid, text in history.last.examples.items()}


def _attempt(database: Database, samples: Mapping[str, str]) -> Attempt:
    trier = Trier(database)

    def attempt(queries: Sequence[str], again: bool) -> Mapping[str, Trial]:
        known = [query for query in queries if query in samples]
        return trier.trials(samples, known, again=again)

    return attempt


def _concerned(
    queries: Sequence[Query], tables: Sequence[Relation]
) -> dict[Relation, frozenset[str]]:
    """The queries that name each table, in whatever schema."""
    found: dict[Relation, frozenset[str]] = {}
    for table in tables:
        name = table.name.lower()
        found[table] = frozenset(
            query.id
            for query in queries
            if name in query.text.lower()
            and any(token.strip('"').lower() == name for _, token in tokens(query.text))
        )
    return found
