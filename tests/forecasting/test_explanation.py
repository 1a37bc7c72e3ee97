"""A decision in one sentence: the signal, its figures, and what changed the answer."""

from dataclasses import replace

import pytest

from foretide.forecasting.decision import (
    Memory,
    MetricObservation,
    MetricPolicy,
    Observation,
    ScalingPolicy,
    decide,
)
from foretide.forecasting.demand import Awaited, Reading, Unavailable, Undecided
from foretide.forecasting.events.model import EventOutlook
from foretide.forecasting.explanation import explain
from foretide.forecasting.forecast import PeakForecast
from foretide.forecasting.guards import CostPolicy, Spending
from foretide.forecasting.load_curve import LoadCurve
from foretide.forecasting.slo import SloPolicy, SloState
from foretide.forecasting.surge import Surge

NOW = 1_790_000_000.0
RPS = MetricPolicy("rps", 10.0)
POLICY = ScalingPolicy(1, 100, (RPS,), lead_time=120.0)
WRONG = Undecided("Distrusted", "the forecast has lately been short")


def peak(upper, *, slack=0.0, quantile=0.985):
    return PeakForecast("test", NOW, NOW + 120, upper, upper, quantile, slack)


@pytest.fixture
def say():
    """The sentence for one metric that is seen so."""

    def make(
        demand=30.0, forecast=WRONG, replicas=5, *, policy=POLICY, memory=None, slo=None, **seen
    ):
        events = seen.pop("events", ())
        demand = Reading(demand, NOW) if isinstance(demand, float) else demand
        observed = Observation(replicas, (MetricObservation(demand, forecast, **seen),), slo=slo)
        made = decide(observed, policy, memory or Memory(), now=NOW)
        return explain(made, policy, events=events)

    return make


def test_a_forecast_tells_its_peak_and_its_quantile(say):
    assert say(forecast=peak(95.0)) == (
        "10 by rps: up to 95 within 120 s ÷ 10 per replica (0.985 quantile, demand now 30)"
    )


def test_a_surprise_is_told_in_place_of_the_quantile(say):
    surprised = replace(peak(95.0), surprised=True)
    assert say(66.5, surprised) == (
        "10 by rps: up to 95 within 120 s ÷ 10 per replica "
        "(demand has just outgrown its forecast, demand now 66.5)"
    )


def test_demand_that_exceeds_the_forecast_is_told_beside_it(say):
    assert say(95.0, peak(50.0)) == "10 by rps: demand 95 ÷ 10 per replica (forecast 50)"


def test_headroom_says_why_no_forecast_acts(say):
    assert say(70.0) == (
        "10 by rps: demand 70 ÷ 10 per replica at 70% "
        "(no forecast: the forecast has lately been short)"
    )


def test_an_event_is_named(say):
    outlook = EventOutlook(3.0, 3.0)
    text = say(forecast=peak(40.0), replicas=10, event=outlook, events=("sale", "release"))
    assert text == "12 by rps: sale, release within 120 s (demand now 30; 4 by the forecast)"


def test_an_event_without_a_forecast_is_compared_with_hpa(say):
    text = say(replicas=10, event=EventOutlook(1.0, 1.0, 20))
    assert text == "20 by rps: an event within 120 s (demand now 30; 5 as HPA would)"


def test_growth_tells_where_it_leads(say):
    assert say(forecast=peak(40.0), surge=Surge(0.5, 90.0, 0.9)) == (
        "9 by rps: demand 30 is growing fast, which makes 9 replicas in 120 s "
        "(it needs 3 now; 4 by the forecast)"
    )


def test_replicas_that_are_kept_though_fewer_would_do_are_explained(say):
    text = say(forecast=peak(95.0, slack=0.2), replicas=11)
    assert text.startswith("11 by rps: up to 95")
    assert text.endswith(", which is 10: too little less to change replicas for")


def test_a_change_that_goes_further_than_needed_is_explained(say):
    text = say(forecast=peak(95.0, slack=0.3), replicas=6)
    assert text.startswith("11 by rps: up to 95")
    assert text.endswith(", which is 10, and some more so that it lasts")


def test_a_drop_that_is_not_followed_is_explained(say):
    hold = Undecided("SuddenDrop", "demand fell far below its forecast")
    text = say(5.0, peak(10.0), 8, hold=hold)
    assert text.startswith("8 by rps: ")
    assert text.endswith("and none are taken away: demand fell far below its forecast")


@pytest.mark.parametrize(
    ("cost", "spending", "part"),
    [
        (CostPolicy(3), Spending(), "8 as limited by the cost guard (the forecast may add 3"),
        (
            CostPolicy(None, 1.0),
            Spending(int(NOW // 3600), (5.0,), NOW, 0, True),
            "5 as limited by the cost guard (5.0 of 1 extra pod-hours",
        ),
    ],
)
def test_the_cost_guard_tells_what_it_took_away(say, cost, spending, part):
    text = say(
        forecast=peak(200.0),
        policy=replace(POLICY, cost=cost),
        memory=Memory(spending=spending),
    )
    assert text.startswith("20 by rps: up to 200")
    assert part in text


def test_the_slo_tells_why_replicas_stay(say):
    policy = replace(POLICY, slo=SloPolicy(0.3))
    text = say(30.0, peak(31.0), 10, policy=policy, slo=0.4, memory=Memory(slo=SloState()))
    assert "5 as held for the SLO (the SLO is at 0.4 (objective: below 0.3)" in text


def test_a_step_for_the_slo_is_told(say):
    policy = replace(POLICY, slo=SloPolicy(0.3))
    text = say(60.0, peak(61.0), 9, policy=policy, slo=0.1)
    assert "; 8 as scaling in step by step for the SLO (from 9 to 8 of 7," in text


def test_a_curve_is_not_told_as_a_division(say):
    curve = LoadCurve(((1, 10.0), (10, 80.0)))
    policy = replace(POLICY, metrics=(replace(RPS, curve=curve),))
    assert "up to 95 within 120 s by the load curve" in say(forecast=peak(95.0), policy=policy)


def test_what_is_not_known_is_not_told(say):
    policy = replace(POLICY, metrics=(replace(RPS, per_replica=float("inf")),))
    text = say(Unavailable("NoPods", "no pods"), peak(95.0), 0 + 1, policy=policy)
    assert text == "held at 1: demand is unknown (rps: no pods)"


def test_a_wait_for_the_first_forecast_is_told(say):
    text = say(20.0, Awaited("NotFittedYet", "on its way"), 8)
    assert text == "8 by rps: as it was, until the first forecast after a restart (demand now 20)"
