"""Bound by the disk: synced writes, from one thread and from four, cold reads, a database."""

from __future__ import annotations

import os
import sqlite3
import threading

from benchmarks.programs.running import ready, run, start

MEGABYTE = 1 << 20


def _path(folder: str, name: str) -> str:
    return os.path.join(folder, f"{name}-{os.getpid()}")


def synced(folder: str) -> None:
    """One thread that writes and syncs small records."""
    with open(_path(folder, "synced"), "wb", buffering=0) as file:
        ready()
        while True:
            file.seek(0)
            file.write(b"x" * 4_096)
            os.fsync(file.fileno())


def four(folder: str) -> None:
    """Four threads, each with a file of its own that it syncs."""

    def work() -> None:
        with open(_path(folder, threading.current_thread().name), "wb", buffering=0) as file:
            while True:
                file.seek(0)
                file.write(b"x" * 65_536)
                os.fsync(file.fileno())

    start(4, work, "writer")
    ready()
    threading.Event().wait()


def cold(folder: str) -> None:
    """Reads that no cache can serve."""
    path = _path(folder, "cold")
    with open(path, "wb") as file:
        for _ in range(64):
            file.write(os.urandom(MEGABYTE))
        file.flush()
        os.fsync(file.fileno())
    handle = os.open(path, os.O_RDONLY)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_RANDOM)
    ready()
    while True:
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        for offset in range(0, 64 * MEGABYTE, 2 * MEGABYTE):
            os.pread(handle, 65_536, offset)


def database(folder: str) -> None:
    """SQLite commits, each of which is synced."""
    connection = sqlite3.connect(_path(folder, "database"))
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE entry (number INTEGER PRIMARY KEY, text TEXT)")
    ready()
    number = 0
    while True:
        number = (number + 1) % 1_000
        with connection:
            connection.execute("INSERT OR REPLACE INTO entry VALUES (?, ?)", (number, "x" * 500))


def journal(folder: str) -> None:
    """Writes and syncs more than a limit of memory holds: what fills it costs nothing to give up.

    Not of the benchmark: a fixture of control groups is recorded of it.
    """
    with open(_path(folder, "journal"), "wb", buffering=0) as file:
        ready()
        while True:
            file.write(b"x" * 65_536)
            os.fsync(file.fileno())
            file.seek(file.tell() % (128 * MEGABYTE))


if __name__ == "__main__":
    run({"synced": synced, "four": four, "cold": cold, "database": database, "journal": journal})
