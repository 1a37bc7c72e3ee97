"""The cache for psycopg's asynchronous connections."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from foretide.dbadvisor.cache.async_listening import AsyncListener
from foretide.dbadvisor.cache.backend import Backend
from foretide.dbadvisor.cache.common import Settings, by_hand, identified, idle, only_result
from foretide.dbadvisor.cache.flights import Flights
from foretide.dbadvisor.cache.flow import Counts, Flow, Loaded, Wanted
from foretide.dbadvisor.cache.footprint import FOOTPRINT, footprint_of
from foretide.dbadvisor.cache.keys import Parameters, Query
from foretide.dbadvisor.cache.listening import Silence, cleared, told_to
from foretide.dbadvisor.cache.memory import Memory
from foretide.dbadvisor.cache.results import rows_of
from foretide.dbadvisor.cache.steps import adrive

AsyncConnection = psycopg.AsyncConnection[Any]


class AsyncCache:
    """As `Cache`, for one event loop."""

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
        self._listener: AsyncListener | Silence = (
            Silence()
            if listen is None
            else AsyncListener(listen, self._backend, strict=strict, timeout=listen_timeout)
        )
        self._flow = Flow(
            self._backend,
            self._listener,
            Flights(asyncio.Event),
            pause=asyncio.sleep,
            load_seconds=load_seconds,
        )

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
        settings = self._settings if ttl is None else replace(self._settings, ttl=ttl)
        if not idle(connection):
            self._flow.count("bypassed")
            cursor = connection.cursor()
            if row_factory is not None:
                cursor.row_factory = row_factory
            await cursor.execute(query, parameters)
            return await cursor.fetchall()
        text, key = identified(connection, query, parameters, vary)

        async def load(look: bool = True) -> Loaded:
            return await _load(connection, query, parameters, look)

        wanted = Wanted(key, text, settings.ttl, tables, load, bool(vary))
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

    @property
    def counts(self) -> Counts:
        """What has become of reads so far."""
        return replace(self._flow.counts)

    def refusals(self) -> dict[str, str]:
        """Queries whose answers were not kept in the last minute, and why."""
        return self._flow.refusals()

    async def close(self) -> None:
        """Ends the listening connection and its task. Reads go to the database afterwards."""
        if isinstance(self._listener, AsyncListener):
            await self._listener.close()

    async def __aenter__(self) -> "AsyncCache":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def _load(
    connection: AsyncConnection, query: Query, parameters: Parameters, look: bool
) -> Loaded:
    async with _reading(connection), connection.transaction():
        cursor = connection.cursor()
        await cursor.execute(query, parameters)
        result = only_result(cursor)
        rows: list[tuple[Any, ...]] = []
        if look:
            looking = connection.cursor(row_factory=tuple_row)
            await looking.execute(FOOTPRINT)
            rows = await looking.fetchall()
        return Loaded(result, footprint_of(rows))


@asynccontextmanager
async def _reading(connection: AsyncConnection) -> AsyncIterator[None]:
    before = connection.read_only
    await connection.set_read_only(True)
    try:
        yield
    finally:
        if not connection.closed:
            await connection.set_read_only(before)
