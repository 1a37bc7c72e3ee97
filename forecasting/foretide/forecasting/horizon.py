"""The forecast of the hours ahead, by the engine that a resource names. Runs in a worker process.

It shows people what is coming, and is acted on where no model of the coming maximum is.
"""

import math

import numpy as np

from .demand import Undecided, ZeroKnowledge
from .engines.base import Context
from .engines.catalogue import AUTO as AUTO_ENGINES
from .engines.catalogue import engines_named
from .engines.choice import MOST_POINTS, Chosen, choose
from .engines.yearly import ENOUGH, Yearly, learn
from .events.effects import LearnedEffects
from .forecast import Forecast
from .series import Series
from .worker import AUTO, NOT_WANTED, FitRequest

_DAY = 86_400.0
# The share of the wanted history that must really be there: scrapes fail now and then.
_COVERAGE = 0.8


def forecast(
    history: Series,
    request: FitRequest,
    effects: LearnedEffects | None = None,
    years: Series | None = None,
) -> Forecast | Undecided:
    """What is to be expected over the horizon, events included, or why that cannot be said.

    The history is on the forecast's grid, with NaN for what must not be learned from; `effects` are
    what the events of the request's calendar have been found to do. `years` is the same demand for
    as long as it is known, on any grid up to an hour, from which the time of year is learned.

    Raises:
        Exception: whatever the engine's library raises.
    """
    if not request.engine:
        return NOT_WANTED
    if (lacking := enough(history, request)) is not None:
        return lacking
    step, lower = history.step, round(1.0 - request.quantile, 9)
    start = math.floor(request.now / step) * step
    # A step that has only begun is no example, and is forecast itself.
    seen = history.between(history.start, start)
    context = Context(
        time_zone=request.time_zone,
        quantile=request.quantile,
        levels=(lower, 0.5, request.quantile),
        horizon=request.horizon,
        calendar=request.calendar,
        effects=effects,
        yearly=_yearly(history if years is None else years, request, seen),
    )
    names = AUTO_ENGINES if request.engine == AUTO else (request.engine,)
    chosen = choose(engines_named(names), seen, context)
    if isinstance(chosen, Undecided):
        return chosen
    made = chosen.predict(start, max(1, math.ceil(request.horizon / step)) + 1)
    if not np.isfinite(made.values).all():
        return Undecided("NotFinite", f"the forecast of {made.model} is not a number everywhere")
    return Forecast(
        model=made.model,
        start=made.start,
        step=step,
        upper=tuple(made.at(request.quantile).tolist()),
        median=tuple(made.at(0.5).tolist()),
        lower=tuple(made.at(lower).tolist()),
        quantile=request.quantile,
        fitted_at=request.now,
        valid_until=made.start + step * made.values.shape[1],
        history_seconds=seen.end - seen.start,
        history_points=seen.known,
        coverage=_covered(chosen, request.quantile),
    )


def _yearly(years: Series, request: FitRequest, seen: Series) -> Yearly | None:
    """What the time of year does; None where it is not to be seen, or the engine sees it itself."""
    if request.engine == "Prophet" and min(len(seen), MOST_POINTS) * seen.step >= ENOUGH:
        return None
    return learn(years.between(years.start, seen.end), request.time_zone, request.calendar)


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


def known_zeros(history: Series, now: float) -> ZeroKnowledge:
    """The hours (UTC) at which demand is zero as a rule: on two days or more, before yesterday.

    A zero that has just begun must not vouch for itself, nor one past outage for the next.
    """
    at = history.times[(history.values == 0) & (history.times < now - _DAY)]
    seen = np.unique(np.floor(at / 3_600.0)).astype(int)
    pairs = {(int(hour) % 24, int(hour) // 24) for hour in seen}
    count = np.bincount([hour for hour, _ in pairs], minlength=24)
    return ZeroKnowledge(frozenset(np.flatnonzero(count >= 2).tolist()))


def _covered(chosen: Chosen, quantile: float) -> float | None:
    """The share of the time for which the quantile covered what came, walking forward."""
    errors, calibration = chosen.errors, chosen.calibration
    if not len(errors.truth):
        return None
    said = calibration.quantiles(errors.outlook, errors.leads, errors.times)
    upper = said[calibration.levels.index(quantile)]
    return float((errors.truth <= upper).mean())


def days(seconds: float) -> str:
    """A time for people: days, or hours where it is less than one."""
    if not math.isfinite(seconds):
        return "no end"
    return f"{seconds / _DAY:.1f} days" if seconds >= _DAY else f"{seconds / 3_600:.1f} h"
