"""A number from a metric source is checked before it counts as demand."""

import math

import pytest

from foretide.forecasting.demand import (
    Reading,
    Unavailable,
    ZeroKnowledge,
    doubt_sudden_zero,
    reading,
)

NOTHING = ZeroKnowledge()
HOUR = 3600.0


@pytest.fixture
def doubt(now):
    """Doubts a demand with a grace of 10 minutes; gives the demand to use and the clock."""

    def run(demand, zero_since=None, known=NOTHING, after=0.0):
        if isinstance(demand, int | float):
            demand = Reading(demand, now + after)
        return doubt_sudden_zero(
            demand, zero_since=zero_since, known=known, grace=600.0, now=now + after
        )

    return run


def test_a_fine_sample_is_a_reading(now):
    assert reading(12.5, now - 5, now=now, stale_after=60) == Reading(12.5, now - 5)


def test_zero_is_a_reading_too(now):
    assert reading(0.0, now, now=now, stale_after=60) == Reading(0.0, now)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_finite_number_is_no_demand(now, value):
    answer = reading(value, now, now=now, stale_after=60)
    assert isinstance(answer, Unavailable)
    assert answer.reason == "NotANumber"


def test_negative_demand_is_refused(now):
    answer = reading(-0.5, now, now=now, stale_after=60)
    assert answer.reason == "NegativeDemand"
    assert "-0.5" in answer.message


def test_a_sample_is_stale_only_beyond_the_limit(now):
    assert isinstance(reading(1.0, now - 60, now=now, stale_after=60), Reading)
    answer = reading(1.0, now - 61, now=now, stale_after=60)
    assert answer.reason == "Stale"
    assert "61 s" in answer.message


def test_a_sample_from_a_clock_that_runs_ahead_is_taken(now):
    assert isinstance(reading(1.0, now + 30, now=now, stale_after=60), Reading)


def test_positive_demand_is_never_doubted(doubt, now):
    assert doubt(0.001) == (Reading(0.001, now), None)


def test_an_unknown_zero_is_taken_for_an_outage_and_starts_the_clock(doubt, now):
    demand, since = doubt(0.0)
    assert demand.reason == "SuddenZero"
    assert "10 min" in demand.message
    assert since == now


def test_a_sudden_zero_is_believed_after_the_grace(doubt, now):
    assert doubt(0.0, zero_since=now, after=599)[0].reason == "SuddenZero"
    demand, since = doubt(0.0, zero_since=now, after=600)
    assert demand == Reading(0.0, now + 600)
    assert since == now


def test_the_wait_that_is_left_is_told(doubt, now):
    demand, _ = doubt(0.0, zero_since=now, after=420)
    assert "another 3 min" in demand.message


def test_a_zero_at_a_known_hour_is_believed_at_once(doubt, now):
    hour = int(now // HOUR) % 24
    assert isinstance(doubt(0.0, known=ZeroKnowledge(frozenset({hour})))[0], Reading)


@pytest.mark.parametrize(("shift", "known"), [(-2, False), (-1, True), (1, True), (2, False)])
def test_the_hours_beside_a_known_one_are_known_as_well(doubt, now, shift, known):
    hour = (int(now // HOUR) + shift) % 24
    demand, _ = doubt(0.0, known=ZeroKnowledge(frozenset({hour})))
    assert isinstance(demand, Reading) is known


def test_neighbouring_hours_reach_over_midnight():
    first, last = ZeroKnowledge(frozenset({0})), ZeroKnowledge(frozenset({23}))
    assert first.knows(23 * HOUR)
    assert last.knows(24 * HOUR)
    assert not first.knows(22 * HOUR)
    assert not last.knows(25 * HOUR)


def test_nothing_is_known_without_a_history(now):
    assert not NOTHING.knows(now)


def test_an_outage_in_between_starts_the_clock_anew(doubt):
    """An exporter that crashes shows a zero now and then: only zeros that are seen count."""
    outage = Unavailable("Unreachable", "no answer")
    _, since = doubt(0.0)
    demand, since = doubt(outage, zero_since=since, after=300)
    assert demand is outage
    assert since is None
    demand, _ = doubt(0.0, zero_since=since, after=600)
    assert isinstance(demand, Unavailable)


def test_an_outage_alone_starts_no_clock(doubt):
    assert doubt(Unavailable("Unreachable", "no answer"))[1] is None


def test_positive_demand_in_between_restarts_the_clock(doubt, now):
    _, since = doubt(0.0)
    _, since = doubt(3.0, zero_since=since, after=300)
    assert since is None
    demand, since = doubt(0.0, zero_since=since, after=600)
    assert demand.reason == "SuddenZero"
    assert since == now + 600


def test_a_clock_that_was_set_back_makes_no_wait_longer(doubt, now):
    demand, since = doubt(0.0, zero_since=now + 86_400)
    assert demand.reason == "SuddenZero"
    assert since == now
