"""How many seconds each sample of a window stands for: on the CPU, waiting for it, and in all.

Counting samples does not give CPU time: where the machine is busy, a sampler gets to run rather
when its target sleeps. The scheduler, though, has measured for each thread how long it was on a
core (schedstat). So samples are post-stratified (Holt and Smith, "Post Stratification", JRSS A 142,
1979): within a thread, its CPU seconds are shared out among the stacks that were on the CPU, and
the rest of its time among those that were not. How likely a stack was on the CPU comes from how
often the sampler saw it active, and from its leaf (`leaves.py`): a line that sleeps is not, however
active it looked a moment before it was stopped.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .leaves import WAITING, Leaf, leaves_of
from .window import Frame, Samples, Thread, ThreadState, Window

# A line's chance to be on the CPU that was never seen there.
_FLOOR = 1e-3
# Without any look at threads: that of a line that reads or writes, beside 1 for one that works.
_READS = 0.1
# In samples: how much a line's share elsewhere counts beside that in its thread, and what other
# lines show beside that.
_PRIOR = 4.0
# CPU seconds for going to sleep and waking up again, at the most: it is the kernel's time, and
# that of caches that are cold (Li, Ding and Shen, "Quantifying the cost of context switch", 2007).
_SWITCH = 20e-6


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
        mine = [window.samples[index] for index in indices]
        chances = _chances(window, mine, leaves, seen)
        shared = _share_out(window, window.threads[thread_index], mine, chances)
        for index, weight in zip(indices, shared, strict=True):
            weights[index] = weight
    return tuple(weights)


def _share_out(
    window: Window, thread: Thread, mine: Sequence[Samples], chances: Sequence[float | None]
) -> list[Weight]:
    """The thread's seconds, shared out among its samples; a chance of None: a line that waits."""
    counts = [one.count for one in mine]
    total = sum(counts)
    if total == 0:
        return [Weight(0.0, 0.0, 0.0) for _ in counts]
    # A thread that came or went within the window was there for a part of it only, and no less
    # than it used.
    seen_for = window.seconds * min(1.0, total / max(window.sample_count, 1))
    wall = max(seen_for, thread.cpu_seconds + thread.runqueue_seconds)
    waiting = [
        count if chance is None else 0 for count, chance in zip(counts, chances, strict=True)
    ]
    switching = _switching(thread, sum(waiting), total, mine)
    working = thread.cpu_seconds - switching
    woken = _woken(thread, mine, wall)
    busy = working + thread.runqueue_seconds - woken
    likely = [chance or 0.0 for chance in chances]
    on = _calibrated(counts, likely, busy / wall if wall else 0.0)
    on_shares = _normal([count * one for count, one in zip(counts, likely, strict=True)], counts)
    off_shares = _normal(
        [count * (1 - chance) for count, chance in zip(counts, on, strict=True)], counts
    )
    wait_shares = _normal(waiting, counts)
    off = wall - thread.cpu_seconds - thread.runqueue_seconds
    weights = []
    for here, away, wait in zip(on_shares, off_shares, wait_shares, strict=True):
        cpu = working * here + switching * wait
        runqueue = (thread.runqueue_seconds - woken) * here + woken * away
        weights.append(Weight(cpu, runqueue, cpu + runqueue + off * away))
    return weights


def _switching(thread: Thread, waiting: int, total: int, mine: Sequence[Samples]) -> float:
    """CPU seconds that lines that wait used, for going to sleep and waking up."""
    if waiting == total:
        return thread.cpu_seconds
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
    here: dict[Frame | None, _Seen] = {}
    for one in mine:
        _add(here.setdefault(_leaf_frame(window, one), _Seen()), one)
    usual = _usual(mine, leaves)
    found: list[float | None] = []
    for one in mine:
        frame = _leaf_frame(window, one)
        everywhere = here[frame] if frame is None else seen[frame]
        found.append(_chance(leaves[one.stack], here[frame], everywhere, usual))
    return found


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
