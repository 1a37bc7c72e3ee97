"""Exponential smoothing: simple, and Holt's with a damped trend.

Sources: Brown 1956; Holt 1957; Gardner & McKenzie 1985 for the damping. The parameters are those
of a small grid with the smallest absolute error, an hour ahead.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from ..demand import Undecided
from ..series import Series, Values
from .base import HOUR, Context, Fitted, Ints, Outlook

# Time constants of the level in seconds, and how much of its error moves the trend.
_MEMORIES = (120.0, 600.0, 3_600.0, 21_600.0)
_TREND_SHARES = (0.02, 0.1)
# What is left of a trend after an hour.
_DAMPING = 0.5
_FEWEST = 30


@dataclass(frozen=True, slots=True)
class Smoothing:
    """Simple exponential smoothing, or Holt's where `trend` is set."""

    trend: bool = False

    @property
    def name(self) -> str:
        """As users write it."""
        return "Holt" if self.trend else "SimpleSmoothing"

    def fit(self, history: Series, context: Context) -> Fitted | Undecided:
        """Choose the parameters on the newest part of the history."""
        if history.known < _FEWEST:
            return Undecided("TooLittleHistory", f"smoothing needs {_FEWEST} points")
        newest = Series(history.start, history.step, history.values[-5_000:])
        ahead = max(1, round(HOUR / history.step))
        shares = _TREND_SHARES if self.trend else (0.0,)
        return min(
            (_Smoothed(memory, share) for memory, share in itertools.product(_MEMORIES, shares)),
            key=lambda candidate: _error(candidate, newest, ahead),
        )


@dataclass(frozen=True, slots=True)
class _Smoothed:
    memory: float
    trend_share: float

    def outlook(self, history: Series, origins: Ints, leads: Ints) -> Outlook:
        """The level at the origin, and the trend as it fades."""
        level, trend = self.states(history)
        damping = _DAMPING ** (history.step / HOUR)
        faded = damping * (1 - damping**leads) / (1 - damping)
        location = np.maximum(level[origins] + trend[origins] * faded, 0.0)
        return Outlook(location, np.ones(len(location)))

    def states(self, history: Series) -> tuple[Values, Values]:
        """Level and trend per step as known before each index (shape: n + 1)."""
        alpha = 1 - np.exp(-history.step / self.memory)
        beta, damping = alpha * self.trend_share, _DAMPING ** (history.step / HOUR)
        known = history.values[np.isfinite(history.values)]
        level, slope = (float(known[0]) if len(known) else 0.0), 0.0
        levels, slopes = [level], [slope]
        for value in history.values.tolist():
            expected = level + damping * slope
            error = value - expected if value == value else 0.0  # NaN: nothing was seen
            level, slope = expected + alpha * error, damping * slope + beta * error
            levels.append(level)
            slopes.append(slope)
        return np.array(levels), np.array(slopes)


def _error(candidate: _Smoothed, history: Series, ahead: int) -> float:
    origins = np.arange(len(history) // 3, len(history) - ahead)
    if len(origins) == 0:
        return candidate.memory
    found = candidate.outlook(history, origins, np.full(len(origins), ahead))
    return float(np.nanmean(np.abs(history.values[origins + ahead - 1] - found.location)))
