"""Who blocks whom, and what sessions wait for, with the statements behind it and the remedy.

Nothing is ended: what holds a lock may be the most important work that there is.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foretide.dbadvisor.nplusone.texts import normalize
from foretide.dbadvisor.snapshot import Activity, Session

PREPARED = 0  # pg_blocking_pids names prepared transactions so
SHOWN = 500  # characters of a statement
LONG_IDLE = 60.0
LONG_TRANSACTION = 900.0
FEW_LOOKS = 10
_HIDDEN = "<insufficient privilege>"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A session that waits for another's lock. `seconds`: for how long its statement has run."""

    pid: int
    statement: str
    wants: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Blocker:
    """A session that waits for no lock itself, and `victims` that wait for it or for one another,
    the longest first. `statement` is its last one, which need not be what took the lock. `held`:
    seconds since its transaction began, None if unknown.
    """

    pid: int
    state: str
    statement: str
    application: str
    user: str
    held: float | None
    victims: tuple[Waiting, ...]
    remedy: str

    @property
    def cost(self) -> float:
        """Seconds that others have waited, all together."""
        return sum(victim.seconds for victim in self.victims)


@dataclass(frozen=True, slots=True)
class Lingering:
    """A transaction that nobody waits for, but that keeps vacuum from cleaning up."""

    pid: int
    state: str
    statement: str
    application: str
    seconds: float
    remedy: str


@dataclass(frozen=True, slots=True)
class Wait:
    """What sessions waited for in several looks. `sessions`: how many on average at a time;
    `statements`: those that waited most, with their share of it.
    """

    kind: str
    event: str
    sessions: float
    statements: tuple[tuple[str, float], ...]
    remedy: str


def blockers(activity: Activity) -> tuple[Blocker, ...]:
    """Those at the head of each queue, the costliest first. Of sessions that wait in a circle it is
    the lowest: PostgreSQL ends one of them after deadlock_timeout.
    """
    sessions = {session.pid: session for session in activity.sessions}
    waits_for = {
        session.pid: sorted(set(session.blocked_by) - {session.pid})
        for session in activity.sessions
        if session.blocked_by
    }
    victims: dict[int, set[int]] = defaultdict(set)
    for pid in waits_for:
        for head in _heads(pid, waits_for):
            if head != pid:
                victims[head].add(pid)
    found = []
    for head, pids in victims.items():
        waiting = sorted(
            (_waiting(sessions[pid], activity.at) for pid in pids),
            key=lambda each: (-each.seconds, each.pid),
        )
        found.append(_blocker(head, sessions.get(head), tuple(waiting), waits_for, activity.at))
    return tuple(sorted(found, key=lambda each: (-each.cost, each.pid)))


def worst_blockers(activities: Sequence[Activity]) -> tuple[Blocker, ...]:
    """Those seen at any of several moments, each as it was when it cost most."""
    worst: dict[tuple[int, str], Blocker] = {}
    for activity in activities:
        for blocker in blockers(activity):
            key = blocker.pid, blocker.statement
            if key not in worst or blocker.cost > worst[key].cost:
                worst[key] = blocker
    return tuple(sorted(worst.values(), key=lambda each: (-each.cost, each.pid, each.statement)))


def lingering(activity: Activity, seconds: float = LONG_TRANSACTION) -> tuple[Lingering, ...]:
    """Transactions open for longer than `seconds`, the oldest first."""
    found = []
    for session in activity.sessions:
        if session.transaction_started is None:
            continue
        age = activity.at - session.transaction_started
        if age >= seconds:
            idle = session.state.startswith("idle in transaction")
            remedy = (
                "end the transaction where its work is done; idle_in_transaction_session_timeout "
                "ends those that are forgotten"
                if idle
                else "while it runs, vacuum can remove no row that has died since it began: split "
                "it, or run it on a replica"
            )
            found.append(
                Lingering(
                    session.pid,
                    session.state,
                    _shown(session.query),
                    session.application,
                    age,
                    remedy,
                )
            )
    return tuple(sorted(found, key=lambda each: (-each.seconds, each.pid)))


def waits(activities: Sequence[Activity], most: int = 5) -> tuple[Wait, ...]:
    """What running statements waited for, the most first; nothing from fewer than ten looks.

    A statement that waits for its client (`ClientRead`) is idle, and is not counted.
    """
    if len(activities) < FEW_LOOKS:
        return ()
    by_event: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for activity in activities:
        for session in activity.sessions:
            kind = session.wait_event_type
            if session.state == "active" and kind and kind not in ("Client", "Activity"):
                by_event[kind, session.wait_event or ""][_shown(session.query)] += 1
    found = []
    for (kind, event), counted in by_event.items():
        total = counted.total()
        ranked = sorted(counted.items(), key=lambda each: (-each[1], each[0]))[:most]
        shares = tuple((text, count / total) for text, count in ranked)
        found.append(Wait(kind, event, total / len(activities), shares, _against(kind, event)))
    return tuple(sorted(found, key=lambda each: (-each.sessions, each.kind, each.event)))


def _heads(pid: int, waits_for: Mapping[int, Sequence[int]]) -> list[int]:
    """Who is at the head of the queue that `pid` stands in: sessions that wait for nobody, or the
    lowest of a circle that all of them wait in.
    """
    seen: set[int] = set()
    open_ = [pid]
    heads = set()
    while open_:
        current = open_.pop()
        if current in seen:
            continue
        seen.add(current)
        following = waits_for.get(current)
        if following:
            open_ += following
        else:
            heads.add(current)
    return sorted(heads) if heads else [min(seen)]


def _waiting(session: Session, at: float) -> Waiting:
    began = session.query_started if session.query_started is not None else at
    wants = session.waits_for or "a lock"
    return Waiting(session.pid, _shown(session.query), wants, max(0.0, at - began))


def _blocker(
    pid: int,
    session: Session | None,
    victims: tuple[Waiting, ...],
    waits_for: Mapping[int, Sequence[int]],
    at: float,
) -> Blocker:
    if session is None:
        prepared = pid == PREPARED
        state = "prepared transaction" if prepared else "unknown"
        remedy = (
            "COMMIT PREPARED or ROLLBACK PREPARED what pg_prepared_xacts lists"
            if prepared
            else "it is gone by now, or belongs to another database"
        )
        return Blocker(pid, state, "", "", "", None, victims, remedy)
    began = session.transaction_started
    return Blocker(
        pid,
        session.state,
        _shown(session.query),
        session.application,
        session.user,
        None if began is None else max(0.0, at - began),
        victims,
        _remedy(session, victims, at, circle=pid in waits_for),
    )


def _remedy(session: Session, victims: Sequence[Waiting], at: float, *, circle: bool) -> str:
    if circle:
        return (
            "they wait for one another: take locks in the same order everywhere "
            "(UPDATE … ORDER BY the key, by SELECT … FOR UPDATE first)"
        )
    if session.state.startswith("idle in transaction"):
        idle = at - session.state_changed if session.state_changed is not None else None
        since = f"for {idle:.0f} s " if idle is not None else ""
        return (
            f"it does nothing {since}with its transaction open: commit before calling anything "
            "else, and set idle_in_transaction_session_timeout"
        )
    first = session.query.lstrip().split(None, 1)[:1]
    word = first[0].upper() if first else ""
    if word in ("ALTER", "DROP", "TRUNCATE", "CREATE", "REINDEX", "CLUSTER", "LOCK", "REFRESH"):
        return (
            "change the schema with lock_timeout set and in small steps, indexes CONCURRENTLY; "
            "try again when it runs out"
        )
    if word in ("VACUUM", "ANALYZE") or session.query.startswith("autovacuum:"):
        return (
            "it gives way to others unless it prevents wraparound: let it end, and vacuum this "
            "table more often"
        )
    if any("transaction" in victim.wants or "tuple" in victim.wants for victim in victims):
        return (
            "they want the same rows: change them last in the transaction, and keep it short; "
            "queues take theirs with FOR UPDATE SKIP LOCKED"
        )
    if any("AccessExclusive" in victim.wants for victim in victims):
        return (
            "a change of the schema waits for it, and everybody else behind that: set "
            "lock_timeout before ALTER or DROP"
        )
    return "end its transaction sooner, or run it when nobody needs what it locks"


def _against(kind: str, event: str) -> str:
    if kind == "Lock":
        return "see who blocks whom; shorter transactions, and rows changed in one order"
    if kind == "IO":
        if event.startswith("WAL"):
            return "fewer and larger commits, or a faster disk for the WAL"
        if event.startswith("BufFile"):
            return "sorts and hashes spill to disk: more work_mem for these statements"
        return "pages come from disk: an index that reads fewer, or more memory for shared_buffers"
    if kind == "LWLock":
        if event.startswith(("WAL", "Wal")):
            return "fewer and larger commits, or a faster disk for the WAL"
        if event in ("BufferContent", "BufferMapping", "buffer_content", "buffer_mapping"):
            return "many sessions want the same pages: fewer connections by a pooler, fewer reads"
        if event in ("LockManager", "lock_manager"):
            return "statements lock many tables or partitions: prune partitions, use a pooler"
        return "sessions hinder one another inside the server: fewer connections by a pooler"
    if kind == "BufferPin":
        return "a cursor that stays open keeps vacuum from a page: close it"
    if kind == "IPC":
        return "parallel workers or replication wait for one another: see the statements' plans"
    return "nothing general can be said of it"


def _shown(text: str) -> str:
    """Without constants: they may be anybody's secret."""
    line = normalize(text).text
    if line == _HIDDEN:
        return "(not shown to this user: grant pg_read_all_stats)"
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"
