"""Forecasts as the decision uses them: on a regular grid, or of the coming lead time's maximum."""

import math
from dataclasses import dataclass

from .demand import ZeroKnowledge


@dataclass(frozen=True, slots=True)
class Forecast:
    """Demand from `start` on, one value for each `step` seconds.

    A value stands for the maximum of demand within its step, `upper` at `quantile`, `median` at
    one half, `lower` (empty where the engine gives none) at 1 - `quantile`. After `valid_until`
    the forecast is stale and must not be used. `history_seconds` and `history_points` say what it
    was learned from, `zeros` when demand has been zero before, `coverage` which share of the time
    `upper` has really covered on the history.
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
    lower: tuple[float, ...] = ()
    coverage: float | None = None

    def covers(self, start: float, end: float) -> bool:
        """Whether the whole of start…end lies on the grid."""
        after = self.start + self.step * len(self.upper)
        return self.start <= start < after and end <= after

    def upper_peak(self, start: float, end: float) -> float:
        """The highest upper quantile over start…end (Unix seconds); NaN outside the grid."""
        return max(self._between(self.upper, start, end), default=math.nan)

    def over(self, start: float, end: float) -> "PeakForecast":
        """The forecast of the maximum over start…end, as far as single steps can tell it."""
        medians = self._between(self.median, start, end)
        return PeakForecast(
            model=self.model,
            made_at=start,
            until=end,
            upper=self.upper_peak(start, end),
            median=max(medians, default=math.nan),
            quantile=self.quantile,
        )

    def median_at(self, at: float) -> float:
        """The median for the step that holds `at`; NaN outside the grid."""
        return max(self._between(self.median, at, at), default=math.nan)

    def lower_at(self, at: float) -> float:
        """The lower quantile for the step that holds `at`; NaN where there is none."""
        return max(self._between(self.lower, at, at), default=math.nan)

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


@dataclass(frozen=True, slots=True)
class PeakForecast:
    """The maximum of demand from `made_at` to `until` (Unix seconds), in the unit of demand.

    `upper` is what is planned for, at about `quantile`; `median` is the middle. `slack` is the
    share by which replicas may exceed what `upper` needs before any are taken away, so that a plan
    is not changed for little, and `patience` (seconds) for how long what is asked for now counts
    before that. `surprised` says that demand has just outgrown what had been forecast for it, and
    that `upper` is the room that this asks for.
    """

    model: str
    made_at: float
    until: float
    upper: float
    median: float
    quantile: float
    slack: float = 0.0
    patience: float = 0.0
    surprised: bool = False
