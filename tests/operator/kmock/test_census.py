"""What was deleted while no watch told of it."""

import asyncio
import logging

import aiohttp.web
import kmock
import pytest

from foretide.operator.census import Census

SCALERS = "foretide.dev/v1alpha1/predictivescalers"
HPAS = "autoscaling/v2/horizontalpodautoscalers"
SCALED_OBJECTS = "keda.sh/v1alpha1/scaledobjects"


def delete_unseen(api, resource, name):
    del api.objects[kmock.resource(resource), "default", name]


@pytest.fixture
def census(operator):
    return Census(
        operator.cluster,
        operator.fleet,
        ["default"],
        operator.telemetry,
        may_write=lambda: True,
    )


@pytest.fixture
async def kept(census):
    """The census goes on by itself, hundreds of times a second."""
    task = asyncio.create_task(census.keep(period=0.001, looks=1))
    yield
    task.cancel()


def told(caplog):
    return [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if record.name == "foretide.operator.census"
    ]


async def test_a_resource_that_is_gone_is_looked_after_no_more(api, cluster, operator, census):
    await cluster.deployment(replicas=2)
    await cluster.scaler()
    await operator.until(lambda: len(operator.fleet) == 1)
    delete_unseen(api, SCALERS, "shop")
    await census.take()
    assert len(operator.fleet) == 0


async def test_an_autoscaler_that_is_gone_is_no_conflict_any_more(
    api, cluster, demand, operator, census
):
    await cluster.deployment(replicas=2)
    demand.answer = 250
    await cluster.hpa()
    await cluster.scaler()
    await operator.until(lambda: cluster.condition("Conflict") == ("True", "OtherOwner"))
    delete_unseen(api, HPAS, "shop-hpa")
    await operator.tick()
    assert cluster.condition("Conflict") == ("True", "OtherOwner")
    await census.take()
    await operator.until(lambda: cluster.condition("Conflict") == ("False", "SoleOwner"))
    await operator.until(lambda: cluster.replicas() == 5)


async def test_a_scaled_object_that_no_watch_has_told_of_is_a_conflict_all_the_same(
    api, cluster, demand, operator, census
):
    await cluster.deployment(replicas=2)
    demand.answer = 250
    await cluster.scaler()
    await operator.until(lambda: cluster.replicas() == 5)
    # Kopf looked for KEDA's kinds when the operator started, and will not look again.
    api.objects[kmock.resource(SCALED_OBJECTS), "default", "queue"] = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {
            "name": "queue",
            "namespace": "default",
            "uid": "scaled-object",
            "resourceVersion": "1",
        },
        "spec": {"scaleTargetRef": {"name": "shop"}},
    }
    await census.look_for_overlooked()
    await operator.until(lambda: cluster.condition("Conflict") == ("True", "OtherOwner"))
    delete_unseen(api, SCALED_OBJECTS, "queue")
    await census.look_for_overlooked()
    await operator.until(lambda: cluster.condition("Conflict") == ("False", "SoleOwner"))


def scaler_unseen(api, name="shop", *, generation=1, maximum=20):
    """A PredictiveScaler, or its new version, of which no watch tells."""
    api.objects[kmock.resource(SCALERS), "default", name] = {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"unseen-{name}",
            "resourceVersion": str(generation),
            "generation": generation,
            "creationTimestamp": "2026-03-01T00:00:00Z",
        },
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": "shop"},
            "minReplicas": 1,
            "maxReplicas": maximum,
            "mode": "Auto",
            "metrics": [{"query": "demand", "perReplica": 100, "targetUtilization": 0.5}],
        },
    }


@pytest.fixture
def unwatched(operator, monkeypatch):
    """No watch tells of any resource: the one here would tell of what is written into status."""
    never = property(lambda fleet: False, lambda fleet, told: None)
    monkeypatch.setattr(type(operator.fleet), "is_watched", never, raising=False)


@pytest.mark.usefixtures("unwatched")
async def test_resources_that_no_watch_tells_of_are_looked_after_all_the_same(
    api, cluster, demand, operator, census
):
    await cluster.deployment(replicas=2)
    demand.answer = 250
    scaler_unseen(api)
    await census.look_for_resources()
    assert len(operator.fleet) == 0  # a watch may be about to begin
    await census.look_for_resources()
    await operator.until(lambda: cluster.replicas() == 5)
    scaler_unseen(api, generation=2, maximum=3)
    await census.look_for_resources()
    await operator.until(lambda: cluster.replicas() == 3)
    scaler_unseen(api, generation=1)  # from a list that is older
    await census.look_for_resources()
    await operator.tick()
    assert cluster.replicas() == 3


async def test_a_resource_that_no_watch_tells_of_leaves_its_target_to_an_autoscaler(
    api, cluster, demand, operator, census
):
    await cluster.deployment(replicas=2)
    demand.answer = 250
    await cluster.hpa()
    scaler_unseen(api)
    for _ in range(2):
        await census.look_for_resources()
    await operator.until(lambda: cluster.condition("Conflict") == ("True", "OtherOwner"))
    assert cluster.replicas() == 2


async def test_resources_that_a_watch_tells_of_are_left_to_it(api, cluster, operator, census):
    await cluster.deployment(replicas=2)
    await cluster.scaler()
    await operator.until(lambda: len(operator.fleet) == 1)
    scaler_unseen(api, "other")
    for _ in range(3):
        await census.look_for_resources()
    assert len(operator.fleet) == 1


async def test_a_watch_that_begins_later_takes_over_from_the_census(api, cluster, operator, census):
    await cluster.deployment(replicas=2)
    scaler_unseen(api)
    for _ in range(2):
        await census.look_for_resources()
    assert len(operator.fleet) == 1
    await cluster.scaler(name="late")
    await operator.until(lambda: len(operator.fleet) == 2)
    scaler_unseen(api, "other")
    await census.look_for_resources()
    assert len(operator.fleet) == 2


async def test_what_is_there_stays(cluster, demand, operator, census):
    await cluster.deployment(replicas=2)
    await cluster.hpa()
    await cluster.scaler()
    await operator.until(lambda: cluster.condition("Conflict") == ("True", "OtherOwner"))
    await census.take()
    await operator.tick()
    assert len(operator.fleet) == 1
    assert cluster.condition("Conflict") == ("True", "OtherOwner")


async def test_a_right_that_is_missing_is_seen_once_and_so_is_that_it_is_there_again(
    api, operator, kept, eventually, caplog
):
    caplog.set_level(logging.INFO, "foretide.operator.census")
    failures = 0

    async def forbid(request):
        nonlocal failures
        by_us = request.headers.get("User-Agent") == "foretide"
        if by_us and request.url.path.endswith("/horizontalpodautoscalers") and failures < 10:
            failures += 1
            status = {"reason": "Forbidden", "message": "cannot list horizontalpodautoscalers"}
            return aiohttp.web.json_response(status, status=403)
        return None

    api.interventions.append(forbid)
    await eventually(lambda: len(told(caplog)) == 2)
    assert told(caplog) == [
        (
            "WARNING",
            "The sweep of minimums fails, and is tried again: cannot list horizontalpodautoscalers",
        ),
        ("INFO", "The sweep of minimums works again."),
    ]
    assert operator.sample("foretide_errors_total", reason="Forbidden") == 10


async def test_a_mistake_of_ours_does_not_end_the_census(
    operator, census, kept, eventually, monkeypatch, caplog
):
    takes = 0

    async def take():
        nonlocal takes
        takes += 1
        if takes < 3:
            raise KeyError("items")

    monkeypatch.setattr(census, "take", take)
    await eventually(lambda: takes > 3)
    assert [level for level, _ in told(caplog)].count("ERROR") == 1
    assert operator.sample("foretide_errors_total", reason="Internal") == 2
