"""The status: what it tells, and when it is written."""

import copy
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.behavior import Change
from foretide.forecasting.decision import (
    Memory,
    MetricAnswer,
    MetricObservation,
    MetricPolicy,
    Observation,
    ScalingPolicy,
    Source,
    decide,
)
from foretide.forecasting.demand import Awaited, Reading, Unavailable, Undecided
from foretide.forecasting.forecast import Forecast
from foretide.forecasting.guards import CostPolicy, Spending
from foretide.forecasting.lead_time import StartHistory, learn
from foretide.forecasting.shadow import Hour, Shadow
from foretide.forecasting.slo import SloPolicy, SloState, Step
from foretide.forecasting.trust import TrustMeter
from foretide.operator.api.predictivescaler import Mode, ScaleTargetRef
from foretide.operator.api.status import PredictiveScalerStatus
from foretide.operator.cluster import Target
from foretide.operator.conditions import merge, timestamp
from foretide.operator.report import (
    EventAhead,
    EventsReport,
    LeadReport,
    MetricReport,
    TickReport,
)
from foretide.operator.status import build_status, moved_far, noticeable
from foretide.operator.verdict import Circumstances, of_decision

NOON = 1_790_000_000.0

figures = st.floats(0, 1e12) | st.sampled_from([0.0, 1e-9, 100.0])
texts = st.text(max_size=600)
demands = st.builds(Reading, figures, st.just(NOON)) | st.builds(
    Unavailable, st.just("Unreachable"), texts
)
SALE = EventAhead("sale", NOON, NOON + 60, "declared: 3 times the usual demand")


def lead(seconds):
    return LeadReport(learn(StartHistory(), 60.0), seconds, StartHistory())


grids = st.lists(figures, min_size=1, max_size=30).map(tuple)
forecasts = (
    st.builds(Undecided, st.just("Stale"), texts)
    | st.builds(
        Forecast,
        model=st.just("test"),
        start=st.floats(NOON - 3_600, NOON + 600),
        step=st.just(300.0),
        upper=grids,
        median=grids,
        quantile=st.floats(0.5, 0.99),
        fitted_at=st.just(NOON - 60),
        valid_until=st.floats(NOON - 60, NOON + 3_600),
        history_seconds=st.floats(0, 1e8),
        history_points=st.integers(0, 10_000),
    )
    | st.just(Awaited("NotFittedYet", "it is on its way"))
)
observations = st.lists(st.builds(MetricObservation, demands, forecasts), min_size=1, max_size=4)


def write(tick, **circumstances):
    """A status as it is written after a tick."""
    found = of_decision(tick.decision, tick.target, Circumstances(Mode.AUTO, **circumstances))
    return {
        **build_status(tick),
        "observedGeneration": 1,
        "conditions": merge([], found, generation=1, now=tick.now),
    }


@pytest.mark.slow
@given(observations, st.integers(0, 60), st.booleans())
def test_the_status_of_any_decision_is_what_the_crd_says(seen, replicas, zero):
    names = [f"metric-{position}" for position in range(len(seen))]
    policy = ScalingPolicy(1, 50, tuple(MetricPolicy(name, 0.5) for name in names), 180.0)
    made = decide(Observation(replicas, tuple(seen)), policy, Memory(), now=NOON)
    ref = ScaleTargetRef(kind="Deployment", name="shop")
    where = Target("web", ref, "/path", replicas, 0, 1, "1")
    since = NOON if zero else None
    known = [MetricReport(zero_since=since, trust=TrustMeter(harm=1.0)) for _ in names]
    status = write(
        TickReport(NOON, where, policy, made, Memory(), known, changes=[Change(NOON, 3, 5)])
    )
    read = PredictiveScalerStatus.model_validate(status)
    assert read.desired_replicas == made.desired
    assert [metric.name for metric in read.decision.metrics] == names
    assert all(len(metric.message or "") <= 140 for metric in read.decision.metrics)
    for metric in read.decision.metrics:
        assert metric.demand is None or float(metric.demand) >= 0
    hash(noticeable(status))


@pytest.fixture
def tick(target, policy, forecast):
    """What is found at a demand, with a forecast of which nothing but the figures changes.

    Further arguments are fields of the report.
    """

    def make(demand=250.0, *, replicas=3, ready=3, upper=280.0, fitted=None, now=NOON, **fields):
        expected = forecast(upper, start=NOON - 300 if fitted is None else fitted)
        seen = MetricObservation(Reading(demand, now), expected)
        made = decide(Observation(replicas, (seen,)), policy(), Memory(), now=now)
        found = TickReport(
            now, target(replicas, ready), policy(), made, Memory(), [MetricReport(expected)]
        )
        return replace(found, **fields)

    return make


@pytest.fixture
def report(tick):
    return lambda *args, **fields: write(tick(*args, **fields))


def test_demand_that_jitters_is_not_noticed(report):
    assert (
        noticeable(report(250)) == noticeable(report(260)) == noticeable(report(255, now=NOON + 60))
    )


@pytest.mark.parametrize(
    "change",
    [
        {"replicas": 4},
        {"ready": 2},
        {"demand": 900},
        {"upper": 500},
        {"fitted": NOON - 600},
        {"changes": [Change(NOON, 2, 3)]},
        {"lead": lead(90.0)},
        {"events": EventsReport((SALE,))},
    ],
)
def test_what_a_person_would_notice_is(report, change):
    assert noticeable(report()) != noticeable(report(**change))


@pytest.mark.parametrize(
    "circumstance",
    [
        {"kill_switch": True},
        {"other_owner": "HorizontalPodAutoscaler shop"},
        {"over_limit": True},
        {"events": EventsReport(problems=("event x: no such day",))},
    ],
)
def test_a_condition_that_changes_is_noticed(tick, circumstance):
    assert noticeable(write(tick())) != noticeable(write(tick(), **circumstance))


def test_a_lead_time_is_noticed_when_it_has_changed_by_much(report):
    before = noticeable(report(lead=lead(90.0)))
    assert before == noticeable(report(lead=lead(92.0)))
    assert before != noticeable(report(lead=lead(150.0)))


def test_a_new_generation_is_noticed(report):
    status = report()
    assert noticeable(status) != noticeable({**status, "observedGeneration": 2})


def test_another_wording_is_not_noticed(report):
    status = report()
    other = copy.deepcopy(status)
    other["conditions"][0]["message"] = "in other words"
    other["decision"]["message"] = "in other words"
    assert noticeable(status) == noticeable(other)


def test_a_status_without_a_decision_can_be_compared_too():
    assert noticeable({}) == noticeable({"conditions": []})


@pytest.mark.parametrize(
    ("old", "new", "far"),
    [
        (100, 124, False),
        (100, 126, True),
        (126, 100, True),
        (0, 0, False),
        (0, 1, True),
        (5, 0, True),
    ],
)
def test_demand_has_moved_far_from_a_quarter_on(report, old, new, far):
    assert moved_far(report(old), report(new), age=300) is far


def test_nothing_has_moved_far_shortly_after_a_write(report):
    assert not moved_far(report(100), report(1_000), age=299)


def test_a_metric_that_has_come_or_gone_has_moved_far(report):
    assert moved_far({}, report(), age=300)
    assert moved_far(report(), {"decision": None}, age=300)
    assert not moved_far({}, {}, age=300)


def test_the_last_change_gives_the_last_scale_time(report):
    status = report(changes=[Change(NOON - 60, 1, 2), Change(NOON, 2, 3)])
    assert status["lastScaleTime"] == timestamp(NOON)
    assert [change["after"] for change in status["changes"]] == [2, 3]
    assert "lastScaleTime" not in report()
    assert report()["changes"] is None


def test_what_only_grows_is_written_hourly(report):
    hours = [Shadow((Hour(497_222, seen, seen * 3, seen * 4),)) for seen in (10.0, 11.0)]
    before, after = (report(shadow=shadow) for shadow in hours)
    assert noticeable(before) == noticeable(after)
    assert not moved_far(before, after, age=3_599)
    assert moved_far(before, after, age=3_600)
    assert not moved_far(before, before, age=90_000)


def test_the_decision_tells_every_signal(tick):
    answer = MetricAnswer(
        "demand",
        9,
        Source.DERIVATIVE,
        demand=250.0,
        reactive=3,
        peak=280.0,
        quantile=0.9851234,
        predicted=3,
        event=4,
        derivative=9,
        hpa=4,
        hold=Undecided("SuddenDrop", "far below"),
    )
    made = replace(tick().decision, answers=(answer,), source=Source.DERIVATIVE, hpa=4)
    known = MetricReport(
        trust=TrustMeter(harm=5.25, missed=2.0, lost=True),
        zero_since=NOON - 60,
        drop_since=NOON - 30,
    )
    status = write(tick(decision=made, metrics=[known]))
    assert status["decision"]["source"] == "Derivative"
    assert status["decision"]["hpa"] == 4
    assert status["decision"]["metrics"] == [
        {
            "name": "demand",
            "demand": "250",
            "reactive": 3,
            "hpa": 4,
            "peak": "280",
            "quantile": 0.98512,
            "predicted": 3,
            "event": 4,
            "derivative": 9,
            "trust": "Distrusted",
            "harmMinutes": "5.2",
            "missedMinutes": "2.0",
            "message": "far below",
            "zeroSince": timestamp(NOON - 60),
            "dropSince": timestamp(NOON - 30),
        }
    ]


def test_an_event_in_force_is_named_in_the_decision(tick):
    made = replace(tick().decision, source=Source.EVENT)
    assert "sale" in write(tick(decision=made, event_names=["sale"]))["decision"]["message"]


def test_events_ahead_are_told_with_what_is_expected(report):
    events = report(events=EventsReport((SALE,), ("event x: no such day",)))["events"]
    assert events == {
        "ahead": [
            {
                "name": "sale",
                "start": timestamp(NOON),
                "end": timestamp(NOON + 60),
                "expected": "declared: 3 times the usual demand",
            }
        ],
        "problems": ["event x: no such day"],
    }
    assert report(events=EventsReport())["events"] == {"ahead": None, "problems": None}


def test_guards_are_told_where_they_are_asked_for(tick):
    spending = Spending(int(NOON // 3_600), (2.5,), NOON, 0, True)
    guarded = replace(
        tick().policy, cost=CostPolicy(max_extra_pod_hours=2.0), slo=SloPolicy(objective=0.3)
    )
    status = write(tick(policy=guarded, memory=Memory(spending=spending), slo_value=0.25))
    assert status["costGuard"]["spentPodHours"] == "2.50"
    assert status["costGuard"]["exhausted"] is True
    assert (status["slo"]["value"], status["slo"]["phase"]) == ("0.25", "Open")
    assert (write(tick())["costGuard"], write(tick())["slo"]) == (None, None)


def test_steps_that_the_slo_watches_over_are_written_at_once(tick):
    policy = replace(tick().policy, slo=SloPolicy(objective=0.3))
    step = SloState((Step(NOON, 9, 8, 0.1),))
    before, after = (
        noticeable(write(tick(policy=policy, memory=Memory(slo=state))))
        for state in (SloState(), step)
    )
    assert before != after


def test_what_is_gone_is_named_so_that_a_merge_patch_takes_it_away(report):
    status = report()
    for key in ("leadTime", "events", "costGuard", "slo", "shadow", "changes"):
        assert status[key] is None
    assert status["decision"]["clampedBy"] is None
