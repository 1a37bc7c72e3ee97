"""The forecast of the hours ahead, by the engine that a resource names. Runs in a worker process.

It shows people what is coming, and is acted on where no model of the coming maximum is.
"""

import math
from dataclasses import replace

import numpy as np

from .demand import Undecided, ZeroKnowledge
from .events.effects import LearnedEffects, multipliers
from .forecast import Forecast
from .series import Series, Values
from .worker import NOT_WANTED, FitRequest

_DAY = 86_400.0
# The share of the wanted history that must really be there: scrapes fail now and then.
_COVERAGE = 0.8


def forecast(history: Series, request: FitRequest) -> Forecast | Undecided:
    """What is to be expected over the horizon, or why that cannot be said.

    Raises:
        Exception: whatever the engine's library raises.
    """
    if not request.engine:
        return NOT_WANTED
    lacking = enough(history, request)
    return _prophet(history, request) if lacking is None else lacking


def enough(history: Series, request: FitRequest) -> Undecided | None:
    """Why a history is too short, too full of gaps or too old to go by; None where it is not."""
    known = np.flatnonzero(np.isfinite(history.values))
    if not len(known):
        return Undecided("HistoryEmpty", "the query has no history")
    needs = request.min_history
    span = float(known[-1] - known[0]) * history.step
    if span < needs:
        return Undecided("TooLittleHistory", f"needs {days(needs)} of history, has {days(span)}")
    covered = len(known) * history.step
    if covered < _COVERAGE * needs:
        message = f"needs {days(needs)} of history, has {days(covered)} with gaps"
        return Undecided("TooLittleHistory", message)
    age = request.now - (history.start + (known[-1] + 1) * history.step)
    if age > max(3 * history.step, 1_800.0):
        return Undecided("HistoryOld", f"the history ends {days(age)} ago")
    return None


def with_events(made: Forecast, effects: LearnedEffects, request: FitRequest) -> Forecast:
    """The forecast with what the calendar's events do to it."""
    times: Values = made.start + made.step * np.arange(len(made.upper), dtype=float)
    found = multipliers(request.calendar, effects, times)
    return replace(
        made,
        upper=tuple((np.asarray(made.upper) * found.upper).tolist()),
        median=tuple((np.asarray(made.median) * found.median).tolist()),
        lower=tuple((np.asarray(made.lower) * found.median).tolist()) if made.lower else (),
    )


def known_zeros(history: Series, now: float) -> ZeroKnowledge:
    """The hours (UTC) at which demand is zero as a rule: on two days or more, before yesterday.

    A zero that has just begun must not vouch for itself, nor one past outage for the next.
    """
    at = history.times[(history.values == 0) & (history.times < now - _DAY)]
    seen = np.unique(np.floor(at / 3_600.0)).astype(int)
    pairs = {(int(hour) % 24, int(hour) // 24) for hour in seen}
    count = np.bincount([hour for hour, _ in pairs], minlength=24)
    return ZeroKnowledge(frozenset(np.flatnonzero(count >= 2).tolist()))


def _prophet(history: Series, request: FitRequest) -> Forecast | Undecided:
    import pandas as pd

    from . import prophet_model

    known = np.isfinite(history.values)
    index = pd.to_datetime(history.times[known], unit="s", utc=True)
    peaks = pd.Series(history.values[known], index=index)
    return prophet_model.forecast(peaks, replace(request, step=history.step))


def days(seconds: float) -> str:
    """A time for people: days, or hours where it is less than one."""
    if not math.isfinite(seconds):
        return "no end"
    return f"{seconds / _DAY:.1f} days" if seconds >= _DAY else f"{seconds / 3_600:.1f} h"
