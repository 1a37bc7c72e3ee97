"""The wall clock as arrays agrees with Python's own, in every zone and across every change."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.calendar import days_back, local_clock, utc_offsets

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]


def unix(*moment, zone="UTC", fold=0):
    return datetime(*moment, tzinfo=ZoneInfo(zone), fold=fold).timestamp()


@given(
    st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=5),
    st.sampled_from(ZONES),
)
def test_the_clock_agrees_with_pythons(times, zone):
    clock = local_clock(np.array(times, dtype=float), zone)
    for index, at in enumerate(times):
        there = datetime.fromtimestamp(at, ZoneInfo(zone))
        assert clock.second[index] == there.hour * 3600 + there.minute * 60 + there.second
        assert clock.weekday[index] == there.weekday()
        assert clock.offset[index] == there.utcoffset().total_seconds()
        assert clock.day[index] == (there.date() - datetime(1970, 1, 1, tzinfo=UTC).date()).days


def test_the_offset_changes_at_the_very_second():
    change = unix(2026, 3, 29, 1)
    assert list(utc_offsets(np.array([change - 1, change]), "Europe/Berlin")) == [3600, 7200]


def test_the_position_in_the_year_begins_at_local_new_year():
    times = np.array([unix(2024, 1, 1, zone="Asia/Tokyo"), unix(2024, 12, 31, 12, zone="UTC")])
    positions = local_clock(times, "Asia/Tokyo").year_position
    assert positions[0] == 0
    assert positions[1] == pytest.approx((365 + 21 / 24) / 366)


def test_the_same_time_a_day_before_is_25_hours_away_after_the_autumn_change():
    after = np.array([unix(2026, 10, 25, 12, zone="Europe/Berlin")])
    before = days_back(after, 1, "Europe/Berlin")
    assert before[0] == unix(2026, 10, 24, 12, zone="Europe/Berlin")
    assert after[0] - before[0] == 25 * 3600


def test_the_same_time_a_week_before_is_an_hour_nearer_after_the_spring_change():
    after = np.array([unix(2026, 4, 1, 8, zone="Europe/Berlin")])
    before = days_back(after, np.array([7]), "Europe/Berlin")
    assert before[0] == unix(2026, 3, 25, 8, zone="Europe/Berlin")


def test_no_times_are_no_clock():
    assert len(local_clock(np.array([]), "Europe/Berlin").second) == 0


def test_a_zone_that_does_not_exist_is_an_error():
    with pytest.raises(ZoneInfoNotFoundError):
        local_clock(np.array([0.0]), "Mars/Olympus")
