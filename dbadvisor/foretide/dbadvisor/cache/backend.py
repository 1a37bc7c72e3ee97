"""Where answers are kept: the door to it."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


def elapsed() -> float:
    """Seconds of a clock that nobody can set, and that goes on while the machine sleeps (Linux)."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class BackendAway(Exception):
    """Where answers are kept cannot be reached. The cache asks the database then."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """Drawn before a load begins: how many changes were known of by then, in which era (the
    counting starts anew with each), and when (seconds of the backend's clock).
    """

    era: str
    number: int
    at: float


@dataclass(frozen=True, slots=True)
class Change:
    """That a table (`schema.table`) has changed. `transaction` tells the same news, heard by
    several processes, from another one.
    """

    table: str
    transaction: str


class Backend(Protocol):
    """Each method may return a value, an awaitable or steps (`foretide.dbadvisor.cache.steps`).

    All raise BackendAway where it cannot be reached.
    """

    def get(self, key: bytes) -> Any:
        """The Result, or None: not there, too old, or one of its tables has changed since."""
        ...

    def ticket(self) -> Any:
        """A Ticket, to be drawn before the load begins."""
        ...

    def put(
        self, key: bytes, ticket: Ticket, tables: Sequence[str], result: Any, ttl: float
    ) -> Any:
        """Whether it was kept: not if one of its tables has changed since the ticket was drawn,
        nor what is too large. `ttl`: seconds from the ticket on.
        """
        ...

    def changed(self, changes: Iterable[Change]) -> Any:
        """What was loaded from these tables with earlier tickets is not used from now on."""
        ...

    def clear(self) -> Any:
        """Nothing that was loaded with an earlier ticket is used from now on."""
        ...

    def lead(self, key: bytes, token: str, seconds: float) -> Any:
        """The token of whoever may load this key now: the one that is given, for so many seconds,
        unless another process was given leave before.
        """
        ...

    def follow(self, key: bytes, token: str) -> Any:
        """Ends what `lead` has begun."""
        ...

    def forked(self) -> None:
        """In a child process, to which no lock and no connection of its parent belongs."""
        ...
