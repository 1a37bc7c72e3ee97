"""A learned model of the coming maximum, as it is sent from a worker to the operator."""

from dataclasses import dataclass

import numpy as np

from ..demand import Undecided
from ..forecast import PeakForecast
from ..series import Series, Values
from .choosing import Choice
from .features import REACH, STEP, features
from .plan import LEVELS, Plan, calibrate, planned_peak, shifted, surprises, to_demand
from .running import Indices
from .trees import Trees

MODEL = "Lookahead"


@dataclass(frozen=True, slots=True, eq=False)
class LookaheadModel:
    """Quantiles of the maximum of demand over the `window` minutes ahead.

    `shifts` (levels) calibrate them, `coverage` is the share of minutes for which each then covered
    what came, out of sample (NaN where that is not known). `choices` holds the plan for each target
    utilisation that was asked for. `recent` is the demand by the minute that a prediction looks
    back on, up to the fit.
    """

    trees: Trees
    shifts: Values
    unit: float
    zone: str
    window: int
    choices: tuple[Choice, ...]
    coverage: tuple[float, ...]
    recent: Series
    fitted_at: float
    history_seconds: float
    history_points: int

    def choice(self, utilization: float) -> Choice | None:
        """The choice for a target utilisation, None where it was not asked for."""
        return next((found for found in self.choices if found.utilization == utilization), None)

    def quantiles(self, values: Values, at: Indices, start: float) -> Values:
        """The quantiles at the minutes `at`, shape (levels, n).

        `values` is demand by the minute from `start` on, gaps filled. Nothing from `values[at]`
        on is looked at.
        """
        rows = features(values, at, start=start, window=self.window, unit=self.unit, zone=self.zone)
        return to_demand(self.trees.predict(rows.table), rows.level, self.unit, self.shifts)

    def forecast(self, known: Series, plan: Plan) -> PeakForecast | Undecided:
        """What is planned for from the end of `known` on, demand by the minute, gaps filled."""
        values = known.values[-REACH:]
        if not np.isfinite(values[-10:]).any():
            return Undecided("DemandUnknown", "nothing is known of the last ten minutes")
        # That of a minute ago says whether this minute was a surprise.
        at = np.arange(max(1, len(values) - 1), len(values) + 1)
        found = self.quantiles(values, at, known.end - STEP * len(values))
        first = known.end - STEP * (len(at) - 1)
        return to_peaks(found, values[at - 1], plan, now=first, window=self.window)[-1]


def to_peaks(
    quantiles: Values, known: Values, plan: Plan, *, now: float, window: int
) -> list[PeakForecast]:
    """Forecasts for consecutive minutes from `now` on, of quantiles (levels, n).

    `known` (n) is the newest demand known at the beginning of each.
    """
    planned = planned_peak(quantiles, plan.safety, plan.evenness, plan.usual)
    least = surprises(quantiles, known)
    return [
        PeakForecast(
            model=MODEL,
            made_at=now + STEP * step,
            until=now + STEP * (step + window),
            upper=float(upper),
            median=float(median),
            quantile=plan.quantile,
            slack=plan.slack,
            patience=plan.patience,
            surprised=bool(least[step] > planned[step]),
        )
        for step, (upper, median) in enumerate(
            zip(np.maximum(planned, least), quantiles[0], strict=True)
        )
    ]


def coverage_of(quantiles: Values, peaks: Values, unit: float) -> tuple[float, ...]:
    """The share of the newest fifth of the moments for which each level covered what came.

    They are calibrated on the others, as a quantile always covers what it was calibrated on.
    """
    first = len(peaks) * 4 // 5
    shifts = calibrate(quantiles[:, :first], peaks[:first], unit)
    later, came = shifted(quantiles[:, first:], shifts, unit), peaks[first:]
    known = np.isfinite(came) & np.isfinite(later).all(axis=0)
    if not known.any():
        return (float("nan"),) * len(LEVELS)
    return tuple(float(share) for share in (came[known] <= later[:, known]).mean(axis=1))
