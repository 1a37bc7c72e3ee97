"""Demand from Prometheus, for a backtest. It imports pandas."""

import numpy as np

from ..demand import Undecided
from ..history import fetch_peaks
from ..prometheus import PrometheusSource
from ..series import Values
from .csv_file import BadDemand, Samples

_DAY = 86_400.0
_STEP = 60.0


def read_prometheus(source: PrometheusSource, query: str, *, days: float, now: float) -> Samples:
    """The peak of demand in each minute of the last `days`, as far as Prometheus knows it.

    Raises:
        BadDemand: there is none, or Prometheus cannot be asked.
    """
    found = fetch_peaks(source, query, start=now - days * _DAY, end=now, step=_STEP)
    if isinstance(found, Undecided):
        raise BadDemand(f"{source.url}: {found.message}{_hint(found)}")
    if not found.known:
        raise BadDemand(f"{source.url}: the query has no history in the last {days:g} days")
    known = np.isfinite(found.values)
    times, values = found.times[known], found.values[known]
    return Samples("demand", tuple(times.tolist()), tuple(values.tolist()), _notes(times))


def _hint(reason: Undecided) -> str:
    match reason.reason:
        case "HistoryUnavailable":
            return " (does this address answer, and is the query right?)"
        case "HistoryEmpty":
            return " (does it answer in Prometheus' own page?)"
        case "HistoryInvalid":
            return " (is this Prometheus?)"
    return ""


def _notes(times: Values) -> tuple[str, ...]:
    wanted = round((times[-1] - times[0]) / _STEP) + 1
    missing = wanted - len(times)
    if missing <= 0.01 * wanted:
        return ()
    return (f"{missing} of {wanted} minutes are missing and count as gaps",)
