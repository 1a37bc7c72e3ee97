"""Backlogs and resources beside rates: the largest answer counts."""

import pytest

from foretide.forecasting.demand import Unavailable
from foretide.forecasting.resource_demand import PodUsage, ResourcePod, ResourceSample
from foretide.operator.forecasts import NOT_FITTED_YET

BACKLOG = {
    "type": "Backlog",
    "query": "waiting",
    "arrivalQuery": "arriving",
    "perReplica": 10,
    "drainWithin": "5m",
    "targetUtilization": 0.5,
}
CPU = {"type": "Resource", "resource": "cpu", "targetUtilization": 0.5}
EAGER = {"scaleDown": {"stabilizationWindowSeconds": 0}}
WHERE = ("default", "app=shop")


@pytest.fixture
def use(clock, resources):
    """So many pods, each using so many cores of one that it requests; some have no figure."""

    def put(cores, pods, *, silent=0, request=1.0):
        names = [f"pod-{number}" for number in range(pods)]
        old = clock.now - 3_600
        found = tuple(
            ResourcePod(name, request, started=old, ready=True, ready_changed=old) for name in names
        )
        usage = {name: PodUsage(cores, clock.now, 30.0) for name in names[silent:]}
        resources.answers[WHERE] = ResourceSample(found, usage)

    return put


async def test_a_backlog_is_demand_for_the_time_that_it_is_to_be_drained_in(
    cluster, demand, operator
):
    await cluster.deployment(replicas=5)
    demand.answers |= {
        "waiting": 6_000,
        "arriving": 20,
    }  # 20 a second, and 20 more
    await cluster.scaler(metrics=[BACKLOG])
    await operator.until(lambda: cluster.replicas() == 8)
    assert cluster.metric()["demand"] == "40"


async def test_arrivals_are_forecast_and_what_waits_comes_on_top(cluster, demand, fitter, operator):
    await cluster.deployment(replicas=5)
    demand.answers |= {"waiting": 6_000, "arriving": 20}
    fitter.foresee(50)
    await cluster.scaler(metrics=[BACKLOG], behavior=EAGER)
    await operator.until(lambda: cluster.replicas() == 7)
    assert (cluster.metric()["peak"], cluster.metric()["predicted"]) == ("70", 7)
    assert {request.query for request in fitter.requests} == {"arriving"}


async def test_without_a_query_for_arrivals_a_backlog_is_not_forecast(
    cluster, demand, fitter, operator
):
    await cluster.deployment(replicas=2)
    demand.answers["waiting"] = 6_000
    fitter.foresee(900)
    await cluster.scaler(metrics=[{**BACKLOG, "arrivalQuery": None}])
    await operator.until(lambda: cluster.replicas() == 4)
    await operator.tick(2)
    assert fitter.requests == []
    assert "arrivalQuery" in cluster.metric()["message"]


async def test_an_empty_queue_is_no_outage(cluster, demand, operator):
    await cluster.deployment(replicas=4)
    demand.answers |= {"waiting": 0, "arriving": 20}
    await cluster.scaler(metrics=[BACKLOG])
    await operator.until(lambda: cluster.condition("MetricsAvailable") == ("True", "Available"))
    assert cluster.metric()["demand"] == "20"


async def test_arrivals_that_stop_all_at_once_are_doubted(cluster, demand, operator):
    await cluster.deployment(replicas=4)
    demand.answers |= {"waiting": 600, "arriving": 0}
    await cluster.scaler(metrics=[BACKLOG])
    await operator.until(lambda: cluster.condition("MetricsAvailable") == ("False", "SuddenZero"))
    assert cluster.replicas() == 4


async def test_cpu_is_scaled_for_as_hpa_does(cluster, operator, use):
    await cluster.deployment(replicas=4)
    use(0.8, 4)
    await cluster.scaler(metrics=[CPU])
    await operator.until(lambda: cluster.replicas() == 7)  # 3.2 cores at half of one each
    assert cluster.metric()["demand"] == "3.2"


async def test_cpu_has_a_forecast_by_default_and_memory_has_none(
    cluster, fitter, operator, use, eventually
):
    await cluster.deployment(replicas=4)
    use(0.8, 4)
    fitter.foresee(6)
    await cluster.scaler(metrics=[CPU], behavior=EAGER)
    await operator.until(lambda: cluster.replicas() == 6)
    assert 'pod=~"shop-[a-z0-9]+-[a-z0-9]{5}"' in fitter.requests[0].query
    await cluster.edit_scaler(metrics=[{**CPU, "resource": "memory"}])
    await eventually(lambda: cluster.status()["observedGeneration"] == 2)
    await operator.tick(2)
    assert len(fitter.requests) == 1
    assert "memory is not forecast by default" in cluster.metric()["message"]


async def test_the_plan_is_found_for_what_the_pods_request(cluster, fitter, operator, use):
    await cluster.deployment(replicas=4)
    use(0.8, 4, request=2.0)
    await cluster.scaler(metrics=[CPU], forecast={"engine": "Auto"})
    await operator.until(lambda: fitter.requests)
    assert fitter.requests[0].lookahead.per_replica == 2.0


async def test_until_requests_are_known_nothing_is_fitted(cluster, clock, fitter, operator, use):
    await cluster.deployment(replicas=4)
    await cluster.scaler(metrics=[CPU])
    await operator.until(cluster.status)
    await operator.tick()
    assert fitter.requests == []
    use(0.8, 4)
    await operator.until(lambda: fitter.requests)
    assert operator.forecasts.slot(operator.uids()[0], 0).horizon is not NOT_FITTED_YET


async def test_pods_without_a_figure_are_no_reason_to_take_replicas_away(
    cluster, clock, operator, use
):
    await cluster.deployment(replicas=8)
    use(0.3, 8, silent=5)  # 0.9 cores are seen, and five pods may use one each
    await cluster.scaler(metrics=[CPU])
    await operator.until(cluster.status)
    for _ in range(7):
        clock.advance(60)
        use(0.3, 8, silent=5)
        await operator.tick()
    assert cluster.replicas() == 8
    use(0.3, 8)
    await operator.tick()
    clock.advance(60)
    use(0.3, 8)
    await operator.tick()
    clock.advance(301)
    use(0.3, 8)
    await operator.until(lambda: cluster.replicas() == 5)


async def test_the_largest_answer_of_several_types_counts(cluster, demand, operator, use):
    await cluster.deployment(replicas=4)
    use(0.8, 4)
    demand.answer = 150
    demand.answers |= {"waiting": 0, "arriving": 10}
    rate = {"name": "rate", "query": "demand", "perReplica": 100, "targetUtilization": 0.5}
    await cluster.scaler(metrics=[rate, {**BACKLOG, "name": "queue"}, {**CPU, "name": "cpu"}])
    await operator.until(lambda: cluster.replicas() == 7)
    assert cluster.status()["decision"]["metric"] == "cpu"


async def test_where_metrics_of_pods_are_not_served_it_says_what_to_install(
    cluster, operator, resources
):
    await cluster.deployment(replicas=4)
    missing = Unavailable("MetricsApiMissing", "the cluster has no metrics.k8s.io")
    resources.answers[WHERE] = missing
    await cluster.scaler(metrics=[CPU])
    await operator.until(
        lambda: cluster.condition("MetricsAvailable") == ("False", "MetricsApiMissing")
    )
    assert cluster.replicas() == 4
