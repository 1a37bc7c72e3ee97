"""Curves of cost against violations, read by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.simulation.curves import Curve, Point


def curve(*points):
    """Points as (pod-minutes, under-provisioned %, events); targets from 1.0 down by tenths."""
    return Curve.of(
        Point(1 - place / 10, cost, under, events)
        for place, (cost, under, events) in enumerate(points)
    )


CURVE = curve((100, 4.0, 10), (120, 2.0, 20), (140, 0.0, 30))


def test_between_two_settings_the_curve_is_straight():
    assert CURVE.under_at(110) == pytest.approx(3.0)
    assert CURVE.events_at(110) == pytest.approx(15.0)
    assert CURVE.cost_at(3.0) == pytest.approx(110)
    assert CURVE.cost_at(0.5) == pytest.approx(135)


def test_a_setting_itself_is_on_the_curve():
    assert (CURVE.under_at(120), CURVE.cost_at(2.0)) == (2.0, 120)
    assert CURVE.at(0.9).pod_minutes == 120
    with pytest.raises(KeyError, match=r"0\.55"):
        CURVE.at(0.55)


def test_more_money_than_the_dearest_setting_costs_buys_no_more():
    assert CURVE.under_at(1_000) == 0.0


def test_less_than_the_cheapest_setting_costs_buys_nothing_beyond_two_percent():
    assert CURVE.under_at(98.1) == 4.0
    assert CURVE.under_at(97.9) == 100.0


def test_violations_that_no_setting_avoids_cost_infinitely_much():
    assert curve((100, 4, 1), (200, 1, 1)).cost_at(0.5) == math.inf


def test_the_cheapest_setting_is_the_least_that_a_curve_knows():
    assert CURVE.cost_at(50.0) == 100


def test_a_setting_that_is_worse_in_both_ways_has_no_place_on_the_curve():
    dented = curve((100, 4.0, 1), (110, 5.0, 1), (120, 2.0, 1))
    assert dented.under_at(110) == 4.0
    assert dented.under_at(115) == pytest.approx(3.0)
    # From 110, where nothing better than 4 is to be had yet, to 120.
    assert dented.cost_at(3.0) == pytest.approx(115)


def test_settings_come_in_any_order_and_equal_costs_are_no_trouble():
    mixed = curve((140, 0.0, 1), (100, 4.0, 1), (140, 1.0, 1))
    assert mixed.under_at(140) == 0.0
    assert mixed.cost_at(0.0) == 140


def test_no_settings_are_no_curve():
    with pytest.raises(ValueError, match="a point"):
        Curve.of([])


points = st.lists(
    st.tuples(st.integers(1, 1_000), st.integers(0, 100), st.integers(0, 500)),
    min_size=1,
    max_size=12,
)


@given(points, st.floats(1, 1_200), st.floats(0, 100))
def test_cost_and_violations_are_read_off_the_same_curve(found, cost, under):
    drawn = curve(*found)
    cheapest = drawn.points[0].pod_minutes
    paid = drawn.cost_at(under)
    if math.isfinite(paid):
        # What was paid for is had.
        assert drawn.under_at(paid) <= under + 1e-6
    if cost >= cheapest:
        # What is had for a cost is to be had for no more than that.
        assert drawn.cost_at(drawn.under_at(cost)) <= cost + 1e-6
        assert drawn.under_at(cost + 1) <= drawn.under_at(cost) + 1e-9
