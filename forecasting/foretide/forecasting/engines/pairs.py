"""Which pairs of origin and lead a fit or a backtest looks at."""

import numpy as np

from ..series import Series
from .base import DAY, Context, Ints, knots
from .ordinary import busy

_PAIRS_PER_POINT = 4


def learning_pairs(
    history: Series, context: Context, most: int, *, first: int = 0, seed: int = 1
) -> tuple[Ints, Ints]:
    """Up to `most` pairs within a history whose targets are known and touched by no event.

    They are the same ones every time.

    Origins lie from index `first` on, and where there is more than a day and a half, in the second
    day or later, as in the first one yesterday is not known. They are spread evenly;
    leads are spread evenly over their logarithm, from 1 step to the horizon.
    """
    day = max(1, round(DAY / history.step))
    first = max(first, day + 1 if len(history) > 1.5 * day else day // 2)
    # More pairs than that say little that is new.
    most = min(most, _PAIRS_PER_POINT * (len(history) - first))
    if len(history) <= first:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    rng = np.random.default_rng(seed)
    origins = np.linspace(first, len(history) - 1, most).astype(np.int64)
    leads = spread_leads(history.step, context.horizon, most, rng)
    targets = origins + leads - 1
    inside = targets < len(history)
    learnable = np.isfinite(history.values)
    if (touched := busy(history.times, context)) is not None:
        learnable &= ~touched
    usable = inside & learnable[np.where(inside, targets, 0)]
    return origins[usable], leads[usable]


def spread_leads(step: float, horizon: float, count: int, rng: np.random.Generator) -> Ints:
    """Leads whose share of each knot is about the same."""
    at = knots(step, horizon)
    position = rng.uniform(0.0, len(at) - 1 or 1.0, count)
    return np.round(np.exp(np.interp(position, np.arange(len(at)), np.log(at)))).astype(np.int64)
