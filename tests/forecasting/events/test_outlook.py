import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretide.forecasting.decision import (
    Memory,
    MetricObservation,
    MetricPolicy,
    Observation,
    ScalingPolicy,
    decide,
)
from foretide.forecasting.demand import Reading, Undecided
from foretide.forecasting.events.effects import POSITIONS, KeyEffect, LearnedEffects
from foretide.forecasting.events.model import NOTHING_AHEAD, Effect, Event, EventCalendar, Kind
from foretide.forecasting.events.outlook import outlook
from foretide.forecasting.forecast import PeakForecast
from foretide.forecasting.recent import RecentDemand
from foretide.forecasting.series import Series

HOUR = 3_600.0
LEAD = 180.0
NONE = LearnedEffects()


def learned(median, spread=0.0):
    """An effect of all campaigns that is the same throughout."""
    profile = (math.log(median),) * POSITIONS
    effect = KeyEffect("campaign:sale", 3, median, median * math.exp(spread), profile, spread)
    return LearnedEffects({effect.key: effect})


@pytest.fixture
def after(monday, make_event):
    """The outlook so many seconds after the start of an event, when demand has been such a
    function of the seconds since then for four hours."""

    def look(seconds, demand, *others, effects=NONE, known=True, lead=LEAD, **event):
        calendar = EventCalendar((make_event(**event), *others))
        now = monday + seconds
        first = math.floor((now - 4 * HOUR) / 60) * 60
        times = np.arange(first, now, 60.0)
        recent = Series(first, 60.0, np.array([float(demand(at - monday)) for at in times]))
        return outlook(
            calendar,
            effects,
            now,
            now + lead,
            recent=recent if known else None,
            demand=float(demand(seconds)),
        )

    return look


def at(second, before=100.0, then=300.0):
    """Demand that jumps at a second after the start."""
    return lambda seconds: then if seconds >= second else before


NEVER = math.inf


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


@pytest.mark.parametrize("seconds", [-180, -15, 0, 600, 7_100])
def test_an_event_whose_demand_is_late_is_waited_for_until_it_is_over(after, seconds):
    assert after(seconds, at(NEVER), multiplier=3.0).rise == pytest.approx(3)


def test_nothing_is_waited_for_when_the_event_is_over(after):
    assert after(7_200, at(NEVER), multiplier=3.0) is not NOTHING_AHEAD
    assert after(7_200, at(NEVER), multiplier=3.0).rise == 1


@pytest.mark.parametrize("seconds", [-60, -45, 0, 60])
def test_what_has_come_early_is_not_multiplied_again(after, seconds):
    assert after(seconds, at(-60), multiplier=3.0).rise == pytest.approx(1)


@given(st.floats(50, 1_000), st.integers(-180, 7_199), st.integers(-240, 7_200))
@settings(max_examples=60, deadline=None)
def test_what_is_asked_for_is_never_more_than_the_multiplier_times_demand_before(
    then, seconds, comes
):
    start = 1_800_000_000.0
    event = Event("sale", Kind.CAMPAIGN, start, start + 7_200, "x", (), Effect(3.0))
    demand = at(comes, then=then)
    first = math.floor((start + seconds - 3 * HOUR) / 60) * 60
    times = np.arange(first, start + seconds, 60.0)
    recent = Series(first, 60.0, np.array([demand(t - start) for t in times]))
    now = start + seconds
    found = outlook(
        EventCalendar((event,)), NONE, now, now + LEAD, recent=recent, demand=demand(seconds)
    )
    assert found.rise * demand(seconds) <= max(300.0, demand(seconds)) * (1 + 1e-9)


def test_what_has_come_in_part_counts(after):
    assert after(30, at(0, then=200.0), multiplier=3.0).rise == pytest.approx(1.5)


def test_once_its_demand_has_been_there_for_some_minutes_demand_speaks_for_itself(after):
    def fades(seconds):
        return 100.0 if not 0 <= seconds < 180 else 285.0

    assert after(150, fades, multiplier=3.0).rise == pytest.approx(3 / 2.85)
    assert after(300, fades, multiplier=3.0).rise == 1
    assert after(300, at(0, then=200.0), multiplier=3.0).rise > 1  # this was never near


def test_a_spike_of_a_minute_before_the_event_is_not_its_demand(after):
    spike = after(0, lambda seconds: 300.0 if -120 <= seconds < -60 else 100.0, multiplier=3.0)
    assert spike.rise == pytest.approx(3)


def test_demand_that_falls_for_other_reasons_takes_what_is_waited_for_along(after):
    found = after(3_600, lambda seconds: 50.0 if seconds > 1_800 else 100.0, multiplier=3.0)
    assert found.rise == pytest.approx(3)  # of demand now: 150, and not 300


def test_on_the_ramp_demand_that_has_stopped_growing_is_waited_for(after):
    def stops(seconds):
        return 100 + 200 * min(max(seconds + 3_600, 0), 900) / 3_600

    found = after(0, stops, multiplier=3.0, ramp_before=HOUR)
    assert found.rise == pytest.approx(2)  # 150 have come of 300
    on_time = after(
        -900, lambda s: 100 + 200 * (s + 3_600) / 3_600, multiplier=3.0, ramp_before=HOUR
    )
    assert on_time.rise == pytest.approx((1 + 2 * 0.8) / 2.5, rel=0.05)


def test_a_learned_effect_is_waited_for_no_longer_than_two_hours(after):
    day = {"lasts": 24 * HOUR, "effects": learned(3.0)}
    assert after(1 * HOUR, at(NEVER), **day).rise == pytest.approx(3)
    assert after(2 * HOUR, at(NEVER), **day).rise == 1
    declared = after(3 * HOUR, lambda s: 100.0, lasts=24 * HOUR, multiplier=3.0, known=True)
    assert declared.unsure is False


def test_a_learned_effect_has_come_with_its_median(after):
    effects = learned(2.0, spread=math.log(1.5))
    assert after(-60, at(NEVER), effects=effects).rise == pytest.approx(3)
    assert after(400, at(0, then=200.0), effects=effects).rise == 1


def test_a_small_effect_that_cannot_be_told_from_noise_is_waited_for_a_quarter_of_an_hour(after):
    assert after(800, at(NEVER), multiplier=1.2).rise == pytest.approx(1.2)
    assert after(900, at(NEVER), multiplier=1.2).rise == 1


def test_demand_before_an_event_that_another_one_had_raised_is_taken_without_that(
    after, make_event
):
    holiday = make_event(-12 * HOUR, 36 * HOUR, name="long", multiplier=2.0)
    found = after(60, at(NEVER, before=200.0), holiday, multiplier=3.0)
    assert found.rise == pytest.approx(1.5)


def test_the_end_of_a_fall_is_foreseen_with_what_it_holds_down(after, make_event):
    fall = make_event(-HOUR, HOUR + 100.0, name="freeze", multiplier=0.5)
    found = after(0, at(NEVER, before=50.0), fall, start=24 * HOUR, multiplier=3.0)
    assert found.rise == pytest.approx(2)
    both = after(-60, at(NEVER, before=50.0), fall, multiplier=3.0)
    assert both.rise == pytest.approx(6)


def test_an_event_that_began_before_anything_was_known_is_said_to_be_unsure(after):
    begun = after(60, at(NEVER), known=False, multiplier=3.0)
    assert (begun.rise, begun.unsure) == (1, True)
    ahead = after(-60, at(NEVER), known=False, multiplier=3.0)
    assert (ahead.rise, ahead.unsure) == (pytest.approx(3), False)
    day = after(2 * HOUR, at(NEVER), known=False, lasts=24 * HOUR, multiplier=3.0)
    assert day.unsure is False
    assert after(60, at(NEVER), known=False, min_replicas=3).unsure is False


@pytest.fixture
def play(monday, make_event):
    """Ticks around a sale of two hours that triples demand of 1000, so many seconds late.

    They begin half an hour before it and end an hour after it. Returns the seconds short of
    replicas from its start on, and by second (since the start) the replicas.
    """

    def run(late, *, trusted):
        calendar = EventCalendar((make_event(multiplier=3.0),))
        policy = ScalingPolicy(1, 300, (MetricPolicy("rps", 100.0),), LEAD)
        recent, replicas, short = RecentDemand(), 15, 0
        memory, now = Memory.starting_at(replicas, monday - 1_800), monday - 1_800
        asked = {}
        while now < monday + 3 * HOUR:
            now += 15
            on = monday + late <= now < monday + 2 * HOUR
            demand = 3_000.0 if on else 1_000.0
            recent.add(demand, now)
            forecast = (
                PeakForecast("L", now, now + 240, demand * 1.1, demand, 0.97, 0.1)
                if trusted
                else Undecided("TooLittleHistory", "no")
            )
            event = outlook(
                calendar, NONE, now, now + LEAD + 30, recent=recent.known(now), demand=demand
            )
            seen = MetricObservation(Reading(demand, now), forecast, event=event)
            decision = decide(Observation(replicas, (seen,)), policy, memory, now=now)
            memory = memory.after(decision, policy.behavior, now)
            replicas = asked[int(now - monday)] = decision.desired
            ready = min(asked.get(int(now - monday - back), 15) for back in range(0, 195, 15))
            if on and late >= 0 and ready * 100 < demand:
                short += 15
        return short, asked

    return run


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("late", [0, 30, 300, 3_600])
def test_replicas_are_ready_for_an_event_however_late_its_demand_is(play, trusted, late):
    short, asked = play(late, trusted=trusted)
    assert short == 0
    assert asked[-15] >= 33
    assert max(asked.values()) <= 45
    assert max(asked[second] for second in asked if second > 7_200 + 330) <= 15


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("early", [-60, -120, -300])
def test_replicas_for_demand_that_is_early_are_not_tripled(play, trusted, early):
    _, asked = play(early, trusted=trusted)
    assert max(asked.values()) <= 45  # 3000 ÷ 100 with headroom


def test_an_event_that_does_not_come_at_all_is_let_go_at_its_end(play):
    _, asked = play(NEVER, trusted=True)
    assert asked[7_185] >= 33
    assert asked[7_260] <= 12
