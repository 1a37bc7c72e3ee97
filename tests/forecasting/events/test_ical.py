from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.events.ical import LARGEST, MOST_ENTRIES, CalendarError, read_calendar
from foretide.forecasting.events.model import Effect, Kind
from foretide.forecasting.events.settings import Declared
from foretide.forecasting.events.sources import expand

BERLIN = "Europe/Berlin"
DECLARED = Declared(Kind.CAMPAIGN)


def vevent(*lines, uid="1"):
    return "\r\n".join(["BEGIN:VEVENT", f"UID:{uid}", *lines, "END:VEVENT"])


def vcalendar(*entries):
    return "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:test", *entries, "END:VCALENDAR"])


@pytest.fixture
def happenings(at):
    """Start and end on Berlin's wall clock of all that a calendar's entries hold in 2026-2028."""

    def make(*entries, declared=DECLARED):
        found = read_calendar(vcalendar(*entries), declared)
        assert not found.problems
        calendar = expand(found.sources, at("2026-01-01"), at("2029-01-01"), BERLIN).calendar
        return [(wall(event.start), wall(event.end)) for event in calendar.events]

    def wall(seconds):
        return datetime.fromtimestamp(seconds, ZoneInfo(BERLIN)).isoformat()[:16]

    return make


def problem_of(*lines):
    good = vevent("SUMMARY:Good", "DTSTART;VALUE=DATE:20260501", uid="2")
    found = read_calendar(vcalendar(vevent("SUMMARY:Bad", *lines), good), DECLARED)
    assert [source.name for source in found.sources][-1] == "Good"
    (problem,) = found.problems
    assert problem.startswith("event 1 (Bad): ")
    return problem


def test_a_time_with_a_zone_a_time_in_utc_and_a_time_without(happenings):
    for start, end in [
        ("DTSTART;TZID=Europe/Berlin:20261127T080000", "DTEND;TZID=Europe/Berlin:20261127T100000"),
        ("DTSTART:20261127T070000Z", "DTEND:20261127T090000Z"),
        ("DTSTART:20261127T080000", "DURATION:PT2H"),
        ("DTSTART;TZID=W. Europe Standard Time:20261127T080000", "DURATION:PT2H"),
        ("DTSTART;TZID=America/New_York:20261127T020000", "DTEND:20261127T090000Z"),
    ]:
        assert happenings(vevent(start, end)) == [("2026-11-27T08:00", "2026-11-27T10:00")]


@pytest.mark.parametrize("end", ["", "DTEND;VALUE=DATE:20261026", "DURATION:P1D"])
def test_a_date_lasts_the_whole_day_even_one_of_25_hours(happenings, end):
    entry = vevent("DTSTART;VALUE=DATE:20261025", *filter(None, [end]))
    assert happenings(entry) == [("2026-10-25T00:00", "2026-10-26T00:00")]


def test_an_event_recurs_but_for_its_exceptions(happenings):
    entry = vevent(
        "DTSTART;TZID=Europe/Berlin:20260320T090000",
        "DURATION:PT1H",
        "RRULE:FREQ=WEEKLY;UNTIL=20260417T070000Z",
        "EXDATE;TZID=Europe/Berlin:20260327T090000",
        "EXDATE:20260410T070000Z",
        "RDATE;TZID=Europe/Berlin:20260401T120000",
    )
    assert [start for start, _ in happenings(entry)] == [
        "2026-03-20T09:00",
        "2026-04-01T12:00",
        "2026-04-03T09:00",
        "2026-04-17T09:00",
    ]


def test_dates_alone_recur_too(happenings):
    entry = vevent("DTSTART:20260320T090000", "DURATION:PT1H", "RDATE:20260401T090000")
    assert [start for start, _ in happenings(entry)] == ["2026-03-20T09:00", "2026-04-01T09:00"]


def test_an_occurrence_that_was_moved_takes_place_where_it_was_moved_to(happenings):
    weekly = vevent(
        "DTSTART;TZID=Europe/Berlin:20260320T090000", "DURATION:PT1H", "RRULE:FREQ=WEEKLY;COUNT=3"
    )
    moved = vevent(
        "RECURRENCE-ID:20260327T080000Z",  # nine o'clock in Berlin
        "DTSTART;TZID=Europe/Berlin:20260328T110000",
        "DURATION:PT1H",
    )
    cancelled = vevent(
        "RECURRENCE-ID;TZID=Europe/Berlin:20260403T090000",
        "DTSTART;TZID=Europe/Berlin:20260403T090000",
        "STATUS:CANCELLED",
    )
    starts = [start for start, _ in happenings(weekly, moved, cancelled)]
    assert starts == ["2026-03-20T09:00", "2026-03-28T11:00"]


def test_a_cancelled_event_does_not_take_place(happenings):
    assert happenings(vevent("DTSTART;VALUE=DATE:20260501", "STATUS:CANCELLED")) == []


@pytest.mark.parametrize(
    "line",
    [
        "X-FORETIDE:multiplier=3,minReplicas=20,kind=release",
        "DESCRIPTION:All hands!\\nforetide: multiplier=3\\, minReplicas=20\\, kind=release\\nBye",
    ],
)
def test_an_event_may_say_itself_what_it_does(line):
    text = vcalendar(vevent("SUMMARY:Launch", "DTSTART;VALUE=DATE:20260501", line))
    declared = Declared(Kind.CAMPAIGN, Effect(1.5, ramp_before=60.0))
    (source,) = read_calendar(text, declared).sources
    assert (source.name, source.kind) == ("Launch", Kind.RELEASE)
    assert source.effect == Effect(3.0, 20, ramp_before=60.0)


def test_what_an_event_does_not_say_is_taken_from_the_resource():
    declared = Declared(Kind.RELEASE, Effect(1.5, 4, 60.0, 120.0))
    (source,) = read_calendar(vcalendar(vevent("DTSTART;VALUE=DATE:20260501")), declared).sources
    assert (source.name, source.kind, source.effect) == ("1", Kind.RELEASE, declared.effect)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["DESCRIPTION:x"], "DTSTART is missing"),
        (["DTSTART:20261399T080000"], "DTSTART: "),
        (["DTSTART:20261127T080000"], "must last longer than nothing"),
        (["DTSTART:20261127T080000", "DURATION:-PT1H"], "must last longer than nothing"),
        (["DTSTART:20261127T080000", "DURATION:P400D"], "366 days at the most"),
        (["DTSTART:20261127T080000", "DTEND;VALUE=DATE:20261128"], "both be dates, or both times"),
        (
            ["DTSTART:20261127T080000", "DTEND:20261127T090000Z"],
            "a time zone, or neither",
        ),
        (["DTSTART:20261127T080000", "DTSTART:20261127T090000"], "DTSTART is given twice"),
        (["DTSTART;VALUE=DATE:20261127", "RRULE:FREQ=SOMETIMES"], "RRULE: "),
        (["DTSTART;VALUE=DATE:20261127", "RRULE:FREQ=SECONDLY"], "rrule needs FREQ"),
        (["DTSTART;VALUE=DATE:20261127", "X-FORETIDE:multiplier=0"], "multiplier='0'"),
        (["DTSTART;VALUE=DATE:20261127", "X-FORETIDE:multiplyer=2"], "'multiplyer' is not one of"),
    ],
)
def test_an_event_that_cannot_be_used_is_named_and_stops_no_other(lines, message):
    assert message in problem_of(*lines)


def test_a_zone_that_is_not_known_is_told_and_the_event_counts_all_the_same(at):
    text = vcalendar(
        vevent("SUMMARY:Sale", "DTSTART;TZID=Mars/Olympus:20261127T080000", "DURATION:PT1H")
    )
    found = read_calendar(text, DECLARED)
    assert found.problems == (
        "event 1 (Sale): time zone 'Mars/Olympus' is not known: taken as the workload's",
    )
    (event,) = expand(found.sources, at("2026-01-01"), at("2027-01-01"), BERLIN).calendar.events
    assert event.start == at("2026-11-27T08:00", BERLIN)


def test_what_does_not_matter_may_be_broken(happenings):
    entry = vevent("DTSTART;VALUE=DATE:20260501", "GEO:nowhere", "CREATED:yesterday")
    assert len(happenings(entry)) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the calendar is empty"),
        ("\n\n", "the calendar is empty"),
        ("hello", "line 1 is not NAME:value: 'hello'"),
        ("SUMMARY:x", "line 1 stands before BEGIN:VCALENDAR"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nwhat now\nEND:VEVENT\nEND:VCALENDAR", "line 3 is not"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VCALENDAR", "line 3: END:VCALENDAR without its BEGIN"),
        ("BEGIN:VCALENDAR\nVERSION:2.0", "line 1: BEGIN:VCALENDAR has no END"),
        ("<html></html>", "line 1 is not"),
        ("x" * (LARGEST + 1), "larger than 512 KiB"),
        (vcalendar(*[vevent()] * (MOST_ENTRIES + 1)), "more than 2000 events"),
    ],
)
def test_what_is_no_calendar_is_refused_with_the_line(text, message):
    with pytest.raises(CalendarError, match=message):
        read_calendar(text, DECLARED)


def test_a_folded_line_is_one_line():
    text = vcalendar(vevent("SUMMARY:Black Fri", " day", "DTSTART;VALUE=DATE:20261127"))
    assert read_calendar(text, DECLARED).sources[0].name == "Black Friday"


def test_many_problems_are_counted_rather_than_listed():
    found = read_calendar(vcalendar(*[vevent()] * 15), DECLARED)
    assert len(found.problems) == 11
    assert found.problems[-1] == "and 5 more events with problems"


@given(st.text(alphabet="BEGIN:VCALDRTSUX;=,20261127Z \n-+\\", max_size=200))
def test_no_text_whatever_raises_anything_else(text):
    try:
        read_calendar(text, DECLARED)
        read_calendar(vcalendar(vevent(*text.split("\n"))), DECLARED)
    except CalendarError:
        pass
