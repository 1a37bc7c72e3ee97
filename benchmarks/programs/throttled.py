"""Programs that want more CPU than the quota they are given (by who starts them)."""

from __future__ import annotations

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


if __name__ == "__main__":
    run({"steady": steady, "threads": threads, "bursts": bursts, "server": server})
