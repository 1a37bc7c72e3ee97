"""Prophet as a forecast engine. Runs in a worker process: it imports pandas and Prophet."""

import logging
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from prophet import Prophet

from .demand import Undecided, ZeroKnowledge
from .forecast import Forecast
from .worker import FitRequest

Values = npt.NDArray[np.float64]

_DAY = 86_400.0

# Stan's progress belongs to nobody's log.
logging.getLogger("cmdstanpy").setLevel(logging.ERROR)
logging.getLogger("prophet").setLevel(logging.ERROR)


def forecast(values: "pd.Series[float]", request: FitRequest) -> Forecast | Undecided:
    """Fit Prophet to demand and predict its median and upper quantile.

    `values` are samples of demand indexed by UTC time. The upper quantile is the fit's own plus
    the quantile of what the fit missed at that time of day, not Prophet's Gaussian interval:
    demand is skewed, and peaks are what matters.

    Raises:
        RuntimeError: Stan failed.
    """
    if values.empty:
        return Undecided("HistoryEmpty", "the query has no history")
    span = (values.index[-1] - values.index[0]).total_seconds()
    if span < request.min_history:
        return Undecided(
            "TooLittleHistory",
            f"needs {_span(request.min_history)} of history, has {_span(span)}",
        )
    peaks = values.resample(pd.Timedelta(seconds=request.step)).max().dropna()
    model = _model(span)
    model.fit(pd.DataFrame({"ds": local_clock(peaks.index, request.time_zone), "y": peaks}))

    start = math.floor(request.now / request.step) * request.step
    steps = max(1, math.ceil(request.horizon / request.step) + 1)
    ahead = pd.to_datetime(start + request.step * np.arange(steps), unit="s", utc=True)
    both = peaks.index.append(ahead)
    predicted = model.predict(pd.DataFrame({"ds": local_clock(both, request.time_zone)}))["yhat"]
    fitted = np.maximum(0.0, predicted.to_numpy())
    learned, coming = fitted[: len(peaks)], fitted[len(peaks) :]
    missed = peaks.to_numpy() - learned
    margin = _margins(
        missed, _time_of_day(peaks.index), _time_of_day(ahead), quantile=request.quantile
    )
    return Forecast(
        model="Prophet",
        start=start,
        step=request.step,
        upper=tuple(np.maximum(0.0, coming + margin).round(6).tolist()),
        median=tuple(coming.round(6).tolist()),
        quantile=request.quantile,
        fitted_at=request.now,
        valid_until=start + request.step * steps,
        history_seconds=span,
        history_points=len(peaks),
        zeros=ZeroKnowledge(frozenset(int(at.hour) for at in values.index[values == 0])),
    )


def local_clock(index: "pd.Index[Any]", time_zone: str) -> pd.DatetimeIndex:
    """Wall-clock time of the workload: people rise at 7 also after the clocks have changed."""
    return pd.DatetimeIndex(index).tz_convert(time_zone).tz_localize(None)


def _model(span: float) -> Prophet:
    return Prophet(
        growth="linear",
        # A trend that bends at each incident extrapolates incidents.
        changepoint_prior_scale=0.01,
        daily_seasonality=24,
        weekly_seasonality=10 if span >= 14 * _DAY else False,
        yearly_seasonality=False,
        uncertainty_samples=0,
    )


def _time_of_day(index: "pd.Index[Any]") -> Values:
    clock = pd.DatetimeIndex(index)
    seconds = clock.hour * 3600 + clock.minute * 60 + clock.second
    return np.asarray(seconds, dtype=float)


def _margins(
    missed: Values,
    seen_at: Values,
    wanted_at: Values,
    *,
    quantile: float,
    half_width: float = 5_400.0,
) -> Values:
    """The quantile of the fit's errors within `half_width` seconds of each time of day."""
    overall = float(np.quantile(missed, quantile))
    slots: dict[float, float] = {}
    for at in np.unique(wanted_at):
        away = np.abs(seen_at - at)
        near = missed[np.minimum(away, _DAY - away) <= half_width]
        slots[float(at)] = float(np.quantile(near, quantile)) if len(near) >= 20 else overall
    return np.array([slots[float(at)] for at in wanted_at])


def _span(seconds: float) -> str:
    return f"{seconds / _DAY:.1f} days" if seconds >= _DAY else f"{seconds / 3600:.1f} h"
