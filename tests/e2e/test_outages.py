"""What happens to replicas when the metric cannot be had: they never fall."""

import pytest

OUTAGES = {
    "nan": {"NotANumber"},
    "absent": {"Empty"},
    "stale": {"Empty", "Stale"},
    "zero": {"SuddenZero"},
}


@pytest.fixture
def shop(namespace, operator, demand):
    """A workload that has been scaled to 10 by demand, with nothing but caution to hold it."""
    namespace.deployment("shop", 2)
    demand.set(70)
    namespace.scaler("shop", demand.query)
    namespace.await_replicas("shop", 10)
    namespace.await_condition("shop", "MetricsAvailable", "True")
    return namespace


@pytest.mark.parametrize("mode", OUTAGES)
def test_replicas_never_fall_while_the_metric_answers(mode, shop, operator, demand):
    with shop.history("shop") as record:
        demand.set(mode)
        shop.await_condition("shop", "MetricsAvailable", "False", OUTAGES[mode])
        operator.await_ticks(5)
    assert min(record.seen) == 10
    demand.set(21)
    shop.await_condition("shop", "MetricsAvailable", "True")
    shop.await_replicas("shop", 3)


def test_replicas_never_fall_while_prometheus_is_down(shop, operator, demand, sandbox):
    prometheus = sandbox.component("prometheus")
    prometheus.kill()
    try:
        with shop.history("shop") as record:
            shop.await_condition("shop", "MetricsAvailable", "False", "Unreachable")
            operator.await_ticks(5)
        assert min(record.seen) == 10
    finally:
        prometheus.start()
    shop.await_condition("shop", "MetricsAvailable", "True", within=120)
    demand.set(21)
    shop.await_replicas("shop", 3)


def test_several_series_where_one_is_due_hold_the_replicas(shop, operator, demand):
    with shop.history("shop") as record:
        shop.scaler("shop", 'demand_rps{app=~"rising|falling"} * 0')
        shop.await_condition("shop", "MetricsAvailable", "False", "SeveralSeries")
        operator.await_ticks(3)
    assert min(record.seen) == 10


def test_a_sudden_zero_is_believed_after_the_grace(shop, operator, demand):
    shop.scaler("shop", demand.query, suddenZeroGrace="4s")
    demand.set("zero")
    # The doubt lasts so short that the condition could be missed; the Event stays.
    shop.await_event("SuddenZero")
    shop.await_replicas("shop", 1)
    shop.await_condition("shop", "MetricsAvailable", "True")


def test_an_outage_of_one_metric_still_lets_the_other_scale_up(
    namespace, operator, sandbox, demand
):
    namespace.deployment("shop", 4)
    demand.set(35)
    gone = {"name": "gone", "query": "no_such_metric", "perReplica": 1}
    load = {"name": "load", "query": demand.query, "perReplica": 10}
    namespace.scaler("shop", "unused", metrics=[gone, load])
    namespace.await_replicas("shop", 5)
    with namespace.history("shop") as record:
        demand.set(7)
        operator.await_ticks(4)
    assert min(record.seen) == 5


def test_a_range_that_fades_out_is_not_taken_for_less_demand(namespace, operator, demand, wait_for):
    """rate(…[1m]) falls for a minute when its series dies, before it answers nothing."""
    namespace.deployment("shop", 2)
    demand.set(7)
    # With a scrape each second this is about 7 x 10, and falls smoothly once scrapes fail.
    query = f"sum(sum_over_time({demand.query[4:-1]}[10s]))"
    # What was there before is larger: scaled for, it would fall by itself during the test.
    wait_for(lambda: 63 <= (demand.ask(query) or 0) <= 77)
    namespace.scaler("shop", query)
    namespace.await_replicas("shop", lambda replicas: replicas >= 9)
    operator.await_ticks(2)
    replicas = namespace.replicas("shop")
    with namespace.history("shop") as record:
        demand.set("absent")
        namespace.await_condition("shop", "MetricsAvailable", "False", "Empty")
        operator.await_ticks(3)
    assert min(record.seen) >= replicas
