"""Long work in a process of its own: what comes back, and what becomes of work without an end."""

import asyncio
import os
import time

import pytest

from foretide.operator.thinking import Thinker, ThinkingFailed


@pytest.fixture
async def thinker():
    it = Thinker(many=10)
    yield it
    it.close()


@pytest.mark.slow
async def test_much_is_done_in_another_process_and_little_is_not(thinker):
    assert await thinker(9, os.getpid) == os.getpid()
    worker = await thinker(10, os.getpid)
    assert worker != os.getpid()
    assert await thinker(10, os.getpid) == worker
    with pytest.raises(ValueError, match="invalid literal"):
        await thinker(10, int, "x")
    assert await thinker(10, int, "12", base=3) == 5


@pytest.mark.slow
async def test_work_that_does_not_end_is_given_up_and_the_next_is_done(thinker):
    await thinker(10, os.getpid)
    thinker._longest = 0.05
    with pytest.raises(ThinkingFailed, match="gave up"):
        await thinker(10, time.sleep, 60)
    thinker._longest = 60.0
    with pytest.raises(ThinkingFailed, match="died"):
        await thinker(10, os._exit, 1)
    assert await thinker(10, os.getpid) != os.getpid()


@pytest.mark.slow
async def test_work_that_nobody_waits_for_any_more_keeps_no_other_waiting(thinker):
    worker = await thinker(10, os.getpid)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await thinker(10, time.sleep, 60)
    assert await thinker(10, os.getpid) != worker


async def test_an_idle_worker_ends(thinker):
    ended = asyncio.Event()
    thinker._idle, thinker.close = 0.0, lambda close=thinker.close: (close(), ended.set())
    await thinker(10, os.getpid)
    await asyncio.wait_for(ended.wait(), 10)
    assert thinker._pool is None
