import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretide.forecasting.events.effects import CORE, RAMP, LearnedEffects, multipliers
from foretide.forecasting.events.learning import learn
from foretide.forecasting.events.model import Effect, EventCalendar, Kind
from foretide.forecasting.series import Series

DAY, HOUR = 86_400.0, 3_600.0


@pytest.fixture
def sales(make_event):
    """So many past sales of two hours, 9 days apart, at noon; and the next, a week ahead."""

    def make(count, **changes):
        past = [make_event(-9 * DAY * (k + 1) + 12 * HOUR, **changes) for k in range(count)]
        return past, make_event(7 * DAY + 12 * HOUR, **changes)

    return make


def learned_from(world, past, coming, factor):
    """The world's effects after each of the past events had its factor."""
    for position, event in enumerate(past):
        world.happen(event, factor[position] if isinstance(factor, list) else factor)
    return world.learn(EventCalendar((*past, coming)))


def test_an_event_that_was_seen_often_is_expected_to_do_the_same_again(make_world, sales):
    past, coming = sales(5)
    effects = learned_from(make_world(), past, coming, 3.0)
    effect = effects.of(coming)
    assert (effect.key, effect.occurrences) == ("campaign:sale", 5)
    assert effect.median == pytest.approx(3.0, rel=0.1)
    assert effect.median < effect.upper < 4
    assert "seen 5 times: " in effects.explain(coming)


def test_the_more_often_it_was_seen_the_less_it_is_drawn_towards_nothing(make_world, sales):
    medians = []
    for count in (1, 2, 5):
        past, coming = sales(count)
        medians.append(learned_from(make_world(), past, coming, 3.0).of(coming).median)
    assert 1.5 < medians[0] < medians[1] < medians[2] < 3.1


def test_one_freak_among_several_counts_for_little(make_world, sales):
    past, coming = sales(5)
    effects = learned_from(make_world(), past, coming, [2.0, 2.0, 9.0, 2.0, 2.0])
    assert effects.of(coming).median == pytest.approx(2.0, rel=0.1)


def test_the_upper_multiplier_is_the_further_off_the_more_occurrences_differ(make_world, sales):
    past, coming = sales(5)
    alike = learned_from(make_world(), past, coming, 2.0).of(coming)
    various = learned_from(make_world(), past, coming, [1.2, 3.2, 2.0, 1.4, 2.8]).of(coming)
    assert various.spread > alike.spread + 0.2
    assert various.upper > alike.upper


def test_an_event_that_does_nothing_teaches_that(make_world, sales):
    past, coming = sales(5)
    effect = learned_from(make_world(), past, coming, 1.0).of(coming)
    assert effect.median == pytest.approx(1.0, abs=0.03)
    assert effect.upper < 1.4


def test_an_event_never_seen_is_expected_to_do_what_its_kind_does(make_world, make_event):
    past = [make_event(-9 * DAY * k, name=f"sale {k}") for k in (1, 2, 3, 4)]
    coming = make_event(7 * DAY, name="something new")
    effects = learned_from(make_world(), past, coming, 2.0)
    effect = effects.of(coming)
    assert (effect.key, effect.occurrences) == ("campaign", 4)
    assert effect.median == pytest.approx(2.0, rel=0.1)
    assert "not seen yet; campaign, seen 4 times: " in effects.explain(coming)


def test_an_event_whose_kind_was_never_seen_does_nothing(make_world, sales, make_event, monday):
    past, coming = sales(3)
    other = make_event(7 * DAY, name="v2", kind=Kind.RELEASE)
    effects = learned_from(make_world(), past, coming, 3.0)
    assert effects.of(other) is None
    assert "no effect" in effects.explain(other)
    found = multipliers(EventCalendar((other,)), effects, monday + 7 * DAY + HOUR * np.arange(3))
    assert found.upper.tolist() == [1, 1, 1]


def test_the_profile_follows_the_course_of_the_event(make_world, make_event, monday):
    past = [make_event(-9 * DAY * k, lasts=12 * HOUR) for k in range(1, 6)]
    coming = make_event(7 * DAY, lasts=12 * HOUR)
    world = make_world()
    for event in past:  # a rush in the first three hours
        world.happen(
            event, lambda times, event=event: np.where(times < event.start + 3 * HOUR, 4, 1.5)
        )
    effects = world.learn(EventCalendar((*past, coming)))
    times = coming.start + HOUR * np.array([1.0, 8.0])
    early, late = multipliers(EventCalendar((coming,)), effects, times).median
    assert early == pytest.approx(4, rel=0.25)
    assert late == pytest.approx(1.5, rel=0.15)


def test_what_happens_on_the_ramps_is_learned_too(make_world, make_event):
    ramps = {"ramp_before": 6 * HOUR, "ramp_after": 6 * HOUR}
    past = [make_event(-9 * DAY * k, lasts=6 * HOUR, **ramps) for k in range(1, 6)]
    coming = make_event(7 * DAY, lasts=6 * HOUR, **ramps)
    world = make_world()
    for event in past:  # nothing before it, and a long echo
        world.happen(event, 2.0)
        echo = (world.times >= event.end) & (world.times < event.ceases)
        world.demand[echo] *= 2.0
    profile = world.learn(EventCalendar((*past, coming))).of(coming).profile
    assert np.exp(profile[:RAMP]) == pytest.approx(1.0, abs=0.2)
    assert np.exp(profile[RAMP + CORE :]) == pytest.approx(2.0, abs=0.35)


def test_a_drift_of_demand_is_not_put_down_to_the_event(make_world, sales):
    past, coming = sales(3)
    world = make_world()
    world.demand *= np.exp(0.02 * (world.times - world.times[0]) / DAY)  # threefold in 56 days
    effect = learned_from(world, past, coming, 1.5).of(coming)
    assert effect.median == pytest.approx(1.5, rel=0.15)


def holidays_like_sundays(world, holidays, share=1.0):
    """On these days demand is what it is on Sundays at that hour (or a share of the way there)."""
    for event in holidays:
        part = (world.times >= event.start) & (world.times < event.end)
        sunday = world.expected(world.times[part] % DAY + 3 * DAY)
        world.demand[part] *= (sunday / world.usual[part]) ** share


def test_a_holiday_never_seen_is_like_a_day_off_if_others_were(make_world, make_holiday, monday):
    past = [make_holiday(day, f"day {day}") for day in (-39, -32, -18, -11)]
    coming = make_holiday(9, "a new one")
    calendar = EventCalendar((*past, coming))
    world = make_world()
    holidays_like_sundays(world, past)
    effects = world.learn(calendar)
    assert effects.of(coming).key == "holiday:XX"
    assert effects.of(coming).day_shape == pytest.approx(0.9, abs=0.12)
    times = coming.start + HOUR * np.arange(8, 16)
    wanted = world.expected(times % DAY + 3 * DAY) / world.expected(times)
    found = multipliers(calendar, effects, times)
    assert found.median == pytest.approx(wanted, rel=0.12)


def test_holidays_on_which_people_work_as_ever_have_no_such_shape(make_world, make_holiday):
    past = [make_holiday(day, f"day {day}") for day in (-39, -32, -18, -11)]
    effects = make_world().learn(EventCalendar((*past, make_holiday(9))))
    assert effects.keys["holiday"].day_shape == pytest.approx(0, abs=0.1)


def test_the_evening_before_a_holiday_is_part_of_it(make_world, make_holiday, monday):
    """Which weekday an evening is like matters beyond the holiday's own midnights."""
    past = [make_holiday(day, f"day {day}") for day in (-39, -32, -18, -11)]
    coming = make_holiday(9)
    world = make_world()
    hour, weekday = (world.times % DAY) / HOUR, (world.times // DAY + 3) % 7
    world.usual = np.where((weekday == 4) & (hour >= 17), 3 * world.usual, world.usual)
    world.demand = world.usual.copy()
    for event in past:
        eve = (world.times >= event.start - 7 * HOUR) & (world.times < event.start)
        world.demand[eve] *= 3
    holidays_like_sundays(world, past)
    effects = world.learn(EventCalendar((*past, coming)))
    evening = np.array([coming.start - 4 * HOUR])
    assert multipliers(EventCalendar((coming,)), effects, evening).median[0] > 2


def test_a_multiplier_that_was_declared_for_holidays_replaces_their_shape(make_world, make_holiday):
    past = [make_holiday(day, f"day {day}") for day in (-39, -32, -18, -11)]
    world = make_world()
    holidays_like_sundays(world, past)
    effects = world.learn(EventCalendar(tuple(past)))
    declared = replace(make_holiday(9), effect=Effect(multiplier=0.5))
    times = declared.start + HOUR * np.arange(24)
    found = multipliers(EventCalendar((declared,)), effects, times)
    assert found.median == pytest.approx(0.5)
    assert found.upper == pytest.approx(0.5)


def test_less_than_a_week_of_history_knows_no_shape_of_the_week(make_world, make_holiday):
    world = make_world(before=5)
    assert world.learn(EventCalendar((make_holiday(-2),))).week == ()


def test_an_occurrence_that_is_mostly_missing_is_not_counted(make_world, sales):
    past, coming = sales(2)
    world = make_world()
    gap = (world.times >= past[0].start) & (world.times < past[0].end - 1_800)
    world.demand[gap] = math.nan
    assert learned_from(world, past, coming, 2.0).of(coming).occurrences == 1


def test_gaps_zeros_and_a_baseline_that_says_nothing_do_no_harm(make_world, sales):
    past, coming = sales(4)
    world = make_world()
    world.demand[100:140] = math.nan
    world.demand[200:210] = 0.0
    world.usual[300:310] = math.nan
    world.usual[400:405] = 0.0
    effect = learned_from(world, past, coming, 2.0).of(coming)
    assert effect.median == pytest.approx(2.0, rel=0.15)
    assert all(map(math.isfinite, (effect.upper, effect.spread, *effect.profile)))


@pytest.mark.parametrize("values", [[], [math.nan] * 48, [0.0] * 48])
def test_a_history_that_says_nothing_teaches_nothing_that_is_not_a_number(
    values, make_event, monday
):
    history = Series(monday - 1_800.0 * len(values), 1_800.0, np.array(values, dtype=float))
    calendar = EventCalendar((make_event(-6 * HOUR),))
    effects = learn(history, np.array(values, dtype=float), calendar)
    for effect in effects.keys.values():
        assert math.isfinite(effect.upper)


def test_a_baseline_of_another_length_is_refused(monday):
    history = Series(monday, 60.0, np.ones(5))
    with pytest.raises(ValueError, match=r"baseline has shape \(4,\), not \(5,\)"):
        learn(history, np.ones(4), EventCalendar())


def test_what_was_learned_is_small_and_goes_to_another_process(make_world, sales, make_holiday):
    past, coming = sales(3)
    effects = learned_from(make_world(), [*past, make_holiday(-12)], coming, 2.0)
    sent = pickle.dumps(effects)
    assert len(sent) < 10_000
    assert pickle.loads(sent) == effects


def test_without_events_there_is_nothing_to_learn(make_world):
    assert make_world().learn(EventCalendar()) == LearnedEffects()


@settings(max_examples=20)
@given(
    st.lists(
        st.tuples(st.integers(-60 * 24, 20 * 24), st.integers(1, 60), st.sampled_from(list(Kind))),
        max_size=6,
    ),
    st.lists(st.floats(0, 1e9, allow_nan=False) | st.just(math.nan), min_size=1, max_size=8),
)
def test_whatever_happened_the_multipliers_are_positive_numbers(make_event, monday, shapes, demand):
    events = [
        make_event(at * HOUR, hours * HOUR, kind=kind, ramp_before=HOUR)
        for at, hours, kind in shapes
    ]
    times = monday + 1_800.0 * np.arange(-50 * 48, 0)
    history = Series(float(times[0]), 1_800.0, np.resize(np.array(demand), len(times)))
    calendar = EventCalendar(tuple(events))
    effects = learn(history, np.full(len(times), 10.0), calendar)
    ahead = multipliers(calendar, effects, monday + HOUR * np.arange(480))
    for found in (ahead.median, ahead.upper):
        assert np.isfinite(found).all()
        assert (found > 0).all()
    assert (ahead.upper >= ahead.median * (1 - 1e-9)).all()
