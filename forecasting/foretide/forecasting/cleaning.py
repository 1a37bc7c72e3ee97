"""Bad history: what must not be learned from, recognised and taken out.

Outages, sensors that are stuck and past incidents are judged against what other days had at that
time of day and week. What comes again is the workload's own way: a shop that is closed on Sundays,
a job that runs each night, a service that bursts now and then. Only what nothing else in the
history resembles goes, and never much of it; where much would go, it is the rule and stays.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from .calendar import local_clock
from .events.features import covered
from .events.model import EventCalendar
from .series import Series, Values
from .usual import usual_demand

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_HOUR, _DAY = 3_600.0, 86_400.0
# With fewer days nothing can be said to be unusual.
_FEWEST_DAYS = 3.0
# Demand that has collapsed is below this share of the usual, where the usual is not itself small.
_COLLAPSED, _NOT_SMALL = 0.1, 0.2
# The same on so many of the other days, or of the same weekdays, is a pattern.
_REGULAR, _REGULAR_WEEKLY = 0.2, 0.5
_LONGEST_UNKNOWN = 6 * _HOUR
_OFF = 0.15
# An incident is so many times what any other day had within an hour, and so many deviations off.
_OUTSTANDING, _DEVIATIONS, _LONGEST_INCIDENT = 2.0, 10.0, 12 * _HOUR
_INCIDENT_DAYS = 0.15
# No more than this share of what is known is taken out for any one reason.
_MOST = 0.15


class Kind(StrEnum):
    """What was wrong."""

    MISSING = "Missing"
    OUTAGE = "Outage"
    STUCK = "Stuck"
    INCIDENT = "Incident"


@dataclass(frozen=True, slots=True)
class Excluded:
    """A stretch of history that is not learned from (Unix seconds)."""

    start: float
    end: float
    kind: Kind


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A history whose bad stretches are NaN, and what they were, in the order of time."""

    series: Series
    excluded: tuple[Excluded, ...]


_NO_EVENTS = EventCalendar()


def clean(history: Series, time_zone: str = "UTC", calendar: EventCalendar = _NO_EVENTS) -> Cleaned:
    """Take out of a history what must not be learned from.

    Stretches that an event of the calendar touches are left alone. Values that are missing are
    told where they are an hour or more.
    """
    found = [*_missing(history)]
    if history.end - history.start < _FEWEST_DAYS * _DAY or history.known < 10:
        return Cleaned(history, tuple(found))
    table = _Table.of(history, time_zone)
    usual = usual_demand(history, time_zone)
    protected = covered(calendar, history.times) if len(calendar) else np.zeros(len(history), bool)
    detectors: dict[Kind, Callable[[Series, Values, _Table], Bools]] = {
        Kind.STUCK: _stuck,
        Kind.OUTAGE: _outages,
        Kind.INCIDENT: _incidents,
    }
    values = history.values.copy()
    for kind, detect in detectors.items():
        bad = detect(replace(history, values=values), usual, table) & ~protected
        if 0 < (bad & np.isfinite(values)).sum() <= _MOST * history.known:
            values[bad] = np.nan
            found += [
                Excluded(history.start + a * history.step, history.start + b * history.step, kind)
                for a, b in _runs(bad)
            ]
    found.sort(key=lambda stretch: stretch.start)
    return Cleaned(replace(history, values=values), tuple(found))


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """A history as days × slots of local time: where each step stands, and the days' weekdays."""

    day: Ints
    slot: Ints
    weekday: Ints
    slots: int
    step: float

    @classmethod
    def of(cls, history: Series, time_zone: str) -> "_Table":
        clock = local_clock(history.times, time_zone)
        slots = max(1, round(_DAY / history.step))
        slot = np.minimum((clock.second / history.step).astype(np.int64), slots - 1)
        day = clock.day - clock.day[0]
        weekday = (clock.weekday[0] + np.arange(int(day[-1]) + 1)) % 7
        return cls(day, slot, weekday, slots, history.step)

    def filled(self, values: Values) -> Values:
        """The values, NaN where there is none (days × slots)."""
        table = np.full((len(self.weekday), self.slots), np.nan)
        table[self.day, self.slot] = values
        return table

    def around(self, table: Values, seconds: float) -> Values:
        """The highest value within so many seconds on the same day (days × slots)."""
        reach = int(seconds // self.step)
        if reach == 0:
            return table
        width = min(reach, self.slots)
        padded = np.pad(table, ((0, 0), (width, width)), constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * width + 1, axis=1)
        return np.asarray(windows.max(axis=2))

    def others(self, marked: Bools, *, same_weekday: bool) -> Values:
        """At each step, the share of the other days on which a step near it is marked too."""
        seen = np.isfinite(self.filled(np.zeros(len(marked))))
        low = self.around(np.where(self.filled(marked.astype(float)) > 0, 1.0, 0.0), _HOUR / 2)
        share = np.zeros_like(low)
        for group in range(7) if same_weekday else (0,):
            rows = np.flatnonzero(self.weekday == group) if same_weekday else slice(None)
            total, count = low[rows].sum(axis=0), seen[rows].sum(axis=0)
            share[rows] = (total - low[rows]) / np.maximum(count - seen[rows], 1)
        return np.asarray(share[self.day, self.slot])


def _missing(history: Series) -> Iterator[Excluded]:
    for first, after in _runs(~np.isfinite(history.values)):
        if (after - first) * history.step >= _HOUR:
            start = history.start + first * history.step
            yield Excluded(start, history.start + after * history.step, Kind.MISSING)


def _outages(history: Series, usual: Values, table: _Table) -> Bools:
    """Demand all but gone where other days had it, and back again later."""
    values, step = history.values, history.step
    typical = float(np.nanmedian(usual)) if np.isfinite(usual).any() else 0.0
    with np.errstate(invalid="ignore"):
        low = (values <= _COLLAPSED * usual) & (usual >= _NOT_SMALL * typical) & (typical > 0)
    regular = (table.others(low, same_weekday=False) >= _REGULAR) | (
        table.others(low, same_weekday=True) >= _REGULAR_WEEKLY
    )
    knows_weeks = history.end - history.start >= 9 * _DAY
    bad = np.zeros(len(values), dtype=bool)
    for first, after in _runs(_bridged(low, step, 600.0, values)):
        inside = slice(first, after)
        lasts = (after - first) * step
        # A whole day without demand may be a day off, for all that a single week can tell; and
        # what has not come back by now may never.
        unknown = not knows_weeks or after >= len(values)
        if lasts < max(600.0, 2 * step) or (unknown and lasts > _LONGEST_UNKNOWN):
            continue
        if regular[inside].mean() < 0.5 and _sudden(values, first, after, round(_HOUR / step)):
            bad[inside] = True
    return bad


def _sudden(values: Values, first: int, after: int, width: int) -> bool:
    """Whether a stretch lies far below what came just before it or just after it."""
    width = max(2, width)
    beside = [values[max(0, first - width) : first], values[after : after + width]]
    means = [float(part[np.isfinite(part)].mean()) for part in beside if np.isfinite(part).any()]
    inside = values[first:after]
    return bool(np.median(inside[np.isfinite(inside)]) <= 2 * _COLLAPSED * max(means, default=0.0))


def _stuck(history: Series, usual: Values, table: _Table) -> Bools:
    """The very same value for hours, where the history moves and the usual is another."""
    values, step = history.values, history.step
    same = np.zeros(len(values), dtype=bool)
    same[1:] = values[1:] == values[:-1]
    bad = np.zeros(len(values), dtype=bool)
    if same.mean() > 0.3:
        return bad
    shortest = max(12, round(_HOUR / step))
    for first, after in _runs(same):
        inside = slice(first - 1, after)
        value = float(values[first])
        if value <= 0 or after - first + 1 < shortest:
            continue
        off = np.abs(usual[inside] - value)
        if np.isfinite(off).any() and np.nanmean(off) > _OFF * value:
            bad[inside] = True
    return bad


def _incidents(history: Series, usual: Values, table: _Table) -> Bools:
    """Demand far above all that other days had about that time, for minutes to hours."""
    values, step = history.values, history.step
    highest = _highest_elsewhere(table, values)
    off = values - usual
    deviation = 1.4826 * float(np.nanmedian(np.abs(off))) if np.isfinite(off).any() else 0.0
    with np.errstate(invalid="ignore"):
        high = (values > _OUTSTANDING * highest) & (off > _DEVIATIONS * deviation)
    bad = np.zeros(len(values), dtype=bool)
    for first, after in _runs(_bridged(high, step, _HOUR, values)):
        lasts = (after - first) * step
        # What goes on now may be the new rule.
        if after < len(values) and max(600.0, 2 * step) <= lasts <= _LONGEST_INCIDENT:
            bad[first:after] = True
    days = len(np.unique(table.day[bad]))
    return bad if days <= max(1.0, _INCIDENT_DAYS * len(table.weekday)) else np.zeros_like(bad)


def _highest_elsewhere(table: _Table, values: Values) -> Values:
    """The highest value of all other days within an hour of the same time (shape: steps)."""
    filled = table.filled(values)
    near = table.around(np.where(np.isfinite(filled), filled, -np.inf), _HOUR)
    order = np.sort(near, axis=0)
    top, second = order[-1], order[-2] if len(order) > 1 else np.full(table.slots, np.inf)
    elsewhere = np.where(near == top, second, top)
    return np.asarray(np.where(np.isfinite(elsewhere), elsewhere, np.inf)[table.day, table.slot])


def _bridged(marked: Bools, step: float, seconds: float, values: Values) -> Bools:
    """The same with short breaks, and gaps in the data, between two marked stretches marked."""
    bridged = marked.copy()
    ends = np.flatnonzero(marked)
    for left, right in pairwise(ends.tolist()):
        unknown = not np.isfinite(values[left + 1 : right]).any()
        if right - left > 1 and ((right - left) * step <= seconds or unknown):
            bridged[left:right] = True
    return bridged


def _runs(marked: Bools) -> Iterator[tuple[int, int]]:
    """First index and the one after the last of each run of marked steps."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], marked.astype(np.int8), [0]))))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
