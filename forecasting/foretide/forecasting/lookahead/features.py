"""What the maximum of the coming minutes is predicted from.

All of it is relative to the level of demand now, in logarithms, so that one model serves small and
large workloads, quiet and busy hours: recent means, maxima, minima and spread; what came next at
this time of day 1, 2, 3 and 7 days ago; the time of day and week. One function serves training on
thousands of rows and a single prediction: what was learned is what is asked.
"""

from dataclasses import dataclass

import numpy as np

from ..calendar import days_back, local_clock
from ..series import Values
from .running import Indices, Running

STEP = 60.0
DAY = 1_440
# Minutes; the last is also how much recent demand a prediction needs.
_MEANS = (1, 2, 3, 5, 10, 15, 30, 60, 120, 240)
_MAXIMA = (3, 5, 10, 15, 30, 60, 120)
_MINIMA = (5, 15, 60)
_SPREADS = (15, 60)
_DAYS_BACK = (1, 2, 3, 7)
_AROUND = 15
_BEFORE, _AFTER = 30, 60

RECENT = _MEANS[-1]
REACH = _DAYS_BACK[-1] * DAY + _BEFORE + 61
# What stands for "not known": no logarithm of a ratio comes near it.
UNKNOWN = -99.0
_LONGEST_FILL = 10


@dataclass(frozen=True, slots=True)
class Rows:
    """Features: `table` has shape (rows, features), `level` (rows) is log demand."""

    table: Values
    level: Values


def fill_gaps(values: Values) -> Values:
    """Hold the last value over gaps of up to ten minutes; longer ones stay NaN."""
    known = np.isfinite(values)
    last = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    age = np.arange(len(values)) - last
    held = values[np.maximum(last, 0)]
    return np.where((last >= 0) & (age <= _LONGEST_FILL), held, np.nan)


def smallest_unit(values: Values) -> float:
    """What is added to demand before a logarithm is taken, so that next to nothing stays calm.

    A fiftieth of the 0.99 quantile: less than the load of one replica of most workloads.
    """
    known = values[np.isfinite(values)]
    return 0.02 * float(np.quantile(known, 0.99)) + 1e-12 if len(known) else 1.0


def features(
    values: Values, at: Indices, *, start: float, window: int, unit: float, zone: str
) -> Rows:
    """The features at the beginnings of the minutes `at`: what is known are `values[:at]`.

    `values` is demand by the minute from `start` (Unix seconds) on, gaps filled; `window` is the
    length of the window that is predicted, in minutes, `unit` the result of `smallest_unit`.
    """

    def log(demand: Values) -> Values:
        return np.log(demand + unit)

    recent = Running.around(values, at, before=RECENT)
    level = log(recent.mean(-5, 0))
    level = np.where(np.isfinite(level), level, log(recent.mean(-60, 0)))
    columns = [log(recent.mean(-minutes, 0)) - level for minutes in _MEANS if minutes != 5]
    columns += [log(recent.highest(-minutes, 0)) - level for minutes in _MAXIMA]
    columns += [log(recent.lowest(-minutes, 0)) - level for minutes in _MINIMA]
    columns += [np.log(recent.spread(-minutes, 0) + 0.1 * unit) - level for minutes in _SPREADS]
    columns.append(level - np.log(unit))
    nexts = []
    times: Values = start + STEP * at.astype(float)
    clock = local_clock(times, zone)
    for back in _shifts(times, zone):
        past = Running.around(
            values, at - back, before=_BEFORE, after=max(_AFTER, window + _AROUND)
        )
        peak, before, longer = (
            log(figure)
            for figure in (past.peak(0, window), past.mean(-5, 0), past.mean(-_BEFORE, 0))
        )
        nexts.append(peak - before)
        columns += [
            nexts[-1],
            peak - level,
            before - level,
            peak - longer,
            log(past.peak(-_AROUND, window + _AROUND)) - level,
            log(past.mean(0, _AFTER)) - longer,
        ]
    columns += _over_days(nexts)
    columns += [np.floor(clock.second / STEP), clock.weekday.astype(float)]
    table = np.column_stack(columns)
    return Rows(np.where(np.isfinite(table), table, UNKNOWN), level)


def peaks_ahead(values: Values, at: Indices, window: int) -> Values:
    """The maximum of `values[at : at + window]`; NaN where that reaches past the end or a gap."""
    return Running.around(values, at, before=0, after=window).peak(0, window)


def _over_days(columns: list[Values]) -> list[Values]:
    """Mean and maximum over the days that are known."""
    stacked = np.column_stack(columns)
    known = np.isfinite(stacked)
    count = known.sum(axis=1)
    mean = np.where(known, stacked, 0.0).sum(axis=1) / np.maximum(count, 1)
    highest = np.where(known, stacked, -np.inf).max(axis=1)
    return [np.where(count > 0, mean, np.nan), np.where(count > 0, highest, np.nan)]


def _shifts(times: Values, zone: str) -> list[Indices]:
    """How many minutes back the same wall-clock time lies on each of the earlier days."""
    if zone == "UTC":
        return [np.full(len(times), days * DAY) for days in _DAYS_BACK]
    return [
        np.rint((times - days_back(times, days, zone)) / STEP).astype(np.int64)
        for days in _DAYS_BACK
    ]
