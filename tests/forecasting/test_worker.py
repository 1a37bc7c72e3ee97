"""A fit in a worker process never raises, and says what it has cost."""

import pickle

import numpy as np
import pytest

from foretide.forecasting import prophet_model
from foretide.forecasting.demand import Undecided
from foretide.forecasting.forecast import Forecast
from foretide.forecasting.prometheus import PrometheusSource
from foretide.forecasting.worker import fit_demand

SECRET = "s3cr3t-t0ken"


@pytest.fixture
def request_to(make_request):
    """A request for two days of history from an address."""
    return lambda url, **source: make_request(
        source=PrometheusSource(url, **source), history=2 * 86_400.0
    )


def test_history_from_prometheus_becomes_a_forecast(prometheus, request_to):
    prometheus.demand = lambda at: float(100 - 50 * np.cos(2 * np.pi * at / 86_400))
    report = fit_demand(request_to(prometheus.url))
    assert isinstance(report.result, Forecast)
    assert report.query_seconds > 0
    assert report.fit_seconds > 0


def test_request_and_report_survive_the_way_between_processes(prometheus, request_to):
    request = request_to(prometheus.url)
    assert pickle.loads(pickle.dumps(request)) == request
    prometheus.metrics = []
    report = fit_demand(request)
    assert pickle.loads(pickle.dumps(report)) == report


def test_a_server_that_is_down_is_an_answer(nobody, request_to, tmp_path):
    path = tmp_path / "token"
    path.write_text(SECRET, encoding="utf-8")
    report = fit_demand(request_to(nobody, bearer_token_file=path))
    assert report.result.reason == "HistoryUnavailable"
    assert SECRET not in report.result.message
    assert report.query_seconds > 0
    assert report.fit_seconds == 0.0


@pytest.mark.parametrize("body", [b"<html>", [], {}, {"data": {"result": [7]}}])
def test_a_server_that_is_no_prometheus_is_an_answer(prometheus, request_to, body):
    prometheus.answer = 200, body
    assert isinstance(fit_demand(request_to(prometheus.url)).result, Undecided)


@pytest.mark.parametrize("error", [RuntimeError("Stan: " + "x" * 999), KeyError("ds"), OSError()])
def test_whatever_prophet_raises_is_an_answer(prometheus, request_to, monkeypatch, error):
    def fail(peaks, request):
        raise error

    monkeypatch.setattr(prophet_model, "forecast", fail)
    report = fit_demand(request_to(prometheus.url))
    assert report.result.reason == "ProphetFailed"
    assert report.result.message.startswith(type(error).__name__)
    assert len(report.result.message) < 250
    assert report.query_seconds > 0
    assert report.fit_seconds >= 0


def test_a_time_zone_nobody_knows_is_an_answer(prometheus, make_request):
    request = make_request(
        source=PrometheusSource(prometheus.url), history=2 * 86_400.0, time_zone="Mars/Olympus"
    )
    assert fit_demand(request).result.reason == "ProphetFailed"


def test_a_step_that_leads_nowhere_is_an_answer(prometheus, make_request):
    request = make_request(source=PrometheusSource(prometheus.url), step=0.0)
    assert isinstance(fit_demand(request).result, Undecided)
