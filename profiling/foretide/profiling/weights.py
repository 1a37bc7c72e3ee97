"""How many seconds each sample of a window stands for: on the CPU, waiting for it, and in all.

Counting samples does not give CPU time. A sampler's notion of "active" is biased (a thread's state
is read a moment before it is stopped), and where the machine is busy the sampler runs rather when
the target sleeps. The scheduler, though, has measured for each thread how long it was on a core
(schedstat). So samples are post-stratified (Holt and Smith, "Post Stratification", JRSS A 142,
1979): within a thread, its CPU seconds are shared out among the stacks that were on the CPU, and
the rest of its time among those that were not. How likely a stack was on the CPU comes from its
leaf (`leaves.py`) and from how often the sampler saw it active.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .leaves import WAITING, Leaf, leaves_of
from .window import Frame, Samples, Thread, Window

# A waiting line's chance to be on the CPU: no more than what tells two such lines apart, where a
# thread does nothing but wait and its little CPU time must go somewhere.
_FLOOR = 1e-3
# A sample's chance to look active though its thread waits: the state is read up to this long before
# the thread is stopped, so it grows with how often the thread changes between the two (seconds).
_RACE = 5e-4
_LEAST_RACE, _MOST_RACE = 0.03, 0.5
# In samples: how much the leaf's share in all threads counts beside its share in one, and the
# thread's beside the leaf's.
_PRIOR = 20.0
# Standard errors above the race's share from which a line that may wait is believed to work.
_SURE = 2.0


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
    all of them. A thread's weights sum up to its CPU seconds, and to how long it lived.
    """
    leaves = [leaves_of(window) for window in windows]
    seen = _seen(windows)
    return tuple(
        _weigh_window(window, of_stack, seen)
        for window, of_stack in zip(windows, leaves, strict=True)
    )


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


def _weigh_window(
    window: Window, leaves: tuple[Leaf, ...], seen: dict[Frame, _Seen]
) -> tuple[Weight, ...]:
    by_thread: dict[int, list[int]] = {}
    for index, one in enumerate(window.samples):
        by_thread.setdefault(one.thread, []).append(index)
    weights = [Weight(0.0, 0.0, 0.0)] * len(window.samples)
    for thread_index, indices in by_thread.items():
        thread = window.threads[thread_index]
        mine = [window.samples[index] for index in indices]
        chances = _chances(window, thread, mine, leaves, seen)
        counts = [one.count for one in mine]
        for index, weight in zip(indices, _share_out(window, thread, counts, chances), strict=True):
            weights[index] = weight
    return tuple(weights)


def _share_out(
    window: Window, thread: Thread, counts: Sequence[int], chances: Sequence[float]
) -> list[Weight]:
    """The thread's seconds, shared out among its samples."""
    total = sum(counts)
    if total == 0:
        return [Weight(0.0, 0.0, 0.0) for _ in counts]
    seen_for = window.seconds * min(1.0, total / max(window.sample_count, 1))
    wanted = thread.cpu_seconds + thread.runqueue_seconds
    # A thread that came or went within the window was there for a part of it only, and no less
    # than it used.
    wall = max(seen_for, wanted)
    on = _calibrated(counts, chances, wanted / wall if wall else 0.0)
    on_total = sum(count * chance for count, chance in zip(counts, on, strict=True))
    off_total = total - on_total
    weights = []
    for count, chance in zip(counts, on, strict=True):
        share = count * chance / on_total if on_total else count / total
        off = count * (1 - chance) / off_total if off_total > 1e-9 else share
        cpu, runqueue = thread.cpu_seconds * share, thread.runqueue_seconds * share
        weights.append(Weight(cpu, runqueue, cpu + runqueue + (wall - wanted) * off))
    return weights


def _calibrated(counts: Sequence[int], chances: Sequence[float], busy: float) -> list[float]:
    """The chances times a common factor, 1 at the most, so that their mean is the share `busy`.

    Only the ratio of chances is known well: a sampler sees too few as active or too many. Where
    lines that work were seen too seldom to explain the CPU time that was used, lines that wait do
    not make up for it: it was the sampler that missed them.
    """
    total = sum(counts)
    working = [chance > _FLOOR for chance in chances]
    reachable = sum(count for count, works in zip(counts, working, strict=True) if works)
    if reachable and busy * total >= reachable:
        return [1.0 if works else chance for chance, works in zip(chances, working, strict=True)]
    # The mean grows with the factor, piece by piece linearly: solved in the order in which the
    # chances reach 1.
    order = sorted(range(len(counts)), key=lambda index: -chances[index])
    left, rest = busy * total, sum(c * p for c, p in zip(counts, chances, strict=True))
    factor = 0.0
    for index in order:
        factor = left / rest if rest > 0 else 0.0
        if factor * chances[index] <= 1.0:
            break
        left -= counts[index]
        rest -= counts[index] * chances[index]
    return [min(1.0, factor * chance) if factor > 0 else chance for chance in chances]


def _chances(
    window: Window,
    thread: Thread,
    mine: Sequence[Samples],
    leaves: tuple[Leaf, ...],
    seen: dict[Frame, _Seen],
) -> list[float]:
    """How likely the stack of each of a thread's samples was on the CPU, up to a common factor."""
    race = _race(window, thread)
    here: dict[Frame | None, _Seen] = {}
    for one in mine:
        _add(here.setdefault(_leaf_frame(window, one), _Seen()), one)
    usual = _usual(window, mine, leaves)
    found: dict[Frame | None, float] = {}
    for one in mine:
        frame = _leaf_frame(window, one)
        if frame not in found:
            everywhere = seen[frame] if frame is not None else here[frame]
            found[frame] = _chance(leaves[one.stack], here[frame], everywhere, usual, race)
    return [found[_leaf_frame(window, one)] for one in mine]


def _leaf_frame(window: Window, one: Samples) -> Frame | None:
    stack = window.stacks[one.stack]
    return window.frames[stack[-1]] if stack else None


def _chance(leaf: Leaf, here: _Seen, everywhere: _Seen, usual: float, race: float) -> float:
    if leaf in WAITING:
        return _FLOOR
    if not here.asked:
        return 1.0 if leaf in (Leaf.WORKS, Leaf.UNKNOWN) else 0.1
    # Drawn towards what the line showed elsewhere, and that towards what working lines of this
    # thread show: a line that was seen twice says little by itself (empirical Bayes).
    others = everywhere.active - here.active
    outside = (others + _PRIOR * usual) / (everywhere.asked - here.asked + _PRIOR)
    share = (here.active + _PRIOR * outside) / (here.asked + _PRIOR)
    if leaf is Leaf.WORKS:
        return max(share, _FLOOR * 2)
    observed = everywhere.active / everywhere.asked
    error = (max(race * (1 - race), 1e-4) / everywhere.asked) ** 0.5
    if observed < race + _SURE * error:
        return _FLOOR
    return max((share - race) / (1 - race), _FLOOR * 2)


def _usual(window: Window, mine: Sequence[Samples], leaves: tuple[Leaf, ...]) -> float:
    """The share of active samples at lines of this thread that surely or perhaps work."""
    total: Counter[str] = Counter()
    for one in mine:
        if one.active is None or leaves[one.stack] in WAITING:
            continue
        kind = "sure" if leaves[one.stack] is Leaf.WORKS else "perhaps"
        total[kind] += one.count
        total[f"{kind} active"] += one.active
    for kind in ("sure", "perhaps"):
        if total[kind] >= _PRIOR:
            return total[f"{kind} active"] / total[kind]
    both = total["sure"] + total["perhaps"]
    return (total["sure active"] + total["perhaps active"] + 1) / (both + 2)


def _race(window: Window, thread: Thread) -> float:
    per_second = thread.voluntary_switches / window.seconds if window.seconds else 0.0
    return min(_MOST_RACE, max(_LEAST_RACE, per_second * _RACE))
