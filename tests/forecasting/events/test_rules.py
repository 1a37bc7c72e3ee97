import time
from datetime import UTC, datetime

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.events.rules import (
    MOST_OCCURRENCES,
    Budget,
    Rule,
    RuleError,
    parse_rule,
    starts,
    to_unix,
)

BERLIN = "Europe/Berlin"


def found(text, first, start, end, zone=BERLIN):
    window = {"start": to_unix(start, zone), "end": to_unix(end, zone)}
    return starts(parse_rule(text), first, zone, **window)


def test_a_rule_recurs_on_the_wall_clock_through_the_change_to_summer_time():
    first = datetime(2026, 1, 6, 9)
    dates = found("FREQ=WEEKLY;BYDAY=TU", first, datetime(2026, 3, 20), datetime(2026, 4, 10))
    assert dates == [datetime(2026, 3, day, 9) for day in (24, 31)] + [datetime(2026, 4, 7, 9)]
    hours = [datetime.fromtimestamp(to_unix(date, BERLIN), UTC).hour for date in dates]
    assert hours == [8, 7, 7]


def test_a_time_that_the_change_skips_is_an_hour_later_and_one_that_comes_twice_the_first():
    skipped = to_unix(datetime(2026, 3, 29, 2, 30), BERLIN)
    assert datetime.fromtimestamp(skipped, UTC) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    twice = to_unix(datetime(2026, 10, 25, 2, 30), BERLIN)
    assert datetime.fromtimestamp(twice, UTC) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("end", "last"),
    [
        ("COUNT=3", 9),
        ("UNTIL=20260309", 9),
        ("UNTIL=20260309T085959", 8),
        ("UNTIL=20260309T080000Z", 9),  # nine o'clock in Berlin
        ("UNTIL=20260309T075959Z", 8),
    ],
)
def test_a_rule_ends_by_count_or_date(end, last):
    dates = found(
        f"FREQ=DAILY;{end}", datetime(2026, 3, 7, 9), datetime(2026, 1, 1), datetime(2027, 1, 1)
    )
    assert dates[-1] == datetime(2026, 3, last, 9)


@given(
    st.sampled_from(
        [
            "FREQ=DAILY;INTERVAL=3",
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR",
            "FREQ=MONTHLY;BYDAY=-1FR",
            "FREQ=MONTHLY;BYMONTHDAY=31",
            "FREQ=YEARLY;BYMONTH=11;BYDAY=4TH",
            "FREQ=YEARLY;INTERVAL=4",
            "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO",
        ]
    ),
    st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1)),
)
def test_the_dates_are_those_that_dateutil_gives(text, first):
    first = first.replace(microsecond=0)
    start, end = datetime(2025, 1, 1), datetime(2032, 1, 1)
    assert found(text, first, start, end, "UTC") == rrulestr(text, dtstart=first).between(
        start, end, inc=True
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs FREQ"),
        ("FREQ=HOURLY", "needs FREQ"),
        ("BYDAY=MO", "needs FREQ"),
        ("FREQ=WEEKLY;BYDAY=XX", "BYDAY"),
        ("FREQ=WEEKLY;BYSECOND=1", "BYSECOND"),
        ("FREQ=WEEKLY;FREQ=DAILY", "FREQ=DAILY"),
        ("FREQ=WEEKLY;INTERVAL=0", "INTERVAL must be a number from 1"),
        ("FREQ=WEEKLY;COUNT=0", "COUNT must be a number from 1"),
        ("FREQ=WEEKLY;COUNT=1;UNTIL=20260101", "both COUNT and UNTIL"),
        ("FREQ=WEEKLY;UNTIL=20261301", "UNTIL=20261301 is not a date"),
        ("FREQ=WEEKLY;BYDAY=MO\nDTSTART:20260101", "not a part of a rule"),
        ("FREQ=DAILY;" + "BYHOUR=" + ",".join(["1"] * 300), "longer than 300"),
    ],
)
def test_a_bad_rule_is_refused_with_what_is_wrong(text, message):
    with pytest.raises(RuleError, match=message):
        parse_rule(text)


def test_a_rule_may_have_its_name_before_it():
    assert parse_rule("rrule:freq=weekly") == Rule("FREQ=WEEKLY")


@pytest.mark.slow
def test_a_rule_that_never_comes_true_is_refused_soon():
    text, first = "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", datetime(2026, 1, 1)
    began = time.process_time()
    with pytest.raises(RuleError, match="never comes true: correct or remove it"):
        found(text, first, first, datetime(2027, 1, 1))
    took = time.process_time() - began
    began = time.process_time()
    assert not list(rrulestr(text, dtstart=datetime(8000, 1, 1)))
    # To the last year of all it would be four times these two thousand years.
    assert took < time.process_time() - began


@pytest.mark.parametrize(
    ("text", "first", "message"),
    [
        ("FREQ=DAILY;BYHOUR=0,4,8,12,16,20", datetime(2026, 1, 1), str(MOST_OCCURRENCES)),
        (
            "FREQ=MONTHLY;BYHOUR=0,4,8,12,16,20;BYMINUTE=0,10,20,30,40,50;BYMONTHDAY=1,2,3",
            datetime(1970, 1, 1),
            "too long ago",
        ),
        ("FREQ=MONTHLY;BYDAY=+9MO", datetime(2026, 1, 1), "BYDAY asks for a weekday that no month"),
        ("FREQ=YEARLY;BYWEEKNO=20;BYMONTH=1", datetime(2026, 1, 1), "never comes true"),
        ("FREQ=DAILY", datetime(1800, 1, 1), "between the years"),
        ("FREQ=DAILY", datetime(2500, 1, 1), "between the years"),
    ],
)
def test_what_recurs_without_measure_is_refused(text, first, message):
    with pytest.raises(RuleError, match=message):
        found(text, first, datetime(2026, 1, 1), datetime(2028, 1, 1))


def test_an_old_rule_costs_no_more_than_a_young_one():
    def cost(first):
        budget = Budget()
        begin, end = to_unix(datetime(2026, 1, 1), BERLIN), to_unix(datetime(2027, 1, 1), BERLIN)
        starts(parse_rule("FREQ=DAILY"), first, BERLIN, start=begin, end=end, budget=budget)
        return Budget().left - budget.left

    assert cost(datetime(1970, 1, 1)) == cost(datetime(2026, 1, 1)) < 1_000


def test_rules_stop_each_other_where_they_are_too_much_work_together():
    budget = Budget(200_000)
    first, window = datetime(2026, 1, 1), {"start": 1.7e9, "end": 1.8e9}
    never = parse_rule("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30")
    for message in ("never", "never", "all events together take too long"):
        with pytest.raises(RuleError, match=message):
            starts(never, first, BERLIN, **window, budget=budget)
