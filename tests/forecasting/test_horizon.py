import math

import numpy as np
import pytest

from foretide.forecasting.events.effects import LearnedEffects
from foretide.forecasting.events.model import Effect, Event, EventCalendar, Kind
from foretide.forecasting.horizon import enough, forecast, known_zeros, with_events
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


def test_a_declared_event_raises_all_bands_while_it_lasts(make_forecast, make_request, now):
    made = make_forecast(*[100.0] * 60, lower=(20.0,) * 60)
    sale = Event(
        "sale", Kind.CAMPAIGN, now + 600, now + 1_200, "campaign:sale", effect=Effect(multiplier=3)
    )
    request = make_request(calendar=EventCalendar((sale,)))
    raised = with_events(made, LearnedEffects(), request)
    peaks = [raised.upper_peak(at, at) for at in (now, now + 900, now + 1_300)]
    assert peaks == pytest.approx([100, 300, 100])
    assert raised.median_at(now + 900) == pytest.approx(3 * made.median_at(now + 900))
    assert raised.lower_at(now + 900) == pytest.approx(60)


def test_bands_that_are_not_there_stay_away(make_forecast, make_request):
    assert with_events(make_forecast(1.0, 1.0), LearnedEffects(), make_request()).lower == ()
