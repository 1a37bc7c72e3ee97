"""Engines that see a curve ahead: one fit says what is to come, whatever happens meanwhile.

Such a curve knows nothing of the last hour. So what demand is off it now is carried forward, the
less the longer the lead; how much is learned from the history, but never less than what is left of
it after an exponential decay: a model looks better on the history that it was fitted to.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..calendar import utc_offsets
from ..series import Series, Values
from .base import DAY, HOUR, Context, Ints, Outlook, hats, knots
from .pairs import learning_pairs
from .walk_forward import times_of
from .windows import Windows

_MOST_PAIRS = 4_000
_FADES = DAY
# A curve is drawn on beyond the horizon, for those who look from origins after the fit.
BEYOND = 14 * DAY


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """A history as means of long steps of local time, without gaps, for models that need that.

    `start` is local (seconds since 1970 on the wall clock), so that a day has 24 hours all year.
    """

    start: float
    step: float
    values: Values

    @property
    def times(self) -> Values:
        """The middle of each step, in local seconds."""
        return np.asarray(self.start + self.step * (np.arange(len(self.values)) + 0.5))

    @property
    def day(self) -> int:
        """How many steps a day has."""
        return round(DAY / self.step)


def grid(history: Series, context: Context, step: float) -> Grid:
    """Means over at least `step` seconds; gaps are filled from the days around them."""
    step = max(step, history.step)
    slot = np.floor(local(history.times, context) / step).astype(np.int64)
    known = np.isfinite(history.values)
    first, count = int(slot[0]), int(slot.max() - slot[0]) + 1
    total = np.bincount(slot[known] - first, history.values[known], count)
    number = np.bincount(slot[known] - first, minlength=count)
    means = total / np.where(number > 0, number, np.nan)
    return Grid(first * step, step, _filled(means, round(DAY / step)))


def local(times: Values, context: Context) -> Values:
    """Wall-clock seconds since 1970."""
    return np.asarray(times + utc_offsets(times, context.time_zone))


def _filled(means: Values, day: int) -> Values:
    """Gaps filled with the nearest day's value at that time, else with what is beside them."""
    values = means.copy()
    for away in range(1, 8):
        for shift in (away * day, -away * day):
            other = np.full(len(values), np.nan)
            if 0 < shift < len(values):
                other[shift:] = means[:-shift]
            elif -len(values) < shift < 0:
                other[:shift] = means[-shift:]
            values = np.where(np.isfinite(values), values, other)
    at = np.flatnonzero(np.isfinite(values))
    return np.interp(np.arange(len(values)), at, values[at]) if len(at) else np.zeros(len(values))


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """What is expected at local times, whatever happened lately, and how much of that lasts.

    `carry` (shape: knots) is the share of the last hour's deviation that is left at each knot.
    """

    context: Context
    times: Values
    values: Values
    at: Values
    carry: Values

    def outlook(self, history: Series, origins: Ints, leads: Ints) -> Outlook:
        """The curve, and what is left of how far demand is off it."""
        base = self._at(times_of(history, origins, leads))
        off = _lately(history, self._at(history.times), origins)
        location = np.maximum(base + (hats(leads, self.at) @ self.carry) * off, 0.0)
        return Outlook(location, np.ones(len(location)))

    def _at(self, times: Values) -> Values:
        return np.interp(local(times, self.context) + 0.0, self.times, self.values)


def curve(
    history: Series, context: Context, level_at: Callable[[Values], Values], step: float
) -> Curve:
    """Draw a curve through the history and beyond it; `level_at` gets local seconds."""
    ends = history.end + context.horizon + BEYOND
    times = local(np.arange(history.start, ends, max(step, history.step)), context)
    times = np.maximum.accumulate(times)  # an hour that the clock shows twice is drawn once
    at = knots(history.step, context.horizon)
    drawn = Curve(context, times, np.maximum(level_at(times), 0.0), at, np.zeros(len(at)))
    origins, leads = learning_pairs(history, context, _MOST_PAIRS)
    if not len(origins):
        return drawn
    off = _lately(history, drawn._at(history.times), origins)
    missed = history.values[origins + leads - 1] - drawn._at(times_of(history, origins, leads))
    share = hats(leads, at)
    both, own = (share.T @ (off * missed)), (share.T @ off**2)
    learned = np.clip(both / np.maximum(own, 1e-300), 0.0, 1.0)
    carry = np.maximum(learned, np.exp(-at * history.step / _FADES))
    return Curve(context, times, drawn.values, at, carry)


def _lately(history: Series, expected: Values, origins: Ints) -> Values:
    """How far demand has been off what was expected in the last hour before each origin."""
    width = max(1, round(HOUR / history.step))
    off = Windows.over(history.values - expected).mean(origins - width, origins)
    return np.where(np.isfinite(off), off, 0.0)
