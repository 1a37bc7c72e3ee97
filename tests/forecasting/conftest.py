"""Builders that the tests of the forecasting component share."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import settings

from foretide.forecasting.decision import (
    Memory,
    MetricObservation,
    MetricPolicy,
    Observation,
    ScalingPolicy,
    decide,
)
from foretide.forecasting.demand import Reading, Undecided
from foretide.forecasting.forecast import Forecast
from foretide.forecasting.prometheus import PrometheusSource
from foretide.forecasting.worker import FitRequest

# The same examples everywhere and no clock, so that a busy machine changes nothing.
settings.register_profile(
    "forecasting", derandomize=True, deadline=None, max_examples=60, database=None
)
settings.load_profile("forecasting")

NOW = 1_700_000_000.0


@pytest.fixture(scope="session")
def now():
    """A Tuesday evening, 22:13:20 UTC."""
    return NOW


@pytest.fixture(scope="session")
def make_forecast():
    """A forecast of the upper values given, from now on in steps of a minute."""

    def make(*upper, start=NOW, step=60.0, **changes):
        values = {
            "model": "Test",
            "start": start,
            "step": step,
            "upper": upper,
            "median": tuple(value / 2 for value in upper),
            "quantile": 0.9,
            "fitted_at": start,
            "valid_until": start + step * len(upper),
            "history_seconds": 86_400.0,
            "history_points": 1440,
        }
        return Forecast(**{**values, **changes})

    return make


@pytest.fixture(scope="session")
def make_policy():
    """A policy with one metric of 10 per replica, unless told otherwise."""

    def make(*metrics, **changes):
        metrics = metrics or (MetricPolicy("rps", 10.0),)
        values = {"min_replicas": 1, "max_replicas": 100, "lead_time": 120.0, "metrics": metrics}
        return ScalingPolicy(**{**values, **changes})

    return make


@pytest.fixture(scope="session")
def decide_on(make_policy):
    """Decides at `now`; each metric is its demand, or a pair of demand and forecast."""

    def metric(seen):
        demand, forecast = seen if isinstance(seen, tuple) else (seen, Undecided("None", "none"))
        if isinstance(demand, int | float):
            demand = Reading(demand, NOW)
        return MetricObservation(demand, forecast)

    def run(*metrics, replicas, policy=None, memory=None):
        if policy is None:
            policy = make_policy(*(MetricPolicy(f"metric-{i}", 10.0) for i in range(len(metrics))))
        return decide(
            Observation(replicas, tuple(metric(seen) for seen in metrics)),
            policy,
            memory or Memory(),
            now=NOW,
        )

    return run


class FakePrometheus(ThreadingHTTPServer):
    """Speaks /api/v1/query_range about `demand`, a function of Unix seconds (None is a gap).

    `answer` replaces all answers by a status and a body; with `peaks` off, max_over_time is
    refused as Prometheus refuses it for a scalar.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.demand = lambda at: 1.0
        self.answer = None
        self.peaks = True
        self.metrics = [{}]
        self.asked = []
        self.headers = []

    def reply(self, asked):
        """Status and body for a request."""
        if self.answer is not None:
            return self.answer
        peaks = asked["query"].startswith("max_over_time(")
        if peaks and not self.peaks:
            return 400, {"status": "error", "errorType": "bad_data", "error": "a range is wanted"}
        start, end, step = (float(asked[key]) for key in ("start", "end", "step"))
        times = [start + k * step for k in range(int((end - start) / step) + 1)]
        values = [[at, str(v)] for at in times if (v := self.value(at, step, peaks)) is not None]
        result = [{"metric": metric, "values": values} for metric in self.metrics if values]
        return 200, {"status": "success", "data": {"resultType": "matrix", "result": result}}

    def value(self, at, step, peaks):
        """Demand at a time; for max_over_time its peak in the window that ends there."""
        if not peaks:
            return self.demand(at)
        seen = [self.demand(at - back) for back in range(0, int(step), 15)]
        return max((value for value in seen if value is not None), default=None)


class Handler(BaseHTTPRequestHandler):
    """Answers one request of `FakePrometheus`."""

    def do_GET(self):
        """The API's only method that the client uses."""
        url = urlsplit(self.path)
        asked = {key: values[0] for key, values in parse_qs(url.query).items()}
        self.server.asked.append({"path": url.path, **asked})
        self.server.headers.append(dict(self.headers))
        status, body = self.server.reply(asked)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        """Be quiet."""


@pytest.fixture
def prometheus():
    """A small HTTP server that speaks Prometheus' API for ranges."""
    server = FakePrometheus()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def nobody(monkeypatch):
    """The address of a Prometheus that is down; its client loses no time on waiting."""
    monkeypatch.setattr("prometheus_api_client.prometheus_connect.RETRY_BACKOFF_FACTOR", 0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture(scope="session")
def make_request():
    """A request for a fit to five days in steps of 10 minutes, two hours ahead."""

    def make(**changes):
        values = {
            "source": PrometheusSource("http://prometheus.example"),
            "query": "sum(x)",
            "now": NOW,
            "history": 5 * 86_400.0,
            "step": 600.0,
            "horizon": 7200.0,
            "quantile": 0.9,
            "min_history": 86_400.0,
        }
        return FitRequest(**{**values, **changes})

    return make
