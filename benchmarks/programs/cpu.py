"""Bound by the CPU: parsing, hashing outside the GIL, one busy thread of a pool, recursion."""

from __future__ import annotations

import hashlib
import json
import queue
import zlib
from concurrent.futures import ThreadPoolExecutor

from benchmarks.programs.running import ready, run, spin, start


def parse(folder: str) -> None:
    """One thread that reads and writes JSON."""
    text = json.dumps([{"id": number, "name": "n" * 20, "tags": [1, 2, 3]} for number in range(99)])
    ready()
    while True:
        text = json.dumps(json.loads(text))


def digest(folder: str) -> None:
    """Two threads in C code that holds no GIL: two cores, if there are two."""
    block = b"foretide" * 100_000

    def work() -> None:
        while True:
            hashlib.sha256(block).digest()

    start(1, work)
    ready()
    work()


def pool(folder: str) -> None:
    """A pool of eight, of which one works: the others wait for something to do."""
    with ThreadPoolExecutor(8) as workers:
        list(workers.map(spin, [20] * 16))
        ready()
        while True:
            workers.submit(spin, 200).result()


def recursion(folder: str) -> None:
    """One thread, in stacks that are deep and change fast."""

    def fibonacci(number: int) -> int:
        return number if number < 2 else fibonacci(number - 1) + fibonacci(number - 2)

    ready()
    while True:
        fibonacci(18)


def squeeze(folder: str) -> None:
    """One thread compresses, beside five that wait for something to do."""
    orders: queue.Queue[int] = queue.Queue()

    def wait() -> None:
        while True:
            orders.get()

    start(5, wait, "idle")
    block = bytes(range(256)) * 2_000
    ready()
    while True:
        for level in (1, 6, 9):
            zlib.compress(block, level)


if __name__ == "__main__":
    run(
        {"parse": parse, "digest": digest, "pool": pool, "recursion": recursion, "squeeze": squeeze}
    )
