"""One algorithm for threads and for asyncio: generators that hand out what they must wait for.

An algorithm is written once, as a generator that yields values, awaitables or further such
generators, and gets back what came of them. `drive` runs it in a thread (nothing awaitable may
come up then), `adrive` in a task. psycopg's own generators, which yield what they wait for, are
the pattern.
"""

from collections.abc import Awaitable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")
Steps = Generator[Any, Any, T]


def drive(steps: Steps[T]) -> T:
    """Runs it to its end in this thread. Errors are raised in it first, so that it can clean up.

    Raises:
        TypeError: there is something to await.
    """
    try:
        wanted = next(steps)
        while True:
            try:
                got = drive(wanted) if isinstance(wanted, Generator) else _there(wanted)
            except BaseException as error:
                wanted = steps.throw(error)
            else:
                wanted = steps.send(got)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


async def adrive(steps: Steps[T]) -> T:
    """Runs it to its end in this task; a cancellation is raised in it first, too."""
    try:
        wanted = next(steps)
        while True:
            try:
                if isinstance(wanted, Generator):
                    got = await adrive(wanted)
                else:
                    got = await wanted if isinstance(wanted, Awaitable) else wanted
            except BaseException as error:
                wanted = steps.throw(error)
            else:
                wanted = steps.send(got)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def _there(value: Any) -> Any:
    """A value that nobody needs to wait for."""
    if isinstance(value, Coroutine):
        value.close()
        raise TypeError("Cache takes a redis.Redis: one of redis.asyncio is for AsyncCache")
    return value
