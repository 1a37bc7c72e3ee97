"""Look-ups that follow a parent: counted within a transaction, a session, or a pool of sessions."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from foretide.dbadvisor.nplusone.events import Event


@dataclass(frozen=True, slots=True)
class Burst:
    """`calls` look-ups right after `parents` executions of the parent. `wait`: from the parent's
    end to the first look-up, seconds. `purity`: which share of the statements from the first
    look-up to the last comes in each turn of the loop.
    """

    parents: int
    calls: tuple[Event, ...]
    wait: float
    purity: float = 1.0

    @property
    def values(self) -> list[tuple[str | None, ...]]:
        """The parameters of each look-up."""
        return [call.parameters for call in self.calls]


def in_sessions(
    events: Sequence[Event], parent: str, child: str, pause: float | None
) -> list[Burst]:
    """Bursts among statements that were sent one after the other: from each parent to the next.
    With `pause`, what comes after a silence that long belongs to no burst. A parent without
    look-ups is a burst of none.
    """
    found = []
    start: Event | None = None
    calls: list[Event] = []
    between: list[str] = []
    last = 0.0

    def close() -> None:
        if start is not None:
            wait = calls[0].at - start.end if calls else 0.0
            found.append(Burst(1, tuple(calls), wait, _purity(between, child)))

    for event in events:
        name = event.statement.fingerprint
        if start is not None and pause is not None and event.at - last > pause:
            close()
            start = None
        if name == parent:
            close()
            start, calls, between = event, [], []
        elif start is not None:
            if name == child:
                calls.append(event)
            if calls:
                between.append(name)
        last = max(last, event.end)
    close()
    return found


def in_pool(
    events: Iterable[Event], parent: str, child: str, longest: float
) -> tuple[list[Burst], int]:
    """Bursts among statements that took any session of a pool, and how many look-ups there are in
    all. Several clients at once are one burst with several parents; it counts only if a parent
    began it.
    """
    mine = sorted(
        (each for each in events if each.statement.fingerprint in (parent, child)),
        key=lambda each: each.at,
    )
    total = sum(each.statement.fingerprint == child for each in mine)
    if len(mine) < 2:
        return [], total
    gaps = [max(0.0, after.at - before.end) for before, after in pairwise(mine)]
    # Logs have milliseconds.
    pause = min(longest, max(0.005, 6 * median(gaps)))
    groups = [[mine[0]]]
    for gap, each in zip(gaps, mine[1:], strict=True):
        if gap > pause:
            groups.append([])
        groups[-1].append(each)
    found = []
    for group in groups:
        if group[0].statement.fingerprint != parent:
            continue
        calls = tuple(each for each in group if each.statement.fingerprint == child)
        if calls:
            found.append(Burst(len(group) - len(calls), calls, calls[0].at - group[0].end))
    return found, total


def _purity(between: list[str], child: str) -> float:
    """What comes after the last look-up is not between two of them."""
    if not between:
        return 1.0
    while between and between[-1] != child:
        between.pop()
    counted = Counter(between)
    often = counted[child] / 2
    return sum(count for count in counted.values() if count >= often) / len(between)
