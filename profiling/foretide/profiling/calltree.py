"""Stacks as one tree of calls, flat: what a flame graph draws.

A node is a function called from one path; its pool is the first node of each path. Several profiles
share the tree, so that what is in one alone stands beside what is in both.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .attribution import Function, function_of
from .formats.metric import pool_label
from .idle import is_idle
from .profile import Profile

# More nodes than this nobody can see: the narrowest are left out.
MOST_NODES = 100_000


@dataclass(frozen=True, slots=True)
class CallTree:
    """Nodes in the order of a walk, callers first. Lists have an element for each node.

    `function` are indices into `functions`, `depth` counts from 0, the root, which is all. `values`
    are totals (self and callees) by the profile's name, then "cpu" or "wall". Wall is without idle
    threads. `left_out` counts nodes that were too narrow.
    """

    functions: tuple[Function, ...]
    function: Sequence[int]
    depth: Sequence[int]
    values: Mapping[str, Mapping[str, Sequence[float]]]
    left_out: int = 0


@dataclass(slots=True)
class _Node:
    function: int
    values: list[float]
    callees: "dict[int, _Node]" = field(default_factory=dict)


def call_tree(profiles: Mapping[str, Profile], *, most: int = MOST_NODES) -> CallTree:
    """The tree of one profile, or of several together, each under its name."""
    columns = [(name, metric) for name in profiles for metric in ("cpu", "wall")]
    functions: dict[Function, int] = {}
    root = _Node(_index(functions, Function("", "all")), [0.0] * len(columns))
    count = 1
    for number, profile in enumerate(profiles.values()):
        count += _add(root, profile, functions, 2 * number, len(columns))
    least = _least(root, count, most)
    order: list[tuple[_Node, int]] = []
    names = list(functions)
    waiting = [(root, 0)]
    while waiting:
        node, depth = waiting.pop()
        order.append((node, depth))
        callees = [one for one in node.callees.values() if max(one.values) >= least]
        # The same order in every profile, so that two of them can be compared by eye.
        callees.sort(key=lambda one: (names[one.function].name, names[one.function].file))
        waiting += [(one, depth + 1) for one in reversed(callees)]
    values: dict[str, dict[str, list[float]]] = {name: {} for name in profiles}
    for column, (name, metric) in enumerate(columns):
        values[name][metric] = [node.values[column] for node, _ in order]
    return CallTree(
        functions=tuple(names),
        function=[node.function for node, _ in order],
        depth=[depth for _, depth in order],
        values=values,
        left_out=count - len(order),
    )


def _add(
    root: _Node, profile: Profile, functions: dict[Function, int], column: int, columns: int
) -> int:
    """Add a profile's stacks; how many nodes are new."""
    indices = [_index(functions, function_of(frame)) for frame in profile.frames]
    frames = profile.frames
    idle = [
        is_idle([frames[i] for i in stack], profile.source.get(stack[-1]) if stack else None)
        for stack in profile.stacks
    ]
    pools = [_index(functions, Function("", pool_label(name))) for name in profile.threads]
    new = 0
    for entry in profile.entries:
        cpu, wall = entry.cpu, 0.0 if idle[entry.stack] else entry.wall
        if cpu <= 0 and wall <= 0:
            continue
        node = root
        node.values[column] += cpu
        node.values[column + 1] += wall
        path = (pools[entry.thread], *(indices[one] for one in profile.stacks[entry.stack]))
        for function in path:
            callee = node.callees.get(function)
            if callee is None:
                callee = node.callees[function] = _Node(function, [0.0] * columns)
                new += 1
            callee.values[column] += cpu
            callee.values[column + 1] += wall
            node = callee
    return new


def _least(root: _Node, count: int, most: int) -> float:
    """The value below which nodes are left out, so that `most` remain by and large."""
    if count <= most:
        return 0.0
    found: list[float] = []
    waiting = [root]
    while waiting:
        node = waiting.pop()
        found.append(max(node.values))
        waiting += node.callees.values()
    return heapq.nlargest(most, found)[-1]


def _index(functions: dict[Function, int], function: Function) -> int:
    return functions.setdefault(function, len(functions))
