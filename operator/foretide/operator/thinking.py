"""Where long work is done: in a process of its own, so that no decision waits for it.

Some hundred windows of a profile take seconds of pure Python, and so does advice for a database. In
a thread that would hold up all ticks of the operator, its scaling included, again and again:
threads take turns at the interpreter.
"""

import asyncio
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import ParamSpec, Protocol, TypeVar

from .fitting import prepare_worker

P = ParamSpec("P")
R = TypeVar("R")

# So many things (windows of a profile) are a few tenths of a second of work; fewer are not worth a
# process.
MANY = 60
_LONGEST, _IDLE = 300.0, 60.0


class ThinkingFailed(Exception):
    """Work was given up: it took too long, or its process died."""


class Think(Protocol):
    """Does work without keeping the event loop from anything else."""

    async def __call__(
        self, size: int, work: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """The work's result; `size` says on how many things. Raises what the work raises."""
        ...


async def in_thread(size: int, work: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """`Think` for where nothing else is going on."""
    return await asyncio.to_thread(work, *args, **kwargs)


class Thinker:
    """`Think` in one worker, which takes one thing after the other and ends when it is idle."""

    def __init__(self, *, longest: float = _LONGEST, idle: float = _IDLE, many: int = MANY) -> None:
        """Work that takes longer than `longest` seconds is given up."""
        self._longest, self._idle, self._many = longest, idle, many
        self._turn = asyncio.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._reaper: asyncio.TimerHandle | None = None

    async def __call__(
        self, size: int, work: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """See `Think`.

        Raises:
            ThinkingFailed: it was given up.
        """
        if size < self._many:
            return await asyncio.to_thread(work, *args, **kwargs)
        async with self._turn:
            if self._reaper is not None:
                self._reaper.cancel()
            result = await self._work(partial(work, *args, **kwargs))
            self._reaper = asyncio.get_running_loop().call_later(self._idle, self.close)
            return result

    async def _work(self, work: Callable[[], R]) -> R:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                1, mp_context=multiprocessing.get_context("spawn"), initializer=prepare_worker
            )
        # What runs in a worker cannot be called off: its process goes, also when nobody waits any
        # more. The future itself is not cancelled, as that would stop the pool's own thread.
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        future.add_done_callback(lambda it: it.cancelled() or it.exception())
        try:
            async with asyncio.timeout(self._longest):
                return await asyncio.shield(future)
        except TimeoutError:
            if future.done():
                raise  # the work's own
            raise ThinkingFailed(f"gave up after {self._longest:.0f} s") from None
        except BrokenProcessPool:
            self.close()
            raise ThinkingFailed("the worker process died") from None
        finally:
            if not future.done():
                self.close()

    def close(self) -> None:
        """End the worker, whatever it does."""
        if self._reaper is not None:
            self._reaper.cancel()
        pool, self._pool = self._pool, None
        if pool is not None:
            for process in list((pool._processes or {}).values()):
                process.kill()
            pool.shutdown(wait=False)
