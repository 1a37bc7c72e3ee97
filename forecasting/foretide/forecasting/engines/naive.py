"""Seasonal-naive, every model's yardstick: demand is what it was at this time one season ago."""

from dataclasses import dataclass

import numpy as np

from ..demand import Undecided
from ..series import Series
from .base import DAY, Context, Fitted, Ints, Outlook
from .patterns import Patterns, first_known, typical

_CLEARLY = 0.95


@dataclass(frozen=True, slots=True)
class SeasonalNaive:
    """The season is a day or a week, whichever the history resembles more."""

    name: str = "SeasonalNaive"

    def fit(self, history: Series, context: Context) -> Fitted | Undecided:
        """Choose the season. Needs a day of history."""
        if history.end - history.start < DAY:
            return Undecided("TooLittleHistory", "seasonal-naive needs a day of history")
        return _Naive(season(history, context), context, typical(history))


def season(history: Series, context: Context) -> int:
    """1 or 7 days: the lag at which the autocorrelation is higher.

    A week must have been seen twice. Where the variance of what is compared is the same, the
    higher autocorrelation is the smaller mean squared difference; the absolute one is taken, so
    that a single burst does not choose.
    """
    patterns = Patterns.of(history, context, 0.0)
    if len(history) < 14 * patterns.day:
        return 1
    targets = np.arange(7 * patterns.day, len(history))
    apart = {
        days: np.abs(
            history.values[targets] - history.values[_within(patterns.back(targets, days), history)]
        )
        for days in (1, 7)
    }
    known = np.isfinite(apart[1]) & np.isfinite(apart[7])
    # Where both are alike, yesterday is nearer.
    weekly = known.any() and apart[7][known].mean() < _CLEARLY * apart[1][known].mean()
    return 7 if weekly else 1


def _within(index: Ints, history: Series) -> Ints:
    return np.clip(index, 0, len(history) - 1)


@dataclass(frozen=True, slots=True)
class _Naive:
    days: int
    context: Context
    typical: float

    def outlook(self, history: Series, origins: Ints, leads: Ints) -> Outlook:
        """The same time one season ago; the nearest season where that is not known."""
        patterns = Patterns.of(history, self.context, self.typical, int(leads.max(initial=1)))
        targets = origins + leads - 1
        seasons = 1 + (leads - 1) // (self.days * patterns.day)
        location = first_known(
            patterns.around(targets, seasons * self.days, 0.0, origins),
            patterns.around(targets, (1 + seasons) * self.days, 0.0, origins),
            patterns.around(targets, 1 + (leads - 1) // patterns.day, 0.0, origins),
            patterns.level(origins),
        )
        return Outlook(location, np.ones(len(location)))
