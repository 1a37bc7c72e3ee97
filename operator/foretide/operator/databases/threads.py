"""Blocking work in threads of its own.

A database that does not answer may hold a thread for a minute. It must not be one that others wait
for, nor keep the operator from ending: so each piece of work has a thread that ends with the
process.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

R = TypeVar("R")


async def in_own_thread(work: Callable[[], R]) -> R:
    """The work's result. When nobody waits any more, it goes on, and what it returns is lost.

    Raises:
        what the work raises.
    """
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[R] = loop.create_future()

    def settle(outcome: Callable[[], None]) -> None:
        if not waiting.done():
            outcome()

    def run() -> None:
        outcome: Callable[[], None]
        try:
            outcome = partial(waiting.set_result, work())
        except BaseException as error:
            outcome = partial(waiting.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, outcome)

    threading.Thread(target=run, daemon=True, name="database").start()
    return await waiting
