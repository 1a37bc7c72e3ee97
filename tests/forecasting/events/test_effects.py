import math

import numpy as np
import pytest

from foretide.forecasting.events.effects import (
    POSITIONS,
    KeyEffect,
    LearnedEffects,
    multipliers,
    outlook,
)
from foretide.forecasting.events.model import NOTHING_AHEAD, EventCalendar, Kind

HOUR = 3_600.0
NONE = LearnedEffects()


def learned(key, median, *, spread=0.0, occurrences=3):
    """An effect that is the same throughout the event."""
    profile = (math.log(median),) * POSITIONS
    return KeyEffect(key, occurrences, median, median * math.exp(spread), profile, spread)


@pytest.fixture
def knowing():
    """Effects of the given keys."""
    return lambda *effects: LearnedEffects({effect.key: effect for effect in effects})


@pytest.fixture
def at_hours(monday):
    """The median multipliers at so many hours after that Monday's midnight."""

    def make(events, effects, *hours):
        times = monday + HOUR * np.array(hours, dtype=float)
        return multipliers(EventCalendar(tuple(events)), effects, times).median.tolist()

    return make


def test_a_declared_multiplier_counts_on_its_ramps_by_their_share(make_event, at_hours):
    event = make_event(2 * HOUR, multiplier=3.0, ramp_before=2 * HOUR, ramp_after=HOUR)
    found = at_hours([event], NONE, 0, 1, 2, 3.9, 4, 4.5, 5)
    assert found == pytest.approx([1, 2, 3, 3, 3, 2, 1])


def test_a_declared_fall_counts_too(make_event, at_hours):
    assert at_hours([make_event(multiplier=0.2)], NONE, 1, 3) == pytest.approx([0.2, 1])


def test_what_was_declared_wins_over_what_was_learned(make_event, at_hours, knowing):
    effects = knowing(learned("campaign:sale", 5.0))
    assert at_hours([make_event()], effects, 1) == pytest.approx([5])
    assert at_hours([make_event(multiplier=2.0)], effects, 1) == pytest.approx([2])


def test_a_declared_floor_alone_leaves_the_multiplier_to_learning(make_event, at_hours, knowing):
    effects = knowing(learned("campaign:sale", 5.0))
    assert at_hours([make_event(min_replicas=3)], effects, 1) == pytest.approx([5])


def test_of_several_that_raise_the_highest_counts(make_event, at_hours):
    events = [make_event(multiplier=3.0, name="a"), make_event(multiplier=2.0, name="b")]
    assert at_hours(events, NONE, 1) == pytest.approx([3])


def test_a_learned_fall_diminishes_a_learned_rise_but_not_a_declared_one(
    make_event, at_hours, knowing
):
    effects = knowing(learned("campaign:sale", 3.0), learned("release:deploy", 0.5))
    fall = make_event(name="deploy", kind=Kind.RELEASE)
    assert at_hours([make_event(), fall], effects, 1) == pytest.approx([1.5])
    assert at_hours([make_event(multiplier=3.0), fall], effects, 1) == pytest.approx([3])


def test_the_upper_multiplier_goes_beyond_the_median_by_the_spread(make_event, knowing, monday):
    effects = knowing(learned("campaign:sale", 2.0, spread=math.log(1.5)))
    found = multipliers(EventCalendar((make_event(),)), effects, np.array([monday + HOUR]))
    assert (found.median[0], found.upper[0]) == pytest.approx((2, 3))


def test_the_upper_multiplier_of_an_uncertain_fall_may_be_a_rise(make_event, knowing, monday):
    effects = knowing(learned("campaign:sale", 0.8, spread=math.log(2)))
    found = multipliers(EventCalendar((make_event(),)), effects, np.array([monday + HOUR]))
    assert (found.median[0], found.upper[0]) == pytest.approx((0.8, 1.6))


def test_no_times_have_no_multipliers(make_event):
    assert len(multipliers(EventCalendar((make_event(),)), NONE, np.zeros(0)).upper) == 0


def test_nothing_ahead_is_said_as_such(make_event, monday):
    calendar = EventCalendar((make_event(100 * 24 * HOUR, multiplier=3.0),))
    assert outlook(calendar, NONE, monday, monday + HOUR) is NOTHING_AHEAD


def test_the_outlook_is_of_the_highest_point_between_now_and_then(make_event, monday):
    event = make_event(
        HOUR, 60.0, multiplier=3.0, min_replicas=10, ramp_before=HOUR, ramp_after=HOUR
    )
    calendar = EventCalendar((event,))

    def ahead(start, end):
        return outlook(calendar, NONE, monday + start * HOUR, monday + end * HOUR)

    found = ahead(0.25, 0.5)
    assert found.multiplier == pytest.approx(2)
    assert found.rise == pytest.approx(2 / 1.5)
    assert (found.min_replicas, found.names) == (5, ("sale",))
    peak = ahead(0.5, 2)  # the minute at the top is not missed between the points looked at
    assert (peak.multiplier, peak.min_replicas) == (pytest.approx(3), 10)
    over = ahead(1.5, 2)
    assert over.multiplier == pytest.approx(2, rel=0.02)
    assert over.rise == 1  # demand already carries what is going on


def test_the_outlook_reaches_to_its_very_end(make_event, monday):
    calendar = EventCalendar((make_event(HOUR, multiplier=3.0, min_replicas=4),))
    assert outlook(calendar, NONE, monday, monday + HOUR - 1).multiplier == 1
    at_the_start = outlook(calendar, NONE, monday, monday + HOUR)
    assert (at_the_start.multiplier, at_the_start.min_replicas) == (pytest.approx(3), 4)


def test_an_event_of_which_nothing_is_known_is_not_named(make_event, monday):
    found = outlook(EventCalendar((make_event(),)), NONE, monday, monday + HOUR)
    assert (found.multiplier, found.names) == (1, ())


def test_a_fall_that_lasts_all_the_time_shows_in_the_outlook(make_event, monday):
    calendar = EventCalendar((make_event(multiplier=0.5),))
    assert outlook(calendar, NONE, monday, monday + HOUR).multiplier == pytest.approx(0.5)
    assert outlook(calendar, NONE, monday, monday + 3 * HOUR).multiplier == pytest.approx(1)


@pytest.mark.parametrize(
    ("effect", "known", "sentence"),
    [
        ({"multiplier": 3.0}, None, "declared: 3 times the usual demand"),
        (
            {"multiplier": 3.0},
            learned("campaign:sale", 1.1, occurrences=4),
            "declared: 3 times the usual demand; its last 4 times had 1.1 times",
        ),
        (
            {},
            learned("campaign:sale", 2.0, spread=0.5, occurrences=1),
            "seen once: 2 times the usual demand, up to 3.3",
        ),
        (
            {},
            learned("campaign", 2.0),
            "not seen yet; campaign, seen 3 times: 2 times the usual demand, up to 2",
        ),
        ({}, None, "not seen yet, nor anything of its kind: no effect"),
        (
            {"min_replicas": 4},
            None,
            "not seen yet, nor anything of its kind: only its minReplicas 4 counts",
        ),
    ],
)
def test_what_is_expected_of_an_event_is_said_in_a_sentence(
    make_event, knowing, effect, known, sentence
):
    effects = knowing(known) if known else NONE
    assert effects.explain(make_event(**effect)) == sentence
