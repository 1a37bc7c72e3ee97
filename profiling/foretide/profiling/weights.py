"""How many seconds each sample of a window stands for: on the CPU, waiting for it, and in all.

Counting samples does not give CPU time: where the machine is busy, a sampler gets to run rather
when its target sleeps. The scheduler, though, has measured for each thread how long it was on a
core (schedstat). So samples are post-stratified (Holt and Smith, "Post Stratification", JRSS A 142,
1979): within a thread, its CPU seconds are shared out among the stacks that were on the CPU, and
the rest of its time among those that were not. How likely a stack was on the CPU comes from how
often the sampler saw it active, and from its leaf (`leaves.py`): a line that sleeps is not, however
active it looked a moment before it was stopped.

A thread that was hardly ever seen at work says little of what its CPU seconds were spent on. Such
strata are collapsed, as surveys do (Cochran, "Sampling Techniques", 1977, section 5A.12): its
seconds go to what the threads of its pool did in that window, or else in all windows.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from .leaves import WAITING, Leaf, leaves_of
from .window import Frame, Samples, Thread, ThreadState, Window

# A line's chance to be on the CPU that was never seen there.
_FLOOR = 1e-3
# Without any look at threads: that of a line that reads or writes, beside 1 for one that works.
_READS = 0.1
# In samples: how much a line's share elsewhere counts beside that in its thread, and what other
# lines show beside that.
_PRIOR = 4.0
# Samples at work that a stratum must have to stand by itself.
_LEAST = 5.0
# CPU seconds for going to sleep and waking up again, at the most: it is the kernel's time, and
# that of caches that are cold (Li, Ding and Shen, "Quantifying the cost of context switch", 2007);
# on a virtual machine to set a timer leaves it, too.
_SWITCH = 40e-6


@dataclass(frozen=True, slots=True)
class Weight:
    """What one `Samples` of a window stands for, in seconds. `wall` includes the other two."""

    cpu: float
    runqueue: float
    wall: float


@dataclass(slots=True)
class _Seen:
    """Samples with one leaf, and how many of them were active."""

    count: int = 0
    active: int = 0
    asked: int = 0


def weigh(windows: Sequence[Window]) -> tuple[tuple[Weight, ...], ...]:
    """The weights of each window's samples, in their order.

    Windows of one workload are best weighed together: what they have shown of a line counts for
    all of them. All weights sum up to the threads' CPU seconds, and to how long they lived.
    """
    seen = _seen(windows)
    strata: list[_Stratum] = []
    weights = [[Weight(0.0, 0.0, 0.0)] * len(window.samples) for window in windows]
    for number, window in enumerate(windows):
        strata += _strata(number, window, seen)
    moved = _collapsed(strata)
    for stratum in strata:
        for at, index in enumerate(stratum.indices):
            runqueue = stratum.runqueue[at]
            cpu = stratum.waits[at] + stratum.works[at] + moved.get((stratum.number, index), 0.0)
            weights[stratum.number][index] = Weight(cpu, runqueue, cpu + runqueue + stratum.off[at])
    return tuple(tuple(of_window) for of_window in weights)


@lru_cache(maxsize=4096)
def pool_of(name: str) -> str:
    """A thread's pool: its name with a star for each number that tells it from its kin."""
    return re.sub(r"(?<=[-_ ])\d+(?=$|[ _)(-])", "*", name)


def native_cpu_seconds(window: Window) -> float:
    """CPU seconds of the process that no sampled thread used: of native and short-lived threads."""
    sampled = {one.thread for one in window.samples}
    used = sum(window.threads[index].cpu_seconds for index in sampled)
    return max(0.0, window.process.cpu_seconds - used)


def _seen(windows: Iterable[Window]) -> dict[Frame, _Seen]:
    seen: dict[Frame, _Seen] = {}
    for window in windows:
        for one in window.samples:
            stack = window.stacks[one.stack]
            if stack:
                _add(seen.setdefault(window.frames[stack[-1]], _Seen()), one)
    return seen


def _add(seen: _Seen, one: Samples) -> None:
    seen.count += one.count
    if one.active is not None:
        seen.active += one.active
        seen.asked += one.count


@dataclass(slots=True)
class _Stratum:
    """The samples of one thread in one window, by their index in it, and what they stand for.

    `working` CPU seconds are to be shared out by `likely`, or have been: then they are in `works`.
    `seconds` is what a sample of its window stands for.
    """

    number: int
    pool: str
    seconds: float
    indices: list[int]
    likely: list[float]
    evidence: float
    working: float
    waits: list[float]
    runqueue: list[float]
    off: list[float]
    counts: list[int]
    works: list[float] = field(default_factory=list)

    def share_out(self) -> None:
        """By its own samples."""
        self.works = [self.working * one for one in _normal(self.likely, self.counts)]
        self.working = 0.0


def _collapsed(strata: Sequence[_Stratum]) -> dict[tuple[int, int], float]:
    """Share out the working seconds; what strata leave to others, by window and sample."""
    moved: defaultdict[tuple[int, int], float] = defaultdict(float)
    for stratum in strata:
        stratum.works = [0.0] * len(stratum.indices)
        if stratum.evidence >= _LEAST:
            stratum.share_out()
    scopes: tuple[tuple[Callable[[_Stratum], object], float], ...] = (
        (lambda one: (one.pool, one.number), _LEAST),
        (lambda one: one.pool, _LEAST),
        # A little is still more than nothing: lines that wait are then charged for none of it.
        (lambda one: one.pool, 1.0),
    )
    for scope, least in scopes:
        groups: defaultdict[object, list[_Stratum]] = defaultdict(list)
        for stratum in strata:
            groups[scope(stratum)].append(stratum)
        for group in groups.values():
            left = sum(one.working for one in group)
            if left > 0 and sum(one.evidence for one in group) >= least:
                _move(group, left, moved)
    for stratum in strata:
        if stratum.working > 0:
            stratum.share_out()
    return moved


def _move(
    group: Sequence[_Stratum], left: float, moved: defaultdict[tuple[int, int], float]
) -> None:
    total = sum(one.seconds * likely for one in group for likely in one.likely)
    for one in group:
        one.working = 0.0
        for index, likely in zip(one.indices, one.likely, strict=True):
            moved[one.number, index] += left * one.seconds * likely / total


def _strata(number: int, window: Window, seen: dict[Frame, _Seen]) -> list[_Stratum]:
    """The strata of a window."""
    leaves = leaves_of(window)
    by_thread: dict[int, list[int]] = {}
    for index, one in enumerate(window.samples):
        if one.count > 0:
            by_thread.setdefault(one.thread, []).append(index)
    return [
        _stratum(number, window, window.threads[thread], indices, leaves, seen)
        for thread, indices in by_thread.items()
    ]


def _stratum(
    number: int,
    window: Window,
    thread: Thread,
    indices: list[int],
    leaves: tuple[Leaf, ...],
    seen: dict[Frame, _Seen],
) -> _Stratum:
    """A thread's seconds, as far as they can be shared out among its own samples."""
    mine = [window.samples[index] for index in indices]
    chances = _chances(window, mine, leaves, seen)
    counts = [one.count for one in mine]
    total = sum(counts)
    # A thread that came or went within the window was there for a part of it only, and no less
    # than it used.
    seen_for = window.seconds * min(1.0, total / max(window.sample_count, 1))
    wall = max(seen_for, thread.cpu_seconds + thread.runqueue_seconds)
    waiting = [
        count if chance is None else 0 for count, chance in zip(counts, chances, strict=True)
    ]
    switching = _switching(thread, sum(waiting), total, mine)
    woken = _woken(thread, mine, wall)
    chance_of = [chance or 0.0 for chance in chances]
    likely = [count * chance for count, chance in zip(counts, chance_of, strict=True)]
    busy = thread.cpu_seconds - switching + thread.runqueue_seconds - woken
    on = _calibrated(counts, chance_of, busy / wall if wall else 0.0)
    away = _normal([count * (1 - one) for count, one in zip(counts, on, strict=True)], counts)
    here = _normal(likely, counts)
    off = wall - thread.cpu_seconds - thread.runqueue_seconds
    at_work = thread.runqueue_seconds - woken
    return _Stratum(
        number=number,
        pool=pool_of(thread.name),
        seconds=window.seconds / max(window.sample_count, 1),
        indices=indices,
        likely=likely,
        evidence=sum(_evidence(one, chance) for one, chance in zip(mine, chances, strict=True)),
        working=thread.cpu_seconds - switching,
        waits=[switching * one for one in _normal(waiting, counts)],
        runqueue=[at_work * a + woken * b for a, b in zip(here, away, strict=True)],
        off=[off * one for one in away],
        counts=counts,
    )


def _evidence(one: Samples, chance: float | None) -> float:
    """Samples that tell what a thread does when it is at work."""
    if chance is None:
        return 0.0
    return float(one.count if one.active is None else one.active)


def _switching(thread: Thread, waiting: int, total: int, mine: Sequence[Samples]) -> float:
    """CPU seconds that lines that wait used, for going to sleep and waking up."""
    active = sum(one.active or 0 for one in mine)
    share = waiting / max(total - active, waiting, 1)
    most = min(thread.system_seconds, thread.voluntary_switches * _SWITCH)
    return min(most * share, thread.cpu_seconds)


def _woken(thread: Thread, mine: Sequence[Samples], wall: float) -> float:
    """Seconds for which the thread waited for a core though it had not yet left its wait.

    A thread that is woken is runnable before it returns from its system call. The sweeps count it
    as running; the samples, which look at the call, as not active.
    """
    looks = sum(count for state, count in thread.states.items())
    asked = sum(one.count for one in mine if one.active is not None)
    if not looks or not asked:
        return 0.0
    running = thread.states.get(ThreadState.RUNNING, 0) / looks
    active = sum(one.active or 0 for one in mine) / asked
    return min(max(0.0, running - active) * wall, thread.runqueue_seconds)


def _normal(shares: Sequence[float], otherwise: Sequence[float]) -> list[float]:
    """Shares that add up to 1; those of `otherwise` where they are all nothing."""
    total = sum(shares)
    if total > 1e-9:
        return [share / total for share in shares]
    return [share / sum(otherwise) for share in otherwise]


def _calibrated(counts: Sequence[int], chances: Sequence[float], busy: float) -> list[float]:
    """The chances times a common factor, 1 at the most, so that their mean is the share `busy`.

    Only the ratio of chances is known well: a sampler sees too few threads as active or too many.
    Where lines that work were seen too seldom to explain the CPU time that was used, lines that
    wait do not make up for it: it was the sampler that missed them.
    """
    total = sum(counts)
    reachable = sum(count for count, chance in zip(counts, chances, strict=True) if chance > 0)
    if busy * total >= reachable:
        return [1.0 if chance > 0 else 0.0 for chance in chances]
    # The mean grows with the factor, piece by piece linearly: solved in the order in which the
    # chances reach 1.
    left = busy * total
    rest = sum(count * chance for count, chance in zip(counts, chances, strict=True))
    factor = 0.0
    for index in sorted(range(len(counts)), key=lambda index: -chances[index]):
        factor = left / rest if rest > 0 else 0.0
        if factor * chances[index] <= 1.0:
            break
        left -= counts[index]
        rest -= counts[index] * chances[index]
    return [min(1.0, factor * chance) for chance in chances]


def _chances(
    window: Window, mine: Sequence[Samples], leaves: tuple[Leaf, ...], seen: dict[Frame, _Seen]
) -> list[float | None]:
    """How likely the stack of each of a thread's samples was on the CPU, up to a common factor.

    None for a line that waits.
    """
    leaf_frames = [_leaf_frame(window, one) for one in mine]
    here: dict[Frame | None, _Seen] = {}
    for one, frame in zip(mine, leaf_frames, strict=True):
        _add(here.setdefault(frame, _Seen()), one)
    usual = _usual(mine, leaves)
    leaf_of_frame = {frame: leaves[one.stack] for one, frame in zip(mine, leaf_frames, strict=True)}
    chances = {
        frame: _chance(
            leaf_of_frame[frame], of_line, of_line if frame is None else seen[frame], usual
        )
        for frame, of_line in here.items()
    }
    return [chances[frame] for frame in leaf_frames]


def _leaf_frame(window: Window, one: Samples) -> Frame | None:
    stack = window.stacks[one.stack]
    return window.frames[stack[-1]] if stack else None


def _chance(leaf: Leaf, here: _Seen, everywhere: _Seen, usual: float) -> float | None:
    if leaf in WAITING:
        return None
    if not here.asked:
        return 1.0 if leaf in (Leaf.WORKS, Leaf.UNKNOWN) else _READS
    # Drawn towards what the line showed elsewhere, and that towards what other lines of this
    # thread show: a line that was seen twice says little by itself (empirical Bayes).
    outside = (everywhere.active - here.active + _PRIOR * usual) / (
        everywhere.asked - here.asked + _PRIOR
    )
    return max((here.active + _PRIOR * outside) / (here.asked + _PRIOR), _FLOOR)


def _usual(mine: Sequence[Samples], leaves: tuple[Leaf, ...]) -> float:
    """The share of active samples at lines of this thread that do not surely wait."""
    asked = active = 0
    for one in mine:
        if one.active is not None and leaves[one.stack] not in WAITING:
            asked += one.count
            active += one.active
    return (active + 1) / (asked + 2)
