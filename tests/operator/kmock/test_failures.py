"""Targets, resources and API servers that are not as they should be."""

import pytest


def tracebacks(caplog):
    return [record for record in caplog.records if record.exc_info]


async def test_a_target_may_come_later(cluster, demand, operator, caplog):
    demand.answer = 250
    await cluster.scaler()
    await operator.until(lambda: cluster.condition("Ready") == ("False", "TargetNotFound"))
    assert cluster.condition("ScalingActive") == ("False", "TargetNotFound")
    assert cluster.message("Ready") == "Deployment shop does not exist"
    await operator.until(lambda: cluster.events("TargetNotFound"))
    await operator.tick(2)
    assert not tracebacks(caplog)
    await cluster.deployment(replicas=2)
    await operator.until(lambda: cluster.replicas() == 5)
    await operator.until(lambda: cluster.condition("Ready") == ("True", "Scaling"))


async def test_a_target_that_goes_takes_its_figures_along(cluster, clock, demand, operator):
    await cluster.deployment(replicas=8)
    demand.answer = 400
    await cluster.scaler()
    await operator.until(lambda: cluster.status().get("currentReplicas") == 8)
    await cluster.delete("apps/v1/deployments", "shop")
    await operator.until(lambda: cluster.condition("Ready") == ("False", "TargetNotFound"))
    assert not cluster.status().keys() & {"decision", "forecasts"}
    clock.advance(60)
    demand.answer = 50
    await cluster.deployment(replicas=4)
    await operator.until(lambda: cluster.condition("Ready") == ("True", "Scaling"))
    assert cluster.replicas() == 4  # what runs now is a recommendation; eight is forgotten


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ({"kind": "Nonsense"}, "TargetKindUnknown"),
        ({"kind": "Rollout", "apiVersion": "argoproj.io/v1alpha1"}, "TargetKindUnknown"),
        ({"kind": "DaemonSet"}, "TargetNotScalable"),
    ],
)
async def test_a_kind_that_cannot_be_scaled_is_named(cluster, operator, reference, reason):
    await cluster.scaler(scaleTargetRef={"name": "shop", **reference})
    await operator.until(lambda: cluster.condition("Ready") == ("False", reason))
    await operator.tick(2)
    assert cluster.condition("Ready") == ("False", reason)


async def test_a_kind_may_be_installed_later(api, cluster, demand, operator):
    demand.answer = 250
    rollouts = "argoproj.io/v1alpha1/rollouts"
    await cluster.scaler(
        scaleTargetRef={"name": "shop", "kind": "Rollout", "apiVersion": "argoproj.io/v1alpha1"}
    )
    await operator.until(lambda: cluster.condition("Ready") == ("False", "TargetKindUnknown"))
    api.declare(rollouts, "Rollout")
    api.resources[rollouts].subresources.add("scale")
    await cluster.create(rollouts, "shop", {"spec": {"replicas": 2}})
    await operator.until(lambda: api.find(rollouts, "shop")["spec"]["replicas"] == 5)


@pytest.mark.parametrize(
    "spec",
    [
        {"minReplicas": 21},
        {"metrics": []},
        {"metrics": [{"query": "demand", "perReplica": "many"}]},
        {"metrics": "demand"},
        {"scaleTargetRef": {}},
        {"forecast": {"timeZone": "Mars/Olympus"}},
        {"unheardOf": True},
    ],
)
async def test_an_invalid_spec_that_passed_admission_is_told_and_may_be_mended(
    cluster, demand, operator, caplog, spec
):
    await cluster.deployment(replicas=2)
    demand.answer = 250
    await cluster.scaler(**spec)
    await operator.until(lambda: cluster.condition("Ready") == ("False", "InvalidSpec"))
    assert cluster.message("Ready")
    await operator.until(lambda: cluster.events("InvalidSpec"))
    await operator.tick(2)
    assert not tracebacks(caplog)
    assert cluster.replicas() == 2
    sound = {
        "scaleTargetRef": {"kind": "Deployment", "name": "shop"},
        "minReplicas": 1,
        "metrics": [{"query": "demand", "perReplica": 50, "targetUtilization": 1.0}],
        "forecast": None,
        "unheardOf": None,
    }
    await cluster.edit_scaler(**sound)
    await operator.until(lambda: cluster.condition("Ready") == ("True", "Scaling"))
    await operator.until(lambda: cluster.replicas() == 5)


@pytest.mark.parametrize("body", [{}, {"spec": None}, {"spec": "nonsense"}, {"spec": [1]}])
async def test_a_resource_of_any_shape_does_not_stop_the_others(
    cluster, demand, operator, caplog, body
):
    await cluster.create("foretide.dev/v1alpha1/predictivescalers", "broken", body)
    await cluster.deployment(replicas=2)
    demand.answer = 250
    await cluster.scaler()
    await operator.until(lambda: cluster.condition("Ready", "broken") == ("False", "InvalidSpec"))
    await operator.until(lambda: cluster.replicas() == 5)
    assert not tracebacks(caplog)


async def test_a_spec_that_becomes_invalid_stops_scaling(cluster, demand, operator):
    await cluster.deployment(replicas=2)
    demand.answer = 250
    await cluster.scaler()
    await operator.until(lambda: cluster.condition("Ready") == ("True", "Scaling"))
    await cluster.edit_scaler(minReplicas=30)
    await operator.until(lambda: cluster.condition("Ready") == ("False", "InvalidSpec"))
    assert "minReplicas must not be greater than maxReplicas" in cluster.message("Ready")
    assert "decision" not in cluster.status()
    demand.answer = 400
    await operator.tick(2)
    assert cluster.replicas() == 5


async def test_a_conflict_over_something_else_is_tried_again(cluster, demand, operator):
    await cluster.deployment(replicas=2)
    demand.answer = 250

    async def become_ready():
        await cluster.edit("apps/v1/deployments", "shop", {"status": {"readyReplicas": 1}})

    cluster.intervene("PATCH", "/scale", become_ready)
    await cluster.scaler()
    await operator.until(lambda: cluster.status().get("changes"))
    assert len(cluster.writes("/scale")) == 2
    assert cluster.replicas() == 5
    assert not operator.sample("foretide_errors_total", reason="Conflict")


async def test_replicas_that_somebody_else_changed_are_not_overwritten(cluster, demand, operator):
    await cluster.deployment(replicas=2)
    demand.answer = 250

    async def meddle():
        await cluster.scale(12)

    cluster.intervene("PATCH", "/scale", meddle)
    await cluster.scaler()
    await operator.until(lambda: cluster.status().get("changes"))
    changes = cluster.status()["changes"]
    # As HPA would, the next decision follows demand, which has been for five all the time.
    assert [(change["before"], change["after"]) for change in changes] == [(12, 5)]
    assert len(cluster.writes("/scale")) == 2
    assert operator.sample("foretide_errors_total", reason="ReplicasChanged") == 1


async def test_a_target_that_never_rests_is_left_to_the_next_tick(cluster, demand, operator):
    await cluster.deployment(replicas=2)
    demand.answer = 250
    left = cluster.intervene("PATCH", "/scale", *[409] * 5)
    await cluster.scaler()
    await operator.until(lambda: not left and cluster.status())
    await operator.until(lambda: cluster.replicas() == 5)
    assert operator.sample("foretide_errors_total", reason="Conflict") == 1


async def test_a_refused_change_is_told_and_tried_again(cluster, demand, operator):
    await cluster.deployment(replicas=2)
    demand.answer = 250
    cluster.intervene("PATCH", "/scale", 403)
    await cluster.scaler()
    await operator.until(lambda: cluster.events("ScaleFailed"))
    assert cluster.events("ScaleFailed") == ["the target could not be changed: refused with 403"]
    await operator.until(lambda: cluster.replicas() == 5)
    assert len(cluster.status()["changes"]) == 1


async def test_a_status_that_could_not_be_written_is_written_later(
    cluster, demand, operator, caplog
):
    await cluster.deployment(replicas=2)
    demand.answer = 250
    left = cluster.intervene("PATCH", "/status", 500, 500)
    await cluster.scaler()
    await operator.until(lambda: cluster.condition("Ready") == ("True", "Scaling"))
    assert not left
    assert len(cluster.status()["changes"]) == 1
    assert "default/shop: status not written: refused with 500" in caplog.text
    assert not tracebacks(caplog)


async def test_an_api_server_that_fails_is_told_and_waited_for(cluster, demand, operator, caplog):
    await cluster.deployment(replicas=8)
    demand.answer = 400
    await cluster.scaler()
    await operator.until(lambda: cluster.condition("Ready") == ("True", "Scaling"))
    left = cluster.intervene("GET", "/scale", *[503] * 1000)
    await operator.until(lambda: cluster.condition("Ready") == ("False", "Http503"))
    left.clear()
    await operator.until(lambda: cluster.condition("Ready") == ("True", "Scaling"))
    assert not tracebacks(caplog)


async def test_a_pod_list_that_fails_is_an_error_like_any_other(cluster, demand, operator):
    await cluster.deployment(replicas=8)
    demand.answer = 400
    left = cluster.intervene("GET", "/pods", *[403] * 1000)
    await cluster.scaler()
    await operator.until(lambda: cluster.condition("Ready") == ("False", "Http403"))
    left.clear()
    await operator.until(lambda: cluster.condition("Ready") == ("True", "Scaling"))


async def test_an_unexpected_error_has_one_traceback_and_stops_nothing(
    cluster, demand, operator, caplog
):
    await cluster.deployment(replicas=2)
    await cluster.deployment("blog", replicas=2)
    demand.answers = {"demand": RuntimeError("a bug"), "visits": 250}
    await cluster.scaler()
    await cluster.scaler(
        "blog",
        target="blog",
        metrics=[{"query": "visits", "perReplica": 50, "targetUtilization": 1.0}],
    )
    await operator.until(lambda: cluster.replicas("blog") == 5)
    await operator.tick(3)
    assert [str(record.exc_info[1]) for record in tracebacks(caplog)] == ["a bug"]
    assert operator.sample("foretide_errors_total", reason="Internal") >= 4
    demand.answers["demand"] = 250
    await operator.until(lambda: cluster.replicas() == 5)
    demand.answers["demand"] = RuntimeError("a bug")  # back again: told again
    await operator.tick(2)
    assert len(tracebacks(caplog)) == 2
