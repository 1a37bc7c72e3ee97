"""Planted hotspots, of whose cost the programs keep books of their own.

`share40` and `share20` differ by the cost of one function alone: 40 and 20 % of all.
"""

from __future__ import annotations

import threading
import time
import zlib
from functools import partial
from typing import Callable  # noqa: UP035

from benchmarks.programs.running import Truth, ready, run, spin, start

BLOCK = bytes(range(256)) * 2_000


_hot = [40]  # what `hot` costs


def hot() -> None:
    spin(_hot[0])


def warm() -> None:
    spin(35)


def mild() -> None:
    spin(25)


def _forever(truth: Truth, *functions: Callable[[], None]) -> None:
    ready()
    while True:
        for function in functions:
            truth.call(function)
        truth.requests += 1
        truth.tell()


def shares(cost: int, folder: str) -> None:
    """One thread; with `hot` at 40 the shares are 40, 35 and 25 %, at 15 it has 20 %."""
    _hot[0] = cost
    _forever(Truth(), hot, warm, mild)


def resting() -> None:
    spin(20)
    time.sleep(0.004)
    spin(20)


def waiting() -> None:
    time.sleep(0.003)


def sleepy(folder: str) -> None:
    """The hotspot sleeps in between, and another function sleeps only."""
    _forever(Truth(), resting, warm, waiting, mild)


def brief(folder: str) -> None:
    """A millisecond of work between sleeps of four: most samples see a sleeper."""

    def nap() -> None:
        time.sleep(0.004)

    def work() -> None:
        spin(12)

    def other() -> None:
        spin(8)

    _forever(Truth(), work, nap, other, nap)


def packing() -> None:
    zlib.compress(BLOCK, 6)


def library(folder: str) -> None:
    """The hotspot is a call into C that lets go of the GIL."""
    _forever(Truth(), packing, warm, mild)


def _deep(left: int, truth: Truth) -> None:
    if left:
        _deep(left - 1, truth)
        return
    while True:
        for function in (hot, packing, warm, waiting, mild):
            truth.call(function)


def threads(folder: str) -> None:
    """16 threads, whose stacks are 40 deep."""
    truth = Truth()
    start(16, lambda: _deep(36, truth))
    ready()
    pause = threading.Event()
    while True:
        pause.wait(0.1)
        truth.tell()


if __name__ == "__main__":
    run(
        {
            "share40": partial(shares, 40),
            "share20": partial(shares, 15),
            "sleepy": sleepy,
            "brief": brief,
            "library": library,
            "threads": threads,
        }
    )
