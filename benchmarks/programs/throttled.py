"""Programs that want more CPU than the quota they are given (by who starts them)."""

from __future__ import annotations

import asyncio
import json
import queue
import time
import zlib

from benchmarks.programs.running import ready, run, spin, start


def steady(folder: str) -> None:
    """One thread that would fill a core."""
    ready()
    while True:
        spin(20)


def threads(folder: str) -> None:
    """Two threads outside the GIL."""
    block = bytes(range(256)) * 1_000

    def work() -> None:
        while True:
            zlib.compress(block, 6)

    start(1, work)
    ready()
    work()


def bursts(folder: str) -> None:
    """Work comes in bursts; on average the quota would nearly do."""
    ready()
    while True:
        until = time.process_time() + 0.1
        while time.process_time() < until:
            spin(1)
        time.sleep(0.15)


def server(folder: str) -> None:
    """Requests that each need some CPU, one after the other, with workers that wait."""
    orders: queue.Queue[int] = queue.Queue(maxsize=2)

    def work() -> None:
        while True:
            zlib.compress(bytes(orders.get() * 100_000), 9)

    start(4, work)
    ready()
    while True:
        orders.put(5)


def ticks(folder: str) -> None:
    """An event loop in which a few timers each want a part of a core."""

    async def every(seconds: float, units: int) -> None:
        while True:
            spin(units)
            await asyncio.sleep(seconds)

    async def all_of_them() -> None:
        await asyncio.gather(every(0.02, 100), every(0.03, 100), every(0.2, 400))

    ready()
    asyncio.run(all_of_them())


def report(folder: str) -> None:
    """Twice a second something is put together for which the quota is too small."""
    rows = [{"number": number, "name": f"row {number}"} for number in range(20_000)]
    ready()
    while True:
        began = time.monotonic()
        for _ in range(8):
            json.loads(json.dumps(rows))
        time.sleep(max(0.0, began + 0.5 - time.monotonic()))


if __name__ == "__main__":
    run(
        {
            "steady": steady,
            "threads": threads,
            "bursts": bursts,
            "server": server,
            "ticks": ticks,
            "report": report,
        }
    )
