"""Ordinary days: a history without what events and the year did, and both put back on a forecast.

Engines know patterns; a holiday is none. They get demand ÷ what the event is known to do, so that
what is seen on a holiday still says something of the hours after it, and neither learn from it nor
take it for what yesterday or last week was like. In the same way they get demand as it would be at
this time of year.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..events.effects import multipliers
from ..events.features import covered
from ..series import Series, Values
from .base import Context

Bools = npt.NDArray[np.bool_]


def ordinary(history: Series, context: Context) -> Series:
    """Demand as it would have been without the events of the calendar, at this time of year."""
    if context.yearly is not None:
        season = context.yearly.multipliers(history.times)
        history = replace(history, values=history.values / season)
    if context.effects is None or not len(context.calendar):
        return history
    known = multipliers(context.calendar, context.effects, history.times).median
    return replace(history, values=history.values / np.maximum(known, 1e-6))


def busy(times: Values, context: Context) -> Bools | None:
    """Which of the times (ascending) an event touches; None where there are no events at all."""
    if not len(context.calendar) or not len(times):
        return None
    touched = covered(context.calendar, times)
    return touched if touched.any() else None


def put_back(values: Values, levels: tuple[float, ...], times: Values, context: Context) -> Values:
    """Quantiles (levels × times, in any order) with what events and the year do at these times."""
    if context.yearly is not None:
        values = values * context.yearly.multipliers(times)
    if context.effects is None or not len(context.calendar) or not len(times):
        return values
    order = np.argsort(times, kind="stable")
    known = multipliers(context.calendar, context.effects, times[order])
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    upper = np.asarray(levels)[:, None] > 0.5
    return np.asarray(values * np.where(upper, known.upper[back], known.median[back]))
