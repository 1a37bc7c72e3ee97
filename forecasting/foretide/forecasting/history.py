"""Demand history from Prometheus. Runs in a worker process: its client imports pandas."""

import math
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import numpy as np
import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException

from .demand import Undecided
from .prometheus import PrometheusSource, refusal
from .series import Series

# Prometheus refuses a range query of more than 11,000 points in a series.
_POINTS_PER_QUERY = 10_000
# What reading valid JSON raises that is not Prometheus'.
_MALFORMED = (LookupError, TypeError, AttributeError, ValueError)
# requests' exceptions are OSErrors, and some of them ValueErrors besides.
_FAILURES = (OSError, PrometheusApiClientException, *_MALFORMED)


def connect(source: PrometheusSource) -> PrometheusConnect:
    """A client for the source.

    Raises:
        OSError: a file with a secret, or the CA's, cannot be read; its `filename` says which.
    """
    if source.ca_file is not None:
        source.ca_file.open("rb").close()  # requests' own error does not name it
    session = requests.Session()
    session.verify = str(source.ca_file) if source.ca_file else True
    session.hooks["response"].append(_refuse)
    return PrometheusConnect(
        url=source.url.rstrip("/"),
        headers=source.request_headers(),
        # Credentials are in the headers; without this, requests would put those of ~/.netrc there.
        auth=lambda request: request,
        session=session,
        timeout=math.ceil(source.timeout * 3),
    )


def _refuse(response: requests.Response, *_: Any, **__: Any) -> None:
    """Raise for what Prometheus refuses, in its own words: its client shows the raw answer."""
    if response.status_code >= HTTPStatus.BAD_REQUEST:
        refused = refusal(response.status_code, response.content)
        raise PrometheusApiClientException(refused.message)


def fetch_peaks(
    source: PrometheusSource, query: str, *, start: float, end: float, step: float
) -> Series | Undecided:
    """The peak of demand within each step from `start` to `end` (Unix seconds).

    Returns a series on the grid of multiples of `step`, or why there is none. Several series in
    the answer are an error, as they are for demand now.

    Prometheus itself takes the maximum, over samples a twentieth of a step apart: sampling at the
    step alone would miss the peaks that replicas must carry. Where it refuses that (a scalar, a
    limit on samples), demand is sampled more coarsely and the maximum is taken here.
    """
    finest = max(15.0, step / 20)
    peaks = f"max_over_time((\n{query}\n)[{step:g}s:{finest:g}s])"
    shift = -step  # Prometheus' window ends where its point stands
    try:
        try:
            parts = _query_range(source, peaks, start + step, end, step)
        except PrometheusApiClientException:
            parts = _query_range(source, query, start, end, max(15.0, step / 5))
            shift = 0.0
    except _FAILURES as error:
        return _failed(error)
    return to_series(parts, step, start=start - step, end=end + step, shift=shift)


def fetch_samples(
    source: PrometheusSource, query: str, *, start: float, end: float, step: float
) -> Series | Undecided:
    """Demand as it was known at the end of each step from `start` to `end` (Unix seconds).

    That is what a scaler sees who asks then, where `fetch_peaks` gives what came meanwhile.
    """
    try:
        parts = _query_range(source, query, start + step, end, step)
    except _FAILURES as error:
        return _failed(error)
    return to_series(parts, step, start=start - step, end=end + step, shift=-step)


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


def to_series(
    parts: list[dict[str, Any]],
    step: float,
    *,
    start: float = -math.inf,
    end: float = math.inf,
    shift: float = 0.0,
) -> Series | Undecided:
    """Join the series of several range queries into one; NaN, infinite and negative go out.

    `shift` seconds are added to each time; samples outside start…end go out, too.
    """
    if not parts:
        return Undecided("HistoryEmpty", "the query has no history")
    try:
        if any(part.get("metric") != parts[0].get("metric") for part in parts):
            return Undecided("SeveralSeries", "the query's history has several series, use sum(…)")
        samples = [sample for part in parts for sample in part["values"]]
        times = np.array([float(sample[0]) for sample in samples]) + shift
        values = np.array([float(sample[1]) for sample in samples])
    except _MALFORMED as error:
        return _invalid(error)
    inside = (times >= start) & (times <= end)
    usable = inside & np.isfinite(values) & (values >= 0)
    if not usable.any():
        return Undecided("HistoryEmpty", "the query's history holds no demand")
    order = np.argsort(times[usable], kind="stable")
    return Series.from_samples(times[usable][order], values[usable][order], step)


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


def _failed(error: Exception) -> Undecided:
    """Why there is no history, without anything of what was sent."""
    if isinstance(error, PrometheusApiClientException):
        return Undecided("HistoryUnavailable", f"history query failed: {error}")
    if isinstance(error, OSError):
        # Of files only those with the source's secrets and its CA are read.
        if error.filename is not None:
            message = f"cannot read {error.filename}: {error.strerror}"
            return Undecided("CredentialsMissing", message)
        return Undecided("HistoryUnavailable", f"history query failed: {type(error).__name__}")
    return _invalid(error)


def _invalid(error: Exception) -> Undecided:
    return Undecided("HistoryInvalid", f"not a range query's answer: {type(error).__name__}")


def _utc(seconds: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
