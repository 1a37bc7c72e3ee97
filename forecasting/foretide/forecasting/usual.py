"""Usual demand: what each time of the week has, by the weeks around it.

It says what demand would have been without an event, and nothing of the future: what came after an
event counts as much as what came before.
"""

import warnings

import numpy as np

from .calendar import DAY, local_clock
from .series import Series, Values

_WEEKS = (-28, -21, -14, -7, 7, 14, 21, 28)
_DAYS = (-3, -2, -1, 1, 2, 3)


def usual_demand(history: Series, time_zone: str) -> Values:
    """The median of what came at the same local time on the same weekday, up to four weeks away.

    Shape: that of the history; where no such week is known, on the days around it; else NaN.
    """
    if not len(history):
        return np.zeros(0)
    clock = local_clock(history.times, time_zone)
    slots = max(1, round(DAY / history.step))
    slot = np.minimum((clock.second / history.step).astype(int), slots - 1)
    day = clock.day - clock.day[0]
    table = np.full((int(day[-1]) + 1, slots), np.nan)
    table[day, slot] = history.values
    by_week, by_day = _median_of(table, _WEEKS), _median_of(table, _DAYS)
    usual = np.where(np.isfinite(by_week), by_week, by_day)
    return np.asarray(usual[day, slot])


def _median_of(table: Values, shifts: tuple[int, ...]) -> Values:
    """For each day the median over the days that lie so many days away (shape: the table's)."""
    days = len(table)
    stack = np.full((len(shifts), *table.shape), np.nan)
    for place, shift in enumerate(shifts):
        if abs(shift) < days:
            to, source = slice(max(0, -shift), days - max(0, shift)), slice(max(0, shift), None)
            stack[place, to] = table[source][: days - abs(shift)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all-NaN slices are answered with NaN
        return np.asarray(np.nanmedian(stack, axis=0))
