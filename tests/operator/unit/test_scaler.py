import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.behavior import Change
from foretide.operator.api.predictivescaler import Mode
from foretide.operator.conditions import Condition, merge, timestamp
from foretide.operator.owners import Claim
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


def survives(status):
    scaler = Scaler.from_body(body(status))
    assert scaler.spec is not None
    assert all(isinstance(change, Change) for change in scaler.changes)
    found = [Condition("Ready", True, "Fine")]
    merge(scaler.status.get("conditions") or (), found, generation=1, now=NOON)


@given(nonsense)
def test_a_status_of_any_shape_is_survived(status):
    survives(status)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "changes": nonsense
            | st.lists(
                st.fixed_dictionaries(dict.fromkeys(["time", "before", "after"], nonsense)),
                max_size=2,
            ),
            "decision": nonsense | st.fixed_dictionaries({"metrics": nonsense}),
            "conditions": nonsense,
        },
    )
)
def test_a_status_with_the_right_fields_and_the_wrong_contents_is_survived(status):
    survives(status)
