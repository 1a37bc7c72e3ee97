"""Programs that want more memory than the limit they are given (by who starts them).

Without swap a heap cannot be pushed out: it is files that the kernel must read again and again.
"""

from __future__ import annotations

import mmap
import os
import random

from benchmarks.programs.running import ready, run, spin, start

MEGABYTE = 1 << 20
LIMIT = 48 * MEGABYTE


def _file(folder: str, size: int) -> mmap.mmap:
    path = os.path.join(folder, f"mapped-{os.getpid()}")
    with open(path, "wb") as file:
        for _ in range(size // MEGABYTE):
            file.write(os.urandom(MEGABYTE))
            file.flush()
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    with open(path, "rb") as file:
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


if __name__ == "__main__":
    run({"mapped": mapped, "heap": heap, "threads": threads})
