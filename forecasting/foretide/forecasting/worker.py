"""What a worker process does: pull history, fit, predict. Heavy imports happen inside, on purpose.

The operator's main process imports this module only for its types and hands `fit_demand` to a
process pool; it must never load pandas or Prophet itself.
"""

import time
from dataclasses import dataclass

from .demand import Undecided
from .forecast import Forecast
from .prometheus import PrometheusSource


@dataclass(frozen=True, slots=True)
class FitRequest:
    """All that one fit needs. Durations in seconds, `now` in Unix seconds."""

    source: PrometheusSource
    query: str
    now: float
    history: float
    step: float
    horizon: float
    quantile: float
    min_history: float
    time_zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class FitReport:
    """The outcome of a fit and what it cost, in seconds."""

    result: Forecast | Undecided
    query_seconds: float
    fit_seconds: float


def fit_demand(request: FitRequest) -> FitReport:
    """Fit a forecast to the history of one metric. Never raises: failures are `Undecided`."""
    from . import history, prophet_model

    began = time.perf_counter()
    fetched = history.fetch_peaks(
        request.source,
        request.query,
        start=request.now - request.history,
        end=request.now,
        step=request.step,
    )
    queried = time.perf_counter()
    if isinstance(fetched, Undecided):
        return FitReport(fetched, queried - began, 0.0)
    try:
        result = prophet_model.forecast(fetched, request)
    except Exception as error:  # Prophet and Stan raise whatever they like
        result = Undecided("ProphetFailed", f"{type(error).__name__}: {str(error)[:200]}")
    return FitReport(result, queried - began, time.perf_counter() - queried)
