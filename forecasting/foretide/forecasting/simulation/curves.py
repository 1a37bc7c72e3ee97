"""Cost against violations: what a policy has to offer when its headroom is swept.

A single setting of each of two policies says nothing: the one costs less, the other is short for
less time. So each is swept over the same target utilisations, which gives a curve of
under-provisioned time over pod-minutes, and curves are read at equal cost or at equal violations.

Between two settings a curve is a straight line: a workload that spends some of its time at the one
and the rest at the other gets just that. A setting that costs more and is short for longer than
another has no place on the curve (the envelope is monotone): nobody would use it.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

# Pod-minutes are equal within this share.
EQUAL_COST = 0.02
# Percentages of time are equal within this: less than a minute in ten years.
_EQUAL_TIME = 1e-9


@dataclass(frozen=True, slots=True)
class Point:
    """One setting: `under_pct` is a percentage of time, `utilization` the target (0-1]."""

    utilization: float
    pod_minutes: float
    under_pct: float
    scale_events_per_day: float


@dataclass(frozen=True, slots=True)
class Curve:
    """All settings of one policy on one workload, the cheapest first; at least one."""

    points: tuple[Point, ...]

    @classmethod
    def of(cls, points: Iterable[Point]) -> "Curve":
        """A curve of settings in any order.

        Raises:
            ValueError: there are none.
        """
        ordered = sorted(points, key=lambda point: (point.pod_minutes, point.under_pct))
        if not ordered:
            raise ValueError("a curve needs a point")
        return cls(tuple(ordered))

    def at(self, utilization: float) -> Point:
        """The point with this target.

        Raises:
            KeyError: it was not tried.
        """
        for point in self.points:
            if math.isclose(point.utilization, utilization):
                return point
        raise KeyError(f"target utilisation {utilization:g} was not tried")

    def under_at(self, pod_minutes: float) -> float:
        """The under-provisioned time (percent) to be had for so many pod-minutes, within 2 %.

        All of the time where even the cheapest setting costs more: nothing can be had for that. A
        cost above that of the most expensive setting buys what that one gives.
        """
        if self.points[0].pod_minutes > pod_minutes * (1 + EQUAL_COST):
            return 100.0
        return float(np.interp(pod_minutes, self._costs, self._envelope))

    def events_at(self, pod_minutes: float) -> float:
        """Scale events a day at so many pod-minutes."""
        events = [point.scale_events_per_day for point in self.points]
        return float(np.interp(pod_minutes, self._costs, events))

    def cost_at(self, under_pct: float) -> float:
        """The fewest pod-minutes for which replicas are short for no longer than `under_pct`.

        Infinite where no setting gets there. Where the cheapest setting does, it is that one's
        cost: what lies beyond it was not tried.
        """
        costs, shorts = self._costs, self._envelope
        enough = [short <= under_pct + _EQUAL_TIME for short in shorts]
        if not any(enough):
            return math.inf
        first = enough.index(True)
        if first == 0:
            return costs[0]
        # Between the last setting that was short for too long and the first that was not.
        above, below = shorts[first - 1], shorts[first]
        share = min(1.0, (above - under_pct) / (above - below))
        return costs[first - 1] + share * (costs[first] - costs[first - 1])

    @property
    def _costs(self) -> list[float]:
        return [point.pod_minutes for point in self.points]

    @property
    def _envelope(self) -> list[float]:
        shorts = [point.under_pct for point in self.points]
        return [float(short) for short in np.minimum.accumulate(shorts)]
