"""Resources weighed as HPA weighs them, and what forecasts are made of."""

import pytest

from foretide.forecasting.behavior import Behavior
from foretide.forecasting.decision import MetricPolicy
from foretide.forecasting.demand import Undecided
from foretide.forecasting.resource_demand import ResourceDemand
from foretide.operator.api.metrics import MetricSpec
from foretide.operator.api.predictivescaler import ScaleTargetRef
from foretide.operator.demands import history_query, weigh

CPU = MetricPolicy("cpu", 1.0, 0.5)
SHOP = ScaleTargetRef(kind="Deployment", name="shop")


def used(total, cautious=None, *, missing=0, unready=0):
    return ResourceDemand(
        total=total,
        cautious=total if cautious is None else cautious,
        per_replica=1.0,
        target_utilization=0.5,
        at=7.0,
        counted=4,
        missing=missing,
        unready=unready,
    )


def weighed(found, current, *, planned=False):
    reading, hold = weigh(found, CPU, Behavior(), current=current, planned=planned)
    return reading.value, hold and hold.reason


def test_where_all_pods_have_a_figure_it_is_what_they_use():
    assert weighed(used(3.2), 4) == (3.2, None)
    assert weighed(used(0.4), 4) == (0.4, None)


def test_up_it_goes_by_the_pods_that_have_a_figure():
    assert weighed(used(3.2, 9.0, missing=2), 4) == (3.2, None)


def test_down_it_goes_by_what_the_others_may_use():
    assert weighed(used(0.4, 1.4, missing=1), 8) == (1.4, None)


def test_where_the_others_may_use_it_all_nothing_is_taken_away():
    assert weighed(used(0.4, 4.4, missing=4), 8) == (0.4, "PodsWithoutFigure")


def test_with_a_forecast_there_is_no_headroom_in_either_direction():
    assert weighed(used(3.2), 4, planned=True) == (3.2, None)
    assert weighed(used(1.0, 3.0, missing=2), 4, planned=True) == (3.0, None)
    assert weighed(used(1.0, 4.0, missing=3), 4, planned=True) == (1.0, "PodsWithoutFigure")


@pytest.mark.parametrize(
    ("metric", "query"),
    [
        ({"query": "rate", "perReplica": 1}, "rate"),
        (
            {
                "type": "Backlog",
                "query": "waiting",
                "arrivalQuery": "arriving",
                "perReplica": 1,
                "drainWithin": "5m",
            },
            "arriving",
        ),
        ({"type": "Resource", "resource": "memory", "query": "bytes"}, "bytes"),
    ],
)
def test_the_history_is_that_of_what_comes_in(metric, query):
    assert history_query(MetricSpec(**metric), "web", SHOP) == query


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (
            {"type": "Backlog", "query": "waiting", "perReplica": 1, "drainWithin": "5m"},
            "NoArrivalQuery",
        ),
        ({"type": "Resource", "resource": "memory"}, "NoHistoryQuery"),
    ],
)
def test_where_there_is_no_history_it_says_why(metric, reason):
    found = history_query(MetricSpec(**metric), "web", SHOP)
    assert isinstance(found, Undecided)
    assert found.reason == reason
