"""What each mode does to the target, to status and to Events."""

from foretide.operator.api.predictivescaler import Mode


async def test_auto_scales_the_target_through_its_scale_subresource(cluster, demand, operator):
    await cluster.deployment(replicas=2)
    demand.answer = 250
    await cluster.scaler()
    await operator.until(lambda: cluster.condition("Ready") == ("True", "Scaling"))
    assert cluster.replicas() == 5
    assert cluster.condition("ScalingActive") == ("True", "Active")
    assert cluster.status()["changes"] == [
        {"time": "2026-03-02T12:00:00Z", "before": 2, "after": 5}
    ]
    assert cluster.status()["lastScaleTime"] == "2026-03-02T12:00:00Z"
    assert [request.url.path.rpartition("/")[2] for request in cluster.writes()][:2] == [
        "scale",
        "status",
    ]
    await operator.until(lambda: cluster.events("ScaledUp"))
    assert cluster.events("ScaledUp")[0].startswith("2 → 5 replicas: ")


async def test_recommend_is_the_default_and_changes_nothing(cluster, demand, operator):
    await cluster.deployment(replicas=2)
    demand.answer = 250
    await cluster.scaler(mode=None)
    await operator.until(lambda: cluster.condition("Ready") == ("True", "Recommending"))
    await operator.tick(3)
    assert cluster.replicas() == 2
    assert not cluster.writes("/scale")


async def test_recommend_reports_what_it_would_do(cluster, demand, operator):
    await cluster.deployment(replicas=2)
    demand.answer = 250
    await cluster.scaler(mode="Recommend")
    await operator.until(lambda: cluster.events("Recommended"))
    status = cluster.status()
    assert (status["currentReplicas"], status["desiredReplicas"]) == (2, 5)
    assert cluster.condition("ScalingActive") == ("False", "Recommend")
    await operator.tick(3)
    assert len(cluster.events("Recommended")) == 1  # once for each recommendation, not each tick


async def test_paused_decides_nothing_and_asks_nobody(cluster, demand, fitter, operator):
    await cluster.deployment(replicas=2)
    demand.answer = RuntimeError("asked all the same")
    await cluster.scaler(mode="Paused")
    await operator.until(lambda: cluster.condition("Ready") == ("True", "Paused"))
    await operator.tick(2)
    assert cluster.condition("ScalingActive") == ("False", "Paused")
    assert "desiredReplicas" not in cluster.status()
    assert not cluster.writes("/scale")
    assert not fitter.requests


async def test_a_change_of_mode_takes_effect_without_waiting(cluster, demand, operator, eventually):
    await cluster.deployment(replicas=2)
    demand.answer = 250
    await cluster.scaler(mode=Mode.RECOMMEND)
    await eventually(lambda: cluster.status().get("desiredReplicas") == 5)
    await cluster.edit_scaler(mode="Auto")
    await eventually(lambda: cluster.replicas() == 5)
    await eventually(lambda: cluster.status()["observedGeneration"] == 2)


async def test_a_target_scaled_to_zero_stays_off(cluster, demand, operator):
    await cluster.deployment(replicas=0)
    demand.answer = 250
    await cluster.scaler()
    await operator.until(lambda: cluster.condition("ScalingActive"))
    assert cluster.condition("ScalingActive") == ("False", "ScalingDisabled")
    assert cluster.source() == "Disabled"
    await operator.tick(2)
    assert cluster.replicas() == 0
    await cluster.scale(2)
    await operator.until(lambda: cluster.replicas() == 5)


async def test_replicas_out_of_bounds_are_brought_back(cluster, demand, operator):
    await cluster.deployment(replicas=2)
    demand.answer = 250
    await cluster.scaler(minReplicas=7)
    await operator.until(lambda: cluster.replicas() == 7)
    assert cluster.condition("ScalingLimited") in (None, ("True", "TooFewReplicas"))


async def test_pods_are_counted_by_what_they_can_carry(cluster, demand, operator):
    await cluster.deployment(replicas=5)
    await cluster.pod("serves", Ready="True", PodScheduled="True")
    await cluster.pod("starts", Ready="False", PodScheduled="True")
    await cluster.pod("leaves", Ready="True", deleting=True)
    await cluster.pod("waits", PodScheduled=("False", "Unschedulable"))
    await cluster.pod("gated", PodScheduled=("False", "SchedulingGated"))
    await cluster.pod("other", app="other", Ready="True")
    demand.answer = 250
    await cluster.scaler()
    await operator.until(lambda: cluster.status())
    assert cluster.status()["readyReplicas"] == 1
    assert cluster.status()["unschedulableReplicas"] == 1
    assert cluster.condition("ScalingLimited") == ("True", "NoRoomOnNodes")
    await cluster.delete("v1/pods", "waits")
    await operator.until(lambda: cluster.condition("ScalingLimited") == ("False", "WithinLimits"))
    assert "unschedulableReplicas" not in cluster.status()


async def test_nothing_is_written_while_nothing_changes(cluster, clock, demand, operator):
    await cluster.deployment(replicas=5)
    demand.answer = 250
    await cluster.scaler()
    await operator.until(lambda: cluster.condition("ForecastAvailable") and cluster.status())
    await operator.tick(2)
    before = len(cluster.writes())
    for figure in (249, 251, 250):
        demand.answer = figure
        clock.advance(15)
        await operator.tick()
    assert len(cluster.writes()) == before


async def test_demand_that_has_moved_far_is_written_in_the_end(cluster, clock, demand, operator):
    await cluster.deployment(replicas=1)
    demand.answer = 10
    await cluster.scaler()
    await operator.until(lambda: cluster.status())
    await operator.tick(2)
    demand.answer = 20  # still one replica
    await operator.tick()
    assert cluster.status()["decision"]["metrics"][0]["demand"] == "10"
    clock.advance(301)
    await operator.tick()
    assert cluster.status()["decision"]["metrics"][0]["demand"] == "20"


async def test_the_resource_gets_no_finalizers_and_no_annotations(cluster, demand, operator):
    await cluster.deployment()
    demand.answer = 250
    await cluster.scaler()
    await cluster.hpa(target="other")
    await operator.until(lambda: cluster.status())
    await operator.tick(2)
    for resource in (
        cluster.resource(),
        *cluster.api.all("autoscaling/v2/horizontalpodautoscalers"),
    ):
        assert not resource["metadata"].keys() & {"finalizers", "annotations"}
