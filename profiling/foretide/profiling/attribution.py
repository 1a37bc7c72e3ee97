"""What each function and each line costs: CPU seconds as measured, and seconds on the wall clock.

Self is what was spent at the function's own lines, total also what it called. A function that is
on a stack several times counts once, so that no total exceeds what was spent (recursion).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from .weights import Weight, native_cpu_seconds, weigh
from .window import Frame, Window

_Key = TypeVar("_Key", Frame, "Function")


@dataclass(frozen=True, slots=True, order=True)
class Function:
    """A function by its file and its name: all that a sampler tells of it."""

    file: str
    name: str


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds, and how many samples they come from. Wall seconds count each thread's by itself."""

    self_cpu: float = 0.0
    total_cpu: float = 0.0
    self_wall: float = 0.0
    total_wall: float = 0.0
    self_samples: float = 0
    total_samples: float = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.self_cpu + other.self_cpu,
            self.total_cpu + other.total_cpu,
            self.self_wall + other.self_wall,
            self.total_wall + other.total_wall,
            self.self_samples + other.self_samples,
            self.total_samples + other.total_samples,
        )


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs by function and by line (a `Frame`), over `seconds` of profile.

    `cpu_seconds` and `wall_seconds` are what was shared out, of all threads that were seen;
    `native_cpu_seconds` is what the process used beside that, in threads without Python frames.
    """

    seconds: float
    cpu_seconds: float
    wall_seconds: float
    native_cpu_seconds: float
    samples: float
    functions: Mapping[Function, Cost]
    lines: Mapping[Frame, Cost]


@dataclass(slots=True)
class _Sum:
    self_cpu: float = 0.0
    total_cpu: float = 0.0
    self_wall: float = 0.0
    total_wall: float = 0.0
    self_samples: float = 0
    total_samples: float = 0

    def cost(self) -> Cost:
        return Cost(
            self.self_cpu,
            self.total_cpu,
            self.self_wall,
            self.total_wall,
            self.self_samples,
            self.total_samples,
        )


class Summing:
    """Adds up costs, stack by stack."""

    def __init__(self) -> None:
        self._functions: defaultdict[Function, _Sum] = defaultdict(_Sum)
        self._lines: defaultdict[Frame, _Sum] = defaultdict(_Sum)
        self._all = _Sum()

    def add(self, stack: Sequence[Frame], cpu: float, wall: float, samples: float) -> None:
        """Add what was spent at a stack, root first."""
        _put(self._lines, stack, cpu, wall, samples)
        _put(self._functions, [function_of(frame) for frame in stack], cpu, wall, samples)
        self._all.self_cpu += cpu
        self._all.self_wall += wall
        self._all.self_samples += samples

    def costs(self, seconds: float, native: float) -> Costs:
        """What has been added up, over `seconds` of profile."""
        return Costs(
            seconds,
            self._all.self_cpu,
            self._all.self_wall,
            native,
            self._all.self_samples,
            {function: total.cost() for function, total in self._functions.items()},
            {line: total.cost() for line, total in self._lines.items()},
        )


def function_of(frame: Frame) -> Function:
    """The function that a line belongs to."""
    return Function(frame.file, frame.function)


def attribute(windows: Window | Sequence[Window]) -> Costs:
    """The costs of one window, or of several of one workload together."""
    several = [windows] if isinstance(windows, Window) else list(windows)
    return add_up(several, weigh(several))


def attribute_each(windows: Sequence[Window]) -> tuple[Costs, ...]:
    """The costs of each window, each read with what all of them have shown of the lines."""
    return tuple(
        add_up([window], [weights]) for window, weights in zip(windows, weigh(windows), strict=True)
    )


def add_up(windows: Iterable[Window], weights: Iterable[Sequence[Weight]]) -> Costs:
    """The costs of windows whose samples have these weights."""
    summing = Summing()
    seconds = native = 0.0
    for window, of_samples in zip(windows, weights, strict=True):
        seconds += window.seconds
        native += native_cpu_seconds(window)
        stacks = [[window.frames[index] for index in stack] for stack in window.stacks]
        for one, weight in zip(window.samples, of_samples, strict=True):
            summing.add(stacks[one.stack], weight.cpu, weight.wall, one.count)
    return summing.costs(seconds, native)


def _put(
    sums: defaultdict[_Key, _Sum], stack: Sequence[_Key], cpu: float, wall: float, samples: float
) -> None:
    for key in set(stack):
        total = sums[key]
        total.total_cpu += cpu
        total.total_wall += wall
        total.total_samples += samples
    if stack:
        leaf = sums[stack[-1]]
        leaf.self_cpu += cpu
        leaf.self_wall += wall
        leaf.self_samples += samples
