"""The cache for psycopg's synchronous connections."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from foretide.dbadvisor.cache.backend import Backend
from foretide.dbadvisor.cache.common import (
    Parts,
    Settings,
    Turns,
    by_hand,
    idle,
    isolation,
    only_result,
)
from foretide.dbadvisor.cache.flow import Loaded, Wanted
from foretide.dbadvisor.cache.footprint import footprint_of, question
from foretide.dbadvisor.cache.keys import SESSION, Parameters, Query, key_of, text_of
from foretide.dbadvisor.cache.listening import Listener, cleared, told_to
from foretide.dbadvisor.cache.results import rows_of
from foretide.dbadvisor.cache.steps import drive

Connection = psycopg.Connection[Any]


class Cache(Parts[Listener]):
    """Keeps what queries answer. One for each process; any thread may use it.

    `listen` is the DSN of the database whose changes make answers invalid (a direct connection, not
    through a pooler; tables need the triggers of `install`). Without it answers live for their
    TTL. `strict`: each answer from the cache waits for one empty query on that connection, and is
    never older than the last commit that had returned before; otherwise it may be older by as long
    as a notification takes.
    `ask_session`: each read asks its own connection first whom it acts as, where it looks for
    tables and which server it is on, as answers depend on that; do without only where no connection
    ever sets a role, a search path or other settings, has temporary tables, or changes its server.

    A query runs in a read-only transaction of its own, and is not kept where that would be wrong:
    `refusals()` says why. On a connection that is within a transaction the cache stands aside.
    """

    turns = Turns(threading.RLock)

    def __init__(
        self,
        *,
        ttl: float = 60.0,
        listen: str | None = None,
        backend: Backend | None = None,
        strict: bool = True,
        listen_timeout: float = 1.0,
        load_seconds: float = 10.0,
        ask_session: bool = True,
    ) -> None:
        settings = Settings(ttl, strict, listen_timeout, load_seconds, ask_session)
        super().__init__(Listener, threading.Event, time.sleep, listen, backend, settings)

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
        settings = self._with(ttl)
        with self.turns.of(connection):
            return self._fetch(connection, query, parameters, settings, tables, vary, row_factory)

    def _fetch(
        self,
        connection: Connection,
        query: Query,
        parameters: Parameters,
        settings: Settings,
        tables: Sequence[str],
        vary: Sequence[object],
        row_factory: Callable[[Any], Any] | None,
    ) -> list[Any]:
        if not idle(connection):
            self._flow.count("bypassed")
            cursor = connection.cursor()
            if row_factory is not None:
                cursor.row_factory = row_factory
            return cursor.execute(query, parameters).fetchall()
        text = text_of(query, connection)
        session = _asked(connection) if settings.ask_session else ()
        key = key_of(text, parameters, connection, vary, session)

        def load(look: bool = True) -> Loaded:
            return _load(connection, query, parameters, tables if look else None)

        wanted = Wanted(key, text, settings.ttl, tables, load, bool(vary), session)
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

    def close(self) -> None:
        """Ends the listening connection and its thread. Reads go to the database afterwards."""
        self._listener.close()

    def __enter__(self) -> "Cache":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _load(
    connection: Connection, query: Query, parameters: Parameters, tables: Sequence[str] | None
) -> Loaded:
    with _reading(connection), connection.transaction():
        cursor = connection.cursor()
        cursor.execute(query, parameters)
        result = only_result(cursor)
        rows: list[tuple[Any, ...]] = []
        if tables is not None:
            rows = (
                connection.cursor(row_factory=tuple_row)
                .execute(question(tables, connection))
                .fetchall()
            )
        return Loaded(result, footprint_of(rows))


def _asked(connection: Connection) -> tuple[Any, ...]:
    """What its session says of itself, without a transaction that stays open."""
    before = connection.autocommit
    connection.autocommit = True
    try:
        return connection.cursor(row_factory=tuple_row).execute(SESSION).fetchall()[0]
    finally:
        if not connection.closed:
            connection.autocommit = before


@contextmanager
def _reading(connection: Connection) -> Iterator[None]:
    before, level = connection.read_only, connection.isolation_level
    connection.read_only, connection.isolation_level = True, isolation(level)
    try:
        yield
    finally:
        if not connection.closed:
            connection.read_only, connection.isolation_level = before, level
