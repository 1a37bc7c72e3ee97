"""Times as files write them: formats, units by size, zones; and what is refused as unsure."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.backtest.csv_cells import BadDemand
from foretide.forecasting.backtest.csv_times import is_small, is_unix, is_written, read_times

# 2023-11-14 22:13:20 UTC.
AT = 1_700_000_000.0


def read(*texts, zone="UTC"):
    return read_times([(line, text) for line, text in enumerate(texts, start=2)], "x.csv", zone)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1700000000", "1700000060"),
        ("1700000000.0", "1.70000006e9"),
        ("1700000000000", "1700000060000"),
        ("1700000000000000", "1700000060000000"),
        ("1.7e18", "1700000060000000000"),
        ("2023-11-14T22:13:20Z", "2023-11-14T23:14:20+01:00"),
        ("2023-11-14 22:13:20 UTC", "2023-11-14 22:14:20.000000000 +0000 UTC"),
        ("20231114T221320Z", "20231114T221420Z"),
    ],
)
def test_times_with_a_zone_or_a_unit_need_no_note(first, second):
    assert read(first, second) == ([AT, AT + 60], [])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2023-11-14 22:13:20", "2023-11-14 22:14:20"),
        ("2023/11/14 22:13:20", "2023/11/14 22:14:20"),
        ("14.11.2023 22:13:20", "14.11.2023, 22:14:20"),
        ("11/14/2023 10:13:20 PM", "11/14/2023 10:14:20 pm"),
        ("14/11/2023 22:13:20", "14/11/2023 22:14:20"),
        ("14-11-2023 22:13:20.5", "14-11-2023 22:14:20,500"),
    ],
)
def test_times_without_a_zone_are_noted(first, second):
    times, notes = read(first, second)
    assert [int(time) for time in times] == [AT, AT + 60]
    assert notes == ["times name no zone and are taken as UTC: choose with --time-zone"]


def test_twelve_at_noon_and_at_night_are_known():
    times, _ = read("11/14/2023 12:00 AM", "11/14/2023 12:00 PM")
    assert times == [datetime(2023, 11, 14, hour, tzinfo=UTC).timestamp() for hour in (0, 12)]


def test_one_day_after_the_twelfth_tells_the_order_of_all():
    times, _ = read("05/06/2026", "13/06/2026")
    assert times == [datetime(2026, 6, day, tzinfo=UTC).timestamp() for day in (5, 13)]


def test_small_numbers_are_seconds_and_noted():
    note = "times are taken as seconds since some beginning, with a line each 1 min"
    assert read("0", "60", "120") == ([0.0, 60.0, 120.0], [note])


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("nan",), "line 2: 'nan' is not a time"),
        (("0", "inf"), "line 3: 'inf' is not a time"),
        (("1e300",), "line 2: 1e300 is not a Unix time"),
        (("9" * 70,), "is not a Unix time"),
        (("-5e9",), "is not a Unix time"),
        (("1_700_000_000",), "is not a time"),
        (("1700000000", ""), "line 3: '' is not a time"),
        (("1700000000", "1700000060000"), "line 3: 1700000060000 is not in the unit of the times"),
        (("1700000000", "60"), "line 3: 60 is not in the unit"),
        (("60", "1700000000"), "line 3: 1700000000 is not in the unit"),
        # Dates without hyphens, of 8 to 14 figures; a spreadsheet's days.
        (("20260528", "20260529"), "20260528 may be a date or a number of seconds"),
        (("2026052820", "2026052821"), "2026052820 may be a date"),
        (("202605282025", "202605282030"), "202605282025 is not a Unix time"),
        (("20260528202500",), "is not a Unix time"),
        (("46170.8507", "46170.8542"), "are hardly seconds .*counts in days"),
        (("05/06/2026 10:00", "06/06/2026 10:00"), "day and month cannot be told apart"),
        (("13/06/2026", "06/13/2026"), "day and month cannot be told apart"),
        (("13/13/2026",), "cannot be told apart|is not a time"),
        (("13/06/2026 13:00 PM",), "is not a time"),
        (("31.02.2026",), "is not a time"),
        (("0001-01-01T00:00:00",), "is not a time"),
        (("9999-12-31T23:59:59",), "is not a time"),
        (("2026-05-28", "Total"), "line 3: 'Total' is not a time: write times as 2026-05-28"),
    ],
)
def test_what_is_no_time_or_may_be_two_is_refused(texts, message):
    with pytest.raises(BadDemand, match=rf"x\.csv.*{message}"):
        read(*texts)


def test_a_local_time_that_never_was_is_refused():
    with pytest.raises(BadDemand, match=r"'2026-03-08 02:30' does not exist in America/New_York"):
        read("2026-03-08 01:30", "2026-03-08 02:30", zone="America/New_York")


def test_hours_that_come_twice_are_told_by_their_order_also_hour_by_hour():
    clocks = [f"2026-11-01 0{hour}:00" for hour in (0, 1, 1, 2)]
    rising, _ = read(*clocks, zone="America/New_York")
    falling, _ = read(*reversed(clocks), zone="America/New_York")
    assert [time - rising[0] for time in rising] == [0, 3600, 7200, 10_800]
    assert falling == rising[::-1]


@pytest.mark.slow
@given(
    zone=st.sampled_from(["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "UTC"]),
    day=st.integers(1, 365),
    step=st.sampled_from([60, 300, 1800, 3600]),
    newest_first=st.booleans(),
)
def test_local_times_of_any_days_are_read_as_they_were_written(zone, day, step, newest_first):
    # Whole hours before and after, so that no gap hides which of two equal hours a line is of.
    start = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) + 86_400 * day
    times = [float(time) for time in range(start, start + 86_400 * 2, step)]
    if newest_first:
        times.reverse()
    local = [datetime.fromtimestamp(time, ZoneInfo(zone)) for time in times]
    assert read(*(f"{moment:%Y-%m-%d %H:%M:%S}" for moment in local), zone=zone)[0] == times


@given(st.floats(AT - 1e8, AT + 1e8), st.sampled_from([1, 1e3, 1e6, 1e9]))
def test_the_unit_is_told_by_the_size(seconds, unit):
    (found,), notes = read(f"{round(seconds * unit)}")
    assert found == pytest.approx(seconds, abs=0.51 / unit + 1e-6)
    assert notes == []


def test_what_a_cell_may_be_is_told_apart():
    texts = ("2026-05-28", "28.05.2026", "1700000000000", "107.5", "nan", "web-1")
    assert [is_written(text) for text in texts] == [True, True, False, False, False, False]
    assert [is_unix(text) for text in texts] == [False, False, True, False, False, False]
    assert [is_small(text) for text in texts] == [False, False, False, True, False, False]
