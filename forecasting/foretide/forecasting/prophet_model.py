"""Prophet as a forecast engine. Runs in a worker process: it imports pandas and Prophet."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

# It complains at import that plotly, which nobody asked for, is not there.
logging.getLogger("prophet.plot").setLevel(logging.CRITICAL)

from prophet import Prophet  # noqa: E402

from .demand import Undecided, ZeroKnowledge  # noqa: E402
from .forecast import Forecast  # noqa: E402
from .worker import FitRequest  # noqa: E402

Values = npt.NDArray[np.float64]

_DAY = 86_400.0
# The share of the wanted history that must really be there: scrapes fail now and then.
_COVERAGE = 0.8
# A year that was seen whole. With less of it, its wave and the trend are one and the same.
_YEAR = 366 * _DAY

# Stan's progress belongs to nobody's log. With no handler of its own, cmdstanpy would set its level
# anew when it is loaded.
logging.getLogger("cmdstanpy").addHandler(logging.NullHandler())
logging.getLogger("cmdstanpy").setLevel(logging.ERROR)
logging.getLogger("prophet").setLevel(logging.ERROR)


def forecast(peaks: "pd.Series[float]", request: FitRequest) -> Forecast | Undecided:
    """Fit Prophet to the peaks of demand and predict their median and upper quantile.

    `peaks` holds the maximum of demand within each step, indexed by the UTC time at which the step
    begins: that is what replicas must carry. Prophet gives the level; the quantiles come from what
    the fit missed at that time of day on earlier days, not from Prophet's own interval, which is
    Gaussian and equally wide at all hours. In-sample errors are somewhat too small, so the share
    of time that the upper quantile really covers is below its name.

    Raises:
        RuntimeError: Stan failed.
    """
    if peaks.empty:
        return Undecided("HistoryEmpty", "the query has no history")
    span = (peaks.index[-1] - peaks.index[0]).total_seconds()
    if span < request.min_history:
        return Undecided(
            "TooLittleHistory",
            f"needs {_span(request.min_history)} of history, has {_span(span)}",
        )
    covered = len(peaks) * request.step
    if covered < _COVERAGE * request.min_history:
        return Undecided(
            "TooLittleHistory",
            f"needs {_span(request.min_history)} of history, has {_span(covered)} with gaps",
        )
    age = request.now - peaks.index[-1].timestamp() - request.step
    if age > max(3 * request.step, 1_800.0):
        return Undecided("HistoryOld", f"the history ends {_span(age)} ago")
    level_at = fit_level(peaks, request.time_zone)
    start = math.floor(request.now / request.step) * request.step
    steps = max(1, math.ceil(request.horizon / request.step) + 1)
    ahead = pd.to_datetime(start + request.step * np.arange(steps), unit="s", utc=True)
    both = local_clock(peaks.index.append(ahead), request.time_zone)
    level = level_at(both)
    learned, coming = level[: len(peaks)], level[len(peaks) :]
    missed = Missed(peaks.to_numpy() - learned, _time_of_day(both[: len(peaks)]))
    times = _time_of_day(both[len(peaks) :])
    upper = np.maximum(0.0, coming + missed.quantile(request.quantile, times, request.step))
    median = np.maximum(0.0, coming + missed.quantile(0.5, times, request.step))
    if not (np.isfinite(upper).all() and np.isfinite(median).all()):
        return Undecided("NotFinite", "Prophet's forecast is not a number everywhere")
    return Forecast(
        model="Prophet",
        start=start,
        step=request.step,
        upper=tuple(upper.tolist()),
        median=tuple(median.tolist()),
        quantile=request.quantile,
        fitted_at=request.now,
        valid_until=start + request.step * steps,
        history_seconds=span,
        history_points=len(peaks),
        zeros=_known_zeros(peaks, request.now),
    )


def fit_level(peaks: "pd.Series[float]", time_zone: str) -> Callable[[pd.DatetimeIndex], Values]:
    """Fit Prophet to peaks of demand (see `forecast`); the level that it sees at local times.

    Raises:
        RuntimeError: Stan failed.
    """
    model = _model((peaks.index[-1] - peaks.index[0]).total_seconds())
    model.fit(pd.DataFrame({"ds": local_clock(peaks.index, time_zone), "y": peaks}))

    def level_at(clock: pd.DatetimeIndex) -> Values:
        return np.asarray(model.predict(pd.DataFrame({"ds": clock}))["yhat"], dtype=float)

    return level_at


def _known_zeros(peaks: "pd.Series[float]", now: float) -> ZeroKnowledge:
    """The hours at which demand is zero as a rule: on two or more days, all before yesterday.

    A zero that has just begun must not vouch for itself, nor one past outage for the next.
    """
    before = pd.Timestamp(now - _DAY, unit="s", tz="UTC")
    zeros = [at for at in peaks.index[peaks == 0] if at < before]
    days: dict[int, set[object]] = {}
    for at in zeros:
        days.setdefault(int(at.hour), set()).add(at.date())
    return ZeroKnowledge(frozenset(hour for hour, seen in days.items() if len(seen) >= 2))


def local_clock(index: "pd.Index[Any]", time_zone: str) -> pd.DatetimeIndex:
    """Wall-clock time of the workload: people rise at 7 also after the clocks have changed."""
    return pd.DatetimeIndex(index).tz_convert(time_zone).tz_localize(None)


@dataclass(frozen=True, slots=True)
class Missed:
    """What a fit missed: `errors` in the unit of demand, at `times` of day in seconds."""

    errors: Values
    times: Values

    def quantile(self, share: float, wanted: Values, step: float) -> Values:
        """The quantile of the errors near each of the `wanted` times of day (seconds).

        Near is within 3 steps, and at least a quarter of an hour, on every day of the history;
        where that is fewer than 12 errors, all of them count.
        """
        reach = max(3 * step, 900.0)
        overall = float(np.quantile(self.errors, share))
        known: dict[float, float] = {}
        for at in np.unique(wanted):
            away = np.abs(self.times - at)
            near = self.errors[np.minimum(away, _DAY - away) <= reach]
            known[float(at)] = float(np.quantile(near, share)) if len(near) >= 12 else overall
        return np.array([known[float(at)] for at in wanted])


def _model(span: float) -> Prophet:
    return Prophet(
        growth="linear",
        changepoint_prior_scale=0.05,
        # Resolves daily shapes of about 36 minutes. More costs seconds of CPU and, measured on
        # several traces, gains nothing: what is sharper is met by the quantile of the errors.
        daily_seasonality=20,
        # Two weeks, less what is missing at the ends of a 14-day query.
        weekly_seasonality=10 if span >= 13 * _DAY else False,
        # A few waves, as for the other engines (engines/yearly.py).
        yearly_seasonality=3 if span >= _YEAR else False,
        uncertainty_samples=0,
    )


def _time_of_day(clock: pd.DatetimeIndex) -> Values:
    seconds = clock.hour * 3600 + clock.minute * 60 + clock.second
    return np.asarray(seconds, dtype=float)


def _span(seconds: float) -> str:
    return f"{seconds / _DAY:.1f} days" if seconds >= _DAY else f"{seconds / 3600:.1f} h"
