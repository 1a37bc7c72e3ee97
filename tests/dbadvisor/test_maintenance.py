"""Maintenance windows: week days, time zones, changes to and from summer time."""

from datetime import UTC, datetime

import pytest

from foretide.dbadvisor.maintenance import Span, Window, WindowError, current, following

HOUR = 3600.0


def at(text, zone="+00:00"):
    return datetime.fromisoformat(f"{text}{zone}").timestamp()


def weekend(**changes):
    given = {"days": ["Sat", "Sun"], "start": "02:00", "duration": 2 * HOUR}
    return Window.of(**{**given, "time_zone": "Europe/Berlin", **changes})


def test_a_window_opens_on_its_days_by_the_clock_of_its_zone():
    windows = [weekend()]
    # 28 November 2026 is a Saturday; Berlin is an hour ahead of UTC in winter.
    opened = Span(at("2026-11-28T01:00"), at("2026-11-28T03:00"))
    assert current(windows, at("2026-11-28T00:59:59")) is None
    assert current(windows, at("2026-11-28T01:00")) == opened
    assert current(windows, at("2026-11-28T02:59:59")) == opened
    assert current(windows, at("2026-11-28T03:00")) is None
    assert following(windows, at("2026-11-23T12:00")) == opened
    assert following(windows, at("2026-11-28T01:00")).start == at("2026-11-29T01:00")


def test_without_days_it_opens_each_day():
    each_day = Window.of([], "23:00", 2 * HOUR)
    assert current([each_day], at("2026-11-25T00:30")).start == at("2026-11-24T23:00")


@pytest.mark.parametrize(
    ("day", "opens"),
    [
        ("2026-03-28", "2026-03-28T01:00"),
        # Clocks go from 2:00 to 3:00: what would be 2:00 is 3:00, at the same moment as 1:00 UTC.
        ("2026-03-29", "2026-03-29T01:00"),
        # Clocks go from 3:00 back to 2:00: the first 2:00 is 0:00 UTC.
        ("2026-10-25", "2026-10-25T00:00"),
    ],
)
def test_a_change_of_the_clock_neither_skips_nor_doubles_a_window(day, opens):
    spans = weekend().spans(at(f"{day}T00:00"), at(f"{day}T12:00"))
    assert spans == [Span(at(opens), at(opens) + 2 * HOUR)]


def test_windows_that_overlap_or_follow_at_once_are_one():
    first = Window.of(["Sat"], "02:00", 2 * HOUR)
    overlapping = Window.of(["Sat"], "03:00", 2 * HOUR)
    after = Window.of(["Sat"], "05:00", HOUR)
    late = Window.of(["Sat"], "07:00", HOUR)
    found = current([late, after, first, overlapping], at("2026-11-28T02:30"))
    assert found == Span(at("2026-11-28T02:00"), at("2026-11-28T06:00"))


def test_a_window_of_a_week_is_open_always():
    always = Window.of(["Mon"], "00:00", 7 * 24 * HOUR)
    now = at("2026-11-26T12:00")
    assert current([always], now).end >= now + 24 * HOUR


def test_without_windows_nothing_is_open():
    now = datetime(2026, 11, 28, 2, tzinfo=UTC).timestamp()
    assert current([], now) is None
    assert following([], now) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"days": ["Saturday"]}, "none of Mon, Tue"),
        ({"start": "2:00"}, "such as 02:00"),
        ({"start": "24:00"}, "such as 02:00"),
        ({"duration": 0}, "from 1 minute"),
        ({"duration": 8 * 86_400.0}, "to 7 days"),
        ({"time_zone": "Mars/Olympus"}, "IANA"),
        ({"time_zone": "../../etc/passwd"}, "IANA"),
        ({"time_zone": ""}, "IANA"),
    ],
)
def test_what_cannot_be_used_is_told(changes, said):
    with pytest.raises(WindowError, match=said):
        weekend(**changes)
