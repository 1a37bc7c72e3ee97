"""Programs that want more memory than the limit they are given (by who starts them).

Without swap a heap cannot be pushed out: it is files that the kernel must read again and again.
"""

from __future__ import annotations

import mmap
import os
import random
import sqlite3

from benchmarks.programs.running import ready, run, spin, start

MEGABYTE = 1 << 20
LIMIT = 48 * MEGABYTE


def _written(folder: str, size: int) -> str:
    """A file of that size that is not in memory."""
    path = os.path.join(folder, f"mapped-{os.getpid()}")
    with open(path, "wb") as file:
        for _ in range(size // MEGABYTE):
            file.write(os.urandom(MEGABYTE))
            file.flush()
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return path


def _file(folder: str, size: int) -> mmap.mmap:
    with open(_written(folder, size), "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def mapped(folder: str) -> None:
    """Looks here and there into a file that is larger than memory."""
    pages = _file(folder, 2 * LIMIT)
    ready()
    chance = random.Random(1)
    while True:
        for _ in range(100):
            pages[chance.randrange(len(pages))]
        spin(1)


def heap(folder: str) -> None:
    """A heap that leaves too little for the file that is worked on."""
    pages = _file(folder, LIMIT // 2)
    hoard = [bytearray(b"x" * MEGABYTE) for _ in range(LIMIT // MEGABYTE - 20)]
    ready()
    chance = random.Random(2)
    while True:
        for _ in range(100):
            pages[chance.randrange(len(pages))]
        hoard[chance.randrange(len(hoard))][0] = 1


def threads(folder: str) -> None:
    """Three threads walk through files, each as large as the limit."""
    files = [_file(folder, LIMIT) for _ in range(1)]

    def work() -> None:
        chance = random.Random(3)
        while True:
            start_at = chance.randrange(LIMIT)
            sum(files[0][start_at : start_at + 65_536 : 4_096])

    start(2, work)
    ready()
    work()


def records(folder: str) -> None:
    """Records, read by calls, of a file that would fit into memory if the heap left room."""
    path = _written(folder, LIMIT * 3 // 4)
    hoard = [bytearray(b"x" * MEGABYTE) for _ in range(LIMIT // MEGABYTE - 28)]
    chance = random.Random(4)
    with open(path, "rb", buffering=0) as file:
        ready()
        while True:
            for _ in range(50):
                os.pread(file.fileno(), 4_096, chance.randrange(LIMIT * 3 // 4))
            hoard[chance.randrange(len(hoard))][0] = 1
            spin(1)


def lookups(folder: str) -> None:
    """Rows, looked up one after the other, of a table that is somewhat larger than memory."""
    database = sqlite3.connect(os.path.join(folder, "rows"))
    database.execute("create table rows (id integer primary key, body blob)")
    for first in range(0, LIMIT * 5 // 4 // 1_000, 1_000):
        rows = ((first + number, os.urandom(900)) for number in range(1_000))
        database.executemany("insert into rows values (?, ?)", rows)
        database.commit()
    ready()
    chance = random.Random(5)
    while True:
        number = chance.randrange(LIMIT * 5 // 4 // 1_000)
        database.execute("select body from rows where id = ?", (number,)).fetchone()


if __name__ == "__main__":
    run(
        {
            "mapped": mapped,
            "heap": heap,
            "threads": threads,
            "records": records,
            "lookups": lookups,
        }
    )
