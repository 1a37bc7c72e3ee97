"""`listening` for asyncio: a task reads what comes in."""

import asyncio
import time
from collections.abc import Generator
from typing import Any

import psycopg

from foretide.dbadvisor.cache.backend import Backend, BackendAway, Change
from foretide.dbadvisor.cache.listening import (
    BEAT,
    GREETING,
    OPTIONS,
    PAUSES,
    Attempts,
    Unheard,
    ask,
    cleared,
    server_of,
    told_to,
)
from foretide.dbadvisor.cache.steps import adrive


class AsyncListener:
    """As `listening.Listener`, within one event loop."""

    def __init__(self, dsn: str, backend: Backend, *, strict: bool, timeout: float) -> None:
        self._dsn = dsn
        self._backend = backend
        self._strict = strict
        self._timeout = timeout
        self._inherited: list[object] = []
        self._closed = False
        self._start()

    def _start(self) -> None:
        self.server: str | None = ""
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._lock = asyncio.Lock()
        self._begun = 0  # questions
        self._asked_at = 0.0
        self._attempts = Attempts()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def forked(self) -> None:
        """For a child process: the parent's connection stays the parent's."""
        self._inherited += [self._connection, self._task]  # never closed from here
        self._start()

    async def fresh(self) -> bool:
        """Whether all is known that was committed until now (strict), or until a moment ago."""
        if self._loop is not asyncio.get_running_loop():
            self._begin()
        if not self._strict and self._connection is not None and self._watched():
            return True
        before = self._begun
        async with self._lock:
            # One that began after this call has been answered: it serves all who waited for it.
            if self._begun > before and self._connection is not None:
                return True
            return await self._ask()

    async def close(self) -> None:
        if self._loop is not asyncio.get_running_loop():
            self._begin()
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        async with self._lock:
            await self._lose(None)

    def _begin(self) -> None:
        """In an event loop, the first one or another: none waits for what belongs to another."""
        if self._connection is not None:
            self._connection.pgconn.finish()
        self._start()
        self._loop = asyncio.get_running_loop()

    def _watched(self) -> bool:
        """Not any more after somebody has cancelled all tasks."""
        return self._task is not None and not self._task.done()

    async def _ask(self) -> bool:
        """With the lock: one question; connects if need be."""
        if self._connection is not None and not self._watched():
            await self._lose(None)
        if self._connection is None and not await self._connect():
            return False
        assert self._connection is not None
        self._begun += 1
        self._asked_at = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                changes = await self._wait_for(self._connection, ask(self._connection.pgconn))
            if changes:
                await adrive(told_to(self._backend, changes))
        except (psycopg.Error, OSError, TimeoutError, BackendAway) as error:
            await self._lose(error)
            return False
        except BaseException:
            # Cancelled with a question under way: what it would have told is lost with it.
            await self._lose(None)
            raise
        return True

    async def _wait_for(
        self, connection: psycopg.AsyncConnection[Any], asking: Generator[None, None, list[Change]]
    ) -> list[Change]:
        try:
            while True:
                next(asking)
                await _readable(connection.fileno())
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    async def _connect(self) -> bool:
        if self._closed or not self._attempts.due():
            return False
        connection = None
        try:
            connection = await psycopg.AsyncConnection.connect(self._dsn, **OPTIONS)
            await connection.execute(GREETING[0])
            cursor = await connection.execute(GREETING[1])
            server = server_of(await cursor.fetchone(), connection)
            await adrive(cleared(self._backend))
        except BaseException as error:
            if connection is not None:
                await connection.close()
            if not isinstance(error, psycopg.Error | OSError | Unheard | BackendAway):
                raise
            self._attempts.failed(error)
            return False
        self._attempts.succeeded()
        self.server, self._connection = server, connection
        if not self._watched():
            self._task = asyncio.create_task(self._watch(), name="foretide-cache-listener")
        return True

    async def _lose(self, error: BaseException | None) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
        if error is not None:
            self._attempts.failed(error)

    async def _watch(self) -> None:
        """Reads what comes in unasked, and notices when the connection is lost."""
        while not self._closed:
            if not await self._something_came() and time.monotonic() < self._asked_at + BEAT:
                continue
            async with self._lock:
                await self._keep_asking()

    async def _keep_asking(self) -> None:
        """The task must not end: without it a reader that does not ask would hear nothing."""
        try:
            await self._ask()
        except Exception as error:
            self._attempts.failed(error)

    async def _something_came(self) -> bool:
        """Waits for a beat at most; strict readers ask themselves, and need not be waited upon."""
        connection = self._connection
        if self._strict or connection is None:
            await asyncio.sleep(BEAT if connection is not None else PAUSES[0])
            return False
        async with self._lock:
            pass  # a question that is under way waits for the same socket
        try:
            async with asyncio.timeout(BEAT):
                await _readable(connection.fileno())
        except (psycopg.Error, OSError, TimeoutError, ValueError):
            return False
        return True


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _arrived, waiting)
    try:
        await waiting
    finally:
        loop.remove_reader(descriptor)


def _arrived(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
