import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.behavior import Change
from foretide.forecasting.decision import (
    Memory,
    MetricObservation,
    MetricPolicy,
    Observation,
    ScalingPolicy,
    decide,
)
from foretide.forecasting.demand import Awaited, Reading, Unavailable, Undecided
from foretide.forecasting.forecast import Forecast
from foretide.operator.api.predictivescaler import Mode, ScaleTargetRef
from foretide.operator.api.status import PredictiveScalerStatus
from foretide.operator.cluster import Target
from foretide.operator.conditions import merge, timestamp
from foretide.operator.status import (
    decision_status,
    forecast_status,
    moved_far,
    noticeable,
    replica_status,
)
from foretide.operator.verdict import Circumstances, of_decision

NOON = 1_790_000_000.0

figures = st.floats(0, 1e12) | st.sampled_from([0.0, 1e-9, 100.0])
texts = st.text(max_size=600)
demands = st.builds(Reading, figures, st.just(NOON)) | st.builds(
    Unavailable, st.just("Unreachable"), texts
)
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


def full_status(target, made, policy, seen, *, zeros=None, changes=(), now=NOON, **circumstances):
    found = of_decision(made, target, Circumstances(Mode.AUTO, **circumstances))
    usable = [one.forecast if isinstance(one.forecast, Forecast) else None for one in seen]
    return {
        **replica_status(target, made, changes),
        "decision": decision_status(made, policy, zeros or {}, now=now),
        "forecasts": forecast_status(usable, policy, now=now),
        "observedGeneration": 1,
        "conditions": merge([], found, generation=1, now=now),
    }


@given(observations, st.integers(0, 60), st.booleans())
def test_the_status_of_any_decision_is_what_the_crd_says(seen, replicas, zero):
    names = [f"metric-{position}" for position in range(len(seen))]
    policy = ScalingPolicy(1, 50, tuple(MetricPolicy(name, 0.5) for name in names), 180.0)
    made = decide(Observation(replicas, tuple(seen)), policy, Memory(), now=NOON)
    ref = ScaleTargetRef(kind="Deployment", name="shop")
    where = Target("web", ref, "/path", replicas, 0, 1, "1")
    zeros = dict.fromkeys(names, NOON) if zero else {}
    status = full_status(where, made, policy, seen, zeros=zeros, changes=[Change(NOON, 3, 5)])
    read = PredictiveScalerStatus.model_validate(status)
    assert read.desired_replicas == made.desired
    assert [metric.name for metric in read.decision.metrics] == names
    assert all(len(metric.message or "") <= 512 for metric in read.decision.metrics)
    for metric in read.decision.metrics:
        assert metric.demand is None or float(metric.demand) >= 0
    hash(noticeable(status))


@pytest.fixture
def report(target, policy, forecast):
    """The status at a demand, with a forecast of which nothing but the figures changes."""

    def make(demand=250.0, *, replicas=3, ready=3, upper=280.0, fitted=None, now=NOON, **rest):
        expected = forecast(upper, start=NOON - 300 if fitted is None else fitted)
        seen = [MetricObservation(Reading(demand, now), expected)]
        made = decide(Observation(replicas, tuple(seen)), policy(), Memory(), now=now)
        return full_status(target(replicas, ready), made, policy(), seen, now=now, **rest)

    return make


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
        {"kill_switch": True},
        {"other_owner": "HorizontalPodAutoscaler shop"},
        {"over_limit": True},
    ],
)
def test_what_a_person_would_notice_is(report, change):
    assert noticeable(report()) != noticeable(report(**change))


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


def test_the_next_peak_is_the_highest_point_still_ahead(policy, forecast):
    (entry,) = forecast_status([forecast(1_234.5)], policy(), now=NOON)
    assert entry["nextPeak"] == {
        "time": timestamp(NOON),
        "demand": "1234.5",
        "replicas": 13,
    }
    assert entry["history"] == "14d"
    (entry,) = forecast_status([forecast()], policy(), now=NOON + 30 * 86_400)
    assert "nextPeak" not in entry


def test_without_forecasts_there_is_no_list(policy):
    assert forecast_status([None, None], policy("a", "b"), now=NOON) is None


def test_forecasts_are_told_by_the_names_of_their_metrics(policy, forecast):
    entries = forecast_status([None, forecast()], policy("a", "b"), now=NOON)
    assert [entry["metric"] for entry in entries] == ["b"]


def test_the_last_change_gives_the_last_scale_time(report):
    status = report(changes=[Change(NOON - 60, 1, 2), Change(NOON, 2, 3)])
    assert status["lastScaleTime"] == timestamp(NOON)
    assert [change["after"] for change in status["changes"]] == [2, 3]
    assert "lastScaleTime" not in report()
    assert report()["changes"] is None
