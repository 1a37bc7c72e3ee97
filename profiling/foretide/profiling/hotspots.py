"""Where the time goes: functions ranked by their own share of it, and whose work it is.

By CPU seconds, or by seconds on the wall clock; then threads that wait for something to do are left
out (`idle.py`). Shares have an interval: windows are the unit, as samples of one window resemble
each other.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import ceil

from .attribution import Cost, Function, Summing, function_of
from .handlers import Group, group_of
from .idle import is_idle
from .leaves import is_library
from .profile import Entry, Profile, merge
from .shares import USUAL_DESIGN_EFFECT, design_effects, wilson
from .weights import Weight, weigh
from .window import Frame, Window

# Fewer samples than this rank nothing: a share of a tenth would be anything from 5 % to 18 %.
LEAST_SAMPLES = 100
_PARETO = 0.9


class By(StrEnum):
    """What is ranked by."""

    CPU = "cpu"
    WALL = "wall"


@dataclass(frozen=True, slots=True)
class Hotspot:
    """A function and its shares of all time that is ranked, 0 to 1.

    `interval` is that of the self share (95 %), 0 to 1 where it is not known how many samples there
    were. `line` is the line of it that costs most by itself, with its own share, and `code` its
    text, empty where the source is not to be had. `caller` is, of a library's function, the line of
    the application that most of its own time is spent for. Seconds are in the profile's unit.
    """

    function: Function
    self_share: float
    interval: tuple[float, float]
    total_share: float
    self_seconds: float
    total_seconds: float
    samples: float
    line: Frame
    line_share: float
    code: str
    caller: Frame | None = None


@dataclass(frozen=True, slots=True)
class GroupShare:
    """What is spent on one handler or pool, and the function that costs it most."""

    group: Group
    share: float
    seconds: float
    top: Function
    top_share: float


@dataclass(frozen=True, slots=True)
class Pareto:
    """How concentrated the time is: `few` of `functions` functions use `share` of it."""

    share: float
    few: int
    functions: int


@dataclass(frozen=True, slots=True)
class Hotspots:
    """The ranking. `seconds` is the time that is ranked, `idle_seconds` what was left out as idle.

    `reason` says why nothing is ranked, and is empty otherwise.
    """

    by: By
    ranked: tuple[Hotspot, ...]
    groups: tuple[GroupShare, ...]
    pareto: Pareto
    seconds: float
    idle_seconds: float
    samples: float
    reason: str = ""


def hotspots(
    windows: Sequence[Window],
    by: By = By.CPU,
    *,
    limit: int | None = None,
    least: int = LEAST_SAMPLES,
) -> Hotspots:
    """The hotspots of a workload's windows, all of them or the first `limit`.

    `least`: how many samples there must be, 0 for whatever there is. With few the intervals are
    wide, and so what is first may be last in a minute.

    Raises:
        BadProfile: there is no window.
    """
    weights = weigh(windows)
    units = [_unit(window, mine, by) for window, mine in zip(windows, weights, strict=True)]
    return hotspots_of(merge(windows, weights), by, units=units, limit=limit, least=least)


def hotspots_of(
    profile: Profile,
    by: By = By.CPU,
    *,
    units: Sequence[Mapping[Function, float]] = (),
    limit: int | None = None,
    least: int = LEAST_SAMPLES,
) -> Hotspots:
    """The hotspots of a profile. `units`: what each window spent at each function's own lines."""
    stacks = [[profile.frames[index] for index in stack] for stack in profile.stacks]
    idle = [_is_idle(profile, index) for index in range(len(stacks))]
    ranked = [one for one in profile.entries if by is By.CPU or not idle[one.stack]]
    summing = Summing()
    for entry in ranked:
        summing.add(stacks[entry.stack], entry.cpu, entry.wall, _samples(entry, by))
    costs = summing.costs(profile.seconds, profile.native_cpu_seconds)
    seconds = costs.cpu_seconds if by is By.CPU else costs.wall_seconds
    left_out = sum(entry.wall for entry in profile.entries if idle[entry.stack])
    pareto = _pareto({name: _own(cost, by) for name, cost in costs.functions.items()})
    reason = _reason(costs.samples, least, seconds, profile.seconds, by)
    if reason:
        return Hotspots(by, (), (), pareto, seconds, left_out, costs.samples, reason)
    texts = {profile.frames[index]: text for index, text in profile.source.items()}
    samples = 0.0 if profile.counts_something_else else costs.samples
    spread = _Spread(units, samples)
    made = [
        _hotspot(name, cost, by, seconds, spread)
        for name, cost in costs.functions.items()
        if max(_own(cost, by), _all(cost, by)) > 0
    ]
    made.sort(key=lambda one: (-one.self_seconds, -one.total_seconds, one.function))
    of_lines: dict[Function, list[tuple[float, Frame]]] = defaultdict(list)
    for line, cost in costs.lines.items():
        of_lines[function_of(line)].append((_own(cost, by) or _all(cost, by) * 1e-9, line))
    callers = _callers(ranked, stacks, by)
    found = tuple(
        replace(_with_line(one, of_lines, texts, seconds), caller=callers.get(one.function))
        for one in made[:limit]
    )
    groups = _groups(profile, ranked, stacks, by)
    return Hotspots(by, found, groups, pareto, seconds, left_out, samples)


class _Spread:
    """Design effects of the functions' own shares."""

    def __init__(self, units: Sequence[Mapping[Function, float]], samples: float) -> None:
        named = [{_name(one): spent for one, spent in unit.items()} for unit in units]
        totals = [sum(unit.values()) for unit in named]
        self._effects = design_effects(named, totals, samples)
        self._samples = samples

    def interval(self, function: Function, share: float) -> tuple[float, float]:
        effect = self._effects.get(_name(function), USUAL_DESIGN_EFFECT)
        return wilson(share, self._samples, effect)


def _name(function: Function) -> str:
    return f"{function.file}\0{function.name}"


def _hotspot(name: Function, cost: Cost, by: By, seconds: float, spread: _Spread) -> Hotspot:
    own, whole = _own(cost, by), _all(cost, by)
    share = own / seconds
    return Hotspot(
        function=name,
        self_share=share,
        interval=spread.interval(name, min(1.0, share)),
        total_share=whole / seconds,
        self_seconds=own,
        total_seconds=whole,
        samples=cost.self_samples,
        line=Frame(name.name, name.file, 0),
        line_share=0.0,
        code="",
    )


def _with_line(
    one: Hotspot,
    of_lines: Mapping[Function, Sequence[tuple[float, Frame]]],
    texts: Mapping[Frame, str],
    seconds: float,
) -> Hotspot:
    spent, line = max(of_lines[one.function], key=lambda pair: (pair[0], -pair[1].line))
    return Hotspot(
        one.function,
        one.self_share,
        one.interval,
        one.total_share,
        one.self_seconds,
        one.total_seconds,
        one.samples,
        line,
        spent / seconds if one.self_seconds > 0 else 0.0,
        texts.get(line, "").strip(),
    )


def _groups(
    profile: Profile, entries: Sequence[Entry], stacks: Sequence[Sequence[Frame]], by: By
) -> tuple[GroupShare, ...]:
    spent: defaultdict[Group, defaultdict[Function, float]] = defaultdict(
        lambda: defaultdict(float)
    )
    for entry in entries:
        stack = stacks[entry.stack]
        value = _value(entry, by)
        if stack and value > 0:
            group = group_of(stack, profile.threads[entry.thread])
            spent[group][function_of(stack[-1])] += value
    total = sum(sum(functions.values()) for functions in spent.values())
    found = []
    for group, functions in spent.items():
        seconds = sum(functions.values())
        top = max(functions, key=lambda name: (functions[name], name))
        found.append(GroupShare(group, seconds / total, seconds, top, functions[top] / seconds))
    return tuple(sorted(found, key=lambda one: (-one.seconds, one.group)))


def _pareto(own: Mapping[Function, float]) -> Pareto:
    left = _PARETO * sum(own.values())
    few = 0
    for spent in sorted(own.values(), reverse=True):
        if left <= 1e-12:
            break
        left -= spent
        few += 1
    return Pareto(_PARETO, few, len(own))


def _callers(
    entries: Sequence[Entry], stacks: Sequence[Sequence[Frame]], by: By
) -> Mapping[Function, Frame]:
    """For each function of a library, the application's line that it works for most."""
    spent: defaultdict[Function, defaultdict[Frame, float]] = defaultdict(
        lambda: defaultdict(float)
    )
    for entry in entries:
        stack = stacks[entry.stack]
        if not stack or not is_library(stack[-1].file):
            continue
        caller = next((one for one in reversed(stack) if not is_library(one.file)), None)
        if caller is not None:
            spent[function_of(stack[-1])][caller] += _value(entry, by)
    return {
        function: max(of, key=lambda caller: of[caller])
        for function, of in spent.items()
        if any(of.values())
    }


def _reason(samples: float, least: int, seconds: float, recorded: float, by: By) -> str:
    if seconds <= 0:
        what = "used no CPU time" if by is By.CPU else "did nothing but wait for work"
        return f"the threads that were seen {what}"
    if 0 < samples < least:
        # A long profile of a process that hardly works has few samples on the CPU, too.
        needed = ceil(recorded * least / max(samples, 1))
        longer = f"for {needed} s" if recorded else "for longer"
        seen = f"{samples:.0f} samples are" if round(samples) != 1 else "1 sample is"
        return (
            f"{seen} too few to rank anything, at least {least} are "
            f"needed: record {longer}, or under load"
        )
    return ""


def _unit(window: Window, weights: Sequence[Weight], by: By) -> Mapping[Function, float]:
    """What a window spent at each function's own lines."""
    frames = window.frames
    idle = [
        by is By.WALL
        and is_idle([frames[i] for i in stack], window.source.get(stack[-1]) if stack else None)
        for stack in window.stacks
    ]
    by_stack = [0.0] * len(window.stacks)
    for one, weight in zip(window.samples, weights, strict=True):
        by_stack[one.stack] += weight.cpu if by is By.CPU else weight.wall
    spent: defaultdict[Function, float] = defaultdict(float)
    for stack, seconds, left_out in zip(window.stacks, by_stack, idle, strict=True):
        if stack and not left_out:
            spent[function_of(frames[stack[-1]])] += seconds
    return spent


def _is_idle(profile: Profile, index: int) -> bool:
    stack = profile.stacks[index]
    text = profile.source.get(stack[-1]) if stack else None
    return is_idle([profile.frames[one] for one in stack], text)


def _samples(entry: Entry, by: By) -> float:
    """Samples that say something about what is ranked by: of those on the CPU, for CPU time."""
    return entry.samples if by is By.WALL or entry.cpu > 0 else 0.0


def _value(entry: Entry, by: By) -> float:
    return entry.cpu if by is By.CPU else entry.wall


def _own(cost: Cost, by: By) -> float:
    return cost.self_cpu if by is By.CPU else cost.self_wall


def _all(cost: Cost, by: By) -> float:
    return cost.total_cpu if by is By.CPU else cost.total_wall
