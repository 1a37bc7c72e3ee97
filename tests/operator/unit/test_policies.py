"""From a spec to the policy that decides."""

import math

import pytest

from foretide.forecasting.behavior import Behavior
from foretide.forecasting.decision import MetricPolicy
from foretide.forecasting.guards import CostPolicy
from foretide.forecasting.load_curve import LoadCurve
from foretide.forecasting.slo import SloPolicy
from foretide.operator.api.predictivescaler import PredictiveScalerSpec
from foretide.operator.policies import SafeLoad, to_policy, with_safe_loads


@pytest.fixture
def read(spec):
    return lambda **changes: PredictiveScalerSpec.model_validate(spec(**changes))


def test_the_policy_holds_what_a_decision_needs(read):
    metrics = [{"query": "sum(requests)", "perReplica": 100}]
    policy = to_policy(read(minReplicas=2, forecast={"leadTime": "4m"}, metrics=metrics))
    assert (policy.min_replicas, policy.max_replicas, policy.lead_time) == (2, 20, 240)
    assert policy.behavior == Behavior()
    assert policy.metrics == (MetricPolicy("demand", 100.0, 0.7),)


def test_metrics_without_a_name_are_called_by_their_place(read):
    metrics = [{"query": "a", "perReplica": 1}, {"query": "b", "perReplica": 1, "name": "queue"}]
    spec = read(metrics=metrics)
    assert spec.metric_names == ("demand-0", "queue")
    assert tuple(metric.name for metric in to_policy(spec).metrics) == spec.metric_names


def test_guards_are_part_of_the_policy(read):
    policy = to_policy(
        read(
            costGuard={"maxExtraReplicas": 5, "maxExtraPodHoursPerDay": 24},
            slo={"query": "p99", "objective": "300m", "window": "10m"},
        )
    )
    assert policy.cost == CostPolicy(5, 24.0)
    assert policy.slo == SloPolicy(0.3, window=600.0)
    assert (to_policy(read()).cost, to_policy(read()).slo) == (CostPolicy(), None)


def test_a_load_curve_stands_for_the_safe_load(read):
    points = [{"replicas": 1, "load": 100}, {"replicas": 10, "load": 800}]
    (metric,) = to_policy(read(metrics=[{"query": "a", "loadCurve": points}])).metrics
    assert metric.curve == LoadCurve(((1, 100.0), (10, 800.0)))
    assert metric.per_replica == 100


CPU = {"type": "Resource", "resource": "cpu", "name": "cpu"}


def test_a_resource_asks_for_nothing_until_the_requests_are_known(read):
    """Even where a forecast says something: what it would take to carry it is not known."""
    policy = to_policy(read(metrics=[CPU]))
    (metric,) = policy.metrics
    assert metric.per_replica == math.inf
    assert metric.replicas_for(1e6) == 0
    (metric,) = with_safe_loads(policy, {"cpu": SafeLoad(0.5, 0.8)}).metrics
    assert (metric.replicas_for(3.0), metric.target_utilization) == (6, 0.8)


def test_a_target_of_more_than_the_request_is_a_safe_load_without_headroom(read):
    (metric,) = to_policy(
        read(metrics=[{**CPU, "perReplica": "500m", "targetUtilization": 1.5}])
    ).metrics
    assert (metric.per_replica, metric.target_utilization) == (0.75, 1.0)


def test_safe_loads_of_other_metrics_change_nothing(read):
    policy = to_policy(read())
    assert with_safe_loads(policy, {}) is policy
    assert with_safe_loads(policy, {"cpu": SafeLoad(1.0, 0.7)}) == policy


@pytest.mark.parametrize(
    ("query", "window", "foreseen"),
    [("demand", 300, 0), ("rate(a[2m])", 300, 180), ("rate(a[4m]) + rate(b[10m])", 660, 660)],
)
def test_scaling_down_looks_back_over_the_range_of_the_query(read, query, window, foreseen):
    """While a metric dies, rate(…[10m]) falls for ten minutes."""
    policy = to_policy(read(metrics=[{"query": query, "perReplica": 1}]))
    assert policy.behavior.down.window(foreseen=False) == window
    assert policy.behavior.down.window(foreseen=True) == foreseen
    assert policy.behavior.up.stabilization == 0


def test_a_longer_window_that_was_asked_for_stays(read):
    down = {"scaleDown": {"stabilizationWindowSeconds": 1800}}
    policy = to_policy(read(behavior=down, metrics=[{"query": "rate(a[10m])", "perReplica": 1}]))
    assert policy.behavior.down.stabilization == 1800


def test_scaling_down_looks_back_over_the_arrivals_of_a_backlog_too(read):
    backlog = {
        "type": "Backlog",
        "query": "waiting",
        "arrivalQuery": "rate(a[10m])",
        "drainWithin": "5m",
        "perReplica": 1,
    }
    assert to_policy(read(metrics=[backlog])).behavior.down.stabilization == 660


def test_the_history_of_a_resource_says_nothing_of_how_it_fades(read):
    policy = to_policy(read(metrics=[{**CPU, "query": "sum(rate(cpu[10m]))"}]))
    assert policy.behavior.down.stabilization == 300
