"""Prophet in a replay: fitted along the trace once, then read for any lead time and headroom."""

import math
from bisect import bisect_right

from ..demand import Undecided
from ..forecast import Forecast
from ..prometheus import PrometheusSource
from ..worker import FitRequest
from .foretide import FitSettings
from .policies import Foresight
from .trace import Trace

# Foretide's first release: the resolution of its forecast, and the quantile that it scaled for.
STEP = 300.0
QUANTILE = 0.975
_MARGIN = 3_600.0
_NOWHERE = PrometheusSource("http://localhost")


def prophet_forecasts(trace: Trace, start: float, fits: FitSettings) -> list[Forecast]:
    """Prophet's forecasts from `start` on, each fitted to what was known then.

    Moments at which there was too little history have none. Imports Prophet, which takes seconds
    and hundreds of megabytes.
    """
    import pandas as pd

    from ..prophet_model import forecast

    minutes, now = trace.minutes(), start
    found = []
    while now < minutes.end:
        known = minutes.between(now - fits.history, now - trace.lag)
        request = FitRequest(
            source=_NOWHERE,
            query="",
            now=now,
            history=fits.history,
            step=STEP,
            horizon=fits.refit_every + _MARGIN,
            quantile=QUANTILE,
            min_history=fits.min_history,
            time_zone=fits.zone,
        )
        now += fits.refit_every
        if not known.known:
            continue
        peaks = known.coarser(STEP)
        times = pd.to_datetime(peaks.times, unit="s", utc=True)
        made = forecast(pd.Series(peaks.values, times).dropna(), request)
        if not isinstance(made, Undecided):
            found.append(made)
    return found


def foresight(forecasts: list[Forecast], delay: float) -> Foresight:
    """Prophet's upper quantile for the `delay` (seconds) that lies ahead of each moment."""
    begins = [forecast.fitted_at for forecast in forecasts]

    def peak(now: float) -> float:
        at = bisect_right(begins, now) - 1
        if at < 0 or not forecasts[at].covers(now, now + delay):
            return math.nan
        return forecasts[at].upper_peak(now, now + delay)

    return peak
