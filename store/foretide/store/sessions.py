"""Transactions on one database, shared by all that is kept in it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Self, TypeVar

from sqlalchemy import Table, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from .database import Conflict, Location, locate, open_engine, probe, translated
from .schema import migrate

T = TypeVar("T")

_ATTEMPTS = 5


class Database:
    """SQLite or PostgreSQL, with the newest schema. Any number of processes may use one."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Use `open`: it also brings the schema up to date."""
        self.engine = engine
        self._turn = asyncio.Lock()

    @classmethod
    async def open(cls, database: str | Location, *, lock_timeout: float = 10.0) -> Self:
        """Open a database, made when SQLite's file is not there, and migrate it.

        Raises:
            StoreRefused: the address is no address.
            SchemaTooNew: a newer version of Foretide has written it.
            StoreUnavailable: it cannot be reached.
        """
        location = locate(database) if isinstance(database, str) else database
        await asyncio.to_thread(probe, location)
        self = cls(open_engine(location, lock_timeout=lock_timeout))
        try:
            async with self.writing() as connection:
                await connection.run_sync(migrate)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def aclose(self) -> None:
        """Close all connections."""
        await self.engine.dispose()

    async def ping(self) -> None:
        """Raise `StoreUnavailable` if the database does not answer."""
        async with self.reading() as connection:
            await connection.execute(select(1))

    @property
    def is_postgresql(self) -> bool:
        """Whether it is; SQLite otherwise."""
        return self.engine.dialect.name == "postgresql"

    def insert(self, table: Table) -> postgresql.Insert | sqlite.Insert:
        """An INSERT that can say what to do on a conflict."""
        return postgresql.insert(table) if self.is_postgresql else sqlite.insert(table)

    async def repeat(self, write: Callable[[], Awaitable[T]]) -> T:
        """Do what writes; again where another writer was in the way."""
        for _ in range(_ATTEMPTS - 1):
            with contextlib.suppress(Conflict):
                return await write()
        return await write()

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection to read from. Raises `StoreUnavailable`."""
        with translated():
            async with self.engine.connect() as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that is kept unless an error leaves it. Raises `StoreUnavailable`."""
        # SQLite has one writer at a time: those of this process need not wait by polling.
        async with contextlib.nullcontext() if self.is_postgresql else self._turn:
            with translated():
                async with self.engine.connect() as connection:
                    await connection.execution_options(foretide_writes=True)
                    async with connection.begin():
                        yield connection
