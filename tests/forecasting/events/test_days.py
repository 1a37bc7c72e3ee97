from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.events.days import Days, reference_weekday, wall_clock
from foretide.forecasting.events.model import EventCalendar

MON, TUE, WED, THU, FRI, SAT, SUN = range(7)


@pytest.fixture
def like(monday):
    """The weekdays that the night, noon and evening of a day (from that Monday) are like."""

    def make(calendar, day):
        times = monday + 86_400.0 * day + 3_600.0 * np.array([3, 12, 20])
        clock = wall_clock(times, "UTC")
        return reference_weekday(clock, Days.of(calendar, clock, times, "UTC")).tolist()

    return make


def test_the_wall_clock_follows_the_change_to_summer_time_and_back(at):
    zone = "Europe/Berlin"
    times = np.array([at("2026-03-29T01:59", zone), at("2026-03-29T03:00", zone)])
    assert times[1] - times[0] == 60
    clock = wall_clock(times, zone)
    assert clock.hour == pytest.approx([1 + 59 / 60, 3])
    assert clock.weekday.tolist() == [SUN, SUN]
    autumn = at("2026-10-25T00:00", zone) + 3_600.0 * np.arange(26)
    assert wall_clock(autumn, zone).hour.tolist() == [0, 1, 2, 2, *range(3, 24), 0]


def test_the_wall_clock_keeps_to_quarters_of_an_hour(at):
    assert wall_clock(np.array([at("2026-03-02")]), "Asia/Kathmandu").hour == pytest.approx([5.75])


@given(st.integers(0, 2**31), st.sampled_from(["UTC", "America/Sao_Paulo", "Australia/Lord_Howe"]))
def test_the_wall_clock_is_that_of_the_standard_library(seconds, zone):
    local = datetime.fromtimestamp(seconds, ZoneInfo(zone))
    clock = wall_clock(np.array([float(seconds)]), zone)
    assert clock.weekday[0] == local.weekday()
    assert clock.hour[0] == pytest.approx(local.hour + local.minute / 60 + local.second / 3_600)


def test_ordinary_days_are_like_themselves(like, make_holiday, calendar_of):
    calendar = calendar_of(make_holiday(30))
    assert [like(calendar, day) for day in range(7)] == [[day] * 3 for day in range(7)]


def test_around_a_holiday_in_the_middle_of_the_week(like, make_holiday, calendar_of):
    calendar = calendar_of(make_holiday(WED))
    assert like(calendar, TUE) == [TUE, TUE, FRI]
    assert like(calendar, WED) == [SAT, SUN, SUN]
    assert like(calendar, THU) == [MON, THU, THU]


def test_a_holiday_before_the_weekend_makes_it_longer(like, make_holiday, calendar_of):
    calendar = calendar_of(make_holiday(FRI))
    assert like(calendar, THU) == [THU, THU, FRI]
    assert like(calendar, FRI) == [SAT, SAT, SAT]
    assert like(calendar, SAT) == [SUN, SAT, SAT]
    assert like(calendar, SUN) == [SUN, SUN, SUN]


def test_a_holiday_after_the_weekend_makes_it_longer(like, make_holiday, calendar_of):
    calendar = calendar_of(make_holiday(7))
    assert like(calendar, SUN) == [SUN, SAT, SAT]
    assert like(calendar, 7) == [SUN, SUN, SUN]
    assert like(calendar, 8) == [MON, TUE, TUE]


def test_a_holiday_on_a_day_that_is_free_anyway_changes_nothing(like, make_holiday, calendar_of):
    calendar = calendar_of(make_holiday(SAT))
    assert [like(calendar, day) for day in range(7)] == [[day] * 3 for day in range(7)]


def test_where_the_weekend_is_friday_and_saturday_a_holiday_is_like_those(like, make_holiday):
    calendar = EventCalendar((make_holiday(TUE),), weekend=frozenset({FRI, SAT}))
    assert like(calendar, TUE) == [FRI, SAT, SAT]
    assert like(calendar, WED) == [SUN, WED, WED]


@pytest.mark.parametrize("weekend", [frozenset(), frozenset(range(7))])
def test_without_a_weekend_there_is_nothing_to_be_like(like, make_holiday, weekend):
    calendar = EventCalendar((make_holiday(TUE),), weekend=weekend)
    assert like(calendar, TUE) == [TUE] * 3


def test_the_holiday_near_a_day_is_its_own_before_that_of_its_neighbours(
    make_holiday, calendar_of, monday
):
    calendar = calendar_of(make_holiday(WED, "first"), make_holiday(THU, "second"))
    times = monday + 86_400.0 * np.arange(7) + 3_600
    clock = wall_clock(times, "UTC")
    days = Days.of(calendar, clock, times, "UTC")
    near = [days.holiday_near(int(day)) for day in clock.day]
    names = [event.name if event else None for event in near]
    assert names == [None, "first", "first", "second", "second", None, None]
