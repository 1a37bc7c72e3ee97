import time
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from foretide.forecasting.events.model import Effect, Kind
from foretide.forecasting.events.rules import parse_rule
from foretide.forecasting.events.settings import Declared
from foretide.forecasting.events.sources import (
    MOST_EVENTS,
    DatedSource,
    HolidaySource,
    RecurringSource,
    expand,
)
from foretide.forecasting.events.timing import Timing

BERLIN = "Europe/Berlin"


@dataclass(frozen=True)
class Broken:
    """A source with a mistake in its code."""

    name: str

    def events(self, start, end, zone, budget):
        """See `Source`."""
        raise KeyError("a slip")


@pytest.fixture
def year(at):
    """Expands sources over 2026 on Berlin's wall clock."""

    def make(*sources, zone=BERLIN):
        return expand(sources, at("2026-01-01", zone), at("2026-12-31T23:59", zone), zone)

    return make


def test_public_holidays_last_a_day_of_the_workloads_own_zone(year, at):
    events = year(HolidaySource("de", "DE")).calendar.events
    assert len(events) == 9
    first = events[0]
    assert (first.name, first.kind) == ("New Year's Day", Kind.HOLIDAY)
    assert (first.start, first.end) == (at("2026-01-01", BERLIN), at("2026-01-02", BERLIN))
    assert first.key == "holiday:DE:New Year's Day"
    assert first.pools == ("holiday:DE", "holiday")


def test_a_day_on_which_the_clock_changes_has_23_or_25_hours(at):
    spring = DatedSource("x", Kind.CAMPAIGN, datetime(2026, 3, 29), datetime(2026, 3, 30))
    autumn = DatedSource("y", Kind.CAMPAIGN, datetime(2026, 10, 25), datetime(2026, 10, 26))
    events = expand([spring, autumn], at("2026-01-01"), at("2027-01-01"), BERLIN).calendar.events
    assert [(event.end - event.start) / 3_600 for event in events] == [23, 25]


def test_a_part_of_a_country_adds_its_own_holidays(year):
    names = {event.name for event in year(HolidaySource("by", "DE", "BY")).calendar.events}
    assert {"Epiphany", "Corpus Christi", "All Saints' Day"} <= names


def test_holidays_that_most_of_business_does_not_keep_have_a_pool_of_their_own(year):
    events = year(HolidaySource("us", "US"), zone="America/New_York").calendar.events
    pools = {event.name: event.pools[0] for event in events}
    assert pools["Thanksgiving Day"] == "holiday:US:closed"
    assert pools["Veterans Day"] == "holiday:US:open"


def test_a_holiday_that_is_observed_on_another_day_is_the_same_holiday(year):
    events = year(HolidaySource("us", "US"), zone="America/New_York").calendar.events
    keys = {event.name: event.key for event in events}
    assert keys["Independence Day (observed)"] == keys["Independence Day"]


@pytest.mark.parametrize(("country", "weekend"), [("DE", {5, 6}), ("EG", {4, 5})])
def test_the_weekend_is_that_of_the_country(year, country, weekend):
    assert year(HolidaySource("h", country)).calendar.weekend == weekend


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (HolidaySource("h", "XX"), "event h: no holidays are known for XX"),
        (
            HolidaySource("h", "DE", "QQ"),
            "for DE QQ; its subdivisions are BB",
        ),
        (HolidaySource("h", "DE", categories=("bank",)), "DE has no holidays of the category bank"),
        (
            DatedSource("h", Kind.RELEASE, datetime(2026, 5, 2), datetime(2026, 5, 1, tzinfo=UTC)),
            "event h: end must be after start",
        ),
        (
            RecurringSource("h", Kind.RECURRING, datetime(2026, 1, 1), parse_rule("FREQ=DAILY")),
            "must last longer than nothing",
        ),
        (
            RecurringSource(
                "h",
                Kind.RECURRING,
                datetime(2026, 1, 1),
                parse_rule("FREQ=MONTHLY;BYDAY=+9MO"),
                duration=60.0,
            ),
            "event h: rrule: BYDAY asks for a weekday that no month has",
        ),
        (
            RecurringSource(
                "h",
                Kind.RECURRING,
                datetime(2026, 1, 1),
                parse_rule("FREQ=DAILY;COUNT=1"),
                days=1,
                extra=(datetime(9999, 12, 31),),
            ),
            "event h: one of its dates lies beyond the years that can be counted with",
        ),
        (Broken("h"), "event h: cannot be used: KeyError('a slip')"),
    ],
)
def test_a_source_that_cannot_be_used_is_a_problem_and_stops_no_other(year, source, message):
    good = DatedSource("good", Kind.RELEASE, datetime(2026, 5, 1), datetime(2026, 5, 2))
    expansion = year(source, good)
    assert [event.name for event in expansion.calendar.events] == ["good"]
    assert len(expansion.problems) == 1
    assert message in expansion.problems[0]


def test_too_many_events_are_told_and_left_out(at):
    often = [
        RecurringSource(
            f"r{i}", Kind.RECURRING, datetime(2022, 1, 1), parse_rule("FREQ=DAILY"), duration=60.0
        )
        for i in range(8)
    ]
    expansion = expand(often, at("2022-01-01"), at("2026-01-01"), "UTC")
    assert len(expansion.calendar) <= MOST_EVENTS
    assert expansion.problems == (
        "event r6: there are more than 10000 events from 2022-01-01 to 2026-01-01",
        "event r7: there are more than 10000 events from 2022-01-01 to 2026-01-01",
    )


@pytest.mark.slow
def test_rules_that_never_come_true_do_not_keep_the_operator_busy(at):
    rule = parse_rule("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30")
    first = datetime(2020, 1, 1)
    never = [RecurringSource(f"n{i}", Kind.RECURRING, first, rule, 60.0) for i in range(50)]
    good = DatedSource("good", Kind.RELEASE, datetime(2026, 5, 1), datetime(2026, 5, 2))
    started = time.process_time()
    expand(never[:5], at("2026-01-01"), at("2027-01-01"), "UTC")
    five = time.process_time() - started
    started = time.process_time()
    expansion = expand([*never, good], at("2026-01-01"), at("2027-01-01"), "UTC")
    assert time.process_time() - started < 4 * five  # without a limit for all of them, ten times
    assert [event.name for event in expansion.calendar.events] == ["good"]
    assert "event n0: rrule never comes true" in expansion.problems[0]
    assert "together take too long" in expansion.problems[-1]


def test_an_event_recurs_but_for_what_is_excluded_and_with_what_is_extra(starts_of):
    source = RecurringSource(
        name="newsletter",
        kind=Kind.RECURRING,
        first=datetime(2026, 3, 3, 9),
        rule=parse_rule("FREQ=WEEKLY"),
        duration=7_200.0,
        excluded=frozenset({datetime(2026, 3, 17, 9)}),
        extra=(datetime(2026, 3, 19, 10),),
    )
    assert starts_of(source, "2026-03-01", "2026-04-01") == [
        "2026-03-03T09:00",
        "2026-03-10T09:00",
        "2026-03-19T10:00",
        "2026-03-24T09:00",
        "2026-03-31T09:00",
    ]


def test_an_event_recurs_on_its_own_wall_clock_if_it_has_one(starts_of):
    source = RecurringSource(
        name="x",
        kind=Kind.RECURRING,
        first=datetime(2026, 3, 3, 9),
        rule=parse_rule("FREQ=WEEKLY"),
        duration=60.0,
        zone="America/New_York",
    )
    # New York's summer begins three weeks before Berlin's.
    assert starts_of(source, "2026-03-01", "2026-04-01")[:2] == [
        "2026-03-03T15:00",
        "2026-03-10T14:00",
    ]


def test_an_event_that_is_under_way_when_the_window_begins_is_there(starts_of):
    source = RecurringSource(
        "x", Kind.RECURRING, datetime(2026, 1, 1), parse_rule("FREQ=MONTHLY"), days=3
    )
    assert starts_of(source, "2026-02-03", "2026-02-20") == ["2026-02-01T00:00"]


CAMPAIGN = Declared(Kind.CAMPAIGN, Effect(2.0))


@pytest.mark.parametrize(
    ("timing", "start", "end"),
    [
        (Timing("2026-11-27"), "2026-11-27T00:00", "2026-11-28T00:00"),
        (Timing("2026-11-27", "2026-11-30"), "2026-11-27T00:00", "2026-12-01T00:00"),
        (Timing("2026-11-27T08:00", "2026-11-27T20:00"), "2026-11-27T08:00", "2026-11-27T20:00"),
        (Timing("2026-11-27T08:00Z", "2026-11-27T20:00Z"), "2026-11-27T09:00", "2026-11-27T21:00"),
        (
            Timing("2026-11-27T08:00-05:00", duration=3_600.0),
            "2026-11-27T14:00",
            "2026-11-27T15:00",
        ),
        (Timing("2026-11-27T08:00Z", "2026-11-28"), "2026-11-27T09:00", "2026-11-29T00:00"),
        (Timing("2026-11-27", duration=3_600.0), "2026-11-27T00:00", "2026-11-27T01:00"),
    ],
)
def test_times_mean_what_people_mean_by_them(year, at, timing, start, end):
    (event,) = year(timing.source("sale", CAMPAIGN)).calendar.events
    assert (event.start, event.end) == (at(start, BERLIN), at(end, BERLIN))
    assert (event.kind, event.effect, event.key) == (Kind.CAMPAIGN, Effect(2.0), "campaign:sale")


def test_a_start_with_an_offset_recurs_on_the_workloads_wall_clock(starts_of):
    timing = Timing("2026-03-24T08:00Z", duration=3_600.0, rrule="FREQ=WEEKLY")
    source = timing.source("x", Declared(timing.default_kind))
    assert starts_of(source, "2026-03-20", "2026-04-02") == ["2026-03-24T09:00", "2026-03-31T09:00"]


def test_whole_days_recur_as_whole_days_through_the_change_of_the_clock(at):
    source = Timing("2026-10-24", "2026-10-25", rrule="FREQ=YEARLY").source("x", CAMPAIGN)
    (event,) = expand([source], at("2026-01-01"), at("2027-01-01"), BERLIN).calendar.events
    assert (event.end - event.start) / 3_600 == 49


@pytest.mark.parametrize(
    ("timing", "message"),
    [
        (Timing("tomorrow"), "start: 'tomorrow' is not a time such as 2026-11-27"),
        (Timing("2026-02-30"), "start: '2026-02-30' is not a time"),
        (Timing("2026-11-27T25:00", duration=60.0), "is not a time"),
        (Timing("1850-01-01"), "is not a time"),
        (Timing("2026-11-27", "soon"), "end: 'soon' is not a time"),
        (Timing("2026-11-27T08:00"), "give end or duration"),
        (Timing("2026-11-27", "2026-11-28", 60.0), "not both"),
        (Timing("2026-11-27", "2026-11-26"), "end must be after start"),
        (Timing("2026-11-27T08:00", "2026-11-27T08:00"), "end must be after start"),
        (Timing("2026-11-27", "2029-11-27"), "by 366 days at the most"),
        (
            Timing("2026-11-27T08:00Z", "2026-11-27T09:00", rrule="FREQ=DAILY"),
            "both an offset, or neither",
        ),
        (Timing("2026-11-27", rrule="FREQ=NEVER"), "rrule needs FREQ"),
    ],
)
def test_times_that_make_no_sense_are_refused_with_what_to_change(timing, message):
    with pytest.raises(ValueError, match=message):
        timing.source("sale", CAMPAIGN)
