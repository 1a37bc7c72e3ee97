"""The cache for psycopg's synchronous connections."""

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from foretide.dbadvisor.cache.backend import Backend
from foretide.dbadvisor.cache.common import Settings, by_hand, identified, idle, only_result
from foretide.dbadvisor.cache.flights import Flights
from foretide.dbadvisor.cache.flow import Counts, Flow, Loaded, Wanted
from foretide.dbadvisor.cache.footprint import FOOTPRINT, footprint_of
from foretide.dbadvisor.cache.keys import Parameters, Query
from foretide.dbadvisor.cache.listening import Listener, Silence, cleared, told_to
from foretide.dbadvisor.cache.memory import Memory
from foretide.dbadvisor.cache.results import rows_of
from foretide.dbadvisor.cache.steps import drive

Connection = psycopg.Connection[Any]


class Cache:
    """Keeps what queries answer. One for each process; any thread may use it.

    `listen` is the DSN of the database whose changes make answers invalid (a direct connection, not
    through a pooler; tables need the triggers of `install`). Without it answers live for their
    TTL. `strict`: each answer from the cache waits for one empty query on that connection, and is
    never older than the last commit that had returned before; otherwise it may be older by as long
    as a notification takes.

    A query runs in a read-only transaction of its own, and is not kept where that would be wrong:
    `refusals()` says why. On a connection that is within a transaction the cache stands aside.
    """

    def __init__(
        self,
        *,
        ttl: float = 60.0,
        listen: str | None = None,
        backend: Backend | None = None,
        strict: bool = True,
        listen_timeout: float = 1.0,
        load_seconds: float = 10.0,
    ) -> None:
        self._settings = Settings(ttl, strict, listen_timeout, load_seconds)
        self._backend: Backend = Memory() if backend is None else backend
        self._listener: Listener | Silence = (
            Silence()
            if listen is None
            else Listener(listen, self._backend, strict=strict, timeout=listen_timeout)
        )
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_forgetful(self))

    def _begin(self) -> None:
        self._flow = Flow(
            self._backend,
            self._listener,
            Flights(threading.Event),
            pause=time.sleep,
            load_seconds=self._settings.load_seconds,
        )

    def fetch(
        self,
        connection: Connection,
        query: Query,
        parameters: Parameters = None,
        *,
        ttl: float | None = None,
        tables: Sequence[str] = (),
        vary: Sequence[object] = (),
        row_factory: Callable[[Any], Any] | None = None,
    ) -> list[Any]:
        """All rows, as `connection.execute(query, parameters).fetchall()` gives them.

        `ttl`: seconds, instead of the cache's. `tables` (`schema.table`): further ones that the
        answer depends on, beside those that PostgreSQL says it reads. `vary`: what else the answer
        depends on, such as the tenant that a setting of the session names.

        Raises:
            psycopg.Error: as `execute` does; also where the statement writes.
            ValueError: ttl is not above 0, or a table has no schema.
        """
        by_hand(tables)
        settings = self._settings if ttl is None else replace(self._settings, ttl=ttl)
        if not idle(connection):
            self._flow.count("bypassed")
            cursor = connection.cursor()
            if row_factory is not None:
                cursor.row_factory = row_factory
            return cursor.execute(query, parameters).fetchall()
        text, key = identified(connection, query, parameters, vary)

        def load(look: bool = True) -> Loaded:
            return _load(connection, query, parameters, look)

        wanted = Wanted(key, text, settings.ttl, tables, load, bool(vary))
        result = drive(self._flow.read(wanted))
        if result is None:
            result = load(look=False).result
        return rows_of(result, connection.cursor(), row_factory)

    def fetchone(self, connection: Connection, query: Query, *args: Any, **options: Any) -> Any:
        """The first row, or None. Takes and raises what `fetch` does."""
        return next(iter(self.fetch(connection, query, *args, **options)), None)

    def invalidate(self, *tables: str) -> None:
        """Answers that were read from these tables (`schema.table`) before are not used any more.

        Raises:
            ValueError: a name has no schema.
            BackendAway: they are kept where they cannot be reached.
        """
        drive(told_to(self._backend, by_hand(tables)))

    def clear(self) -> None:
        """Nothing that is kept now is used any more.

        Raises:
            BackendAway: it is kept where it cannot be reached.
        """
        drive(cleared(self._backend))

    @property
    def counts(self) -> Counts:
        """What has become of reads so far."""
        return replace(self._flow.counts)

    def refusals(self) -> dict[str, str]:
        """Queries whose answers were not kept in the last minute, and why."""
        return self._flow.refusals()

    def close(self) -> None:
        """Ends the listening connection and its thread. Reads go to the database afterwards."""
        self._listener.close()

    def __enter__(self) -> "Cache":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _forked(self) -> None:
        """In a child process: no lock, connection or load of its parent is its own."""
        if isinstance(self._backend, Memory):
            self._backend.forked()
        if isinstance(self._listener, Listener):
            self._listener.forked()
        self._begin()


def _forgetful(cache: Cache) -> Callable[[], None]:
    known = weakref.ref(cache)

    def forked() -> None:
        if (there := known()) is not None:
            there._forked()

    return forked


def _load(connection: Connection, query: Query, parameters: Parameters, look: bool) -> Loaded:
    with _reading(connection), connection.transaction():
        cursor = connection.cursor()
        cursor.execute(query, parameters)
        result = only_result(cursor)
        rows: list[tuple[Any, ...]] = []
        if look:
            rows = connection.cursor(row_factory=tuple_row).execute(FOOTPRINT).fetchall()
        return Loaded(result, footprint_of(rows))


@contextmanager
def _reading(connection: Connection) -> Iterator[None]:
    before = connection.read_only
    connection.read_only = True
    try:
        yield
    finally:
        if not connection.closed:
            connection.read_only = before
