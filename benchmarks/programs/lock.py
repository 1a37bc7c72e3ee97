"""Bound by a lock: holders that sleep, that work, that write; an RLock; a pool of two for ten."""

from __future__ import annotations

import os
import threading
import time
import zlib

from benchmarks.programs.running import ready, run, spin, start


def sleeping_holder(folder: str) -> None:
    """Six threads; whoever holds the lock sleeps."""
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                time.sleep(0.005)

    start(6, work)[0].join(0.1)
    ready()
    threading.Event().wait()


def working_holder(folder: str) -> None:
    """Four threads; whoever holds the lock compresses, without the GIL."""
    lock = threading.Lock()
    block = bytes(range(256)) * 400

    def work() -> None:
        while True:
            with lock:
                zlib.compress(block, 6)

    start(4, work)
    ready()
    threading.Event().wait()


def reentrant(folder: str) -> None:
    """Five threads around one RLock; the holder computes in Python for a moment, and rests."""
    lock = threading.RLock()

    def work() -> None:
        while True:
            with lock, lock:
                spin(10)
                time.sleep(0.002)

    start(5, work)
    ready()
    threading.Event().wait()


def semaphore(folder: str) -> None:
    """Ten threads share two connections, each of which is in use for 10 ms."""
    connections = threading.BoundedSemaphore(2)

    def work() -> None:
        while True:
            with connections:
                time.sleep(0.01)

    start(10, work)
    ready()
    threading.Event().wait()


def journal(folder: str) -> None:
    """Eight threads write a journal in turn: each waits longer for its turn than for the disk."""
    lock = threading.Lock()
    file = os.open(os.path.join(folder, f"journal-{os.getpid()}"), os.O_CREAT | os.O_RDWR)

    def work() -> None:
        while True:
            with lock:
                os.pwrite(file, b"entry" * 200, 0)
                os.fsync(file)

    start(8, work)
    ready()
    threading.Event().wait()


if __name__ == "__main__":
    run(
        {
            "sleeping_holder": sleeping_holder,
            "working_holder": working_holder,
            "reentrant": reentrant,
            "semaphore": semaphore,
            "journal": journal,
        }
    )
