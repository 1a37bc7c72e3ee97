"""The decision, signal by signal."""

from dataclasses import replace

import pytest

from foretide.forecasting.answers import MetricPolicy, Source, like_hpa, replicas_for
from foretide.forecasting.behavior import (
    Behavior,
    Change,
    PolicyType,
    RatePolicy,
    Recommendation,
    Rules,
)
from foretide.forecasting.decision import Memory, Observation, decide
from foretide.forecasting.demand import Awaited, Unavailable, Undecided
from foretide.forecasting.explanation import explain
from foretide.forecasting.forecast import PeakForecast
from foretide.forecasting.guards import BY_REPLICAS, CostPolicy, Spending

DOWN = Unavailable("Unreachable", "no answer within 10 s")
AWAITED = Awaited("Awaited", "the first fit is on its way")
TOO_LITTLE = Undecided("TooLittleHistory", "needs 2.0 days of history, has 3.0 h")


@pytest.fixture
def flat(make_forecast):
    """An hour of forecast at one level."""
    return lambda level, **changes: make_forecast(*[level] * 60, **changes)


# One metric


def test_demand_above_the_forecast_is_answered_by_demand(decide_on, flat):
    decision = decide_on((95.0, flat(50.0)), replicas=5)
    assert (decision.desired, decision.source) == (10, Source.REACTIVE)
    assert decision.answers[0].predicted == 5


def test_a_forecast_above_demand_scales_ahead_of_it(decide_on, flat):
    decision = decide_on((30.0, flat(95.0)), replicas=5)
    assert (decision.desired, decision.source) == (10, Source.FORECAST)
    assert decision.floor == decision.answers[0].reactive == 3


def test_only_the_lead_time_counts_not_what_comes_after(decide_on, make_forecast):
    forecast = make_forecast(60.0, 60.0, 60.0, 500.0)
    decision = decide_on((30.0, forecast), replicas=5)
    assert decision.desired == 6
    assert decision.answers[0].peak == 60.0


def test_with_a_forecast_there_is_no_further_headroom(decide_on, flat):
    assert decide_on((60.0, flat(50.0)), replicas=5).desired == 6


def test_without_a_forecast_the_target_utilization_leaves_headroom(decide_on):
    decision = decide_on((70.0, TOO_LITTLE), replicas=5)
    assert (decision.desired, decision.source) == (10, Source.HEADROOM)
    assert decision.answers[0].reactive == 7
    assert decision.answers[0].untrusted is TOO_LITTLE


def test_a_metric_that_cannot_be_had_holds_the_replicas(decide_on):
    decision = decide_on(DOWN, replicas=5)
    assert (decision.desired, decision.source, decision.metric) == (5, Source.HELD, None)
    assert decision.held
    assert decision.answers[0].wanted is None


def test_an_outage_with_a_valid_forecast_may_raise(decide_on, flat):
    decision = decide_on((DOWN, flat(95.0)), replicas=5)
    assert (decision.desired, decision.source) == (10, Source.FORECAST)
    assert decision.held


def test_an_outage_with_a_valid_forecast_never_lowers(decide_on, flat):
    decision = decide_on((DOWN, flat(15.0)), replicas=5)
    assert (decision.desired, decision.source) == (5, Source.HELD)


def test_while_a_forecast_is_awaited_the_replicas_stay(decide_on):
    decision = decide_on((20.0, AWAITED), replicas=8)
    assert (decision.desired, decision.source) == (8, Source.AWAITED)


def test_while_a_forecast_is_awaited_demand_may_still_raise(decide_on):
    decision = decide_on((95.0, AWAITED), replicas=8)
    assert (decision.desired, decision.source) == (10, Source.REACTIVE)


@pytest.mark.parametrize(
    ("demand", "desired", "source"),
    [
        (70.0, 10, Source.HEADROOM),
        (20.0, 8, Source.AWAITED),
        (56.0, 8, Source.AWAITED),
    ],
)
def test_while_a_forecast_is_overdue_replicas_rise_like_the_hpas_and_never_fall(
    decide_on, demand, desired, source
):
    overdue = Awaited("Awaited", "the first fit is on its way", overdue=True)
    decision = decide_on((demand, overdue), replicas=8)
    assert (decision.desired, decision.source) == (desired, source)


def test_an_awaited_forecast_does_not_keep_an_outage_from_holding(decide_on):
    assert decide_on((DOWN, AWAITED), replicas=8).source is Source.HELD


def test_zero_replicas_switch_scaling_off(decide_on, flat):
    decision = decide_on((95.0, flat(95.0)), replicas=0)
    assert (decision.desired, decision.source) == (0, Source.DISABLED)
    assert (decision.proposed, decision.current, decision.clamped_by) == (0, 0, ())


# Forecasts that may not be used


def test_a_stale_forecast_is_not_used(decide_on, flat, now):
    forecast = flat(500.0, valid_until=now - 600)
    decision = decide_on((70.0, forecast), replicas=10)
    assert decision.source is Source.HEADROOM
    assert decision.answers[0].untrusted.reason == "Stale"
    assert "10 min" in decision.answers[0].untrusted.message


def test_a_forecast_is_used_to_its_last_moment(decide_on, flat, now):
    assert decide_on((70.0, flat(95.0, valid_until=now)), replicas=10).source is Source.FORECAST


def test_a_forecast_that_ends_within_the_lead_time_is_not_used(decide_on, make_forecast):
    decision = decide_on((70.0, make_forecast(500.0)), replicas=10)
    assert decision.source is Source.HEADROOM
    assert decision.answers[0].untrusted.reason == "HorizonTooShort"


def test_a_forecast_that_begins_later_is_not_used(decide_on, flat, now):
    decision = decide_on((70.0, flat(500.0, start=now + 1)), replicas=10)
    assert decision.answers[0].untrusted.reason == "HorizonTooShort"


def test_an_outage_with_a_stale_forecast_holds(decide_on, flat, now):
    decision = decide_on((DOWN, flat(500.0, valid_until=now - 1)), replicas=5)
    assert (decision.desired, decision.source) == (5, Source.HELD)


# Several metrics


def test_the_largest_answer_counts(decide_on, flat):
    decision = decide_on((20.0, flat(0.0)), (20.0, flat(88.0)), (50.0, flat(0.0)), replicas=3)
    assert (decision.proposed, decision.metric, decision.source) == (9, 1, Source.FORECAST)
    assert decision.floor == 5


def test_of_equal_answers_the_first_metric_counts(decide_on, flat):
    assert decide_on((50.0, flat(0.0)), (50.0, flat(0.0)), replicas=3).metric == 0


def test_an_outage_of_one_metric_never_scales_down(decide_on, flat):
    decision = decide_on((10.0, flat(0.0)), DOWN, replicas=8)
    assert (decision.desired, decision.source, decision.metric) == (8, Source.HELD, None)


def test_an_outage_of_one_metric_lets_another_raise(decide_on, flat):
    decision = decide_on(DOWN, (95.0, flat(0.0)), replicas=8)
    assert (decision.desired, decision.source, decision.metric) == (10, Source.REACTIVE, 1)
    assert decision.held


def test_observation_and_policy_must_speak_of_the_same_metrics(make_policy, now):
    with pytest.raises(ValueError, match="argument"):
        decide(Observation(3, ()), make_policy(), Memory(), now=now)


# Tolerance and rounding


@pytest.mark.parametrize(
    ("demand", "replicas"), [(64.0, 10), (63.0, 10), (62.0, 9), (77.0, 10), (77.1, 12)]
)
def test_within_the_tolerance_of_its_target_headroom_changes_nothing(decide_on, demand, replicas):
    """Ten replicas of 10 at 70 % are planned for 70; the tolerance reaches from 63 to 77."""
    up_at_once = Behavior(down=Rules(0, Behavior().down.policies, tolerance=0.1))
    metric = MetricPolicy("rps", 10.0)
    assert like_hpa(demand, metric, up_at_once, current=10) == replicas


def test_the_tolerance_never_holds_back_the_reactive_floor(decide_on, flat):
    assert decide_on((101.0, flat(0.0)), replicas=10).desired == 11


def test_the_tolerance_never_holds_back_a_forecast(decide_on, flat):
    assert decide_on((10.0, flat(101.0)), replicas=10).desired == 11


def test_a_reactive_floor_above_the_tolerated_headroom_counts(decide_on, make_policy):
    policy = make_policy(MetricPolicy("rps", 10.0, target_utilization=1.0))
    decision = decide_on((105.0, TOO_LITTLE), replicas=10, policy=policy)
    assert (decision.desired, decision.source) == (11, Source.REACTIVE)


def test_slightly_fewer_replicas_are_not_worth_a_change(decide_on, flat):
    assert decide_on((81.0, flat(0.0)), replicas=10).desired == 10
    assert decide_on((80.0, flat(0.0)), replicas=10).desired == 8


@pytest.mark.parametrize(
    ("demand", "per_replica", "replicas"),
    [
        (0.3, 0.1, 3),
        (0.7, 0.1, 7),
        (0.31, 0.1, 4),
        (0.0, 10.0, 0),
        (1e-6, 10.0, 1),
        (100.0, 10.0, 10),
        (100.001, 10.0, 11),
    ],
)
def test_rounding_up_forgives_what_floats_do(demand, per_replica, replicas):
    assert replicas_for(demand, per_replica) == replicas


def test_a_demand_beyond_all_replicas_asks_for_the_maximum(decide_on, make_policy):
    policy = make_policy(MetricPolicy("rps", 1e-3))
    decision = decide_on(1e308, replicas=99, policy=policy)
    assert decision.desired == 100


# Clamps and memory


def test_the_maximum_is_named_as_the_clamp(decide_on):
    decision = decide_on(5000.0, replicas=90)
    assert (decision.desired, decision.clamped_by) == (100, ("TooManyReplicas",))


def test_stabilisation_and_rate_policy_are_both_named(decide_on, flat, make_policy, now):
    down = Rules(stabilization=300, policies=(RatePolicy(PolicyType.PODS, 1, 60),))
    policy = make_policy(behavior=Behavior(down=down))
    memory = Memory((Recommendation(now - 60, 6),))
    decision = decide_on((10.0, flat(0.0)), replicas=10, policy=policy, memory=memory)
    assert decision.proposed == 1
    assert decision.desired == 9
    assert decision.clamped_by == ("ScaleDownStabilized", "ScaleDownLimit")


def test_a_fresh_start_does_not_scale_down_at_once(decide_on, flat, now):
    memory = Memory.starting_at(10, now - 5)
    assert decide_on((10.0, flat(0.0)), replicas=10, memory=memory).desired == 10
    memory = Memory.starting_at(10, now - 300)
    assert decide_on((10.0, flat(0.0)), replicas=10, memory=memory).desired == 1


@pytest.mark.parametrize(
    ("demand", "forecast", "foreseen"),
    [(40.0, 60.0, True), (60.0, 40.0, False), (60.0, 60.0, True), (40.0, None, False)],
)
def test_a_recommendation_is_foreseen_where_a_forecast_asks_for_it(
    demand, forecast, foreseen, decide_on, flat, now
):
    seen = demand if forecast is None else (demand, flat(forecast))
    after = Memory().after(decide_on(seen, replicas=1), Behavior(), now)
    assert [past.foreseen for past in after.recommendations] == [foreseen]


def test_what_a_patient_plan_asks_for_counts_until_its_patience_ends(decide_on, flat, now):
    peak = PeakForecast("test", now, now + 60, 60.0, 60.0, 0.9, patience=900.0)
    (made,) = Memory().after(decide_on((40.0, peak), replicas=1), Behavior(), now).recommendations
    assert (made.foreseen, made.patience) == (True, 900.0)
    for age, desired in ((899, 6), (900, 4)):
        memory = Memory((replace(made, at=now - age),))
        assert decide_on((30.0, flat(40.0)), replicas=6, memory=memory).desired == desired


def test_beside_a_metric_without_a_forecast_nothing_counts_as_foreseen(decide_on, flat):
    decision = decide_on((40.0, flat(90.0)), 10.0, replicas=5)
    assert decision.proposed == 9
    assert not decision.foreseen


def test_what_was_foreseen_is_let_go_at_once_and_a_surprise_is_not(decide_on, flat, now):
    def desired(*, foreseen):
        memory = Memory((Recommendation(now - 60, 10, foreseen=foreseen),))
        return decide_on((30.0, flat(40.0)), replicas=10, memory=memory).desired

    assert desired(foreseen=True) == 4
    assert desired(foreseen=False) == 10


def test_memory_keeps_the_proposal_and_forgets_what_is_too_old(decide_on, flat, now):
    past = tuple(Recommendation(now - age, 10) for age in (301, 300, 299))
    changes = (Change(now - 20, 9, 10),)
    memory = Memory(past, changes)
    decision = decide_on((10.0, flat(0.0)), replicas=10, memory=memory)
    after = memory.after(decision, Behavior(), now)
    assert after.recommendations == (past[2], Recommendation(now, 1))
    assert after.changes == changes


def test_what_a_clock_that_was_set_back_puts_ahead_is_forgotten(now):
    past, ahead = Recommendation(now, 9), Recommendation(now + 0.1, 50)
    made, to_come = Change(now, 8, 9), Change(now + 3600, 9, 50)
    memory = Memory((past, ahead)).known_at(now, (made, to_come))
    assert memory == Memory((past,), (made,))


# The cost guard


@pytest.fixture
def dear(make_policy):
    """Two metrics of 10 per replica; nothing may cost more than HPA."""
    metrics = (MetricPolicy("a", 10.0), MetricPolicy("b", 10.0))
    return make_policy(*metrics, cost=CostPolicy(max_extra_replicas=0))


def test_no_guard_takes_away_what_an_outage_holds(decide_on, flat, dear):
    decision = decide_on((10.0, flat(0.0)), DOWN, replicas=50, policy=dear)
    assert (decision.desired, decision.source, decision.clamped_by) == (50, Source.HELD, ())


def test_no_guard_takes_away_what_an_awaited_forecast_may_have_added(decide_on, flat, dear):
    assert decide_on((10.0, AWAITED), (10.0, flat(0.0)), replicas=50, policy=dear).desired == 50


def test_in_an_outage_of_everything_the_guard_measures_from_hpas_last_answer(
    decide_on, flat, dear, now
):
    memory = Memory(spending=Spending().after(desired=8, hpa=6, now=now - 15))
    blind = ((DOWN, flat(500.0)), (DOWN, flat(500.0)))
    decision = decide_on(*blind, replicas=5, policy=dear, memory=memory)
    assert (decision.proposed, decision.clamped_by) == (6, (BY_REPLICAS,))
    assert decision.spending.hpa == 6
    decision = decide_on(*blind, replicas=8, policy=dear, memory=memory)
    assert (decision.desired, decision.clamped_by) == (8, (BY_REPLICAS,))


def test_where_hpa_has_never_answered_it_would_leave_the_replicas_alone(decide_on, flat, dear):
    blind = ((DOWN, flat(500.0)), (DOWN, flat(500.0)))
    decision = decide_on(*blind, replicas=8, policy=dear)
    assert (decision.desired, decision.clamped_by) == (8, (BY_REPLICAS,))
    assert decision.spending.hpa == 8


def test_the_replicas_that_hpa_would_hold_in_an_outage_cost_nothing(decide_on, flat, dear):
    decision = decide_on((10.0, flat(0.0)), DOWN, replicas=50, policy=dear)
    assert decision.spending.extra == 0


@pytest.mark.parametrize(("demand", "desired"), [(5_000.0, 100), (0.0, 5)])
def test_what_hpas_own_bounds_do_is_neither_spent_nor_saved(
    decide_on, flat, make_policy, demand, desired
):
    policy = make_policy(min_replicas=5, cost=CostPolicy(max_extra_pod_hours=1.0))
    decision = decide_on((demand, flat(demand)), replicas=desired, policy=policy)
    assert (decision.desired, decision.spending.extra) == (desired, 0)


# Explanations


@pytest.mark.parametrize(
    ("seen", "replicas", "parts"),
    [
        ("reactive", 5, ["10 by rps", "demand 95 ÷ 10 per replica", "(forecast 50)"]),
        ("forecast", 5, ["10 by rps", "up to 95 within 120 s", "demand now 30"]),
        ("headroom", 5, ["10 by rps", "at 70%", "no forecast: needs 2.0 days"]),
        ("held", 5, ["held at 5", "rps: no answer within 10 s"]),
        ("outage", 5, ["up to 95 within 120 s", "demand now unknown"]),
        ("awaited", 8, ["8 by rps", "first forecast after a restart", "demand now 20"]),
        ("disabled", 0, ["scaled to 0"]),
        ("maximum", 90, ["500 by rps", "100 as limited by maxReplicas"]),
    ],
)
def test_the_explanation_names_the_signal_and_its_figures(
    decide_on, make_policy, flat, seen, replicas, parts
):
    metric = {
        "reactive": (95.0, flat(50.0)),
        "forecast": (30.0, flat(95.0)),
        "headroom": (70.0, TOO_LITTLE),
        "held": DOWN,
        "outage": (DOWN, flat(95.0)),
        "awaited": (20.0, AWAITED),
        "disabled": 70.0,
        "maximum": (5000.0, flat(0.0)),
    }[seen]
    policy = make_policy()
    text = explain(decide_on(metric, replicas=replicas, policy=policy), policy)
    for part in parts:
        assert part in text
