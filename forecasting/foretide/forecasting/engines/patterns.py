"""Simple forecasts from the patterns of a day and a week: what the direct engines combine.

Each column is a forecast that a person could make by hand: the newest value, the mean of the last
hour, the same time yesterday, a week ago, the mean of the last days, and the same corrected by
how far demand is off its pattern right now.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from ..calendar import utc_offsets
from ..series import Series, Values
from .base import DAY, HOUR, Context, Ints
from .ordinary import busy
from .windows import Windows

_DAYS = tuple(range(1, 8))
_WEEKS = (7, 14, 21, 28)
# Half widths of the windows around the same time on another day, in seconds.
_SHARP, _SMOOTH, _BROAD = 150.0, 450.0, 1_800.0
# How far off its pattern demand may be and still scale it.
_LARGEST_RATIO = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Patterns:
    """A history, made ready for look-ups at pairs of origin and lead.

    `offsets` holds the local clock's lead over UTC, in steps, for the indices from 0 on; `day` is
    the number of steps in a day. `usual` are the windows without what events have touched.
    """

    step: float
    day: int
    windows: Windows
    usual: Windows
    offsets: Ints
    typical: float

    @classmethod
    def of(cls, history: Series, context: Context, typical: float, furthest: int = 1) -> Self:
        """Look-ups over a history, for targets up to `furthest` steps after its end.

        `typical` is how large demand was where the engine was fitted: what is taken from a whole
        history would know what came after an origin. Steps that an event has touched are no
        pattern for others.
        """
        values = history.values
        times = np.asarray(history.start + history.step * np.arange(len(values) + furthest))
        offsets = np.round(utc_offsets(times, context.time_zone) / history.step).astype(np.int64)
        windows = Windows.over(values)
        touched = busy(times[: len(values)], context)
        usual = windows if touched is None else Windows.over(np.where(touched, np.nan, values))
        day = max(1, round(DAY / history.step))
        return cls(history.step, day, windows, usual, offsets, typical)

    def steps(self, seconds: float) -> int:
        """At least one step."""
        return max(1, round(seconds / self.step))

    def recent(self, origins: Ints, seconds: float) -> Values:
        """The mean of the last `seconds` before each origin."""
        return self.windows.mean(origins - self.steps(seconds), origins)

    def level(self, origins: Ints) -> Values:
        """How large demand is about each origin: what makes features free of scale. Positive."""
        day = self.recent(origins, DAY)
        level = np.fmax(np.where(np.isfinite(day), day, self.typical), self.recent(origins, HOUR))
        return np.maximum(level, max(1e-3 * self.typical, 1e-12))

    def back(self, targets: Ints, days: Ints | int) -> Ints:
        """The index at which the wall clock showed the same, `days` days before."""
        before = targets - np.asarray(days) * self.day
        top = len(self.offsets) - 1
        shift = self.offsets[np.clip(targets, 0, top)] - self.offsets[np.clip(before, 0, top)]
        return np.asarray(before + shift, dtype=np.int64)

    def around(self, targets: Ints, days: Ints | int, half: float, origins: Ints) -> Values:
        """The mean within `half` seconds of the same time `days` days before."""
        middle, reach = self.back(targets, days), int(half // self.step)
        mean = self.usual.mean(middle - reach, np.minimum(middle + reach + 1, origins))
        return np.where(middle - reach >= 0, mean, np.nan)

    def before(self, origins: Ints, days: Ints | int, seconds: float) -> Values:
        """The mean of `seconds` that ended `days` days before each origin."""
        end, width = self.back(origins, days), self.steps(seconds)
        return np.where(end >= width, self.usual.mean(end - width, end), np.nan)


def typical(history: Series) -> float:
    """How large demand is on average; 0 where nothing is known."""
    known = history.values[np.isfinite(history.values)]
    return float(np.abs(known).mean()) if len(known) else 0.0


def mean_of(columns: list[Values]) -> Values:
    """The mean of what is known, per row; NaN where nothing is."""
    stacked = np.stack(columns)
    known = np.isfinite(stacked)
    count = known.sum(axis=0)
    total = np.where(known, stacked, 0.0).sum(axis=0)
    return np.asarray(total / np.where(count > 0, count, np.nan))


def first_known(*columns: Values) -> Values:
    """Per row, the first of the columns that is known."""
    answer = columns[0]
    for column in columns[1:]:
        answer = np.where(np.isfinite(answer), answer, column)
    return answer


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """What can be seen from each pair. `simple` (pairs × forecasts) and `detail` (pairs × more)
    are relative to `level` (pairs); `simple` has no gaps."""

    level: Values
    simple: Values
    detail: Values


def look(patterns: Patterns, origins: Ints, leads: Ints) -> Views:
    """All simple forecasts at each pair, and what else says something of the future there."""
    level = patterns.level(origins)
    targets = origins + leads - 1
    # Beyond a day ahead, "yesterday" has not happened yet: the nearest day and week that have.
    later = (leads - 1) // patterns.day
    weeks_later = 7 * ((leads - 1) // (7 * patterns.day))

    def same(days: int, half: float) -> Values:
        ahead = weeks_later if days % 7 == 0 else later
        return patterns.around(targets, days + ahead, half, origins)

    def then(days: int, seconds: float) -> Values:
        ahead = weeks_later if days % 7 == 0 else later
        return patterns.before(origins, days + ahead, seconds)

    hour, hours, today = (patterns.recent(origins, seconds) for seconds in (HOUR, 4 * HOUR, DAY))
    five = patterns.recent(origins, 300.0)
    quarter = patterns.recent(origins, 900.0)
    now = first_known(patterns.windows.last[origins], level)
    five, quarter, hour = (first_known(recent, now) for recent in (five, quarter, hour))
    days = mean_of([same(k, _SMOOTH) for k in _DAYS])
    usual_hour = mean_of([then(k, HOUR) for k in _DAYS])
    day_broad = first_known(same(1, _BROAD), days)
    week_broad = first_known(same(7, _BROAD), days)
    weeks = first_known(mean_of([same(k, _SMOOTH) for k in _WEEKS]), days)
    day_hour, week_hour = (first_known(then(k, HOUR), usual_hour) for k in (1, 7))
    day_five, week_five = (first_known(then(k, 300.0), usual_hour) for k in (1, 7))
    weeks_hour = first_known(mean_of([then(k, HOUR) for k in _WEEKS]), usual_hour)
    simple = [
        now,
        five,
        hour,
        first_known(same(1, _SHARP), day_broad, hour),
        first_known(day_broad, hour),
        first_known(days, hour),
        first_known(same(7, _SHARP), week_broad, hour),
        first_known(weeks, hour),
        first_known(day_broad + five - day_five, five),
        first_known(week_broad + five - week_five, five),
        first_known(day_broad + (hour - day_hour) / 2, hour),
        first_known(days + (hour - usual_hour) / 2, hour),
        first_known(weeks + (hour - weeks_hour) / 2, hour),
        first_known(days * _ratio(hour, usual_hour, level), hour),
        first_known(day_broad * _ratio(hour, day_hour, level), hour),
        first_known(week_broad * _ratio(today, then(7, DAY), level), week_broad, hour),
    ]
    detail = [
        quarter,
        first_known(hours, hour),
        first_known(same(2, _BROAD), days, hour),
        first_known(same(3, _BROAD), days, hour),
        first_known(same(14, _BROAD), week_broad, hour),
        first_known(day_hour, hour),
        first_known(week_hour, hour),
        first_known(day_five, hour),
        first_known(week_five, hour),
        first_known(usual_hour, hour),
        patterns.windows.mean(origins - 2 * patterns.steps(900.0), origins - patterns.steps(900.0)),
        patterns.windows.mean(origins - 2 * patterns.steps(HOUR), origins - patterns.steps(HOUR)),
    ]
    return Views(level, _relative(simple, level), _relative(detail, level))


def _ratio(now: Values, then: Values, level: Values) -> Values:
    ratio = (now + 0.02 * level) / np.maximum(then + 0.02 * level, 1e-12)
    return np.asarray(np.clip(ratio, 1 / _LARGEST_RATIO, _LARGEST_RATIO))


def _relative(columns: list[Values], level: Values) -> Values:
    relative = np.stack(columns, axis=1) / level[:, None]
    return np.clip(np.where(np.isfinite(relative), relative, 1.0), -20.0, 20.0)
