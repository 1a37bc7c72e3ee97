"""What a stack's thread waited for while it was off the CPU.

The sampler sees stacks and the sweeps see states, each by itself: how long a thread was in each
state is known, and how long at each stack, but not both at once. The table of both is found by
iterative proportional fitting (Deming and Stephan, 1940): from what the leaves suggest
(`leaves.py`), scaled by turns until its rows and columns have the sums that were measured.
"""

from collections.abc import Mapping, Sequence

from .leaves import Leaf, leaves_of
from .weights import Weight
from .window import Thread, ThreadState, Window

_ROUNDS = 25
_UNLIKELY = 0.01
# What a thread waits for, as a rule, that is at such a leaf and not on the CPU.
_LIKELY: Mapping[Leaf, Mapping[ThreadState, float]] = {
    Leaf.SLEEPS: {ThreadState.SLEEP: 1.0},
    Leaf.LOCKS: {ThreadState.LOCK: 1.0},
    Leaf.POLLS: {ThreadState.POLL: 1.0, ThreadState.NETWORK: 0.3},
    Leaf.CHILD: {ThreadState.CHILD: 1.0, ThreadState.SLEEP: 0.1},
    Leaf.NETWORK: {ThreadState.NETWORK: 1.0, ThreadState.POLL: 0.5},
    Leaf.FILE: {ThreadState.DISK: 1.0},
    Leaf.INPUT: {ThreadState.DISK: 0.7, ThreadState.NETWORK: 0.7, ThreadState.POLL: 0.3},
    Leaf.WORKS: {ThreadState.GIL: 1.0},
    Leaf.UNKNOWN: {
        ThreadState.GIL: 0.5,
        ThreadState.DISK: 0.3,
        ThreadState.NETWORK: 0.3,
        ThreadState.LOCK: 0.1,
    },
}
_NOT_WAITING = (ThreadState.RUNNING, ThreadState.UNKNOWN)


def waits(window: Window, weights: Sequence[Weight]) -> tuple[Mapping[ThreadState, float], ...]:
    """For each of the window's samples, its seconds off the CPU by what was waited for."""
    leaves = leaves_of(window)
    off = [max(0.0, one.wall - one.cpu - one.runqueue) for one in weights]
    by_thread: dict[int, dict[Leaf, float]] = {}
    for one, seconds in zip(window.samples, off, strict=True):
        of_leaf = by_thread.setdefault(one.thread, {})
        of_leaf[leaves[one.stack]] = of_leaf.get(leaves[one.stack], 0.0) + seconds
    tables = {index: _table(window.threads[index], of_leaf) for index, of_leaf in by_thread.items()}
    return tuple(
        {
            state: seconds * share
            for state, share in tables[one.thread][leaves[one.stack]].items()
            if seconds * share > 0
        }
        for one, seconds in zip(window.samples, off, strict=True)
    )


def _table(
    thread: Thread, of_leaf: Mapping[Leaf, float]
) -> Mapping[Leaf, Mapping[ThreadState, float]]:
    """For each leaf, which share of its seconds off the CPU was which wait."""
    total = sum(of_leaf.values())
    seen = {
        state: count
        for state, count in thread.states.items()
        if count > 0 and state not in _NOT_WAITING
    }
    looks = sum(seen.values())
    if not looks or total <= 0:
        return {leaf: _usual(leaf) for leaf in of_leaf}
    wanted = {state: total * count / looks for state, count in seen.items()}
    table = {
        leaf: {state: seconds * _LIKELY[leaf].get(state, _UNLIKELY) for state in wanted}
        for leaf, seconds in of_leaf.items()
    }
    for _ in range(_ROUNDS):
        for state, seconds in wanted.items():
            column = sum(row[state] for row in table.values())
            for row in table.values():
                row[state] *= seconds / column if column > 0 else 0.0
        for leaf, row in table.items():
            in_row = sum(row.values())
            for state in row:
                row[state] *= of_leaf[leaf] / in_row if in_row > 0 else 0.0
    return {leaf: _shares(row) or _usual(leaf) for leaf, row in table.items()}


def _usual(leaf: Leaf) -> Mapping[ThreadState, float]:
    """Without a look at the thread: the likeliest wait, and none where nothing suggests one."""
    if leaf in (Leaf.UNKNOWN, Leaf.INPUT):
        return {ThreadState.UNKNOWN: 1.0}
    likely = _LIKELY[leaf]
    return {max(likely, key=lambda state: likely[state]): 1.0}


def _shares(row: Mapping[ThreadState, float]) -> Mapping[ThreadState, float]:
    total = sum(row.values())
    return {state: value / total for state, value in row.items()} if total > 0 else {}
