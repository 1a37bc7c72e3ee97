import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from foretide.forecasting.behavior import Behavior
from foretide.forecasting.decision import MetricPolicy, ScalingPolicy
from foretide.forecasting.forecast import Forecast
from foretide.forecasting.lookahead.model import LookaheadModel
from foretide.forecasting.lookahead.plan import LEVELS
from foretide.forecasting.lookahead.trees import Trees
from foretide.forecasting.prometheus import PrometheusSource
from foretide.forecasting.series import Series
from foretide.forecasting.worker import FitRequest
from foretide.operator.api.predictivescaler import ScaleTargetRef
from foretide.operator.cluster import Target

NOON = 1_790_000_000.0

settings.register_profile(
    "operator",
    derandomize=True,
    deadline=None,
    max_examples=60,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("operator")


@pytest.fixture
def spec():
    """The smallest valid spec, with what is given put over it."""

    def make(**changes):
        return {
            "scaleTargetRef": {"kind": "Deployment", "name": "shop"},
            "maxReplicas": 20,
            "metrics": [{"query": "sum(rate(requests[2m]))", "perReplica": 100}],
            **changes,
        }

    return make


@pytest.fixture
def forecast():
    def make(upper=300.0, median=200.0, *, start=NOON - 300, steps=73, valid_for=6 * 3600.0):
        return Forecast(
            model="test",
            start=start,
            step=300.0,
            upper=(float(upper),) * steps,
            median=(float(median),) * steps,
            quantile=0.975,
            fitted_at=start + 300,
            valid_until=start + 300 + valid_for,
            history_seconds=14 * 86_400.0,
            history_points=4_032,
        )

    return make


@pytest.fixture
def lookahead():
    """A model of the coming maximum that has learned nothing, with these choices."""

    def make(*choices, coverage=(0.52, 0.71, 0.8, 0.9, 0.94, 0.97, 0.99, 0.996), window=4):
        nothing = np.zeros(0)
        return LookaheadModel(
            trees=Trees(*[nothing] * 6),
            shifts=np.zeros(len(LEVELS)),
            unit=1.0,
            zone="UTC",
            window=window,
            choices=choices,
            coverage=coverage,
            recent=Series(NOON, 60.0, nothing),
            fitted_at=NOON - 120,
            history_seconds=14 * 86_400.0,
            history_points=20_160,
        )

    return make


@pytest.fixture
def policy():
    def make(*names, per_replica=100.0, minimum=1, maximum=50, behavior=None):
        return ScalingPolicy(
            min_replicas=minimum,
            max_replicas=maximum,
            metrics=tuple(MetricPolicy(name, per_replica) for name in names or ("demand",)),
            lead_time=180.0,
            behavior=behavior or Behavior(),
        )

    return make


@pytest.fixture
def target():
    def make(replicas=3, ready=3, unschedulable=0):
        return Target(
            namespace="web",
            ref=ScaleTargetRef(kind="Deployment", name="shop"),
            path="/apis/apps/v1/namespaces/web/deployments/shop/scale",
            replicas=replicas,
            ready=ready,
            unschedulable=unschedulable,
            resource_version="1",
        )

    return make


@pytest.fixture
def fit_request():
    def make(now=NOON, query="demand"):
        return FitRequest(
            source=PrometheusSource(url="http://prometheus"),
            query=query,
            now=now,
            history=14 * 86_400.0,
            step=300.0,
            horizon=21_600.0,
            quantile=0.975,
            min_history=2 * 86_400.0,
        )

    return make
