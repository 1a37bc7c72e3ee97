"""Builders that the tests of the forecasting component share."""

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
