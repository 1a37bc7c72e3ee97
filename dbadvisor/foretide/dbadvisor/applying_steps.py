"""The steps of `mode: Apply`, and whether one may be taken now: statements, windows, limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from foretide.dbadvisor import ddl, maintenance
from foretide.dbadvisor.applying_state import LIVE, Applied, Phase, State, comment
from foretide.dbadvisor.builds import Build
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.snapshot import Activity, Index, Relation, Snapshot, Table
from foretide.dbadvisor.verdicts import VERIFY_SECONDS, Timing

# A build waits for all transactions that are older, and gives up after `ddl.LOCK_TIMEOUT`.
LONG_TRANSACTION = 60.0
# A concurrent build reads the table twice and writes the index: so many bytes in a second, until
# builds of our own have shown how many it really is.
BYTES_A_SECOND = 20e6
SLOWEST, FASTEST = 2e6, 200e6
TELLING = 50e6  # bytes of work from which a build tells how fast it goes
BEGINNING = 10.0  # seconds that each build takes in any case
RESERVE = 1.5
DROP_SECONDS = 120.0
MIB = 2**20


class Why(StrEnum):
    """Why nothing is done now; named as reasons of conditions are."""

    NOTHING = "NothingToDo"
    VERIFYING = "Verifying"
    WINDOW = "OutsideWindow"
    TOO_LONG = "WindowTooShort"
    LIMIT = "LimitReached"
    BUDGET = "BudgetUsed"
    RUNNING = "BuildRunning"
    TRANSACTION = "LongTransaction"
    PERMISSION = "PermissionMissing"
    REPLICA = "Replica"
    LATER = "RetryLater"


@dataclass(frozen=True, slots=True)
class Wanted:
    """An index to create, with its expected bytes and the queries (by id) that it is meant for."""

    candidate: Candidate
    bytes: float
    queries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """What is allowed. `owner` names the resource, with its namespace. `budget`: bytes of all
    indexes that were created for it. `verify_seconds`: so long an index is watched at most.
    """

    owner: str
    windows: tuple[maintenance.Window, ...]
    budget: float
    most_per_window: int = 3
    verify_seconds: float = VERIFY_SECONDS


@dataclass(frozen=True, slots=True)
class Observed:
    """What there is: a fresh snapshot, what `builds.py` sees, and who does what at this moment.

    `before` is how queries were in a stretch of time until now (`verdicts.timings` of
    `deltas.between`), `concerned` the queries that read or write each table, and `uses` the
    indexes, by name, in the plans of those in `applying.suspects(state)`.
    """

    snapshot: Snapshot
    builds: tuple[Build, ...] = ()
    created: Mapping[Relation, str] = field(default_factory=dict)
    forbidden: Mapping[Relation, str] = field(default_factory=dict)
    activity: Activity | None = None
    before: Mapping[str, Timing] = field(default_factory=dict)
    concerned: Mapping[Relation, frozenset[str]] = field(default_factory=dict)
    uses: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def tables(self) -> dict[Relation, Table]:
        return {table.relation: table for table in self.snapshot.tables}

    @property
    def indexes(self) -> dict[Relation, Index]:
        return {index.relation: index for index in self.snapshot.indexes}


@dataclass(frozen=True, slots=True)
class Create:
    """Build an index by these statements, one by one, in `seconds` at most. `queries` (ids) are to
    be tried before and after; `names` are those of the index and of its parts.
    """

    index: Relation
    statements: tuple[str, ...]
    seconds: float
    queries: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Claim:
    """Let an index that was built say whose it is."""

    index: Relation
    statements: tuple[str, ...]
    seconds: float = DROP_SECONDS


@dataclass(frozen=True, slots=True)
class Drop:
    """Drop one of our own, or what is left of it."""

    index: Relation
    statements: tuple[str, ...]
    reason: str
    seconds: float = DROP_SECONDS


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do, and until when (Unix seconds) where that is known."""

    why: Why
    message: str
    until: float | None = None


Step = Create | Claim | Drop | Rest


def hindered(observed: Observed, policy: Policy, now: float) -> Rest | None:
    """Why nothing at all can be built now."""
    if observed.snapshot.is_replica:
        return Rest(Why.REPLICA, "this is a replica: connect to the primary to create indexes")
    if maintenance.current(policy.windows, now) is None:
        after = maintenance.following(policy.windows, now)
        if after is None:
            return Rest(Why.WINDOW, "there is no maintenance window: give one to create indexes")
        return Rest(Why.WINDOW, "waits for the maintenance window", after.start)
    if observed.builds:
        return Rest(Why.RUNNING, observed.builds[0].told)
    for session in observed.activity.sessions if observed.activity is not None else ():
        begun = session.transaction_started
        if begun is not None and now - begun > LONG_TRANSACTION:
            return Rest(
                Why.TRANSACTION,
                f"process {session.pid} has been in a transaction for {now - begun:.0f} s, "
                "which a concurrent build would have to wait for",
            )
    return None


def creation(
    one: Wanted, state: State, observed: Observed, policy: Policy, now: float
) -> Create | Rest:
    """The statements, or why this one cannot be built now. `state` is that of all others."""
    tables = observed.tables
    table, name = one.candidate.table, ddl.name_of(one.candidate)
    span = maintenance.current(policy.windows, now)
    if table not in tables or span is None:
        return Rest(Why.NOTHING, f"{table} is not there any more")
    where = tree(table, tables)
    refused = [each for each in where if each in observed.forbidden]
    if refused:
        return Rest(Why.PERMISSION, f"{refused[0]}: {observed.forbidden[refused[0]]}")
    used = sum(each.bytes for each in state if each.phase in LIVE)
    if used + one.bytes > policy.budget:
        needed = f"{name} needs {one.bytes / MIB:.0f} MiB"
        return Rest(
            Why.BUDGET,
            f"{needed}, and of {policy.budget / MIB:.0f} MiB {used / MIB:.0f} are used",
        )
    if sum(each.begun >= span.start for each in state) >= policy.most_per_window:
        message = f"{policy.most_per_window} indexes were begun in this window, as many as may be"
        return Rest(Why.LIMIT, message, span.end)
    seconds = RESERVE * expected_seconds(one.candidate, one.bytes, tables, state)
    if now + seconds > span.end:
        left = span.end - now
        message = f"{name} may take {seconds:.0f} s, and the window ends in {left:.0f} s"
        return Rest(Why.TOO_LONG, message, span.end)
    *statements, reset = ddl.creation(one.candidate, tables, observed.snapshot.indexes)
    own = [Relation(each.schema, ddl.name_of(one.candidate, each)) for each in where]
    said = [_said(index, policy) for index in own]
    index = Relation(table.schema, name)
    return Create(
        index,
        (*statements, ddl.SHORT_TIMEOUT, *said, reset),
        span.end - now,
        names=frozenset(each.name for each in own),
    )


def claim(index: Relation, policy: Policy) -> Claim:
    """It is there, but does not say yet whose it is."""
    return Claim(index, (ddl.SHORT_TIMEOUT, _said(index, policy), ddl.NO_TIMEOUT))


def clean_up(left: Sequence[Relation], observed: Observed) -> tuple[str, ...]:
    """Drops what is left. A partitioned index takes its parts along; those that were not attached
    yet go by themselves.
    """
    there, tables = observed.indexes, observed.tables
    alone = sorted(name for name in left if there[name].parent not in left)
    return tuple(statement for name in alone for statement in ddl.removal(there[name], tables))


def expected_seconds(
    candidate: Candidate, size: float, tables: Mapping[Relation, Table], state: State
) -> float:
    """How long a concurrent build will take, by the slowest of our own."""
    shown = []
    for each in state:
        work = _work(each.candidate, each.bytes, tables)
        if each.seconds and each.phase in LIVE - {Phase.BUILDING} and work >= TELLING:
            shown.append(work / each.seconds)
    speed = min(FASTEST, max(SLOWEST, min(shown, default=BYTES_A_SECOND)))
    return BEGINNING + _work(candidate, size, tables) / speed


def tree(table: Relation, tables: Mapping[Relation, Table]) -> list[Relation]:
    """The table and all partitions below it, each after its parent."""
    parts = sorted(one for one, other in tables.items() if other.parent == table)
    return [table, *(below for part in parts for below in tree(part, tables))]


def pieces(each: Applied, tables: Mapping[Relation, Table]) -> list[Relation]:
    """The index and those that it has on partitions, by the names that we give them."""
    own = (
        Relation(where.schema, ddl.name_of(each.candidate, where))
        for where in tree(each.candidate.table, tables)
    )
    return [each.index, *(name for name in own if name != each.index)]


def is_being_built(each: Applied, observed: Observed) -> bool:
    """Whether somebody builds on its tables; also if we may not see where."""
    where = set(tree(each.candidate.table, observed.tables))
    return any(build.table is None or build.table in where for build in observed.builds)


def _said(index: Relation, policy: Policy) -> str:
    return f"COMMENT ON INDEX {ddl.qualified(index)} IS {ddl.literal(comment(policy.owner))}"


def _work(candidate: Candidate, size: float, tables: Mapping[Relation, Table]) -> float:
    """Bytes that are read and written."""
    pages = sum(tables[one].pages for one in tree(candidate.table, tables) if one in tables)
    return 2 * 8192.0 * pages + 2 * size
