import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.events.model import (
    NO_EFFECT,
    Effect,
    Event,
    EventCalendar,
    Kind,
    event_key,
)

HOURS = st.integers(0, 200).map(lambda hours: hours * 3_600.0)


def test_the_effect_grows_steadily_before_the_start_and_fades_after_the_end(make_event, monday):
    event = make_event(3_600, ramp_before=3_600, ramp_after=7_200)
    minutes = {-1: 0, 0: 0, 30: 0.5, 60: 1, 179: 1, 180: 1, 240: 0.5, 299: 1 / 120, 300: 0}
    for minute, share in minutes.items():
        assert event.share(monday + minute * 60) == pytest.approx(share), minute


def test_without_ramps_the_effect_is_all_or_nothing(make_event, monday):
    event = make_event()
    assert [event.share(monday + at) for at in (-1, 0, 7_199, 7_200)] == [0, 1, 1, 0]


@pytest.mark.parametrize(
    "changes",
    [
        {"start": 10.0, "end": 10.0},
        {"start": 10.0, "end": 5.0},
        {"start": -math.inf},
        {"end": math.nan},
        {"effect": Effect(multiplier=0.0)},
        {"effect": Effect(multiplier=math.nan)},
        {"effect": Effect(ramp_before=-1.0)},
        {"effect": Effect(ramp_after=math.inf)},
    ],
)
def test_an_event_that_makes_no_sense_is_refused(changes):
    values = {"start": 0.0, "end": 60.0, "effect": NO_EFFECT, **changes}
    with pytest.raises(ValueError, match="event 'sale'"):
        Event("sale", Kind.CAMPAIGN, key="campaign:sale", **values)


def test_a_calendar_answers_what_touches_a_stretch_of_time(make_event, calendar_of, monday):
    early = make_event(0, name="early", ramp_after=3_600)
    late = make_event(10 * 3_600, name="late", ramp_before=3_600)
    calendar = calendar_of(late, early)
    assert calendar.events == (early, late)

    def found(start, end):
        asked = calendar.occurrences(monday + start * 3_600, monday + end * 3_600)
        return [event.name for event in asked]

    assert found(-5, -1) == []
    assert found(2.5, 3) == ["early"]  # still on its ramp
    assert found(3, 8) == []
    assert found(3, 9) == ["late"]  # its ramp begins
    assert found(-1, 20) == ["early", "late"]


@given(st.lists(st.tuples(HOURS, HOURS, HOURS), max_size=20), HOURS, HOURS)
def test_a_calendar_finds_the_same_as_looking_at_every_event(make_event, monday, shapes, one, two):
    events = [
        make_event(start, lasts + 60, ramp_before=ramp, ramp_after=ramp / 2)
        for start, lasts, ramp in shapes
    ]
    start, end = monday + min(one, two), monday + max(one, two)
    expected = [event for event in events if event.begins <= end and event.ceases > start]
    found = list(EventCalendar(tuple(events)).occurrences(start, end))
    assert sorted(found, key=repr) == sorted(expected, key=repr)
    assert [event.begins for event in found] == sorted(event.begins for event in found)


def test_more_events_leave_the_weekend_as_it_is(make_event):
    calendar = EventCalendar(weekend=frozenset({4, 5})).plus([make_event()])
    assert len(calendar) == 1
    assert calendar.weekend == {4, 5}


def test_a_calendar_goes_to_another_process_as_it_is(make_event, calendar_of):
    calendar = calendar_of(make_event(multiplier=2.0), make_event(86_400))
    again = pickle.loads(pickle.dumps(calendar))
    assert again == calendar
    assert list(again.occurrences(0, 1e12)) == list(calendar.events)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Black Friday 2026", "campaign:black-friday"),
        ("black-friday 2025!", "campaign:black-friday"),
        ("2026", "campaign:unnamed"),
        ("Größte Aktion", "campaign:grösste-aktion"),
        ("black_friday_2024", "campaign:black-friday"),
        ("2024 Black Friday", "campaign:black-friday"),
        ("Summer 2024 Sale", "campaign:summer-sale"),
        ("sale 20261", "campaign:sale-20261"),
    ],
)
def test_the_year_in_a_name_does_not_make_it_another_event(name, key):
    assert event_key(Kind.CAMPAIGN, name) == key
