import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from foretide.forecasting.behavior import Behavior, PolicyType, RatePolicy, Select
from foretide.operator.api.forecast import Engine
from foretide.operator.api.guards import CostGuardSpec
from foretide.operator.api.predictivescaler import (
    Actuation,
    Mode,
    PredictiveScalerSpec,
    ScaleTargetRef,
    SignalsSpec,
)
from foretide.operator.settings import explain

SALE = {"name": "sale", "start": "2026-11-27"}


@pytest.fixture
def read(spec):
    return lambda **changes: PredictiveScalerSpec.model_validate(spec(**changes))


@pytest.fixture
def refusal(read):
    def why(**changes):
        with pytest.raises(ValidationError) as raised:
            read(**changes)
        return explain(raised.value)

    return why


def test_the_least_a_user_must_say_gets_careful_defaults(read):
    spec = read()
    assert spec.mode is Mode.RECOMMEND
    assert spec.min_replicas == 1
    assert spec.sudden_zero_grace == 1_800
    metric = spec.metrics[0]
    assert (metric.type, metric.source, metric.name) == ("Prometheus", "default", "")
    assert (metric.target_utilization, metric.stale_after) == (0.7, 120)
    forecast = spec.forecast
    assert forecast.history == 14 * 86_400
    assert forecast.min_history == 2 * 86_400
    assert (forecast.step, forecast.horizon, forecast.refit_every) == (300, 108_000, 21_600)
    assert (forecast.quantile, forecast.lead_time, forecast.time_zone) == (None, 180, "UTC")
    assert forecast.learn_lead_time
    assert (spec.actuation, spec.sudden_drop_grace) == (Actuation.REPLICAS, 900)
    assert spec.signals == SignalsSpec(time_series=True, events=True, derivative=True)
    assert (spec.events, spec.slo, spec.cost_guard) == ([], None, CostGuardSpec())


@pytest.mark.parametrize(
    ("given", "looks_ahead", "horizon_engine"),
    [
        ({}, True, Engine.AUTO),
        ({"engine": "Lookahead"}, True, None),
        ({"engine": "Prophet"}, False, Engine.PROPHET),
    ],
)
def test_an_engine_scales_and_looks_at_the_hours_ahead(read, given, looks_ahead, horizon_engine):
    forecast = read(forecast=given).forecast
    assert (forecast.looks_ahead, forecast.horizon_engine) == (looks_ahead, horizon_engine)


def test_the_hours_ahead_have_a_quantile_also_where_none_is_given(read):
    assert read().forecast.horizon_quantile == 0.975
    assert read(forecast={"quantile": 0.9}).forecast.horizon_quantile == 0.9


@pytest.mark.parametrize(
    ("version", "group", "rest"),
    [
        ("apps/v1", "apps", "v1"),
        ("v1", "", "v1"),
        ("argoproj.io/v1alpha1", "argoproj.io", "v1alpha1"),
    ],
)
def test_a_target_reference_knows_its_group_and_version(version, group, rest):
    ref = ScaleTargetRef(api_version=version, kind="Rollout", name="shop")
    assert (ref.group, ref.version) == (group, rest)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"maxReplicas": 0}, "maxReplicas"),
        ({"maxReplicas": 1_000_001}, "maxReplicas"),
        ({"maxReplicas": "many"}, "maxReplicas"),
        ({"minReplicas": 0}, "minReplicas"),
        ({"minReplicas": 21}, "minReplicas must not be greater than maxReplicas"),
        ({"mode": "auto"}, "mode"),
        ({"metrics": []}, "metrics"),
        ({"metrics": [{"query": "up", "perReplica": 1}] * 11}, "metrics"),
        ({"scaleTargetRef": {"kind": "Deployment"}}, "scaleTargetRef.name"),
        ({"scaleTargetRef": {"kind": "deployment", "name": "a"}}, "scaleTargetRef.kind"),
        ({"scaleTargetRef": {"kind": "A", "name": ""}}, "scaleTargetRef.name"),
        (
            {"scaleTargetRef": {"apiVersion": "apps/", "kind": "A", "name": "a"}},
            "scaleTargetRef.apiVersion",
        ),
        ({"suddenZeroGrace": "8d"}, "suddenZeroGrace"),
        ({"suddenZeroGrace": "soon"}, "suddenZeroGrace"),
        ({"suddenDropGrace": "8d"}, "suddenDropGrace must be between 0s and 7d"),
        ({"actuation": "HPA"}, "actuation"),
        ({"signals": {"burst": True}}, "signals.burst"),
        ({"surge": {"enabled": False}}, "surge.enabled"),
        ({"costGuard": {"maxExtraReplicas": -1}}, "costGuard.maxExtraReplicas"),
        ({"slo": {"query": "p99"}}, "slo.objective"),
        ({"events": [SALE, SALE]}, "events must not have the same name twice"),
        (
            {"events": [{**SALE, "minReplicas": 21}]},
            "minReplicas of an event must not be greater than maxReplicas",
        ),
        ({"forcast": {}}, "forcast"),
        ({"forecast": {"history": "30m"}}, "forecast.history"),
        ({"forecast": {"history": "401d"}}, "forecast.history"),
        ({"forecast": {"minHistory": "15d"}}, "forecast.minHistory"),
        ({"forecast": {"step": "9s"}}, "forecast.step"),
        ({"forecast": {"refitEvery": "59s"}}, "forecast.refitEvery"),
        ({"forecast": {"leadTime": "5h"}}, "forecast.leadTime"),
        ({"forecast": {"horizon": "6h"}}, "forecast.horizon must be at least refitEvery and"),
        ({"forecast": {"horizon": "31d"}}, "forecast.horizon"),
        ({"forecast": {"history": "100d", "step": "10s"}}, "forecast.step"),
        ({"forecast": {"engine": "ARIMA"}}, "forecast.engine"),
        ({"forecast": {"quantile": 1}}, "forecast.quantile"),
        ({"forecast": {"quantile": 0.4}}, "forecast.quantile"),
        ({"forecast": {"timeZone": "Mars/Olympus"}}, "timeZone"),
        ({"forecast": {"timeZone": "../../etc/passwd"}}, "timeZone"),
        ({"forecast": {"timeZone": ""}}, "timeZone"),
        ({"behavior": {"scaleUp": {"policies": [{}]}}}, "behavior.scaleUp.policies.0.type"),
        (
            {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 3_601}}},
            "behavior.scaleDown.stabilizationWindowSeconds",
        ),
        ({"behavior": {"scaleDown": {"tolerance": 2}}}, "behavior.scaleDown.tolerance"),
        ({"behavior": {"scaleDown": {"selectPolicy": "Least"}}}, "behavior.scaleDown.selectPolicy"),
    ],
)
def test_a_bad_spec_is_refused_by_the_name_of_the_field(refusal, change, field):
    assert field in refusal(**change)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"perReplica": 0}, "perReplica must be greater than 0"),
        ({"perReplica": "0m"}, "perReplica must be greater than 0"),
        ({"perReplica": -1}, "perReplica"),
        ({"perReplica": float("nan")}, "perReplica"),
        ({"perReplica": float("inf")}, "perReplica"),
        ({"perReplica": None}, "give perReplica or loadCurve"),
        ({"query": ""}, "query"),
        ({"query": "x" * 4_097}, "query"),
        ({"type": "Kafka"}, "type"),
        ({"source": ""}, "source"),
        ({"targetUtilization": 0}, "targetUtilization"),
        ({"targetUtilization": 1.1}, "targetUtilization"),
        ({"staleAfter": "4s"}, "staleAfter"),
        ({"staleAfter": "2h"}, "staleAfter"),
        ({"threshold": 5}, "threshold"),
    ],
)
def test_a_bad_metric_is_refused_by_its_place_and_field(refusal, change, field):
    message = refusal(metrics=[{"query": "up", "perReplica": 1, **change}])
    assert message.startswith("metrics.0")
    assert field in message


def test_all_mistakes_are_told_at_once(refusal):
    message = refusal(maxReplicas=0, mode="Off")
    assert "maxReplicas" in message
    assert "mode" in message


def test_without_rules_behavior_is_that_of_an_hpa(read):
    assert read().behavior.rules() == Behavior()
    assert read(behavior={"scaleUp": {}, "scaleDown": {}}).behavior.rules() == Behavior()


def test_given_rules_replace_only_what_they_name(read):
    rules = read(
        behavior={
            "scaleUp": {"stabilizationWindowSeconds": 0, "tolerance": 0},
            "scaleDown": {
                "policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}],
                "selectPolicy": "Min",
            },
        }
    ).behavior.rules()
    assert rules.up.stabilization == 0
    assert rules.up.tolerance == 0
    assert rules.up.policies == Behavior().up.policies
    assert rules.down.policies == (RatePolicy(PolicyType.PODS, 2, 60),)
    assert rules.down.select is Select.MIN
    assert (rules.down.stabilization, rules.down.tolerance) == (300, 0.1)


def test_scaling_in_one_direction_can_be_switched_off(read):
    rules = read(behavior={"scaleDown": {"selectPolicy": "Disabled"}}).behavior.rules()
    assert rules.down.select is Select.DISABLED
    assert rules.up.select is Select.MAX


def test_two_metrics_must_not_have_the_same_name(refusal, read):
    metric = {"query": "demand", "perReplica": 1}
    named = {**metric, "name": "orders"}
    assert "same name twice" in refusal(metrics=[named, metric, named])
    assert read(metrics=[metric, metric, named])


@given(st.lists(st.sampled_from(["", "demand", "demand-0", "demand-2"]), min_size=1, max_size=4))
def test_no_two_metrics_are_ever_called_the_same(names):
    """What is remembered of metrics goes by their names, also those that nobody has given."""
    spec = {
        "scaleTargetRef": {"kind": "Deployment", "name": "shop"},
        "maxReplicas": 20,
        "metrics": [{"query": "demand", "perReplica": 1, "name": name} for name in names],
    }
    several = len(names) > 1
    called = tuple(
        name or (f"demand-{position}" if several else "demand")
        for position, name in enumerate(names)
    )
    if len(set(called)) < len(called):
        with pytest.raises(ValidationError, match="same name twice"):
            PredictiveScalerSpec.model_validate(spec)
    else:
        assert PredictiveScalerSpec.model_validate(spec).metric_names == called


def test_a_name_must_not_be_what_a_metric_without_one_is_called(refusal, read):
    metric = {"query": "demand", "perReplica": 1}
    message = refusal(metrics=[{**metric, "name": "demand-1"}, metric])
    assert "same name twice: demand-1" in message
    assert "those without a name are called by their position" in message
    assert read(metrics=[{**metric, "name": "demand-0"}, metric])
