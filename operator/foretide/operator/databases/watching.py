"""The door to a watched database: one connection, which collects and looks at sessions.

Each look blocks, so it is taken in a thread (`threads.py`). The connection is kept from one look to
the next; what is lost is made anew, its host looked up again: it may have moved.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from foretide.dbadvisor.collecting import Collector
from foretide.dbadvisor.connection import Connection, Limits, Target
from foretide.dbadvisor.database import Database, DatabaseAway, DatabaseError
from foretide.dbadvisor.snapshot import Activity, Pulse, Snapshot

# In one burst, so that a loop of look-ups is seen in the middle: it lasts half a second.
LOOKS = 10
PAUSE = 0.05
APPLICATION = "foretide-advisor"


class Closing(Database, Protocol):
    """A `Database` that is closed when it is not needed any more."""

    def close(self) -> None:
        """End the session."""
        ...


Connect = Callable[[Target, Limits], Closing]


@dataclass(frozen=True, slots=True)
class Look:
    """What one look has seen, and how many seconds it took; `also` is what it was to see beside."""

    snapshot: Snapshot
    activities: tuple[Activity, ...]
    seconds: float
    also: Any = None


Also = Callable[[Database, Snapshot], Any]


def connected(target: Target, limits: Limits) -> Closing:
    """A real connection. Raises as `Connection` does."""
    return Connection(target, limits=limits, application=APPLICATION)


class Watch:
    """One database, looked at again and again. Others may call `pulse` and `close` meanwhile."""

    def __init__(
        self,
        connect: Connect = connected,
        *,
        looks: int = LOOKS,
        pause: float = PAUSE,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connect, self._looks, self._pause = connect, looks, pause
        self._clock, self._sleep = clock, sleep
        self._database: Closing | None = None
        self._collector: Collector | None = None
        self._way: object = None
        self._busy = threading.Lock()
        self._ended = False

    def look(
        self,
        way: object,
        target: Callable[[], Target],
        limits: Limits,
        also: Also | None = None,
    ) -> Look:
        """Take a look, `also` at something else. `way` tells one way to connect from another, a new
        password included; `target` is asked where a connection has to be made.

        Raises:
            Refused: there is no way there.
            DatabaseAway: nobody answers.
            DatabaseError: it answers, but not even its name could be read.
        """
        began = time.monotonic()
        try:
            with self._busy:
                collector = self._ready(way, target, limits)
                try:
                    snapshot = collector.collect(self._clock())
                    activities = self._burst(collector)
                    more = also(collector.database, snapshot) if also is not None else None
                except DatabaseAway:
                    self._drop()
                    raise
            return Look(snapshot, tuple(activities), time.monotonic() - began, more)
        finally:
            if self._ended:
                self.close()

    def pulse(self, now: float, ids: Sequence[int]) -> Pulse:
        """A closer look at how often statements were called; looks come in between.

        Raises:
            DatabaseAway: the connection is lost, or was closed.
            DatabaseError: it could not be read.
        """
        try:
            with self._busy:
                if self._database is None or self._collector is None:
                    raise DatabaseAway("the connection is closed")
                return self._collector.pulse(now, ids)
        finally:
            if self._ended:
                self.close()

    def close(self) -> None:
        """End the session, at once or after the look that is being taken."""
        self._ended = True
        if self._busy.acquire(blocking=False):
            try:
                self._drop()
            finally:
                self._busy.release()

    def _ready(self, way: object, target: Callable[[], Target], limits: Limits) -> Collector:
        if way != self._way:  # another password, or another database
            self._drop()
            self._collector = None
            self._way = way
        if self._database is None:
            self._database = self._connect(target(), limits)
            if self._collector is not None:
                self._collector.database = self._database
        if self._collector is None:
            self._collector = Collector(self._database)
        return self._collector

    def _burst(self, collector: Collector) -> Sequence[Activity]:
        """Looks at the sessions. That they cannot be seen is no reason to lose the rest."""
        seen: list[Activity] = []
        for place in range(self._looks):
            if place:
                self._sleep(self._pause)
            try:
                seen.append(collector.activity(self._clock()))
            except DatabaseAway:
                raise
            except DatabaseError:
                break
        return seen

    def _drop(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
