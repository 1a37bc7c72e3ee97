"""What was deleted while no watch told of it."""

import kmock
import pytest

from foretide.operator.census import Census

SCALERS = "foretide.dev/v1alpha1/predictivescalers"
HPAS = "autoscaling/v2/horizontalpodautoscalers"


def delete_unseen(api, resource, name):
    del api.objects[kmock.resource(resource), "default", name]


@pytest.fixture
def census(operator):
    return Census(operator.cluster, operator.fleet, ["default"])


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


async def test_what_is_there_stays(cluster, demand, operator, census):
    await cluster.deployment(replicas=2)
    await cluster.hpa()
    await cluster.scaler()
    await operator.until(lambda: cluster.condition("Conflict") == ("True", "OtherOwner"))
    await census.take()
    await operator.tick()
    assert len(operator.fleet) == 1
    assert cluster.condition("Conflict") == ("True", "OtherOwner")
