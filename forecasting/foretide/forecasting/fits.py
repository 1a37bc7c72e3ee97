"""One fit, from the history in Prometheus to what the operator works with for hours.

Runs in a worker process: it imports LightGBM, pandas and, where a resource asks for it, Prophet.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np

from . import horizon
from .cleaning import Cleaned, clean
from .demand import Undecided
from .events.effects import LearnedEffects
from .events.learning import learn
from .lookahead import fitting
from .lookahead.choosing import Workload
from .lookahead.model import LookaheadModel
from .past_demand import PastDemand, gather
from .usual import usual_demand
from .worker import NOT_WANTED, FitReport, FitRequest, Stretch

Made = TypeVar("Made")


def fit(request: FitRequest) -> FitReport:
    """Fetch the history, learn from it, look ahead.

    Raises:
        Exception: the history itself cannot be worked on; a single model's failure is `Undecided`.
    """
    began = time.perf_counter()
    past = gather(request)
    queried = time.perf_counter()
    if isinstance(past, Undecided):
        return FitReport(past, queried - began, 0.0, lookahead=_lacking(request, past))
    report = learn_from(past, request)
    return replace(
        report,
        query_seconds=queried - began,
        fit_seconds=time.perf_counter() - queried,
        store_trouble=past.trouble or _keep(past, request),
    )


def learn_from(past: PastDemand, request: FitRequest) -> FitReport:
    """All that is learned of a past: both forecasts, and what events do. No I/O."""
    by_minute = clean(past.minutes, request.time_zone, request.calendar)
    coarse = clean(past.coarse, request.time_zone, request.calendar).series
    learned = _attempt("LearningFailed", lambda: _learn_events(past, request))
    effects, unlearned = (None, learned) if isinstance(learned, Undecided) else (learned, None)
    lookahead = _attempt("LookaheadFailed", lambda: _look_ahead(past, by_minute, request))
    made = _attempt(
        f"{request.engine}Failed",
        lambda: horizon.forecast(coarse, request, effects, past.years),
    )
    return FitReport(
        result=made,
        query_seconds=0.0,
        fit_seconds=0.0,
        lookahead=lookahead,
        effects=effects,
        unlearned=unlearned,
        zeros=horizon.known_zeros(past.coarse, request.now),
        excluded=tuple(Stretch(one.start, one.end, str(one.kind)) for one in by_minute.excluded),
    )


def _look_ahead(
    past: PastDemand, cleaned: Cleaned, request: FitRequest
) -> LookaheadModel | Undecided:
    need = request.lookahead
    if need is None:
        return NOT_WANTED
    if (lacking := horizon.enough(past.minutes, request)) is not None:
        return lacking
    workload = Workload(
        need.per_replica,
        need.min_replicas,
        need.lead,
        need.stabilization,
        need.foreseen,
        need.fixed,
    )
    wanted = fitting.LookaheadRequest(
        workload=workload,
        window=need.window,
        targets=(need.target_utilization,),
        now=request.now,
        min_history=request.min_history,
        zone=request.time_zone,
    )
    # What was wrong with demand is seen as it was, but is no example of anything.
    wrong = np.isfinite(past.minutes.values) & ~np.isfinite(cleaned.series.values)
    return fitting.fit(past.minutes, wanted, usable=~wrong, samples=past.samples)


def _learn_events(past: PastDemand, request: FitRequest) -> LearnedEffects | None:
    """What the events of the calendar did; None where it holds none."""
    if not len(request.calendar):
        return None
    history = clean(past.longest, request.time_zone, request.calendar).series
    return learn(
        history,
        usual_demand(history, request.time_zone),
        request.calendar,
        time_zone=request.time_zone,
        quantile=request.quantile,
    )


def _keep(past: PastDemand, request: FitRequest) -> Undecided | None:
    if request.stored is None or not request.keep:
        return None
    return request.stored.keep(past.rollups)


def _attempt(reason: str, make: Callable[[], Made | Undecided]) -> Made | Undecided:
    """What is made, or why that failed: libraries raise whatever they like."""
    try:
        return make()
    except Exception as error:
        return Undecided(reason, f"{type(error).__name__}: {str(error)[:200]}")


def _lacking(request: FitRequest, reason: Undecided) -> Undecided:
    return NOT_WANTED if request.lookahead is None else reason
