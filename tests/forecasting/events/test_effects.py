import math

import numpy as np
import pytest

from foretide.forecasting.events.effects import (
    POSITIONS,
    KeyEffect,
    LearnedEffects,
    multipliers,
)
from foretide.forecasting.events.model import EventCalendar, Kind

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
