"""By which forecast, by which plan and with what trust a metric is scaled."""

import math
from dataclasses import replace

import pytest

from foretide.forecasting.decision import MetricPolicy
from foretide.forecasting.demand import Reading, Unavailable, Undecided
from foretide.forecasting.forecast import Forecast, PeakForecast
from foretide.forecasting.recent import RecentDemand
from foretide.forecasting.trust import TrustMeter
from foretide.forecasting.worker import NOT_WANTED
from foretide.operator.api.forecast import ForecastSpec
from foretide.operator.forecasts import NOT_FITTED_YET, Slot
from foretide.operator.foreseeing import Outlook, foresee, judge, lifted, plan_of

NOON = 1_790_000_000.0 // 60 * 60
DAY = 86_400.0
POLICY = MetricPolicy("demand", 100.0, 0.5)
AUTO, PROPHET = ForecastSpec(), ForecastSpec(engine="Prophet")
KNOWN, MISSING = Reading(200.0, NOON), Unavailable("Empty", "nothing")
NO_PLAN = Undecided("NoBetterThanReactive", "no plan would have been both safer and cheaper")


@pytest.fixture
def slot(look_ahead, forecast):
    return Slot(horizon=forecast(), lookahead=look_ahead(at=NOON))


@pytest.fixture
def recent():
    recent = RecentDemand()
    for minute in range(30):
        recent.add(200.0, NOON - 60 * (30 - minute))
    return recent


@pytest.fixture
def see(slot, recent):
    def go(spec=AUTO, *, wanted=True, target=0.5, demand=KNOWN, now=NOON, slot=slot):
        return foresee(
            slot,
            recent,
            spec,
            wanted=wanted,
            target_utilization=target,
            demand=demand,
            now=now,
        )

    return go


def test_the_model_of_the_coming_maximum_comes_first(see):
    found = see()
    assert isinstance(found.forecast, PeakForecast)
    assert found.forecast.upper == pytest.approx(400)
    assert found.plan.safety == 1.0


def test_an_engine_that_was_chosen_by_name_is_the_one(see, slot):
    found = see(PROPHET)
    assert found.forecast is slot.horizon
    assert found.plan is None


def test_an_engine_that_has_just_been_chosen_by_name_is_being_fitted(see, slot):
    slot.horizon = NOT_WANTED
    assert see(PROPHET).forecast is NOT_FITTED_YET


def test_a_signal_that_is_off_says_so(see):
    assert see(wanted=False).forecast.reason == "SwitchedOff"


def test_while_demand_is_unknown_the_hours_ahead_serve(see, slot):
    found = see(demand=MISSING, now=NOON + 900)
    assert found.forecast is slot.horizon
    slot.horizon = NOT_WANTED
    assert see(demand=MISSING, now=NOON + 900).forecast.reason == "DemandUnknown"


def test_while_demand_is_known_the_hours_ahead_do_not_serve_instead(see):
    assert see(now=NOON + 900).forecast.reason == "DemandUnknown"


def test_a_model_is_asked_again_after_some_seconds_only(see, slot, recent):
    first = see().forecast
    recent.add(800.0, NOON)
    assert see(now=NOON + 10).forecast is first
    assert see(now=NOON + 60).forecast is not first


def test_a_new_model_a_new_plan_or_a_clock_set_back_is_asked_at_once(see, slot, look_ahead):
    first = see().forecast
    slot.fits += 1
    assert see().forecast is not first
    assert see(ForecastSpec(quantile=0.99)).forecast.quantile == pytest.approx(0.99)
    assert see(now=NOON - 120).forecast is not first


# Plans


def test_the_plan_is_the_one_that_the_past_has_found(slot):
    assert plan_of(slot, AUTO, 0.5, NOON).slack == 0.1


def test_a_quantile_that_is_given_keeps_the_calm_that_was_found(slot):
    plan = plan_of(slot, ForecastSpec(quantile=0.99), 0.5, NOON)
    assert (plan.quantile, plan.slack) == (pytest.approx(0.99), 0.1)


def test_where_the_past_has_found_none_the_forecast_does_not_act(slot, look_ahead):
    slot.lookahead = look_ahead(at=NOON, plan=NO_PLAN)
    assert plan_of(slot, AUTO, 0.5, NOON) is NO_PLAN
    assert plan_of(slot, ForecastSpec(quantile=0.99), 0.5, NOON).quantile == pytest.approx(0.99)


def test_a_plan_for_another_target_is_none_for_this_one(slot):
    assert "new targetUtilization" in plan_of(slot, AUTO, 0.7, NOON).message
    slot.lookahead = replace(slot.lookahead, choices=())
    assert "by replay" in plan_of(slot, AUTO, 0.7, NOON).message


def test_why_there_is_no_model_is_passed_on(slot):
    slot.lookahead = Undecided("TooLittleHistory", "needs 2 days")
    assert plan_of(slot, AUTO, 0.5, NOON).reason == "TooLittleHistory"
    slot.lookahead = NOT_WANTED  # the engine has just been changed
    assert plan_of(slot, AUTO, 0.5, NOON) is NOT_FITTED_YET


def test_a_model_of_last_week_has_no_plan_any_more(slot):
    assert plan_of(slot, AUTO, 0.5, NOON + 7 * DAY).reason == "Stale"


# Trust


def peak(upper, median=1.0):
    return PeakForecast("test", NOON, NOON + 240, upper, median, 0.9)


@pytest.fixture
def judged():
    """The forecast as it may act, after so many minutes in which demand was 90."""

    def go(forecast, minutes, meter=None, demand=90.0):
        meter = meter or TrustMeter()
        for minute in range(minutes):
            now = NOON + 60.0 * minute
            found = judge(
                meter,
                Outlook(forecast(now) if callable(forecast) else forecast),
                MetricPolicy("demand", 10.0, 0.5),
                Reading(demand * (1 + 0.08 * minute), now),
                lead_time=180.0,
                now=now,
            )
        return found, meter

    return go


def test_a_forecast_that_has_done_no_harm_acts(judged):
    found, _ = judged(peak(900.0), 30)
    assert isinstance(found, PeakForecast)


def test_one_that_was_short_where_hpa_was_not_stops(judged):
    found, meter = judged(peak(10.0), 30)
    assert found.reason == "Distrusted"
    assert meter.lost


def test_the_forecast_of_the_hours_ahead_is_judged_too(judged, forecast):
    assert judged(forecast(10.0, 5.0, start=NOON), 30)[0].reason == "Distrusted"
    assert isinstance(judged(forecast(900.0, start=NOON), 30)[0], Forecast)


def test_what_there_is_none_of_is_not_judged(judged):
    found, meter = judged(Undecided("TooLittleHistory", "no"), 30)
    assert (found.reason, meter.harm) == ("TooLittleHistory", 0)


def test_while_demand_is_unknown_nothing_is_judged(slot):
    meter = TrustMeter()
    judge(meter, Outlook(peak(10.0)), POLICY, MISSING, lead_time=180.0, now=NOON)
    assert meter.at is None


# What waits


def test_what_waits_comes_on_top_of_any_forecast(forecast):
    raised = lifted(peak(50.0, 40.0), 20.0)
    assert (raised.upper, raised.median) == (70, 60)
    raised = lifted(forecast(50.0, 40.0, start=NOON), 20.0)
    assert (raised.upper_peak(NOON, NOON), raised.median_at(NOON)) == (70, 60)


def test_where_nothing_waits_or_is_foreseen_all_stays():
    one = peak(50.0)
    assert lifted(one, 0.0) is one
    assert lifted(NO_PLAN, 20.0) is NO_PLAN
    assert math.isfinite(lifted(one, 1.0).upper)
