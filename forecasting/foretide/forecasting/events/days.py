"""Kinds of day: which are free, and which part of which weekday a part of a day is like.

A Thursday that is a holiday is not like other Thursdays: its night is like that before a
Saturday, its evening like that of a Sunday, and the Friday after it begins as Mondays do. That
much is known of a holiday that has never been seen.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..calendar import utc_offsets
from .model import Event, EventCalendar, Kind

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_DAY = 86_400
# People who are free tomorrow stay up; the night belongs to the day before it.
_MORNING, _EVENING = 6.0, 17.0
# 1 January 1970 was a Thursday.
_EPOCH_WEEKDAY = 3


@dataclass(frozen=True, slots=True, eq=False)
class WallClock:
    """Times on a wall clock: `day` counts the days since 1970, `hour` (0-24) those of the day."""

    day: Ints
    hour: Floats

    @property
    def weekday(self) -> Ints:
        """0 is Monday."""
        return (self.day + _EPOCH_WEEKDAY) % 7


def wall_clock(times: Floats, zone: str) -> WallClock:
    """The wall clock of a zone (IANA) at the given times (Unix seconds, any shape)."""
    local = times + utc_offsets(times.ravel(), zone).reshape(times.shape)
    day = np.floor(local / _DAY).astype(np.int64)
    return WallClock(day, (local - day * _DAY) / 3600)


@dataclass(frozen=True, slots=True, eq=False)
class Days:
    """The days `first`…`last` (since 1970) and what is special about them.

    `free` says for each from `first` - 2 to `last` + 2 whether it is free.
    """

    first: int
    last: int
    free: Bools
    holidays: dict[int, Event]
    weekend: frozenset[int]

    @classmethod
    def of(cls, calendar: EventCalendar, clock: WallClock, times: Floats, zone: str) -> "Days":
        """The days of a clock that is not empty."""
        first, last = int(clock.day.min()), int(clock.day.max())
        around = calendar.occurrences(float(times.min()) - 3 * _DAY, float(times.max()) + 3 * _DAY)
        holidays: dict[int, Event] = {}
        for event in around:
            if event.kind is Kind.HOLIDAY:
                days = wall_clock(np.array([event.start, event.end - 1]), zone).day
                for day in range(int(days[0]), int(days[1]) + 1):
                    holidays.setdefault(day, event)
        whole = np.arange(first - 2, last + 3)
        free = np.isin((whole + _EPOCH_WEEKDAY) % 7, list(calendar.weekend))
        free |= np.isin(whole, list(holidays))
        return cls(first, last, free, holidays, calendar.weekend)

    def is_free(self, day: Ints) -> Bools:
        """Whether each day is free; days from two before the first to two after the last."""
        return self.free[day - self.first + 2]

    def holiday_near(self, day: int) -> Event | None:
        """The holiday of the day itself, of the day before or of the day after, in this order."""
        for near in (day, day - 1, day + 1):
            if near in self.holidays:
                return self.holidays[near]
        return None


def reference_weekday(clock: WallClock, days: Days) -> Ints:
    """The weekday that each time is like, given the holidays around it; its own as a rule.

    What counts is which of yesterday, today and tomorrow are free: the night belongs to the step
    from yesterday to today, the evening to that from today to tomorrow.
    """
    own = clock.weekday
    week = _Week.of(days.weekend)
    if week is None or not days.holidays:
        return own
    free = [days.is_free(clock.day + shift) for shift in (-1, 0, 1)]
    usual = [np.isin((own + shift) % 7, list(days.weekend)) for shift in (-1, 0, 1)]
    night, evening = clock.hour < _MORNING, clock.hour >= _EVENING
    changed = [is_ != was for is_, was in zip(free, usual, strict=True)]
    asleep = _step(free[0], free[1], own, week.first_free, week.last_free, week.first_work)
    awake = np.where(free[1], np.where(free[2], week.first_free, week.last_free), own)
    out = _step(free[1], free[2], own, week.last_work, week.first_free, week.last_free)
    return np.select(
        [
            night & (changed[0] | changed[1]),
            evening & (changed[1] | changed[2]),
            ~night & ~evening & free[1] & (changed[1] | changed[2]),
        ],
        [asleep, out, awake],
        own,
    )


def _step(before: Bools, after: Bools, own: Ints, into: int, within: int, back: int) -> Ints:
    """The weekday whose step it is: from work into free days, within them, or back to work."""
    return np.select([~before & after, before & after, before & ~after], [into, within, back], own)


@dataclass(frozen=True, slots=True)
class _Week:
    """The weekdays around the weekend (0 is Monday)."""

    last_work: int
    first_free: int
    last_free: int
    first_work: int

    @classmethod
    def of(cls, weekend: frozenset[int]) -> "_Week | None":
        """The week of a weekend, None where there is none."""
        begins = [day for day in weekend if (day - 1) % 7 not in weekend]
        ends = [day for day in weekend if (day + 1) % 7 not in weekend]
        if not begins:
            return None
        return cls((begins[0] - 1) % 7, begins[0], ends[0], (ends[0] + 1) % 7)
