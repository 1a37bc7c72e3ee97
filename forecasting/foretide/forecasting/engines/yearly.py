"""The time of year: a smooth profile of demand over the year, learned where one has been seen.

Levels of days, in logarithms, are explained by weekdays, a trend that may bend twice a year, and a
few waves of a year (harmonic regression: Hyndman & Athanasopoulos, Forecasting, 3rd ed., 7.4).
Bends and waves are held down by a ridge, so that what a trend can tell is no season, and single odd
days by Huber's weights. Days that an event touches are left out: what it does is its own.

Whether the waves help is seen on months that they were not fitted to: the steps from the fortnight
before to the four weeks of the month, with the waves and without. Where it is not clear that they
help, there is no profile.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from ..calendar import DAY, Ints, local_clock
from ..events.features import covered
from ..events.model import EventCalendar
from ..series import Series, Values

YEAR = 365.25 * DAY
_MONTH, _WEEK = 28 * DAY, 7 * DAY
# About 13 months: a month can only be judged where the same one has been seen a year before.
ENOUGH = YEAR + _MONTH
_MOST_MONTHS = 13
# The first day is known in part, and the last one too.
_EDGES = 2 * DAY
# The share of a history's days that must be known (who closes at weekends has 71 %), and of a day.
_DAYS_KNOWN, _DAY_KNOWN = 0.6, 0.9
# Below this share of the usual, a day was none: off, or an outage.
_FAINT = 0.01
_HARMONICS = 3
_ORDER = np.tile(np.arange(1, _HARMONICS + 1), 2)
_BEND = 182 * DAY
# So high (logs) a wave is held to be before any has been seen, the shorter the lower; and by so
# much the growth of a year may change at a bend.
_WAVE, _GROWTH = 0.3, 0.2
# Days resemble their neighbours: so many of them say as much as one that knows nothing of others.
_ALIKE = 7.0
_ODD, _ROUNDS = 1.5, 4
_SMALLEST = 1e-6
# How much smaller the waves must make the errors, and how clearly (standard errors). Of made-up
# workloads that only drift, step up or keep their level, at most 5 in 100 pass, mostly none.
_WORTH, _SURE = 0.1, 1.5


@dataclass(frozen=True, slots=True, eq=False)
class Yearly:
    """Demand by the time of year. `waves` (shape: 2 × harmonics, sines first) are in logarithms."""

    waves: Values
    anchor: float

    def multipliers(self, times: Values) -> Values:
        """What demand is at these times (Unix seconds, shape n) ÷ what it is at the anchor."""
        now = _waves(np.array([self.anchor])) @ self.waves
        return np.asarray(np.exp(_waves(times) @ self.waves - now))


def learn(history: Series, time_zone: str, calendar: EventCalendar) -> Yearly | None:
    """The profile that a history shows, its end the anchor; None where none is to be seen."""
    if history.end - history.start < ENOUGH or not history.known:
        return None
    days = _Days.of(history, time_zone, calendar)
    if not len(days.times):
        return None
    span = history.end - float(days.times[0])
    if span < ENOUGH - _EDGES or len(days.times) * DAY < _DAYS_KNOWN * span:
        return None
    fit = _Fit.of(days)
    return Yearly(fit.waves, history.end) if _helps(days, fit, history.end) else None


@dataclass(frozen=True, slots=True, eq=False)
class _Days:
    """Ordinary days: logs of their mean demand, their noons (Unix seconds), their weekdays."""

    levels: Values
    times: Values
    weekdays: Ints

    @classmethod
    def of(cls, history: Series, time_zone: str, calendar: EventCalendar) -> Self:
        """Those of which enough is known, but for those that an event touches."""
        hours = history.coarser(history.step * max(1, round(DAY / 24 / history.step)))
        clock = local_clock(hours.times, time_zone)
        day = clock.day - clock.day[0]
        known = np.isfinite(hours.values)
        count = np.bincount(day, known)
        mean = np.bincount(day, np.where(known, hours.values, 0.0)) / np.maximum(count, 1.0)
        whole = count >= _DAY_KNOWN * DAY / hours.step
        usual = float(np.median(mean[whole])) if whole.any() else math.inf
        usable = whole & (mean > _FAINT * usual)
        if len(calendar):
            free = usable & (np.bincount(day, covered(calendar, hours.times)) == 0)
            # What touches most days makes none of them an exception.
            usable = free if 2 * free.sum() >= usable.sum() else usable
        first = np.searchsorted(day, np.flatnonzero(usable))
        return cls(np.log(mean[usable]), hours.times[first] + DAY / 2, clock.weekday[first])

    def before(self, time: float) -> "_Days":
        """Those that were before a time."""
        part = slice(0, int(np.searchsorted(self.times, time - DAY / 2, side="right")))
        return _Days(self.levels[part], self.times[part], self.weekdays[part])


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """What was found: by how much each weekday is off Monday (shape: 7), and the waves, in logs."""

    weekdays: Values
    waves: Values

    @classmethod
    def of(cls, days: _Days) -> Self:
        """By least squares, reweighted so that odd days count less, with a ridge."""
        design, prior = _design(days)
        weights, spread = np.ones(len(days.times)), 0.0
        for _ in range(_ROUNDS):
            weighted = design * weights[:, None]
            gram = weighted.T @ design
            gram[np.diag_indices_from(gram)] += _ALIKE * (spread / prior) ** 2 + 1e-9
            found = np.linalg.solve(gram, weighted.T @ days.levels)
            off = np.abs(days.levels - design @ found)
            spread = max(1.4826 * float(np.median(off)), _SMALLEST)
            weights = np.minimum(1.0, _ODD * spread / np.maximum(off, _SMALLEST))
        weekdays = np.concatenate((np.zeros(1), found[:6]))
        return cls(weekdays, np.asarray(found[-len(_ORDER) :], dtype=float))

    def levels(self, days: _Days) -> Values:
        """The days' levels as if all were Mondays."""
        return np.asarray(days.levels - self.weekdays[days.weekdays])


def _design(days: _Days) -> tuple[Values, Values]:
    """The regressors (days × regressors) and how large their coefficients are held to be."""
    since = days.times - days.times[-1]
    week = (days.weekdays[:, None] == np.arange(1, 7)).astype(float)
    plain = np.stack((np.ones(len(since)), since / YEAR), axis=1)
    ago = np.arange(_BEND, -since[0] - _BEND / 2, _BEND)
    bends = np.maximum(-ago - since[:, None], 0.0) / YEAR
    free = np.full(week.shape[1] + plain.shape[1], math.inf)
    prior = np.concatenate((free, np.full(len(ago), _GROWTH), _WAVE / _ORDER))
    return np.concatenate((week, plain, bends, _waves(days.times)), axis=1), prior


def _waves(times: Values) -> Values:
    """Sines and cosines of the time of year (times × 2 harmonics)."""
    angle = 2 * math.pi * (np.asarray(times, dtype=float) / YEAR)[:, None]
    harmonics = angle * np.arange(1, _HARMONICS + 1)
    return np.concatenate((np.sin(harmonics), np.cos(harmonics)), axis=1)


def _helps(days: _Days, fit: _Fit, end: float) -> bool:
    """Whether the waves foresee the newest months, of each of which there is one a year before.

    `fit` is to all days: it tells what is left when the waves are taken out.
    """
    months = []
    for back in range(1, _MOST_MONTHS + 1):
        origin = end - back * _MONTH
        if origin - days.times[0] < YEAR - _EDGES:
            break
        months.append(_month(days, _Fit.of(days.before(origin)), origin))
    # Weeks of which too little is known are NaN and say nothing.
    came, said = np.nan_to_num(np.stack(months, axis=2) if months else np.zeros((2, 4, 0)))
    without = float(np.abs(came).sum())
    gain = without - float(np.abs(came - said).sum())
    # The weeks of a month are compared with the same fortnight: what they miss, they miss alike.
    doubt = _doubt(days, fit) * math.sqrt(float((np.abs(said).sum(axis=0) ** 2).sum()))
    return gain > _WORTH * without and float((came * said).sum()) > _SURE * doubt


def _month(days: _Days, fit: _Fit, origin: float) -> Values:
    """The steps to four weeks from the fortnight before: those that came, those that waves say."""
    levels, season = fit.levels(days), _waves(days.times) @ fit.waves

    def step(values: Values, start: float) -> float:
        ahead = values[(days.times >= start) & (days.times < start + _WEEK)]
        ago = values[(days.times >= origin - 2 * _WEEK) & (days.times < origin)]
        if len(ahead) < 4 or len(ago) < 7:
            return math.nan
        return float(np.median(ahead) - np.median(ago))

    starts = [origin + week * _WEEK for week in range(4)]
    return np.array([[step(values, start) for start in starts] for values in (levels, season)])


def _doubt(days: _Days, fit: _Fit) -> float:
    """How large such steps are, as a rule, where no wave is at work (in logs)."""
    rest = fit.levels(days) - _waves(days.times) @ fit.waves
    weeks = len(rest) // 7
    medians = np.median(rest[len(rest) - 7 * weeks :].reshape(weeks, 7), axis=1)
    steps = medians[4:] - (medians[1:-3] + medians[:-4]) / 2
    # A wave has followed what it could: each takes a month from what is left to see.
    left = weeks - 4 * len(_ORDER)
    return float(np.sqrt(np.mean(steps**2) * weeks / left))
