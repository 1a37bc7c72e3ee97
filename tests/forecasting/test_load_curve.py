"""From load to replicas and back."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from foretide.forecasting.decision import replicas_for
from foretide.forecasting.load_curve import MOST_REPLICAS, LoadCurve

MEASURED = LoadCurve(((1, 100.0), (4, 340.0), (10, 640.0)))

rising = st.lists(st.tuples(st.integers(1, 40), st.floats(0.01, 1e6)), min_size=1, max_size=12).map(
    lambda steps: LoadCurve(
        tuple(
            (sum(n for n, _ in steps[: i + 1]), math.fsum(x for _, x in steps[: i + 1]))
            for i in range(len(steps))
        )
    )
)


@given(st.floats(0, 1e9), st.floats(1e-3, 1e6))
def test_the_linear_curve_is_demand_by_safe_load(demand, per_replica):
    assert LoadCurve.linear(per_replica).replicas_for(demand) == replicas_for(demand, per_replica)


def test_three_tenths_by_one_tenth_are_three_replicas():
    assert LoadCurve.linear(0.1).replicas_for(0.3) == 3


@pytest.mark.parametrize(
    ("demand", "replicas"), [(0, 0), (1, 1), (100, 1), (101, 2), (340, 4), (341, 5), (640, 10)]
)
def test_between_the_points_the_curve_is_straight(demand, replicas):
    assert MEASURED.replicas_for(demand) == replicas


def test_beyond_the_last_point_a_replica_adds_what_the_last_ones_added():
    assert MEASURED.capacity(12) == 740
    assert MEASURED.replicas_for(741) == 13


def test_a_lucky_last_step_promises_no_more_than_the_average():
    lucky = LoadCurve(((1, 50.0), (2, 200.0)))
    assert lucky.capacity(4) == 400


def test_no_demand_is_more_than_kubernetes_can_count():
    assert LoadCurve.linear(1e-300).replicas_for(1e300) == MOST_REPLICAS
    assert MEASURED.replicas_for(math.inf) == MOST_REPLICAS


def test_utilization_is_the_share_of_what_the_replicas_carry():
    assert MEASURED.utilization(170, 4) == 0.5
    assert MEASURED.utilization(170, 0) == math.inf
    assert MEASURED.utilization(0, 0) == 0


@given(rising, st.floats(0, 1e7))
def test_the_answer_is_the_fewest_replicas_that_carry_the_demand(curve, demand):
    replicas = curve.replicas_for(demand)
    assume(replicas < MOST_REPLICAS)
    assert curve.capacity(replicas) >= demand * (1 - 1e-6)
    if replicas > 0:
        assert curve.capacity(replicas - 1) < demand


@given(rising, st.floats(0, 1e6), st.floats(0, 1e6))
def test_more_demand_never_needs_fewer_replicas(curve, one, other):
    less, more = sorted((one, other))
    assert curve.replicas_for(less) <= curve.replicas_for(more)


@given(rising, st.integers(1, 1_000))
def test_extrapolation_never_carries_more_than_the_last_measured_average(curve, further):
    replicas, load = curve.points[-1]
    assert curve.capacity(replicas + further) <= load / replicas * (replicas + further) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("points", "complaint"),
    [
        ((), "one point at least"),
        (((0, 10.0),), "0 replicas"),
        (((1, 0.0),), "give a finite one above 0"),
        (((1, math.inf),), "give a finite one above 0"),
        (((1, math.nan),), "give a finite one above 0"),
        (((2, 10.0), (1, 20.0)), "sort it"),
        (((2, 10.0), (2, 20.0)), "each number once"),
        (((8, 950.0), (10, 900.0)), "10 replicas carry 900, no more than the 950 of 8"),
        (((8, 950.0), (10, 950.0)), "set maxReplicas to 8"),
    ],
)
def test_a_curve_that_does_not_rise_is_refused_with_what_to_do(points, complaint):
    with pytest.raises(ValueError, match=complaint):
        LoadCurve(points)
