"""Minimums held up on a real API server, where a real HPA acts on them.

The functions are called as the operator calls them, without the operator.
"""

import time

import pytest

from foretide.operator.cluster import ClusterError, KubernetesCluster, load_client
from foretide.operator.hpa import Holder, release, set_floor, sweep
from foretide.operator.hpa_floor import FLOOR, ORIGINAL, OWNER, Kind, Outcome


def hpa(minimum=2, maximum=20, **meta):
    """An HPA of CPU, which nobody measures here: it keeps to its bounds and does no more."""
    target = {"type": "Utilization", "averageUtilization": 70}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "shop", **meta},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
            "minReplicas": minimum,
            "maxReplicas": maximum,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }


@pytest.fixture
def cluster(sandbox):
    made = KubernetesCluster(load_client(str(sandbox.kubeconfig)), threads=2)
    yield made
    made.close()


@pytest.fixture
def shop(namespace):
    """A Deployment of two replicas and its HPA."""
    namespace.deployment("shop", 2)
    namespace.apply(hpa())
    return namespace


@pytest.fixture
def hold(cluster, shop):
    """Holds the minimum up, for the PredictiveScaler of that uid."""

    async def call(floor, owner="uid-1", kind=Kind.HPA, name="shop"):
        holder = Holder(kind, shop.name, name)
        return await set_floor(
            cluster, holder, floor, owner_uid=owner, guard=lambda: True, now=time.time()
        )

    return call


@pytest.fixture
def give_back(cluster, shop):
    async def call(owner="uid-1"):
        holder = Holder(Kind.HPA, shop.name, "shop")
        return await release(cluster, holder, owner_uid=owner, guard=lambda: True)

    return call


@pytest.fixture
def sweeping(cluster, shop):
    async def call():
        return await sweep(cluster, [shop.name], guard=lambda: True)

    return call


def minimum(namespace):
    return namespace.get("hpa", "shop")["spec"]["minReplicas"]


def marks(namespace):
    annotations = namespace.get("hpa", "shop")["metadata"].get("annotations", {})
    return {key: annotations[key] for key in (ORIGINAL, FLOOR, OWNER) if key in annotations}


async def test_the_real_hpa_follows_the_floor_and_gets_its_minimum_back(shop, hold, give_back):
    floor = await hold(7)
    assert (floor.outcome, floor.own, floor.written) == (Outcome.HELD, 2, True)
    assert marks(shop) == {ORIGINAL: "2", FLOOR: "7", OWNER: "uid-1"}
    shop.await_replicas("shop", 7)
    assert not (await hold(7)).written
    await hold(9)
    shop.await_replicas("shop", 9)
    assert await give_back()
    assert (minimum(shop), marks(shop)) == (2, {})
    assert not await give_back()


async def test_the_floor_ends_at_the_maximum_which_the_api_server_insists_on(shop, hold):
    assert (await hold(500)).minimum == 20
    assert minimum(shop) == 20


async def test_an_edit_by_hand_is_the_original_from_then_on(shop, hold, give_back):
    await hold(7)
    shop.kubectl("patch", "hpa", "shop", "-p", '{"spec":{"minReplicas":4}}')
    assert (await hold(8)).own == 4
    assert minimum(shop) == 8
    await give_back()
    assert minimum(shop) == 4


async def test_a_manifest_that_is_applied_again_and_again_is_given_way_to(shop, hold):
    await hold(7)
    shop.apply(hpa())
    assert (await hold(7)).outcome is Outcome.HELD
    shop.apply(hpa())
    floor = await hold(7)
    assert floor.outcome is Outcome.YIELDED
    assert minimum(shop) == 2
    assert "ignore spec.minReplicas" in floor.message


async def test_a_change_at_the_same_time_is_not_lost(cluster, shop, hold):
    """The API server refuses what was planned on an older version."""
    send = cluster.request

    async def request(method, path, body=None, **options):
        if method == "PATCH" and minimum(shop) == 2:
            shop.kubectl("patch", "hpa", "shop", "-p", '{"spec":{"minReplicas":5}}')
        return await send(method, path, body, **options)

    cluster.request = request
    assert (await hold(7)).own == 5
    assert marks(shop)[ORIGINAL] == "5"


async def test_a_sweep_restores_what_an_operator_has_left_behind(shop, hold, sweeping):
    await hold(7, owner="uid of a PredictiveScaler that is gone")
    shop.await_replicas("shop", 7)
    assert await sweeping() == [f"{shop.name}/shop"]
    assert (minimum(shop), marks(shop)) == (2, {})
    assert await sweeping() == []


async def test_a_sweep_spares_what_an_acting_predictivescaler_holds(shop, hold, sweeping):
    query = "sum(demand_rps)"
    shop.scaler("shop", query, actuation="HPAFloor")
    uid = shop.get("pscaler", "shop")["metadata"]["uid"]
    await hold(7, owner=uid)
    assert await sweeping() == []
    assert minimum(shop) == 7
    shop.scaler("shop", query, actuation="HPAFloor", mode="Paused")
    assert await sweeping() == [f"{shop.name}/shop"]
    shop.scaler("shop", query, actuation="HPAFloor")
    await hold(7, owner=uid)
    shop.kubectl("delete", "pscaler", "shop")
    assert await sweeping() == [f"{shop.name}/shop"]
    assert minimum(shop) == 2


async def test_an_hpa_that_is_gone_is_told(shop, hold, give_back):
    shop.kubectl("delete", "hpa", "shop")
    with pytest.raises(ClusterError) as raised:
        await hold(7)
    assert raised.value.status == 404
    assert not await give_back()


@pytest.fixture
def keda(shop, new_kind):
    """KEDA's kind, without KEDA."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1alpha1", "served": True, "storage": True}
    new_kind(
        shop,
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "scaledobjects.keda.sh"},
            "spec": {
                "group": "keda.sh",
                "scope": "Namespaced",
                "names": {
                    "kind": "ScaledObject",
                    "plural": "scaledobjects",
                    "singular": "scaledobject",
                },
                "versions": [{**version, "schema": {"openAPIV3Schema": anything}}],
            },
        },
    )
    yield
    shop.kubectl("delete", "crd", "scaledobjects.keda.sh")


async def test_the_scaled_object_behind_an_hpa_is_moved_and_restored(
    keda, shop, hold, give_back, sweeping
):
    spec = {"scaleTargetRef": {"name": "shop"}, "triggers": [{"type": "cpu"}]}
    shop.apply(
        {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": {"name": "queue"},
            "spec": spec,
        }
    )
    owner = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "queue"}
    uid = shop.get("scaledobject", "queue")["metadata"]["uid"]
    shop.apply(hpa(ownerReferences=[{**owner, "uid": uid, "controller": True}]))
    floor = await hold(7)
    assert floor.holder == Holder(Kind.SCALED_OBJECT, shop.name, "queue")
    assert shop.get("scaledobject", "queue")["spec"]["minReplicaCount"] == 7
    assert minimum(shop) == 2
    assert await give_back()
    assert shop.get("scaledobject", "queue")["spec"] == spec
    await hold(5, kind=Kind.SCALED_OBJECT, name="queue")
    assert await sweeping() == [f"{shop.name}/queue"]
    assert shop.get("scaledobject", "queue")["spec"] == spec
