"""Watching a database for a while: counters now and then, and its sessions in short bursts.

Counters tell what was executed between two moments, sessions who executes it. N+1 shows itself to
looks that are less than a tenth of a second apart; as nobody can look so often for long, there are
bursts of them. Between them the calls of statements that a cache is projected for are looked at.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

from foretide.dbadvisor import deltas, pulses
from foretide.dbadvisor.caching import to_follow
from foretide.dbadvisor.collecting import Collector
from foretide.dbadvisor.database import DatabaseAway, DatabaseError
from foretide.dbadvisor.snapshot import Activity, Constant, Pulse, Snapshot, Workload

# Seconds for which it may be away in the middle of a watch, and until it is asked again.
LONGEST_AWAY, AGAIN = 120.0, 2.0


@dataclass(frozen=True, slots=True)
class Cadence:
    """Seconds between two collections, between two bursts, and between two looks of a burst of so
    many `looks`. A look takes the server about a millisecond.
    """

    collect: float = 10.0
    burst: float = 2.0
    look: float = 0.01
    looks: int = 15

    @classmethod
    def within(cls, seconds: float) -> "Cadence":
        """For a watch of so many seconds: ten collections or more, and at most 300 bursts."""
        burst = max(min(2.0, max(0.2, seconds / 30)), seconds / 300)
        return cls(collect=min(60.0, max(1.0, seconds / 10)), burst=burst)


@dataclass(frozen=True, slots=True)
class Watched:
    """What was seen, in order; at least one snapshot. `missing`: what could not be looked at."""

    snapshots: tuple[Snapshot, ...]
    activities: tuple[Activity, ...]
    missing: tuple[str, ...] = ()
    pulses: tuple[Pulse, ...] = ()

    @property
    def workload(self) -> Workload:
        """From the first snapshot to the last; of a single one, all that it has counted."""
        first, last = self.snapshots[0], self.snapshots[-1]
        return deltas.between(first, last) if len(self.snapshots) > 1 else deltas.total(last)

    @property
    def windows(self) -> tuple[Workload, ...]:
        """Between each two snapshots that follow one another."""
        return tuple(deltas.between(one, other) for one, other in pairwise(self.snapshots))

    @property
    def constants(self) -> tuple[tuple[float, tuple[Constant, ...]], ...]:
        """What pg_qualstats had seen whenever it was read again."""
        read = [
            (each.at, each.constants)
            for before, each in zip((None, *self.snapshots), self.snapshots, strict=False)
            if before is None or each.constants is not before.constants
        ]
        return tuple(read) if len(read) > 1 else ()


def watch(
    collector: Collector,
    seconds: float,
    *,
    cadence: Cadence | None = None,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[float], None] = lambda done: None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Watched:
    """Looks for so many seconds, or until `stop` says so; 0 is one collection and one burst.

    `progress` is told how many seconds are over.

    Raises:
        DatabaseAway: nobody answers.
        DatabaseError: not even the database's name could be read.
    """
    cadence = cadence or Cadence.within(seconds)
    began = clock()
    snapshots = [collector.collect(began)]
    activities: list[Activity] = []
    missing: dict[str, None] = {}
    close = _Close(collector, snapshots[0], clock, sleep)
    collected = burst = began
    absence = _Absence(clock)
    while True:
        with absence.outlasted(missing, sleep if seconds > 0 and not stop() else None):
            _burst(collector, cadence, activities, missing, clock, sleep)
            now = clock()
            progress(min(seconds, now - began))
            if now - began >= seconds or stop():
                break
            if now - collected >= cadence.collect:
                snapshots.append(collector.collect(now))
                close.follow(snapshots[-1])
                collected = now
            burst = max(burst + cadence.burst, now)
            close.rest(min(burst, began + seconds))
            absence.since = None
    if seconds > 0 and clock() > snapshots[-1].at:
        snapshots.append(collector.collect(clock()))
    return Watched(tuple(snapshots), tuple(activities), tuple(missing), tuple(close.seen))


class _Absence:
    """A database that goes away while it is watched, for a restart or a failover: hours of a watch
    are not thrown away for that. `since` when it is away (by the clock), None if it is not.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.since: float | None = None
        self._clock = clock

    @contextmanager
    def outlasted(
        self, missing: dict[str, None], sleep: Callable[[float], None] | None
    ) -> Iterator[None]:
        """Waits a moment where the database is away, and notes it.

        Raises:
            DatabaseAway: it is for too long; or nobody wants to wait, without a `sleep`.
        """
        try:
            yield
        except DatabaseAway as error:
            self.since = self._clock() if self.since is None else self.since
            if sleep is None or self._clock() - self.since >= LONGEST_AWAY:
                raise
            missing[f"the database was away for a while: {error}"] = None
            sleep(AGAIN)


class _Close:
    """Looks at the calls of some statements while there is nothing else to do (`pulses`)."""

    def __init__(
        self,
        collector: Collector,
        first: Snapshot,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._collector, self._clock, self._sleep = collector, clock, sleep
        self._known: set[int] = set()
        self._ids: tuple[int, ...] = ()
        self._due = clock()
        self._ends = self._due + pulses.SECONDS
        self.seen: list[Pulse] = []
        self.follow(first)

    def follow(self, snapshot: Snapshot) -> None:
        """Looks from now on also at what is new in a snapshot."""
        ids = {each.queryid for each in snapshot.statements}
        if self._due < self._ends and not ids <= self._known:
            fresh = to_follow(deltas.total(snapshot), snapshot)
            self._ids = tuple(sorted({*self._ids, *fresh}))
            self._known |= ids

    def rest(self, until: float) -> None:
        """Sleeps until then.

        Raises:
            DatabaseAway: nobody answers.
        """
        while self._ids and self._due < min(until, self._ends):
            self._sleep(max(0.0, self._due - self._clock()))
            try:
                self.seen.append(self._collector.pulse(self._clock(), self._ids))
            except DatabaseAway:
                raise
            except DatabaseError:
                pass  # that one took too long
            self._due = max(self._due + pulses.STEP, self._clock())
        self._sleep(max(0.0, until - self._clock()))


def _burst(
    collector: Collector,
    cadence: Cadence,
    activities: list[Activity],
    missing: dict[str, None],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    for place in range(cadence.looks):
        if place:
            sleep(cadence.look)
        try:
            activities.append(collector.activity(clock()))
        except DatabaseAway:
            raise
        except DatabaseError as refused:
            missing[f"sessions: {refused}"] = None
            return
