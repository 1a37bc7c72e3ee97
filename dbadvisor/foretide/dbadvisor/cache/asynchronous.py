"""The cache for psycopg's asynchronous connections."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from foretide.dbadvisor.cache.async_listening import AsyncListener
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
from foretide.dbadvisor.cache.listening import cleared, told_to
from foretide.dbadvisor.cache.results import rows_of
from foretide.dbadvisor.cache.steps import adrive

AsyncConnection = psycopg.AsyncConnection[Any]


class AsyncCache(Parts[AsyncListener]):
    """As `Cache`, for one event loop."""

    turns = Turns(asyncio.Lock)

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
        super().__init__(AsyncListener, asyncio.Event, asyncio.sleep, listen, backend, settings)

    async def fetch(
        self,
        connection: AsyncConnection,
        query: Query,
        parameters: Parameters = None,
        *,
        ttl: float | None = None,
        tables: Sequence[str] = (),
        vary: Sequence[object] = (),
        row_factory: Callable[[Any], Any] | None = None,
    ) -> list[Any]:
        """All rows. Takes, gives and raises what `Cache.fetch` does."""
        by_hand(tables)
        settings = self._with(ttl)
        async with self.turns.of(connection):
            return await self._fetch(
                connection, query, parameters, settings, tables, vary, row_factory
            )

    async def _fetch(
        self,
        connection: AsyncConnection,
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
            await cursor.execute(query, parameters)
            return await cursor.fetchall()
        text = text_of(query, connection)
        session = await _asked(connection) if settings.ask_session else ()
        key = key_of(text, parameters, connection, vary, session)

        async def load(look: bool = True) -> Loaded:
            return await _load(connection, query, parameters, tables if look else None)

        wanted = Wanted(key, text, settings.ttl, tables, load, bool(vary), session)
        result = await adrive(self._flow.read(wanted))
        if result is None:
            result = (await load(look=False)).result
        return rows_of(result, connection.cursor(), row_factory)

    async def fetchone(
        self, connection: AsyncConnection, query: Query, *args: Any, **options: Any
    ) -> Any:
        """The first row, or None. Takes and raises what `fetch` does."""
        return next(iter(await self.fetch(connection, query, *args, **options)), None)

    async def invalidate(self, *tables: str) -> None:
        """As `Cache.invalidate`."""
        await adrive(told_to(self._backend, by_hand(tables)))

    async def clear(self) -> None:
        """As `Cache.clear`."""
        await adrive(cleared(self._backend))

    async def close(self) -> None:
        """Ends the listening connection and its task. Reads go to the database afterwards."""
        if isinstance(self._listener, AsyncListener):
            await self._listener.close()

    async def __aenter__(self) -> "AsyncCache":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def _load(
    connection: AsyncConnection, query: Query, parameters: Parameters, tables: Sequence[str] | None
) -> Loaded:
    async with _reading(connection), connection.transaction():
        cursor = connection.cursor()
        await cursor.execute(query, parameters)
        result = only_result(cursor)
        rows: list[tuple[Any, ...]] = []
        if tables is not None:
            looking = connection.cursor(row_factory=tuple_row)
            await looking.execute(question(tables, connection))
            rows = await looking.fetchall()
        return Loaded(result, footprint_of(rows))


async def _asked(connection: AsyncConnection) -> tuple[Any, ...]:
    """What its session says of itself, without a transaction that stays open."""
    before = connection.autocommit
    try:
        # Cancelled here, it may have been set already.
        await connection.set_autocommit(True)
        cursor = connection.cursor(row_factory=tuple_row)
        return (await (await cursor.execute(SESSION)).fetchall())[0]
    finally:
        if not connection.closed:
            await connection.set_autocommit(before)


@asynccontextmanager
async def _reading(connection: AsyncConnection) -> AsyncIterator[None]:
    before, level = connection.read_only, connection.isolation_level
    try:
        await connection.set_read_only(True)
        await connection.set_isolation_level(isolation(level))
        yield
    finally:
        if not connection.closed:
            try:
                await connection.set_read_only(before)
            finally:
                await connection.set_isolation_level(level)
