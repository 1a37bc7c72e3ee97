import numpy as np
import pytest

from foretide.forecasting.events.features import FAR, covered, features
from foretide.forecasting.events.model import EventCalendar, Kind

DAY, HOUR = 86_400.0, 3_600.0


@pytest.fixture
def noons(monday):
    """The features at the noons of ten days from that Monday on."""
    return lambda calendar: features(calendar, monday + 12 * HOUR + DAY * np.arange(10), "UTC")


def test_days_around_a_holiday_are_told_apart(noons, make_holiday):
    found = noons(EventCalendar((make_holiday(3),)))
    assert found["holiday"].tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert found["holiday_tomorrow"].tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert found["holiday_yesterday"].tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert found["free_day"].tolist() == [0, 0, 0, 1, 0, 1, 1, 0, 0, 0]
    assert found["bridge_day"].tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert found["like_weekday"].tolist() == [0, 1, 2, 6, 4, 5, 6, 0, 1, 2]
    assert found["holiday_position"][3] == pytest.approx(0.5)


def test_distances_are_in_hours_and_end_where_an_event_is_far_away(noons, make_holiday):
    found = noons(EventCalendar((make_holiday(3),)))
    assert found["hours_to_holiday"].tolist() == [60, 36, 12, FAR, FAR, FAR, FAR, FAR, FAR, FAR]
    assert found["hours_since_holiday"].tolist() == [FAR] * 3 + [0, 12, 36, 60] + [FAR] * 3


def test_an_event_just_outside_the_times_is_seen_from_them(monday, make_event):
    calendar = EventCalendar((make_event(6 * HOUR, HOUR), make_event(-4 * HOUR, HOUR)))
    found = features(calendar, np.array([monday, monday + HOUR]), "UTC")
    assert found["hours_to_campaign"].tolist() == [6, 5]
    assert found["hours_since_campaign"].tolist() == [3, 4]
    assert found["hours_to_release"].tolist() == [FAR, FAR]


def test_declared_multipliers_are_a_number_too(monday, make_event):
    events = (
        make_event(multiplier=3.0, ramp_after=2 * HOUR),
        make_event(multiplier=2.0, name="other"),
    )
    found = features(EventCalendar(events), monday + HOUR * np.arange(-1, 5), "UTC")
    assert np.exp(found["declared"]) == pytest.approx([1, 3, 3, 3, 2, 1])


def test_every_feature_is_a_finite_number_for_each_time(monday, make_event, make_holiday):
    calendar = EventCalendar(
        (make_holiday(2), *(make_event(DAY * k, kind=kind) for k, kind in enumerate(Kind)))
    )
    times = monday + 900.0 * np.arange(600)
    found = features(calendar, times, "Asia/Kolkata")
    assert len(found) == 22
    for values in found.values():
        assert values.shape == times.shape
        assert values.dtype == float
        assert np.isfinite(values).all()
    names = set(found)
    assert set(features(EventCalendar(), times, "UTC")) == names


def test_no_times_have_no_features():
    assert features(EventCalendar(), np.zeros(0), "UTC") == {}


def test_what_events_and_their_ramps_cover_can_be_left_out_of_a_fit(monday, make_event):
    calendar = EventCalendar((make_event(2 * HOUR, HOUR, ramp_before=HOUR, ramp_after=HOUR),))
    found = covered(calendar, monday + HOUR * np.arange(6))
    assert found.tolist() == [False, True, True, True, False, False]
    assert not covered(EventCalendar(), np.zeros(0)).size
