import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.behavior import Change, Recommendation
from foretide.forecasting.slo import Step
from foretide.operator.api.predictivescaler import Mode
from foretide.operator.conditions import Condition, merge, timestamp
from foretide.operator.owners import Claim
from foretide.operator.policies import SafeLoad
from foretide.operator.scaler import Scaler

NOON = 1_790_000_000.0
SPEC = {
    "scaleTargetRef": {"kind": "Deployment", "name": "shop"},
    "maxReplicas": 20,
    "mode": "Auto",
    "metrics": [{"query": "demand", "perReplica": 100}],
}


def body(status=None, spec=SPEC, generation=3):
    return {
        "metadata": {
            "uid": "u",
            "namespace": "web",
            "name": "shop",
            "generation": generation,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": spec,
        "status": status,
    }


def condition(kind, holds, reason):
    return merge([], [Condition(kind, holds, reason)], generation=1, now=NOON)[0]


def test_a_resource_is_read_with_its_claim():
    scaler = Scaler.from_body(body())
    assert (scaler.uid, scaler.namespace, scaler.name, scaler.generation) == ("u", "web", "shop", 3)
    assert scaler.mode is Mode.AUTO
    assert scaler.claim == Claim("u", "shop", "2026-01-01T00:00:00Z", Mode.AUTO)
    assert scaler.policy.max_replicas == 20
    assert (scaler.changes, scaler.zero_since, scaler.announced) == ((), {}, {})


@pytest.mark.parametrize("spec", [None, {}, {**SPEC, "maxReplicas": 0}, {**SPEC, "mode": "Off"}])
def test_an_invalid_resource_claims_nothing_and_is_never_acted_on(spec):
    scaler = Scaler.from_body(body(spec=spec))
    assert scaler.invalid
    assert (scaler.spec, scaler.policy, scaler.claim) == (None, None, None)
    assert scaler.mode is Mode.PAUSED


def test_a_new_version_keeps_what_was_remembered():
    scaler = Scaler.from_body(body())
    scaler.changes = (Change(NOON, 1, 2),)
    scaler.noticed = ("something",)
    scaler.update(body(spec={}, generation=4))
    assert scaler.invalid
    scaler.update(body(generation=5))
    assert (scaler.invalid, scaler.generation) == ("", 5)
    assert scaler.changes == (Change(NOON, 1, 2),)
    assert scaler.noticed is None


def test_a_restart_recalls_everything_from_status():
    status = {
        "changes": [{"time": timestamp(NOON), "before": 3, "after": 5}],
        "floorChanges": [{"time": timestamp(NOON), "before": 1, "after": 4}],
        "decision": {
            "time": timestamp(NOON),
            "source": "Held",
            "proposed": 5,
            "message": "held",
            "metrics": [
                {"name": "demand", "zeroSince": timestamp(NOON - 60)},
                {"name": "queue", "demand": "5"},
            ],
        },
        "conditions": [
            condition("Ready", False, "SuddenZero"),
            condition("ForecastAvailable", True, "Forecasting"),
        ],
    }
    scaler = Scaler.from_body(body(status))
    assert scaler.status == status
    assert scaler.changes == (Change(NOON, 3, 5),)
    assert scaler.floor_changes == (Change(NOON, 1, 4),)
    assert scaler.zero_since == {"demand": NOON - 60}
    assert scaler.announced == {
        "Ready": ("False", "SuddenZero"),
        "ForecastAvailable": ("True", "Forecasting"),
    }
    assert scaler.forecast_was_available


@pytest.mark.parametrize("holds", [False, None])
def test_a_forecast_that_was_not_there_is_not_awaited(holds):
    scaler = Scaler.from_body(body({"conditions": [condition("ForecastAvailable", holds, "No")]}))
    assert not scaler.forecast_was_available


def test_one_part_that_cannot_be_read_does_not_lose_the_others():
    scaler = Scaler.from_body(
        body(
            {
                "changes": [{"time": "yesterday", "before": 1, "after": 2}],
                "conditions": [condition("Ready", True, "Scaling")],
            }
        )
    )
    assert scaler.changes == ()
    assert scaler.announced == {"Ready": ("True", "Scaling")}


def test_a_restart_at_night_makes_no_news_of_the_morning():
    night = condition("ScalingLimited", True, "TooFewReplicas")
    assert Scaler.from_body(body({"conditions": [night]})).announced == {}


def test_trust_that_was_lost_stays_lost_after_a_restart():
    metric = {"name": "a", "trust": "Distrusted", "harmMinutes": "4.2", "missedMinutes": "3.5"}
    status = {"decision": {"metrics": [metric]}}
    scaler = Scaler.from_body(body(status), NOON)
    meter = scaler.trust["a"]
    assert (meter.harm, meter.missed, meter.lost) == (4.2, 3.5, True)
    meter.see(1.0, planned=2.0, reactive=2.0, lead_time=60.0, now=NOON)
    assert meter.verdict.reason == "Distrusted"
    assert scaler.trust["another"].verdict is None


@pytest.mark.parametrize(
    ("trusted", "awaited"), [(True, True), (False, False), (None, True), ("absent", True)]
)
def test_a_forecast_that_was_not_trusted_is_not_awaited(trusted, awaited):
    found = [condition("ForecastAvailable", True, "Forecasting")]
    if trusted != "absent":
        found.append(condition("ForecastTrusted", trusted, "Distrusted"))
    assert Scaler.from_body(body({"conditions": found})).forecast_was_available is awaited


def test_start_ups_of_earlier_are_known_after_a_restart_and_not_counted_again():
    line = f"{timestamp(NOON - 600)} 41 43"
    scaler = Scaler.from_body(body({"leadTime": {"startUps": [line, "nonsense"]}}), NOON)
    assert scaler.start_history.lines() == [line]
    assert scaler.pod_watch.counted_until == scaler.start_history.counted_until > NOON - 600
    assert scaler.lead_time.samples == 2


def test_start_ups_of_tomorrow_are_not_believed():
    line = f"{timestamp(NOON + 86_400)} 41"
    scaler = Scaler.from_body(body({"leadTime": {"startUps": [line]}}), NOON)
    assert scaler.start_history.scale_ups == ()


def test_memory_starts_with_what_was_spent_and_what_the_slo_watches_over():
    status = {
        "costGuard": {
            "spentPodHours": "3",
            "exhausted": True,
            "hours": [str(int(NOON // 3_600)), "3.0"],
        },
        "slo": {
            "phase": "ObservingSlo",
            "steps": [{"time": timestamp(NOON), "before": 9, "after": 8, "value": "0.1"}],
        },
        "changes": [
            {"time": timestamp(at), "before": 3, "after": 5} for at in (NOON - 60, NOON + 9_000)
        ],
    }
    scaler = Scaler.from_body(body(status), NOON)
    memory = scaler.start(8, NOON)
    assert memory is scaler.memory
    assert (memory.spending.spent(NOON), memory.spending.exhausted) == (3.0, True)
    assert memory.slo.steps == (Step(NOON, 9, 8, 0.1),)
    assert memory.recommendations == (Recommendation(NOON, 8),)
    assert memory.changes == (Change(NOON - 60, 3, 5),)


def test_another_lead_time_is_learned_from_what_is_known_already():
    scaler = Scaler.from_body(body())
    assert scaler.lead_time.seconds == 180
    scaler.update(body(spec={**SPEC, "forecast": {"leadTime": "4m"}}))
    assert scaler.lead_time.seconds == 240


def remembering(spec):
    """A resource that has something in memory for each of its metrics."""
    scaler = Scaler.from_body(body(spec=spec))
    for metric in spec["metrics"]:
        name = metric["name"]
        scaler.recent[name].add(5.0, NOON)
        scaler.trust[name].harm = 3.0
        scaler.readings[name].append((NOON, 5.0))
        scaler.zero_since[name] = scaler.drop_since[name] = NOON
        scaler.safe_loads[name] = SafeLoad(1.0, 0.7)
    return scaler


def two(**changes):
    first = {"name": "a", "query": "one", "perReplica": 1}
    return {
        **SPEC,
        "metrics": [{**first, **changes}, {"name": "b", "query": "two", "perReplica": 1}],
    }


def known(scaler):
    return [
        set(part)
        for part in (
            scaler.recent,
            scaler.trust,
            scaler.readings,
            scaler.zero_since,
            scaler.drop_since,
            scaler.safe_loads,
        )
    ]


@pytest.mark.parametrize("change", [{"query": "other"}, {"source": "thanos"}, {"name": "c"}])
def test_of_another_query_nothing_is_remembered(change):
    scaler = remembering(two())
    scaler.update(body(spec=two(**change)))
    assert known(scaler) == [{"b"}] * 6


@pytest.mark.parametrize("change", [{}, {"perReplica": 5}, {"targetUtilization": 0.5}])
def test_another_target_forgets_nothing(change):
    scaler = remembering(two())
    scaler.update(body(spec=two(**change)))
    assert known(scaler) == [{"a", "b"}] * 6


def test_a_mistake_in_the_spec_forgets_nothing_until_it_is_mended():
    scaler = remembering(two())
    scaler.update(body(spec={}))
    scaler.update(body(spec=two()))
    assert known(scaler) == [{"a", "b"}] * 6
    scaler.update(body(spec={}))
    scaler.update(body(spec=two(query="other")))
    assert known(scaler) == [{"b"}] * 6


def test_the_policy_in_force_has_what_is_known_now():
    cpu = {"type": "Resource", "resource": "cpu", "name": "cpu"}
    scaler = Scaler.from_body(body(spec={**SPEC, "metrics": [cpu]}))
    scaler.safe_loads["cpu"] = SafeLoad(0.5, 0.8)
    policy = scaler.policy_now(95.0)
    assert policy.lead_time == 95.0
    assert (policy.metrics[0].per_replica, policy.metrics[0].target_utilization) == (0.5, 0.8)
    scaler.update(body(spec={}))
    assert scaler.policy_now(95.0) is None


FIELDS = """changes decision metrics conditions forecasts time before after name zeroSince type
    status reason lastTransitionTime desiredReplicas"""
names = st.sampled_from(FIELDS.split())
nonsense = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["Ready", "True", "2026-01-01T00:00:00Z", "0001-01-01T00:00:00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5),
    max_leaves=20,
)


numbers = st.sampled_from(["nan", "inf", "-1", "1e400", "5", "497222", "2026-01-01T00:00:00Z"])
lines = st.lists(st.lists(numbers | nonsense, max_size=6).map(lambda x: " ".join(map(str, x))))
metrics = st.lists(
    st.fixed_dictionaries(
        {"name": st.just("demand")},
        optional={
            "trust": nonsense | st.sampled_from(["Trusted", "Distrusted"]),
            "harmMinutes": nonsense | numbers,
            "missedMinutes": nonsense | numbers,
            "zeroSince": nonsense | numbers,
            "dropSince": nonsense | numbers,
        },
    ),
    max_size=2,
)


def survives(status):
    scaler = Scaler.from_body(body(status), NOON)
    assert scaler.spec is not None
    assert all(isinstance(change, Change) for change in scaler.changes)
    memory = scaler.start(3, NOON)
    assert not math.isnan(memory.spending.spent(NOON))
    assert scaler.trust["demand"].harm < 1e6
    scaler.shadow.compare(NOON)
    assert scaler.lead_time.seconds >= 0
    found = [Condition("Ready", True, "Fine")]
    merge(scaler.status.get("conditions") or (), found, generation=1, now=NOON)


@given(nonsense)
def test_a_status_of_any_shape_is_survived(status):
    survives(status)


@pytest.mark.slow
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "changes": nonsense
            | st.lists(
                st.fixed_dictionaries(dict.fromkeys(["time", "before", "after"], nonsense)),
                max_size=2,
            ),
            "decision": nonsense | st.fixed_dictionaries({"metrics": nonsense | metrics}),
            "conditions": nonsense,
            "leadTime": nonsense | st.fixed_dictionaries({"startUps": nonsense}),
            "shadow": nonsense | st.fixed_dictionaries({"hours": nonsense | lines}),
            "costGuard": nonsense
            | st.fixed_dictionaries({"hours": nonsense | lines, "exhausted": nonsense}),
            "slo": nonsense
            | st.fixed_dictionaries(
                {"phase": st.just("Open"), "steps": nonsense, "pausedUntil": nonsense}
            ),
        },
    )
)
def test_a_status_with_the_right_fields_and_the_wrong_contents_is_survived(status):
    survives(status)
