"""Look-ups that follow a parent: counted within a transaction, a session, or a pool of sessions."""

from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Sequence
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


class Group:
    """Executions in the order of time, of one transaction, session or pool, by statement.

    A silence longer than `pause` seconds, if given, parts them.
    """

    def __init__(self, events: Sequence[Event], pause: float | None = None) -> None:
        self.events = events
        self.places: dict[str, list[int]] = defaultdict(list)
        self.parts: list[int] = []
        part, last = 0, float("-inf")
        for place, event in enumerate(events):
            if pause is not None and self.parts and event.at - last > pause:
                part += 1
            self.places[event.statement.fingerprint].append(place)
            self.parts.append(part)
            last = max(last, event.end)

    def count(self, name: str) -> int:
        """How often a statement was executed."""
        return len(self.places.get(name, ()))


def in_sessions(group: Group, parent: str, child: str) -> list[Burst]:
    """Bursts among statements that were sent one after the other: from each parent to the next, or
    to a silence. A parent without look-ups is a burst of none.
    """
    calls = group.places.get(child, [])
    starts = group.places.get(parent, [])
    found = []
    for number, start in enumerate(starts):
        end = starts[number + 1] if number + 1 < len(starts) else len(group.events)
        some = calls[bisect(calls, start) : bisect(calls, end)]
        some = [place for place in some if group.parts[place] == group.parts[start]]
        wait = group.events[some[0]].at - group.events[start].end if some else 0.0
        mine = tuple(group.events[place] for place in some)
        found.append(Burst(1, mine, wait, _purity(group, some)))
    return found


def in_pool(group: Group, parent: str, child: str, longest: float) -> list[Burst]:
    """Bursts among statements that took any session of a pool. Several clients at once are one
    burst with several parents; it counts only if a parent began it.
    """
    places = sorted(group.places.get(parent, []) + group.places.get(child, []))
    mine = [group.events[place] for place in places]
    if len(mine) < 2:
        return []
    gaps = [max(0.0, after.at - before.end) for before, after in pairwise(mine)]
    # Logs have milliseconds.
    pause = min(longest, max(0.005, 6 * median(gaps)))
    groups = [[mine[0]]]
    for gap, each in zip(gaps, mine[1:], strict=True):
        if gap > pause:
            groups.append([])
        groups[-1].append(each)
    found = []
    for some in groups:
        if some[0].statement.fingerprint != parent:
            continue
        calls = tuple(each for each in some if each.statement.fingerprint == child)
        if calls:
            found.append(Burst(len(some) - len(calls), calls, calls[0].at - some[0].end))
    return found


def _purity(group: Group, calls: Sequence[int]) -> float:
    """Of what lies between the first and the last of `calls`."""
    if len(calls) < 3:
        return 1.0
    between = group.events[calls[0] : calls[-1] + 1]
    counted = Counter(event.statement.fingerprint for event in between)
    often = len(calls) / 2
    return sum(count for count in counted.values() if count >= often) / len(between)
