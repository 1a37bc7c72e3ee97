"""The units of a comparison: stretches of profile, each with what every function cost in it.

Samples are no units: neighbours are alike, so counting them finds differences where there are none
(a two-proportion z test calls 15 % of equal pairs different at 5 %). Windows of 10 s are too few in
half a minute of profile. So windows are cut into their parts of about a second, and these joined
again into blocks, the longer the more one part resembles the next.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from .attribution import Function
from .weights import Weight, weigh
from .window import Frame, Samples, Thread, Window

Values = npt.NDArray[np.float64]
Path = tuple[Function, ...]  # a stack without its lines, the root first

# Neighbours that resemble each other more than this (lag-1 autocorrelation) become one.
_ALIKE = 0.2
# No fewer units than this of each side for the sake of longer ones.
_FEWEST = 6


@dataclass(frozen=True, slots=True)
class Unit:
    """A stretch of profile of one process. `stacks` are CPU seconds; `source` says whose it is.

    `samples` counts those of threads at work: waiting ones make no share more certain.
    """

    source: str
    started_at: float
    seconds: float
    cpu_seconds: float
    samples: float
    stacks: dict[Path, float]

    def __add__(self, other: "Unit") -> "Unit":
        return Unit(
            self.source,
            self.started_at,
            self.seconds + other.seconds,
            self.cpu_seconds + other.cpu_seconds,
            self.samples + other.samples,
            _added(self.stacks, other.stacks),
        )


def cut(window: Window) -> tuple[Window, ...]:
    """The window's parts as windows; what was not measured by parts is shared out evenly."""
    if window.parts <= 1:
        return (window,)
    length = window.seconds / window.parts
    samples: list[list[Samples]] = [[] for _ in range(window.parts)]
    for one in window.samples:
        samples[min(one.part, window.parts - 1)].append(replace(one, part=0))
    return tuple(
        replace(
            window,
            started_at=window.started_at + number * length,
            seconds=length,
            sample_count=max(1, round(window.sample_count / window.parts)),
            sweeps=max(1, round(window.sweeps / window.parts)),
            threads=tuple(_part_of(thread, number, window.parts) for thread in window.threads),
            samples=tuple(samples[number]),
            parts=1,
        )
        for number in range(window.parts)
    )


def _part_of(thread: Thread, number: int, parts: int) -> Thread:
    measured = len(thread.cpu_parts) == parts and thread.cpu_seconds > 0
    share = thread.cpu_parts[number] / thread.cpu_seconds if measured else 1 / parts
    return replace(
        thread,
        cpu_seconds=thread.cpu_seconds * share,
        runqueue_seconds=thread.runqueue_seconds * share,
        user_seconds=thread.user_seconds * share,
        system_seconds=thread.system_seconds * share,
        voluntary_switches=round(thread.voluntary_switches / parts),
        involuntary_switches=round(thread.involuntary_switches / parts),
        cpu_parts=(),
    )


def parts_of(windows: Sequence[Window]) -> list[Unit]:
    """A unit for each part of each window, by source and time; none for a part without CPU time."""
    parts = [part for window in windows for part in cut(window)]
    units = [_unit(part, weights) for part, weights in zip(parts, weigh(parts), strict=True)]
    used = [unit for unit in units if unit.cpu_seconds > 0]
    return sorted(used, key=lambda unit: (unit.source, unit.started_at))


def _unit(window: Window, weights: Sequence[Weight]) -> Unit:
    names = [_name(frame) for frame in window.frames]
    paths = [tuple(names[index] for index in stack) for stack in window.stacks]
    stacks: dict[Path, float] = {}
    at_work = 0.0
    for one, weight in zip(window.samples, weights, strict=True):
        if weight.cpu > 0:
            path = paths[one.stack]
            stacks[path] = stacks.get(path, 0.0) + weight.cpu
            at_work += one.count * min(1.0, (weight.cpu + weight.runqueue) / weight.wall)
    return Unit(
        source=window.labels.get("pod", "") or str(window.pid),
        started_at=window.started_at,
        seconds=window.seconds,
        cpu_seconds=sum(stacks.values()),
        samples=at_work,
        stacks=stacks,
    )


@lru_cache(maxsize=65_536)
def _name(frame: Frame) -> Function:
    """The same function in another image: wherever Python and its packages are installed there."""
    return Function(_INSTALLED.sub("", frame.file), frame.function)


_INSTALLED = re.compile(r"^.*/(site-packages|dist-packages|lib/python\d[\d.]*t?)/")


def _added(first: dict[Path, float], second: dict[Path, float]) -> dict[Path, float]:
    sums = dict(first)
    for path, seconds in second.items():
        sums[path] = sums.get(path, 0.0) + seconds
    return sums


def blocks(before: Sequence[Unit], after: Sequence[Unit]) -> tuple[list[Unit], list[Unit]]:
    """Both sides' units, joined until neighbours do not resemble each other, or few are left."""
    first, second = list(before), list(after)
    while min(len(first), len(second)) >= 2 * _FEWEST:
        if max(_resemblance(first), _resemblance(second)) <= _ALIKE:
            break
        first, second = _joined(first), _joined(second)
    return first, second


def _joined(units: Sequence[Unit]) -> list[Unit]:
    """Neighbours of one source in pairs; an odd one goes with the pair before it."""
    joined: list[Unit] = []
    by_source: dict[str, list[Unit]] = {}
    for unit in units:
        by_source.setdefault(unit.source, []).append(unit)
    for several in by_source.values():
        joined.extend(one + other for one, other in zip(several[::2], several[1::2], strict=False))
        if len(several) % 2:
            if len(several) > 1:
                joined[-1] = joined[-1] + several[-1]
            else:
                joined.append(several[0])
    return joined


def _resemblance(units: Sequence[Unit], stacks: int = 5) -> float:
    """The mean lag-1 autocorrelation of the costliest stacks' shares, within each source."""
    totals: dict[Path, float] = {}
    for unit in units:
        for path, seconds in unit.stacks.items():
            totals[path] = totals.get(path, 0.0) + seconds
    costliest = sorted(totals, key=lambda path: (-totals[path], path))[:stacks]
    if not costliest:
        return 0.0
    values = np.array(
        [[unit.stacks.get(path, 0.0) / unit.cpu_seconds for path in costliest] for unit in units]
    )
    same = np.array([one.source == other.source for one, other in pairwise(units)])
    centred = values - values.mean(axis=0)
    products = (centred[:-1] * centred[1:])[same].sum(axis=0)
    variances = (centred**2).sum(axis=0)
    varied = variances > 0
    return float((products[varied] / variances[varied]).mean()) if varied.any() else 0.0
