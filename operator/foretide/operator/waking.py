"""Waiting for a moment, or until somebody wakes us."""

import asyncio


async def woken(wake: asyncio.Event, due: float) -> bool:
    """Wait until `due`, in the event loop's time; True where `wake` was set before it.

    Not with wait_for(): in Python 3.11 it loses a cancellation that comes with the wake, and what
    was to end would go on.
    """
    try:
        async with asyncio.timeout_at(due):
            await wake.wait()
    except TimeoutError:
        return False
    wake.clear()
    return True
