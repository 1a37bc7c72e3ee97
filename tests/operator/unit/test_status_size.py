"""How long a status can become, and that the longest one is still what the CRD says."""

import json
from dataclasses import replace

import pytest

from foretide.forecasting.behavior import Change
from foretide.forecasting.decision import (
    Decision,
    Memory,
    MetricAnswer,
    MetricPolicy,
    ScalingPolicy,
    Source,
)
from foretide.forecasting.demand import Unavailable, Undecided
from foretide.forecasting.guards import BY_BUDGET, CostPolicy, Guarded, Spending
from foretide.forecasting.lead_time import StartHistory, StartUp, learn
from foretide.forecasting.lookahead.choosing import Choice, Outcome
from foretide.forecasting.lookahead.plan import Plan
from foretide.forecasting.shadow import Hour, Shadow
from foretide.forecasting.slo import SloPhase, SloPolicy, SloState, SloStep, Step
from foretide.forecasting.trust import TrustMeter
from foretide.operator.api.predictivescaler import Actuation, Mode
from foretide.operator.api.status import PredictiveScalerStatus
from foretide.operator.conditions import merge
from foretide.operator.report import (
    EventAhead,
    EventsReport,
    LeadReport,
    MetricReport,
    TickReport,
)
from foretide.operator.rollups import StoreState
from foretide.operator.scaler import Scaler
from foretide.operator.status import build_status
from foretide.operator.verdict import Circumstances, of_decision

NOON = 1_790_000_000.0
HOUR = int(NOON // 3_600)
NAMES = [f"{'a' * 60}-{number:02d}" for number in range(10)]
LONG = "something is wrong, " * 50


def answers():
    return tuple(
        MetricAnswer(
            name,
            123_456,
            Source.FORECAST,
            demand=123_456.789,
            reactive=123_456,
            peak=123_456.789,
            quantile=0.987_654,
            predicted=123_456,
            event=123_456,
            derivative=123_456,
            hpa=123_456,
            unavailable=Unavailable("Unreachable", LONG),
            untrusted=Undecided("Distrusted", LONG),
            hold=Undecided("SuddenDrop", LONG),
        )
        for name in NAMES
    )


def pods(count):
    starts = [
        StartUp(NOON - 900.0 * number, NOON - 900.0 * number + 123.45) for number in range(60)
    ]
    more = [StartUp(start.created, start.ready + 1 / 7) for start in starts for _ in range(3)]
    return StartHistory().after([*starts, *more][:count], NOON)


@pytest.fixture
def worst(target, lookahead, forecast):
    """Ten metrics that all have something to complain of, and everything that can be told."""
    slo = SloState(tuple(Step(NOON, 123_456, 123_455, 0.123_456) for _ in range(10)), NOON, NOON)
    spending = Spending(HOUR - 24, (-1_234.56,) * 25, NOON, 0, True)
    policy = ScalingPolicy(
        1,
        1_000_000,
        tuple(MetricPolicy(name, 100.0) for name in NAMES),
        180.0,
        cost=CostPolicy(max_extra_pod_hours=1.0),
        slo=SloPolicy(0.3),
    )
    decision = Decision(
        123_456,
        123_456,
        123_456,
        Source.HELD,
        answers(),
        clamped_by=("ScaleDownStabilized", BY_BUDGET, "TakenBack", "ScaleDownLimit"),
        hpa=123_456,
        guard=Guarded(1, BY_BUDGET, LONG, NOON),
        slo=SloStep(1, slo, SloPhase.TAKEN_BACK, "the SLO went from 0.1 to 0.5, taken back " * 5),
    )
    plan = Plan(1.8765, 0.15)
    choice = Choice(0.7, plan, Outcome(123_456.7, 0.012_345), Outcome(123_456.7, 0.012_345))
    known = MetricReport(
        horizon=replace(forecast(), model="+".join(["SeasonalNaive"] * 5), coverage=0.98765),
        lookahead=lookahead(choice),
        plan=plan,
        excluded=123,
        failure=Undecided("FitFailed", LONG),
        store_trouble=Undecided("Unreachable", LONG),
        unlearned=Undecided("LearningFailed", LONG),
        trust=TrustMeter(harm=123.45, missed=123.45, lost=True),
        zero_since=NOON,
        drop_since=NOON,
    )
    hours = [Hour(HOUR - back, 60.0, 1e6, 1e6, 60.0, 60.0) for back in reversed(range(168))]
    starts = pods(200)
    return TickReport(
        now=NOON,
        target=target(unschedulable=123_456),
        policy=policy,
        decision=decision,
        memory=Memory(spending=spending, slo=slo),
        metrics=[known] * 10,
        changes=[Change(NOON - number, 123_456, 123_457) for number in range(100)],
        floor_changes=[Change(NOON - number, 123_456, 123_457) for number in range(60)],
        lead=LeadReport(learn(starts, 60.0), 123.0, starts),
        events=EventsReport(
            tuple(EventAhead("e" * 63, NOON, NOON, LONG) for _ in range(8)), (LONG,) * 5
        ),
        slo_value=0.123_456,
        shadow=Shadow(tuple(hours)),
    )


@pytest.fixture
def status(worst):
    circumstances = Circumstances(
        Mode.AUTO,
        failure=LONG,
        actuation=Actuation.HPA_FLOOR,
        events=worst.events,
        store=StoreState("Away", LONG),
        metrics=worst.metrics,
    )
    found = of_decision(worst.decision, worst.target, circumstances)
    return {
        **build_status(worst),
        "observedGeneration": 123_456,
        "conditions": merge([], found, generation=123_456, now=NOON),
    }


def test_the_longest_status_is_below_32_kilobytes(status):
    assert len(json.dumps(status, separators=(",", ":")).encode()) < 32_000


def test_the_longest_status_is_what_the_crd_says(status):
    PredictiveScalerStatus.model_validate(status)


def test_the_longest_status_is_taken_over_after_a_restart(status, worst, spec):
    """The other way round: all that a tick needs comes back."""
    body = {
        "metadata": {"uid": "u", "namespace": "web", "name": "shop"},
        "spec": spec(),
        "status": status,
    }
    scaler = Scaler.from_body(body, NOON)
    assert scaler.status == status
    assert scaler.shadow.compare(NOON).did_pod_minutes == pytest.approx(168e6, rel=0.01)
    assert [one.at for one in scaler.start_history.scale_ups] == [
        one.at for one in worst.lead.history.scale_ups
    ]
    assert scaler.pod_watch.counted_until == scaler.start_history.counted_until
    assert scaler.trust[NAMES[0]].verdict.reason == "Distrusted"
    assert len(scaler.drop_since) == len(scaler.zero_since) == 10
    memory = scaler.start(123_456, NOON)
    assert memory.spending.exhausted
    assert memory.spending.spent(NOON) == pytest.approx(worst.memory.spending.spent(NOON))
    assert len(memory.slo.steps) == 10
    assert (len(memory.changes), len(scaler.floor_changes)) == (40, 60)
