import math

import pytest

from foretide.forecasting.trust import TrustMeter

START = 1_700_000_000.0
LEAD = 180.0


@pytest.fixture
def live():
    """Minutes of demand under a forecast and under HPA, each with its capacity."""

    def run(meter, minutes, *, demand, planned, reactive=100.0, start=None):
        now = START if meter.at is None else meter.at + 60
        for minute in range(minutes):
            meter.see(
                demand, planned=planned, reactive=reactive, lead_time=LEAD, now=now + 60 * minute
            )
        return meter

    return run


def test_a_new_forecast_is_trusted():
    assert TrustMeter().verdict is None


def test_a_forecast_that_was_short_where_hpa_was_not_is_distrusted_within_minutes(live):
    meter = live(TrustMeter(), 6, demand=90.0, planned=50.0)
    assert meter.verdict is None
    live(meter, 4, demand=90.0, planned=50.0)
    assert meter.verdict.reason == "Distrusted"


def test_it_is_trusted_again_once_it_would_have_done_better(live):
    meter = live(TrustMeter(), 12, demand=90.0, planned=50.0)
    live(meter, 4, demand=90.0, planned=200.0)
    assert meter.verdict is not None
    live(meter, 12, demand=150.0, planned=200.0)
    assert meter.verdict is None


def test_distrust_fades_in_hours(live):
    meter = live(TrustMeter(), 9, demand=90.0, planned=50.0)
    assert meter.lost
    live(meter, 5 * 60, demand=90.0, planned=200.0)
    assert not meter.lost


@pytest.mark.parametrize("demand", [10.0, 500.0])
def test_minutes_that_both_or_neither_missed_say_nothing(live, demand):
    meter = live(TrustMeter(), 120, demand=demand, planned=50.0)
    assert meter.harm == 0


def test_praise_is_bounded_as_a_good_week_must_not_pay_for_a_bad_hour(live):
    meter = live(TrustMeter(), 7 * 1_440, demand=150.0, planned=200.0)
    assert meter.harm == pytest.approx(-2.0, abs=0.1)


def test_what_is_said_now_is_judged_a_lead_time_later(live):
    meter = live(TrustMeter(), 3, demand=90.0, planned=50.0)
    assert meter.harm == 0
    live(meter, 1, demand=90.0, planned=50.0)
    assert meter.harm == pytest.approx(1.0)


def test_without_a_forecast_there_is_nothing_to_judge(live):
    meter = live(TrustMeter(), 60, demand=90.0, planned=math.nan)
    assert (meter.harm, meter.verdict) == (0, None)


def test_time_in_which_nobody_looked_counts_for_two_minutes_at_most():
    meter = TrustMeter()
    for now in (START, START + 86_400, START + 86_460):
        meter.see(90.0, planned=50.0, reactive=100.0, lead_time=LEAD, now=now)
    assert meter.harm < 3.1


def test_a_clock_that_was_set_back_starts_the_judging_anew(live):
    meter = live(TrustMeter(), 3, demand=90.0, planned=50.0)
    meter.see(90.0, planned=50.0, reactive=100.0, lead_time=LEAD, now=START - 7_200)
    assert meter.harm == 0
    meter.see(90.0, planned=50.0, reactive=100.0, lead_time=LEAD, now=START - 7_140)
    assert meter.harm == 0
