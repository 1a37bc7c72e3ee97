"""What both caches share: settings, what they are made of, which connections they serve."""

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, TypeVar

import psycopg
from psycopg import IsolationLevel, pq
from psycopg.pq import TransactionStatus

from foretide.dbadvisor.cache.backend import Backend, Change
from foretide.dbadvisor.cache.flights import Flights
from foretide.dbadvisor.cache.flow import Counts, Ears, Flow
from foretide.dbadvisor.cache.keys import AnyConnection
from foretide.dbadvisor.cache.listening import Silence
from foretide.dbadvisor.cache.memory import Memory
from foretide.dbadvisor.cache.results import Result, taken

MANUAL = "by hand"
Hearing = TypeVar("Hearing", bound=Ears)


@dataclass(frozen=True, slots=True)
class Settings:
    """`ttl` in seconds. `strict`: see `Cache`. `listen_timeout`: how long the listening connection
    may take to answer, s. `load_seconds`: how long one process lets another load a key, s.
    `ask_session`: whether each reader's session is asked who it is.
    """

    ttl: float = 60.0
    strict: bool = True
    listen_timeout: float = 1.0
    load_seconds: float = 10.0
    ask_session: bool = True

    def __post_init__(self) -> None:
        for name in ("ttl", "listen_timeout", "load_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0 seconds")


class Turns:
    """One read at a time on each connection, which several threads or tasks may share: another
    one would find itself in this one's transaction. `lock` makes what is waited for.
    """

    def __init__(self, lock: Callable[[], Any]) -> None:
        self._lock = lock
        self.forked()

    def forked(self) -> None:
        """In a child process, where nobody is left who would give back what was taken."""
        self._adding = threading.Lock()
        self._locks: weakref.WeakKeyDictionary[AnyConnection, Any] = weakref.WeakKeyDictionary()

    def of(self, connection: AnyConnection) -> Any:
        """Its lock."""
        with self._adding:
            found = self._locks.get(connection)
            if found is None:
                found = self._locks[connection] = self._lock()
            return found


class Parts(Generic[Hearing]):
    """What a cache is made of, for threads or for asyncio: with its listener (`hearing` makes it),
    its events and its way to wait.
    """

    turns: ClassVar[Turns]

    def __init__(
        self,
        hearing: Callable[..., Hearing],
        event: type[Any],
        pause: Callable[[float], Any],
        listen: str | None,
        backend: Backend | None,
        settings: Settings,
    ) -> None:
        self._settings = settings
        self._event, self._pause = event, pause
        self._backend: Backend = Memory() if backend is None else backend
        self._listener: Hearing | Silence = Silence()
        if listen is not None:
            self._listener = hearing(
                listen, self._backend, strict=settings.strict, timeout=settings.listen_timeout
            )
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_forgetful(self))

    def _forked(self) -> None:
        """In a child process: no lock, connection or load of its parent is its own."""
        self.turns.forked()
        self._backend.forked()
        self._listener.forked()
        self._begin()

    def _begin(self) -> None:
        self._flow = Flow(
            self._backend,
            self._listener,
            Flights(self._event),
            pause=self._pause,
            load_seconds=self._settings.load_seconds,
        )

    def _with(self, ttl: float | None) -> Settings:
        return self._settings if ttl is None else replace(self._settings, ttl=ttl)

    @property
    def counts(self) -> Counts:
        """What has become of reads so far."""
        return replace(self._flow.counts)

    def refusals(self) -> dict[str, str]:
        """Queries whose answers were not kept in the last minute, and why."""
        return self._flow.refusals()


def _forgetful(parts: Parts[Any]) -> Callable[[], None]:
    known = weakref.ref(parts)

    def forked() -> None:
        if (there := known()) is not None:
            there._forked()

    return forked


def idle(connection: AnyConnection) -> bool:
    """Whether it is in no transaction.

    Within one, a read may see what nobody else does yet, or a past that is over for all others:
    it is neither answered from the cache nor kept.
    """
    pgconn = connection.pgconn
    return (
        pgconn.transaction_status == TransactionStatus.IDLE
        and pgconn.pipeline_status == pq.PipelineStatus.OFF
    )


def isolation(level: IsolationLevel | None) -> IsolationLevel:
    """In which a query and the look at what it has read see the same moment, triggers included:
    one that was installed since the query began did not tell of what was written meanwhile.
    """
    return max(level or IsolationLevel.REPEATABLE_READ, IsolationLevel.REPEATABLE_READ)


def only_result(cursor: psycopg.Cursor | psycopg.AsyncCursor) -> Result:
    """What a cursor has found.

    Raises:
        psycopg.ProgrammingError: the statement gives no rows, or there were several.
    """
    result = cursor.pgresult
    if result is None or result.status != pq.ExecStatus.TUPLES_OK:
        raise psycopg.ProgrammingError("only a query that gives rows can be cached")
    if cursor.nextset():
        raise psycopg.ProgrammingError("only one query at a time can be cached")
    return taken(result)


def by_hand(tables: Sequence[str]) -> list[Change]:
    """The change of these tables, as a caller tells it.

    Raises:
        ValueError: a name has no schema.
    """
    for table in tables:
        if "." not in table:
            raise ValueError(f"write schema.table: {table!r} has no schema")
    return [Change(table, MANUAL) for table in tables]
