"""Targets that somebody else scales too."""

import pytest

HPAS = "autoscaling/v2/horizontalpodautoscalers"
SCALED_OBJECTS = "keda.sh/v1alpha1/scaledobjects"


@pytest.fixture
async def busy(cluster, demand):
    """A target that ought to have five replicas and has two."""
    await cluster.deployment(replicas=2)
    demand.answer = 250


@pytest.mark.usefixtures("busy")
async def test_an_hpa_on_the_target_stops_auto_until_it_goes(cluster, operator):
    await cluster.hpa()
    await operator.until(lambda: operator.fleet.autoscalers is not None)
    await cluster.scaler(mode="Recommend")
    await operator.until(lambda: cluster.condition("Conflict") == ("False", "OwnerBeside"))
    await cluster.edit_scaler(mode="Auto")
    await operator.until(lambda: cluster.condition("Ready") == ("False", "Conflict"))
    assert cluster.condition("ScalingActive") == ("False", "Conflict")
    assert "HorizontalPodAutoscaler shop-hpa" in cluster.message("Conflict")
    assert cluster.status()["desiredReplicas"] == 5
    await operator.tick(2)
    assert cluster.replicas() == 2
    await cluster.delete(HPAS, "shop-hpa")
    await operator.until(lambda: cluster.condition("Conflict") == ("False", "SoleOwner"))
    await operator.until(lambda: cluster.replicas() == 5)


@pytest.mark.usefixtures("busy")
async def test_an_hpa_that_is_there_first_is_seen_before_anything_is_changed(cluster, start):
    await cluster.hpa()
    await cluster.scaler()
    operator = await start()
    await operator.until(lambda: cluster.condition("Conflict") == ("True", "OtherOwner"))
    assert not cluster.writes("/scale")


@pytest.mark.usefixtures("busy")
async def test_an_hpa_that_comes_later_is_given_way(cluster, demand, operator):
    await cluster.scaler()
    await operator.until(lambda: cluster.replicas() == 5)
    await cluster.hpa()
    await operator.until(lambda: cluster.condition("Conflict") == ("True", "OtherOwner"))
    demand.answer = 500
    await operator.tick(2)
    assert cluster.replicas() == 5


@pytest.mark.usefixtures("busy")
async def test_recommend_goes_on_reporting_beside_an_hpa(cluster, operator):
    await cluster.hpa()
    await cluster.scaler(mode="Recommend")
    await operator.until(lambda: cluster.condition("Conflict") == ("False", "OwnerBeside"))
    assert "HorizontalPodAutoscaler shop-hpa" in cluster.message("Conflict")
    assert cluster.condition("Ready") == ("True", "Recommending")
    assert cluster.status()["desiredReplicas"] == 5


@pytest.mark.usefixtures("busy")
async def test_an_hpa_on_another_target_does_not_matter(cluster, operator):
    await cluster.hpa(target="other")
    await cluster.scaler()
    await operator.until(lambda: cluster.replicas() == 5)
    await operator.until(lambda: cluster.condition("Conflict") == ("False", "SoleOwner"))


@pytest.mark.usefixtures("busy")
async def test_a_scaled_object_of_keda_stops_auto_until_it_goes(api, cluster, start):
    api.declare(SCALED_OBJECTS, "ScaledObject")
    spec = {"scaleTargetRef": {"name": "shop"}}  # KEDA's default kind is Deployment
    await cluster.create(SCALED_OBJECTS, "shop-keda", {"spec": spec})
    await cluster.scaler()
    operator = await start()
    await operator.until(lambda: cluster.condition("Conflict") == ("True", "OtherOwner"))
    assert "ScaledObject shop-keda" in cluster.message("Conflict")
    await operator.tick(2)
    assert cluster.replicas() == 2
    await cluster.delete(SCALED_OBJECTS, "shop-keda")
    await operator.until(lambda: cluster.replicas() == 5)


@pytest.mark.usefixtures("busy")
async def test_keda_may_be_installed_while_the_operator_runs(api, cluster, operator):
    await cluster.scaler()
    await operator.until(lambda: cluster.replicas() == 5)
    api.declare(SCALED_OBJECTS, "ScaledObject")
    crd = {"spec": {"group": "keda.sh", "scope": "Namespaced", "names": {"kind": "ScaledObject"}}}
    await cluster.create(
        "apiextensions.k8s.io/v1/customresourcedefinitions", "scaledobjects.keda.sh", crd
    )
    await cluster.create(
        SCALED_OBJECTS, "shop-keda", {"spec": {"scaleTargetRef": {"name": "shop"}}}
    )
    await operator.until(lambda: cluster.condition("Conflict") == ("True", "OtherOwner"))


@pytest.mark.usefixtures("busy")
async def test_of_two_predictivescalers_the_older_keeps_the_target(cluster, demand, operator):
    await cluster.scaler("second", meta={"creationTimestamp": "2026-03-01T10:00:00Z"})
    await operator.until(lambda: cluster.replicas() == 5)
    await cluster.scaler("first", meta={"creationTimestamp": "2026-03-01T09:00:00Z"})
    await operator.until(lambda: cluster.condition("Conflict", "second") == ("True", "OtherOwner"))
    assert "PredictiveScaler first" in cluster.message("Conflict", "second")
    await operator.until(lambda: cluster.condition("Ready", "first") == ("True", "Scaling"))
    assert cluster.condition("Conflict", "first") == ("False", "SoleOwner")
    demand.answer = 400
    await operator.until(lambda: cluster.replicas() == 8)
    await operator.tick()
    assert len(cluster.status("first")["changes"]) == 1
    assert len(cluster.status("second")["changes"]) == 1
    await cluster.delete("foretide.dev/v1alpha1/predictivescalers", "first")
    await operator.until(lambda: cluster.condition("Ready", "second") == ("True", "Scaling"))


@pytest.mark.usefixtures("busy")
async def test_a_recommending_predictivescaler_owns_nothing(cluster, operator):
    early = {"creationTimestamp": "2026-03-01T09:00:00Z"}
    await cluster.scaler("adviser", mode="Recommend", meta=early)
    await cluster.scaler("actor", mode="Auto")
    await operator.until(lambda: cluster.replicas() == 5)
    beside = ("False", "OwnerBeside")
    await operator.until(lambda: cluster.condition("Conflict", "adviser") == beside)
    assert "PredictiveScaler actor" in cluster.message("Conflict", "adviser")
    assert cluster.condition("Conflict", "actor") == ("False", "SoleOwner")
