"""SLO, cost guard, surge, shadow and lead time as resources and status hold them."""

import pytest
from pydantic import ValidationError

from foretide.forecasting.guards import CostPolicy
from foretide.forecasting.lead_time import StartHistory, StartUp, learn
from foretide.forecasting.shadow import Shadow, Tick
from foretide.forecasting.slo import Direction, SloGate, SloPolicy, SloState
from foretide.forecasting.surge import SurgeLimits
from foretide.operator.api.crds import structural
from foretide.operator.api.guards import CostGuardSpec, CostGuardStatus
from foretide.operator.api.lead_time import LeadTimeStatus
from foretide.operator.api.shadow import ShadowStatus
from foretide.operator.api.slo import SloSpec, SloStatus
from foretide.operator.api.surge import SurgeSpec
from foretide.operator.settings import explain

NOON = 1_790_000_000.0
MODELS = [
    CostGuardSpec,
    CostGuardStatus,
    LeadTimeStatus,
    ShadowStatus,
    SloSpec,
    SloStatus,
    SurgeSpec,
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_is_described_and_has_a_type(model):
    schema = structural(model)
    for name, field in schema["properties"].items():
        assert field["description"], name
        assert "type" in field or field.get("x-kubernetes-int-or-string"), name


def test_an_slo_has_careful_defaults():
    spec = SloSpec.model_validate({"query": "p99", "objective": "300m"})
    assert spec.policy() == SloPolicy(0.3, Direction.BELOW, share=0.1, window=300.0)
    assert (spec.source, spec.stale_after) == ("default", 120.0)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"query": " "}, "slo.query must not be blank"),
        ({"objective": "soon"}, "not a quantity"),
        ({"objective": -1}, "slo.objective must be 0 or more"),
        ({"direction": "Beside"}, "direction"),
        ({"window": "10s"}, "slo.window must be between"),
        ({"staleAfter": "1s"}, "slo.staleAfter must be between"),
        ({"stepPercent": 0}, "stepPercent"),
        ({"target": 1}, "target"),
    ],
)
def test_an_slo_that_makes_no_sense_is_refused(change, complaint):
    with pytest.raises(ValidationError) as raised:
        SloSpec.model_validate({"query": "p99", "objective": 1, **change})
    assert complaint in explain(raised.value)


def test_the_slo_gate_survives_a_restart_in_status():
    gate = SloGate(SloPolicy(0.3))
    step = gate.step(0.1, 10, 20, NOON, SloState())
    status = SloStatus.of(0.1, step)
    assert (status.phase, status.value) == ("SteppedDown", "0.1")
    written = status.model_dump(by_alias=True, exclude_none=True, mode="json")
    assert SloStatus.model_validate(written).state() == step.state

    at, state, replicas = NOON, step.state, 18
    while step.state.pause == 0:
        at += 30
        step = gate.step(0.5, 10, replicas, at, state)
        state, replicas = step.state, step.allowed
    status = SloStatus.of(0.5, step)
    assert status.state() == state
    assert status.pause_seconds == 1_800
    assert SloStatus.of(None, gate.step(None, 10, 20, NOON, SloState())).value is None


@pytest.mark.parametrize("time", ["soon", "", "0001-01-01T00:00:00"])
def test_an_slo_status_that_was_edited_by_hand_loses_only_what_cannot_be_read(time):
    status = SloStatus.model_validate(
        {
            "phase": "Open",
            "pausedUntil": time,
            "steps": [{"time": time, "before": 3, "after": 2, "value": "many"}],
        }
    )
    assert status.state().steps == ()


def test_a_cost_guard_may_have_either_limit_or_none():
    assert CostGuardSpec().policy() == CostPolicy()
    spec = CostGuardSpec.model_validate({"maxExtraReplicas": 5, "maxExtraPodHoursPerDay": 12})
    assert spec.policy() == CostPolicy(5, 12.0)
    with pytest.raises(ValidationError):
        CostGuardSpec.model_validate({"maxExtraPodHoursPerDay": 0})


def test_a_surge_is_bounded_by_what_the_most_replicas_carry():
    assert SurgeSpec().limits(500.0) == SurgeLimits(max_factor=2.0, max_demand=500.0)
    with pytest.raises(ValidationError):
        SurgeSpec.model_validate({"maxFactor": 1})


def test_shadow_status_has_the_sentence_and_what_a_restart_needs():
    shadow = Shadow()
    for i in range(480):
        shadow = shadow.after(Tick(NOON + 15 * i, 6, 10, 10, 5, 180.0))
    status = ShadowStatus.of(shadow, NOON + 7_200)
    assert status.message.startswith("over 120 min Foretide would have used 12 pod-hours instead")
    assert (status.compared_minutes, status.did_lack_minutes) == (120, 0)
    assert Shadow.from_figures(status.hours or ()).figures() == shadow.figures()


def test_the_lead_time_tells_where_it_comes_from():
    starts = [StartUp(NOON - 600 * i, NOON - 600 * i + 40) for i in range(6)]
    history = StartHistory().after(starts, NOON)
    status = LeadTimeStatus.of(learn(history, 180.0), 85.0, history)
    assert (status.source, status.seconds, status.samples, status.scale_ups) == (
        "Learned",
        85,
        6,
        6,
    )
    assert (status.p50, status.node_p90) == (40, None)
    assert StartHistory.from_lines(status.start_ups or (), NOON) == history
