"""A forecast as the decision uses it: an upper quantile and a median on a regular grid."""

import math
from dataclasses import dataclass

from .demand import ZeroKnowledge


@dataclass(frozen=True, slots=True)
class Forecast:
    """Demand from `start` on, one value for each `step` seconds.

    A value stands for the maximum of demand within its step, `upper` at `quantile`, `median` at
    one half. After `valid_until` the forecast is stale and must not be used. `history_seconds`
    and `history_points` say what it was learned from, `zeros` when demand has been zero before.
    """

    model: str
    start: float
    step: float
    upper: tuple[float, ...]
    median: tuple[float, ...]
    quantile: float
    fitted_at: float
    valid_until: float
    history_seconds: float
    history_points: int
    zeros: ZeroKnowledge = ZeroKnowledge()

    def covers(self, start: float, end: float) -> bool:
        """Whether the whole of start…end lies on the grid."""
        after = self.start + self.step * len(self.upper)
        return self.start <= start < after and end <= after

    def upper_peak(self, start: float, end: float) -> float:
        """The highest upper quantile over start…end (Unix seconds); NaN outside the grid."""
        return max(self._between(self.upper, start, end), default=math.nan)

    def median_at(self, at: float) -> float:
        """The median for the step that holds `at`; NaN outside the grid."""
        return max(self._between(self.median, at, at), default=math.nan)

    def next_peak(self, now: float) -> tuple[float, float] | None:
        """Time and upper quantile of the highest point still ahead, None when there is none."""
        first = max(0, math.floor((now - self.start) / self.step))
        if first >= len(self.upper):
            return None
        best = max(range(first, len(self.upper)), key=self.upper.__getitem__)
        return self.start + best * self.step, self.upper[best]

    def _between(self, values: tuple[float, ...], start: float, end: float) -> tuple[float, ...]:
        first = math.floor((start - self.start) / self.step)
        last = math.floor((end - self.start) / self.step)
        return values[max(0, first) : max(0, last + 1)]
