"""Load to replicas: how much a number of replicas carries, and how many a load needs. Pure.

Linear by default: n replicas carry n × `per_replica`. Where that is not so (a shared database, a
lock, a leader that does work of its own) measured points say what so many replicas carry together
within the objective. Between points the curve is straight, and below the first one it is straight
from nothing. Beyond the last one each further replica adds what the last ones added, and never
more than the average of all: a measurement that ended on a lucky step must not promise capacity
that nobody has seen. A curve that stops rising has no answer to more load, so it is refused.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise

MOST_REPLICAS = 2**31 - 1
# 0.3 ÷ 0.1 is 3 replicas, not 4.
_FORGIVEN = 1e-9


@dataclass(frozen=True, slots=True)
class LoadCurve:
    """Points (replicas, load), both rising; load is in the unit of the metric.

    Raises:
        ValueError: there is no point, or they do not rise; the message says what to do.
    """

    points: tuple[tuple[int, float], ...]

    def __post_init__(self) -> None:
        """Check the points."""
        _check_each(self.points)
        _check_rise(self.points)

    @classmethod
    def linear(cls, per_replica: float) -> "LoadCurve":
        """Each replica carries the same."""
        return cls(((1, per_replica),))

    @property
    def per_replica(self) -> float:
        """What one replica alone carries: the slope from nothing to the first point."""
        replicas, load = self.points[0]
        return load / replicas

    def capacity(self, replicas: float) -> float:
        """The load that this many replicas carry; 0 for none."""
        if replicas <= 0:
            return 0.0
        position = bisect_left(self.points, replicas, key=_replicas)
        (start, below), slope = self._piece(position)
        return below + (replicas - start) * slope

    def replicas_for(self, demand: float) -> int:
        """The fewest replicas that carry `demand`; never more than Kubernetes can count."""
        demand *= 1 - _FORGIVEN
        if not demand > 0:
            return 0
        position = bisect_left(self.points, demand, key=_load)
        (start, below), slope = self._piece(position)
        wanted = start + (demand - below) / slope
        return math.ceil(wanted) if wanted < MOST_REPLICAS else MOST_REPLICAS

    def utilization(self, demand: float, replicas: int) -> float:
        """Demand as a share of what the replicas carry; infinite for demand on none."""
        capacity = self.capacity(replicas)
        if capacity == 0:
            return math.inf if demand > 0 else 0.0
        return demand / capacity

    def _piece(self, position: int) -> tuple[tuple[int, float], float]:
        """Where the straight piece that ends at point `position` begins, and its slope."""
        if position == 0:
            return (0, 0.0), self.per_replica
        if position < len(self.points):
            return self.points[position - 1], _slope(*self.points[position - 1 : position + 1])
        if len(self.points) == 1:
            return (0, 0.0), self.per_replica
        last = self.points[-1]
        return last, min(_slope(*self.points[-2:]), last[1] / last[0])


def _slope(start: tuple[int, float], end: tuple[int, float]) -> float:
    return (end[1] - start[1]) / (end[0] - start[0])


def _replicas(point: tuple[int, float]) -> int:
    return point[0]


def _load(point: tuple[int, float]) -> float:
    return point[1]


def _check_each(points: tuple[tuple[int, float], ...]) -> None:
    if not points:
        raise ValueError("a load curve needs one point at least: replicas and their load")
    for replicas, load in points:
        if replicas < 1:
            raise ValueError(f"a point of the load curve has {replicas} replicas, give 1 or more")
        if not 0 < load < math.inf:
            raise ValueError(
                f"the load of {replicas} replicas is {load:g}, give a finite one above 0"
            )


def _check_rise(points: tuple[tuple[int, float], ...]) -> None:
    for (fewer, less), (more, load) in pairwise(points):
        if more <= fewer:
            raise ValueError(
                f"the load curve goes from {fewer} to {more} replicas: sort it, each number once"
            )
        if load <= less:
            raise ValueError(
                f"{more} replicas carry {load:g}, no more than the {less:g} of {fewer}: leave out "
                f"the points after {fewer}, and set maxReplicas to {fewer} at most"
            )
