import math

import numpy as np
import pytest

from foretide.forecasting.demand import Undecided
from foretide.forecasting.events.effects import LearnedEffects
from foretide.forecasting.events.model import Effect, Event, EventCalendar, Kind
from foretide.forecasting.forecast import Forecast
from foretide.forecasting.horizon import enough, forecast, known_zeros
from foretide.forecasting.series import Series
from foretide.forecasting.worker import NOT_WANTED

DAY = 86_400.0


@pytest.fixture
def history(now):
    """So many days of ones in steps of ten minutes until `now`, with gaps where asked for."""

    def make(days, *, ended=0.0, every=1, value=1.0):
        count = round(days * 144)
        start = math.floor(now / 600) * 600.0 - count * 600.0 - ended
        values = np.full(count, math.nan)
        values[::every] = value
        return Series(start, 600.0, values)

    return make


def test_enough_history_is_enough(history, make_request):
    assert enough(history(2), make_request()) is None


def test_too_little_is_said_with_both_figures(history, make_request):
    answer = enough(history(0.5), make_request())
    assert answer.reason == "TooLittleHistory"
    assert answer.message == "needs 1.0 days of history, has 11.8 h"


def test_a_history_of_gaps_is_too_little(history, make_request):
    answer = enough(history(3, every=10), make_request())
    assert answer.reason == "TooLittleHistory"
    assert "with gaps" in answer.message


def test_a_history_that_ended_is_too_old(history, make_request):
    assert enough(history(3, ended=7_200.0), make_request()).reason == "HistoryOld"


def test_no_history_is_none(history, make_request):
    assert enough(history(0), make_request()).reason == "HistoryEmpty"
    assert enough(history(2, value=math.nan), make_request()).reason == "HistoryEmpty"


def test_where_no_engine_is_named_nothing_is_made(history, make_request):
    assert forecast(history(2), make_request(engine="")) is NOT_WANTED


def zeros_at(*days, hour=3):
    """A history of ten days that is zero in one hour of some of them."""
    at = 600.0 * np.arange(10 * 144)
    closed = np.isin(at // DAY, days) & (at % DAY // 3_600 == hour)
    return Series(0.0, 600.0, np.where(closed, 0.0, 1.0))


@pytest.mark.parametrize(
    ("days", "hours"), [((2, 5), {3}), ((2,), set()), ((8, 9), set()), ((5, 9), set()), ((), set())]
)
def test_a_zero_is_known_when_two_days_before_yesterday_had_it(days, hours):
    assert known_zeros(zeros_at(*days), 10 * DAY).hours == hours


def test_a_gap_is_no_zero():
    assert known_zeros(Series(0.0, 600.0, np.full(1_000, math.nan)), 10 * DAY).hours == set()


# Engines


@pytest.fixture(scope="module")
def daily():
    """Nine days between 20 and 180 with noise, in steps of ten minutes until a quarter to noon."""
    end = 20_718 * DAY + 12 * 3_600 - 900
    times = np.arange(end - 9 * DAY, end + 300, 300.0) // 600 * 600
    values = 100 - 80 * np.cos(2 * np.pi * times / DAY)
    noise = np.random.default_rng(1).normal(1, 0.05, len(times))
    return Series.from_samples(times, values * noise, 600.0), end


@pytest.fixture(scope="module")
def seen(daily, make_request):
    """The forecast of the usual day, which falls from noon on."""
    history, now = daily
    return forecast(history, make_request(now=now, engine="SeasonalNaive", quantile=0.95))


def test_the_hours_ahead_are_foreseen_with_their_bands(seen, daily):
    _, now = daily
    assert isinstance(seen, Forecast)
    assert (seen.model, seen.quantile, seen.step) == ("SeasonalNaive", 0.95, 600)
    for ahead in (0, 3_600, 7_000):
        expected = 100 - 80 * np.cos(2 * np.pi * (now + ahead) / DAY)
        assert seen.median_at(now + ahead) == pytest.approx(expected, rel=0.1)
        assert seen.lower_at(now + ahead) < seen.median_at(now + ahead)
        assert seen.upper_peak(now + ahead, now + ahead) > seen.median_at(now + ahead)


def test_they_begin_with_the_step_that_has_begun_and_reach_over_the_horizon(seen, daily):
    _, now = daily
    assert seen.start <= now < seen.start + 600
    assert seen.covers(now, now + 7_200)
    assert seen.valid_until >= now + 7_200


def test_how_often_the_quantile_really_covered_is_told(seen):
    assert 0.85 < seen.coverage <= 1


def test_an_engine_that_nobody_knows_is_an_error(daily, make_request):
    history, now = daily
    with pytest.raises(ValueError, match="no engine 'Oracle'"):
        forecast(history, make_request(now=now, engine="Oracle"))


def test_an_event_raises_all_bands_while_it_lasts(daily, make_request, seen):
    history, now = daily
    effect = Effect(multiplier=3)
    sale = Event("sale", Kind.CAMPAIGN, now + 3_600, now + 7_200, "campaign:sale", effect=effect)
    request = make_request(
        now=now, engine="SeasonalNaive", quantile=0.95, calendar=EventCalendar((sale,))
    )
    raised = forecast(history, request, LearnedEffects())
    for at, factor in ((now, 1), (now + 5_000, 3)):
        assert raised.median_at(at) == pytest.approx(factor * seen.median_at(at), rel=0.05)
        assert raised.lower_at(at) == pytest.approx(factor * seen.lower_at(at), rel=0.1)
        peaks = [one.upper_peak(at, at) for one in (raised, seen)]
        assert peaks[0] == pytest.approx(factor * peaks[1], rel=0.1)


# The time of year


def years(now, months):
    """Hours of demand that is three times as high in winter as in summer, until now."""
    times = now - 3_600.0 * np.arange(round(14 * 30.5 * 24), 0, -1)
    season = np.exp(0.55 * np.cos(2 * np.pi * times / (365.25 * DAY)))
    daily = 100 - 60 * np.cos(2 * np.pi * times / DAY)
    week = np.where((times // DAY + 3) % 7 >= 5, 0.4, 1.0)
    noise = np.random.default_rng(1).normal(1, 0.03, len(times))
    whole = Series(float(times[0]), 3_600.0, season * daily * week * noise)
    return whole.between(now - months * 30.5 * DAY, now)


def foreseen(make_request, months, *, days=14, **changes):
    """Foreseen from so many days, with so many months known from the store."""
    now = 1_790_467_200.0  # the end of September
    known = years(now, months)
    changes = {"engine": "SeasonalNaive", "now": now, "step": 3_600.0, **changes}
    return forecast(known.between(now - days * DAY, now), make_request(**changes), None, known)


def test_with_thirteen_months_the_time_of_year_acts_and_is_named(make_request):
    usual, yearly = foreseen(make_request, 12), foreseen(make_request, 14)
    assert (usual.model, yearly.model) == ("SeasonalNaive", "SeasonalNaive+Yearly")
    # What was a week ago, and has grown since.
    assert np.mean(np.array(yearly.median) / usual.median) == pytest.approx(1.06, abs=0.03)


def test_shorter_histories_change_nothing(make_request):
    assert foreseen(make_request, 12) == foreseen(make_request, 1)


@pytest.mark.parametrize(("days", "own"), [(14, False), (400, True)])
def test_prophet_by_name_sees_the_year_itself_where_it_is_given_one(
    make_request, monkeypatch, days, own
):
    given = []
    monkeypatch.setattr("foretide.forecasting.horizon.engines_named", lambda names: names)

    def choose(engines, history, context):
        given.append(context)
        return Undecided("Stopped", "it is seen what is needed")

    monkeypatch.setattr("foretide.forecasting.horizon.choose", choose)
    foreseen(make_request, 14, days=days, engine="Prophet")
    assert (given[0].yearly is None) is own
