"""Demand history from Prometheus. Runs in a worker process: it imports pandas."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import requests
from prometheus_api_client import MetricRangeDataFrame, PrometheusConnect
from prometheus_api_client.exceptions import (
    MetricValueConversionError,
    PrometheusApiClientException,
)

from .demand import Undecided
from .prometheus import PrometheusSource

# Prometheus refuses a range query of more than 11,000 points in a series.
_POINTS_PER_QUERY = 10_000
# What the client raises over valid JSON that is not Prometheus'.
_MALFORMED = (LookupError, TypeError, AttributeError)


def connect(source: PrometheusSource) -> PrometheusConnect:
    """A client for the source.

    Raises:
        OSError: a file with a secret cannot be read.
    """
    session = requests.Session()
    session.verify = str(source.ca_file) if source.ca_file else True
    return PrometheusConnect(
        url=source.url.rstrip("/"),
        headers=source.request_headers(),
        # Credentials are in the headers; without this, requests would put those of ~/.netrc there.
        auth=lambda request: request,
        session=session,
        timeout=math.ceil(source.timeout * 3),
    )


def fetch_peaks(
    source: PrometheusSource, query: str, *, start: float, end: float, step: float
) -> "pd.Series[float] | Undecided":
    """The peak of demand within each step from `start` to `end` (Unix seconds).

    Returns a series of finite, non-negative values indexed by the UTC time at which each step
    begins, gaps left out, or why there is none. Several series in the answer are an error, as
    they are for demand now.

    Prometheus itself takes the maximum, over samples a twentieth of a step apart: sampling at the
    step alone would miss the peaks that replicas must carry. Where it refuses that (a scalar, a
    limit on samples), demand is sampled more coarsely and the maximum is taken here.
    """
    finest = max(15.0, step / 20)
    peaks = f"max_over_time((\n{query}\n)[{step:g}s:{finest:g}s])"
    try:
        try:
            parts = _query_range(source, peaks, start + step, end, step)
            # Prometheus' window ends where its point stands.
            return to_series(parts, shift=-step)
        except PrometheusApiClientException:
            parts = _query_range(source, query, start, end, max(15.0, step / 5))
    except OSError as error:  # requests' exceptions are OSErrors
        return Undecided("HistoryUnavailable", f"history query failed: {type(error).__name__}")
    except (PrometheusApiClientException, ValueError) as error:
        return Undecided("HistoryUnavailable", f"history query failed: {str(error)[:200]}")
    except _MALFORMED as error:
        return _invalid(error)
    values = to_series(parts)
    if isinstance(values, Undecided):
        return values
    return values.resample(pd.Timedelta(seconds=step)).max().dropna()


def _query_range(
    source: PrometheusSource, query: str, start: float, end: float, step: float
) -> list[dict[str, Any]]:
    client = connect(source)
    return [
        part
        for first, last in split_range(start, end, step)
        for part in client.custom_query_range(
            query, _utc(first), _utc(last), f"{step:g}", params={**source.params, "limit": "2"}
        )
    ]


def to_series(parts: list[dict[str, Any]], *, shift: float = 0.0) -> "pd.Series[float] | Undecided":
    """Join the series of several range queries into one; NaN, infinite and negative go out.

    `shift` seconds are added to each time.
    """
    if not parts:
        return Undecided("HistoryEmpty", "the query has no history")
    try:
        if any(part.get("metric") != parts[0].get("metric") for part in parts):
            return Undecided("SeveralSeries", "the query's history has several series, use sum(…)")
        frame = pd.concat([MetricRangeDataFrame(part) for part in parts])
    except (MetricValueConversionError, ValueError, *_MALFORMED) as error:
        return _invalid(error)
    values = pd.to_numeric(frame["value"], errors="coerce").astype(float)
    values.index = (
        pd.DatetimeIndex(values.index).tz_convert("UTC")
        if _aware(values.index)
        else (pd.DatetimeIndex(values.index).tz_localize("UTC"))
    )
    values.index += pd.Timedelta(seconds=shift)
    values = values[~values.index.duplicated(keep="last")].sort_index()
    usable: pd.Series[float] = values[values.map(math.isfinite) & (values >= 0)]
    return usable


def split_range(start: float, end: float, step: float) -> list[tuple[float, float]]:
    """Cut start…end into ranges that no limit of Prometheus refuses.

    Bounds lie on multiples of the step, so that repeated queries see the same samples.

    Raises:
        ValueError: the step is not positive.
    """
    if step <= 0:
        raise ValueError(f"step must be positive, not {step}")
    first, last = math.ceil(start / step), math.floor(end / step)
    return [
        (at * step, min(at + _POINTS_PER_QUERY - 1, last) * step)
        for at in range(first, last + 1, _POINTS_PER_QUERY)
    ]


def _invalid(error: Exception) -> Undecided:
    return Undecided("HistoryInvalid", f"not a range query's answer: {type(error).__name__}")


def _aware(index: "pd.Index[Any]") -> bool:
    return getattr(index, "tz", None) is not None


def _utc(seconds: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
