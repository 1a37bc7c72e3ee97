"""Prophet forecasts what a person would, and says so where it cannot."""

import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from foretide.forecasting import prophet_model
from foretide.forecasting.prometheus import PrometheusSource
from foretide.forecasting.worker import FitRequest

HOUR, DAY = 3600.0, 86_400.0
MORNING = 20_718 * DAY + 9 * HOUR  # Tuesday 2026-09-22, 09:00 UTC


@pytest.fixture(scope="module")
def request_of():
    """A request for six hours in steps of ten minutes."""

    def make(**changes):
        values = {
            "source": PrometheusSource("http://prometheus"),
            "query": "demand",
            "now": MORNING,
            "history": 14 * DAY,
            "step": 600.0,
            "horizon": 6 * HOUR,
            "quantile": 0.9,
            "min_history": DAY,
        }
        return FitRequest(**{**values, **changes})

    return make


@pytest.fixture(scope="module")
def fit(request_of):
    """Fits to a history."""
    return lambda peaks, **changes: prophet_model.forecast(peaks, request_of(**changes))


def history(demand, *, days=4.0, until=MORNING, step=600.0):
    """What Prometheus would have answered, where demand is a function of Unix seconds."""
    times = np.arange(until - days * DAY, until, step)
    index = pd.to_datetime(times, unit="s", utc=True)
    return pd.Series([float(demand(at)) for at in times], index=index)


def daily(at):
    """Between 20 at night and 180 by day; Stan wants something to do, hence the second wave."""
    return 100 + 70 * math.sin(2 * math.pi * at / DAY) + 10 * math.sin(4 * math.pi * at / DAY)


def noisy(spread, seed=1):
    noise = np.random.default_rng(seed)
    return lambda at: daily(at) + noise.normal(0, spread)


def errors(forecast, truth):
    """How far off the median is, as a share of the truth, at each step."""
    times = [forecast.start + forecast.step * k for k in range(len(forecast.median))]
    return [abs(median / truth(at) - 1) for median, at in zip(forecast.median, times, strict=True)]


@pytest.fixture(scope="module")
def of_noisy_days(fit):
    return fit(history(noisy(8), days=6))


def test_a_daily_pattern_is_continued(of_noisy_days):
    assert max(errors(of_noisy_days, daily)) < 0.15


def test_the_upper_quantile_is_never_below_the_median(of_noisy_days):
    pairs = zip(of_noisy_days.upper, of_noisy_days.median, strict=True)
    assert all(upper >= median for upper, median in pairs)


def test_the_upper_quantile_covers_about_the_share_that_it_is_named_after(of_noisy_days):
    truths = [noisy(8, seed) for seed in range(2, 22)]
    times = [of_noisy_days.start + 600 * k for k in range(len(of_noisy_days.upper))]
    covered = [
        truth(at) <= upper
        for truth in truths
        for at, upper in zip(times, of_noisy_days.upper, strict=True)
    ]
    assert 0.8 < sum(covered) / len(covered) < 0.97


def test_a_higher_quantile_is_safer(fit, of_noisy_days):
    safer = fit(history(noisy(8), days=6), quantile=0.99)
    assert sum(safer.upper) > sum(of_noisy_days.upper)


def test_the_grid_reaches_from_now_over_the_whole_horizon(of_noisy_days):
    assert of_noisy_days.covers(MORNING, MORNING + 6 * HOUR)
    assert of_noisy_days.start <= MORNING < of_noisy_days.start + of_noisy_days.step
    assert of_noisy_days.valid_until >= MORNING + 6 * HOUR
    assert of_noisy_days.fitted_at == MORNING


def test_a_fit_between_two_steps_covers_the_present_as_well(fit):
    forecast = fit(history(noisy(8), days=2), now=MORNING + 299)
    assert forecast.covers(MORNING + 299, MORNING + 299 + 6 * HOUR)


def test_what_a_forecast_was_learned_from_is_told(of_noisy_days):
    assert of_noisy_days.model == "Prophet"
    assert of_noisy_days.quantile == 0.9
    assert of_noisy_days.history_points == 6 * 144
    assert of_noisy_days.history_seconds == 6 * DAY - 600


def test_too_little_history_is_said_with_both_figures(fit):
    answer = fit(history(daily, days=0.25), min_history=2 * DAY)
    assert answer.reason == "TooLittleHistory"
    assert "2.0 days" in answer.message
    assert "5.8 h" in answer.message


def test_no_history_at_all_is_said(fit):
    assert fit(history(daily)[:0]).reason == "HistoryEmpty"


def test_gaps_are_bridged(fit):
    whole = history(noisy(2), days=5)
    outage = (whole.index.day == 19) & (whole.index.hour >= 6) & (whole.index.hour < 16)
    holes = np.random.default_rng(3).random(len(whole)) < 0.2
    assert max(errors(fit(whole[~(outage | holes)]), daily)) < 0.15


@pytest.mark.parametrize("level", [0.0, 42.0])
def test_demand_that_never_changes_is_forecast_to_stay(fit, level):
    forecast = fit(history(lambda at: level))
    assert forecast.median == pytest.approx([level] * len(forecast.median), abs=0.01)
    assert forecast.upper == pytest.approx([level] * len(forecast.upper), abs=0.01)


def test_demand_in_a_tiny_unit_is_not_rounded_away(fit):
    noise = noisy(8)
    forecast = fit(history(lambda at: 1e-9 * noise(at)))
    assert max(errors(forecast, lambda at: 1e-9 * daily(at))) < 0.15


def test_a_forecast_is_never_negative(fit):
    falling = history(lambda at: max(0.0, (MORNING - at) / DAY * 50), days=4)
    forecast = fit(falling)
    assert min(forecast.upper) >= 0
    assert min(forecast.median) >= 0


def test_the_hours_of_zero_demand_are_told_in_utc(fit):
    closed = history(lambda at: 0 if 1 <= at // HOUR % 24 < 4 else daily(at))
    forecast = fit(closed, time_zone="Asia/Tokyo")
    assert forecast.zeros.hours == {1, 2, 3}


def test_demand_that_is_never_zero_knows_no_zero(of_noisy_days):
    assert of_noisy_days.zeros.hours == frozenset()


@pytest.mark.parametrize(
    ("time_zone", "opens_at"), [("Europe/Berlin", 6), ("UTC", 7)], ids=["local", "UTC"]
)
def test_after_the_clocks_have_changed_demand_keeps_its_local_hour(fit, time_zone, opens_at):
    """The shop opens at 8 in Berlin: at 7 UTC until the night of 29 March 2026, at 6 after it."""
    night = pd.Timestamp("2026-03-29T04:00Z").timestamp()

    def opened(at):
        local = pd.Timestamp(at, unit="s", tz="Europe/Berlin")
        return 100.0 if 8 <= local.hour < 20 else 10.0

    peaks = history(opened, days=6, until=night)
    forecast = fit(peaks, now=night, time_zone=time_zone)
    by_hour = [forecast.median_at(night + (k - 4) * HOUR + 1800) for k in (4, 5, 6, 7, 8)]
    expected = [hour >= opens_at for hour in (4, 5, 6, 7, 8)]
    assert [level > 55 for level in by_hour] == expected


def test_two_weeks_of_history_show_the_weekend(fit):
    saturday = MORNING + 4 * DAY

    def week(at):
        return daily(at) * (0.3 if pd.Timestamp(at, unit="s").weekday() >= 5 else 1.0)

    forecast = fit(history(week, days=14, until=saturday, step=1800.0), now=saturday, step=1800.0)
    assert forecast.median[0] < 0.5 * daily(saturday)


@pytest.mark.slow
def test_a_fit_prints_nothing():
    """In a worker nobody has set up logging, and its output is the operator's."""
    code = (
        "import numpy as np, pandas as pd\n"
        "from foretide.forecasting import prophet_model\n"
        "from foretide.forecasting.prometheus import PrometheusSource\n"
        "from foretide.forecasting.worker import FitRequest\n"
        "times = pd.to_datetime(np.arange(300) * 600.0, unit='s', utc=True)\n"
        "peaks = pd.Series(np.random.default_rng(1).random(300), index=times)\n"
        "request = FitRequest(PrometheusSource('http://prometheus'), 'q', 180_000.0, 180_000.0,"
        " 600.0, 3600.0, 0.9, 3600.0)\n"
        "assert prophet_model.forecast(peaks, request).upper\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout + done.stderr == ""


def test_a_zero_that_has_just_begun_does_not_vouch_for_itself(fit):
    peaks = history(daily)
    peaks.iloc[-6:] = 0.0
    assert fit(peaks).zeros.hours == frozenset()


def test_one_past_outage_does_not_vouch_for_the_next(fit):
    peaks = history(daily)
    peaks.iloc[100:112] = 0.0
    assert fit(peaks).zeros.hours == frozenset()


def test_a_history_with_hardly_any_points_is_too_little(fit):
    assert fit(history(daily).iloc[::50]).reason == "TooLittleHistory"


def test_a_history_that_ended_days_ago_is_too_old(fit):
    assert fit(history(daily).iloc[:-144]).reason == "HistoryOld"


@pytest.mark.parametrize(("days", "waves"), [(365, 0), (367, 3)])
def test_a_year_is_looked_for_where_one_has_been_seen(days, waves):
    seen = prophet_model._model(days * DAY).yearly_seasonality
    assert (seen or 0) == waves
