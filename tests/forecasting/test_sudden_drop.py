import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.demand import Reading, Unavailable, hold_sudden_drop

GRACE = 900.0


@pytest.fixture
def drop(now):
    """What is held of a demand where 100 at least was expected."""

    def see(value, *, since=None, at=now, lower=100.0):
        demand = value if isinstance(value, Unavailable) else Reading(value, at)
        return hold_sudden_drop(demand, lower=lower, since=since, grace=GRACE, now=at)

    return see


@pytest.mark.parametrize("value", [50.0, 99.0, 400.0])
def test_demand_about_where_it_was_expected_holds_nothing(drop, value):
    assert drop(value) == (None, None)


def test_demand_far_below_holds_for_the_grace(drop, now):
    hold, since = drop(49.0)
    assert hold.reason == "SuddenDrop"
    assert "49 where 100 at least was expected" in hold.message
    assert since == now
    hold, since = drop(10.0, since=since, at=now + GRACE - 1)
    assert hold is not None
    assert drop(10.0, since=since, at=now + GRACE) == (None, now)


def test_after_the_grace_it_is_believed_until_demand_is_back(drop, now):
    since = now - 2 * GRACE
    assert drop(10.0, since=since) == (None, since)
    assert drop(90.0, since=since) == (None, None)
    assert drop(10.0)[0] is not None


@pytest.mark.parametrize("lower", [math.nan, 0.0])
def test_where_nothing_is_expected_nothing_is_far_below(drop, lower):
    assert drop(0.0, lower=lower) == (None, None)


def test_an_outage_in_between_does_not_start_the_wait_anew(drop, now):
    assert drop(Unavailable("Empty", "nothing"), since=now - 60) == (None, now - 60)


@given(st.floats(-1e6, 1e6))
def test_a_clock_that_jumps_never_makes_the_wait_longer(jump):
    hold, since = hold_sudden_drop(
        Reading(1.0, 1e9), lower=100.0, since=1e9 + jump, grace=GRACE, now=1e9
    )
    assert since <= 1e9
    assert hold is not None or 1e9 - since >= GRACE
