"""Bound by the GIL: threads of pure Python that want more than one core, in several shapes."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks.programs.running import ready, run, spin, start


def two(folder: str) -> None:
    """Two threads, each of which could fill a core."""

    def work() -> None:
        while True:
            spin(50)

    start(1, work)
    ready()
    work()


def four(folder: str) -> None:
    """Four threads that parse, while the main thread waits for them."""
    text = json.dumps([{"id": number, "name": "n" * 20} for number in range(20)])

    def work() -> None:
        while True:
            json.loads(text)

    threads = start(4, work)
    ready()
    threads[0].join()


def pool(folder: str) -> None:
    """A pool of six fed with small tasks."""
    pattern = re.compile(r"(\w+)=(\d+)")
    line = " ".join(f"name{number}={number}" for number in range(100))

    def task(_: int) -> int:
        return sum(int(digits) for _, digits in pattern.findall(line))

    with ThreadPoolExecutor(6) as workers:
        ready()
        while True:
            list(workers.map(lambda _: [task(number) for number in range(100)], range(60)))


def convoy(folder: str) -> None:
    """Threads with little to do between short waits, behind two that never rest."""

    def hog() -> None:
        while True:
            spin(20)

    def light() -> None:
        while True:
            time.sleep(0.001)
            spin(5)

    start(2, hog, "hog")
    start(4, light, "light")
    ready()
    threading.Event().wait()


def served(folder: str) -> None:
    """A server's three handlers work for clients that always have a next request."""

    def handler(connection: socket.socket) -> None:
        while connection.recv(1):
            spin(60)
            connection.send(b".")

    def client(connection: socket.socket) -> None:
        while True:
            connection.send(b".")
            connection.recv(1)

    for number in range(3):
        theirs, ours = socket.socketpair()
        threading.Thread(
            target=handler, args=(ours,), name=f"handler-{number}", daemon=True
        ).start()
        # Two orders ahead: the handler never waits.
        theirs.send(b"..")
        threading.Thread(
            target=client, args=(theirs,), name=f"client-{number}", daemon=True
        ).start()
    ready()
    threading.Event().wait()


if __name__ == "__main__":
    run({"two": two, "four": four, "pool": pool, "convoy": convoy, "served": served})
