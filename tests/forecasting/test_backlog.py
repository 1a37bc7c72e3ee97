"""A backlog as demand per second."""

import pytest

from foretide.forecasting.backlog import backlog_demand, drain_rate
from foretide.forecasting.demand import Reading, Unavailable
from foretide.forecasting.load_curve import LoadCurve

NOW = 1_790_000_000.0
DOWN = Unavailable("Unreachable", "no answer within 10 s")


def test_demand_is_what_arrives_and_what_is_to_be_drained():
    demand = backlog_demand(Reading(6_000, NOW), Reading(30, NOW - 5), 300.0)
    assert demand == Reading(50.0, NOW - 5)


def test_replicas_are_that_demand_by_the_throughput_of_one():
    demand = backlog_demand(Reading(6_000, NOW), Reading(30, NOW), 300.0)
    assert isinstance(demand, Reading)
    assert LoadCurve.linear(4.0).replicas_for(demand.value) == 13


def test_without_a_query_for_arrivals_the_backlog_alone_counts():
    assert backlog_demand(Reading(6_000, NOW), None, 300.0) == Reading(20.0, NOW)


@pytest.mark.parametrize(
    ("backlog", "arrivals", "which"),
    [
        (DOWN, Reading(30, NOW), "backlog"),
        (Reading(6, NOW), DOWN, "arrivals"),
        (DOWN, None, "back"),
    ],
)
def test_half_a_sum_is_no_demand(backlog, arrivals, which):
    demand = backlog_demand(backlog, arrivals, 300.0)
    assert isinstance(demand, Unavailable)
    assert demand.reason == "Unreachable"
    assert demand.message.startswith(which)


def test_an_empty_queue_is_a_reading_like_any_other():
    assert backlog_demand(Reading(0, NOW), Reading(0, NOW), 300.0) == Reading(0.0, NOW)


def test_a_forecast_of_arrivals_gets_the_waiting_work_on_top():
    assert 80.0 + drain_rate(Reading(6_000, NOW), 300.0) == 100.0
    assert drain_rate(DOWN, 300.0) == 0.0


@pytest.mark.parametrize("drain_within", [0.0, -1.0, float("inf"), float("nan")])
def test_a_time_that_is_none_is_refused(drain_within):
    with pytest.raises(ValueError, match="must be positive"):
        backlog_demand(Reading(1, NOW), None, drain_within)
