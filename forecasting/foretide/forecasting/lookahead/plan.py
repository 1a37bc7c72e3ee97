"""From a distribution of the coming maximum to what is planned for, and how calmly.

A `Plan` is one number that says how safe (`safety`) and one that says how calm (`slack`). Which
plan a workload gets is found by replaying its own past (`choosing.py`), so that nobody has to know
what a quantile of 0.985 would cost.
"""

from dataclasses import dataclass

import numpy as np

from ..series import Values

# The quantiles that are learned; `safety` interpolates between them in nines.
LEVELS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99, 0.995)
_NINES = -np.log10(1.0 - np.array(LEVELS))
# Beyond this the data say little of a quantile, and a margin that grows with demand protects from
# what has never been seen, as it does in HPA: so much more (in logarithms) for each further nine.
_MARGIN_FROM = 1.6
_MARGIN = 0.2
_QUIETEST = 0.05
# What is left free, as HPA usually leaves it, where demand has just outgrown all that was foreseen.
_SURPRISED_AT = 0.7
LEAST_SAFETY, MOST_SAFETY = 0.3, 6.0
# A calibration that wants more than this has met something else than a bad quantile.
_LARGEST_SHIFT = 0.5
_FEWEST_FOR_CALIBRATION = 1_000


@dataclass(frozen=True, slots=True)
class Plan:
    """How a forecast is acted on.

    `safety` counts nines: 1 plans for the 0.9 quantile of the coming maximum, 2 for the 0.99, at
    demand of `usual` (the unit of demand). Where demand is lower, the quantile is higher: a minute
    short is as bad at night, and what prevents it costs fewer replicas. `evenness` says by how
    much: 0 is the same quantile always, 1 one nine more where demand is a tenth. `slack` is the
    share by which the replicas may exceed what is planned for before any are taken away. Where
    noise moves the plan by more than that, `patience` (seconds) is for how long nothing of what it
    asked for is taken away.
    """

    safety: float
    slack: float
    evenness: float = 0.0
    usual: float = 1.0
    patience: float = 0.0

    @property
    def quantile(self) -> float:
        """The quantile that is planned for at usual demand."""
        return float(1.0 - 10.0**-self.safety)

    @classmethod
    def at_quantile(cls, quantile: float, slack: float, patience: float = 0.0) -> "Plan":
        """A plan for the same quantile whatever demand is."""
        return cls(float(-np.log10(1.0 - quantile)), slack, patience=patience)


def planned_peak(
    quantiles: Values, safety: "float | Values", evenness: "float | Values", usual: float
) -> Values:
    """What is planned for; the parameters are those of `Plan`.

    `quantiles` has shape (levels, n) and must not be negative or fall along the levels; `safety`
    and `evenness` are numbers or of shape (k, 1). Returns shape (n), or (k, n).
    """
    loudness = np.log10(np.maximum(quantiles[0] / max(usual, 1e-12), _QUIETEST))
    nines: Values = np.asarray(safety - evenness * loudness, dtype=float)
    nines = np.clip(nines, LEAST_SAFETY, MOST_SAFETY)
    inside = np.minimum(nines, _NINES[-1])
    piece = np.clip(np.searchsorted(_NINES, inside) - 1, 0, len(LEVELS) - 2)
    share = (inside - _NINES[piece]) / (_NINES[piece + 1] - _NINES[piece])
    columns = np.arange(quantiles.shape[1])
    low, high = quantiles[piece, columns], quantiles[piece + 1, columns]
    margin = np.exp(_MARGIN * np.maximum(0.0, nines - _MARGIN_FROM))
    return np.asarray((low + (high - low) * share) * margin)


def surprises(quantiles: Values, known: Values) -> Values:
    """What to plan for at least after a surprise, in demand, shape (n); 0 where there was none.

    `quantiles` (levels, n) were forecast at the beginning of consecutive minutes, `known` (n) is
    the newest demand that was known then. When the minute before outgrew the highest of its own
    quantiles, something goes on that the past has no example of, and the next quantiles, which
    follow demand, say little of how far it goes. So there is room then, as HPA would have it.
    """
    least = np.zeros(len(known))
    outgrown = known[1:] > quantiles[-1, :-1]
    least[1:] = np.where(outgrown, known[1:] / _SURPRISED_AT, 0.0)
    return least


def to_demand(relative: Values, level: Values, unit: float, shifts: Values | None = None) -> Values:
    """From logarithms relative to a level to demand; no quantile is below a lower one.

    `shifts` (levels) are added first: what calibration has found to be missing.
    """
    if shifts is not None:
        relative = relative + shifts[:, None]
    ordered = np.maximum.accumulate(relative, axis=0)
    return np.maximum(0.0, np.exp(np.minimum(level + ordered, 700.0)) - unit)


def calibrate(quantiles: Values, peaks: Values, unit: float) -> Values:
    """The shift of each level, in logarithms, with which it covers as often as its name says.

    Split conformal prediction (Papadopoulos et al. 2002; Romano et al. 2019, for quantiles), on
    forecasts that were made out of sample. `quantiles` has shape (levels, n), `peaks` (n).
    """
    known = np.isfinite(peaks) & np.isfinite(quantiles).all(axis=0)
    if known.sum() < _FEWEST_FOR_CALIBRATION:
        return np.zeros(len(LEVELS))
    missed = np.log(peaks[known] + unit) - np.log(quantiles[:, known] + unit)
    shifts = [np.quantile(row, level) for row, level in zip(missed, LEVELS, strict=True)]
    return np.asarray(np.clip(shifts, -_LARGEST_SHIFT, _LARGEST_SHIFT), dtype=float)


def shifted(quantiles: Values, shifts: Values, unit: float) -> Values:
    """Quantiles in demand with the shifts of `calibrate` applied."""
    moved = (quantiles + unit) * np.exp(shifts)[:, None] - unit
    return np.maximum.accumulate(np.maximum(0.0, moved), axis=0)
