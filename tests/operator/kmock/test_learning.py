"""What is learned while the operator runs: the lead time, and what would have been."""

import pytest

MINUTE, HOUR = 60.0, 3_600.0


@pytest.fixture
def started(cluster, clock):
    """Pods of five hours, one each hour, that took so many seconds to be ready."""

    async def go(seconds=80):
        for number in range(5):
            await cluster.started_pod(
                f"pod-{number}", created=clock.now - (5 - number) * HOUR, seconds=seconds
            )

    return go


def lead_time(operator):
    where = {"namespace": "default", "name": "shop"}
    return operator.sample("foretide_lead_time_seconds", **where)


async def test_the_lead_time_is_learned_from_pods(cluster, operator, started):
    await cluster.deployment(replicas=5)
    await started()
    await cluster.scaler()
    await operator.until(lambda: cluster.status().get("leadTime"))
    status = cluster.status()["leadTime"]
    assert (status["source"], status["samples"], status["scaleUps"]) == ("Learned", 5, 5)
    assert 80 <= status["p90"] <= 110
    # With the sync period, which is ten minutes here.
    assert lead_time(operator) == pytest.approx(status["p90"] + 600, abs=1)


async def test_until_enough_pods_have_started_the_declared_one_holds(cluster, clock, operator):
    await cluster.deployment(replicas=5)
    await cluster.started_pod("pod", created=clock.now - HOUR, seconds=80)
    await cluster.scaler(forecast={"leadTime": "4m"})
    await operator.until(lambda: cluster.status().get("leadTime"))
    status = cluster.status()["leadTime"]
    assert (status["source"], status["seconds"], status["samples"]) == ("Declared", 240, 1)


async def test_it_is_not_learned_where_nobody_wants_that(cluster, operator, started):
    await cluster.deployment(replicas=5)
    await started()
    await cluster.scaler(forecast={"learnLeadTime": False, "leadTime": "4m"})
    await operator.until(cluster.status)
    await operator.tick()
    assert "leadTime" not in cluster.status()
    assert lead_time(operator) == 240


async def test_what_was_learned_is_remembered_over_a_restart(cluster, clock, start, started):
    await cluster.deployment(replicas=5)
    await started()
    await cluster.scaler()
    first = await start()
    await first.until(lambda: cluster.status().get("leadTime"))
    before = cluster.status()["leadTime"]
    await first.stop()
    for number in range(5):
        await cluster.delete("v1/pods", f"pod-{number}")
    second = await start()
    await second.until(lambda: len(second.fleet) == 1)
    await second.tick(2)
    assert cluster.status()["leadTime"] == before
    assert round(lead_time(second)) == before["seconds"]


async def test_while_pods_wait_for_a_node_the_lead_time_is_longer(cluster, operator):
    await cluster.deployment(replicas=2)
    await cluster.pod("waiting", PodScheduled=("False", "Unschedulable"))
    await cluster.scaler()
    await operator.until(cluster.status)
    await operator.tick()
    assert lead_time(operator) == 180 + 180


async def test_a_longer_lead_time_looks_further_ahead(cluster, demand, fitter, operator, started):
    """An event in eight minutes is none of a lead time of three."""
    await cluster.deployment(replicas=5)
    await started(60)
    sale = {"name": "sale", "start": "2026-03-02T12:08", "duration": "1h", "minReplicas": 9}
    await cluster.scaler(events=[sale])
    await operator.until(lambda: cluster.replicas() == 9)


@pytest.fixture
def live(clock, operator):
    async def go(minutes):
        for _ in range(minutes):
            clock.advance(MINUTE)
            await operator.tick()

    return go


async def test_in_recommend_mode_status_says_what_would_have_been(
    cluster, clock, demand, fitter, operator, live
):
    await cluster.deployment(replicas=10)
    for number in range(10):
        await cluster.pod(f"pod-{number}", Ready="True")
    demand.answer = 250
    fitter.foresee(300)
    await cluster.scaler(mode="Recommend")
    await operator.until(cluster.status)
    await live(66)
    shadow = cluster.status()["shadow"]
    assert shadow["comparedMinutes"] > 50
    assert shadow["didPodMinutes"] == pytest.approx(10 * shadow["comparedMinutes"], rel=0.05)
    assert shadow["wouldPodMinutes"] < 0.5 * shadow["didPodMinutes"]
    assert shadow["wouldLackMinutes"] == 0
    assert "Foretide would have used" in shadow["message"]
    assert cluster.replicas() == 10


async def test_what_would_have_been_is_remembered_over_a_restart(
    cluster, clock, start, operator, live
):
    await cluster.deployment(replicas=10)
    await cluster.scaler(mode="Recommend")
    await operator.until(cluster.status)
    await live(66)
    before = cluster.status()["shadow"]
    await operator.stop()
    second = await start()
    await second.until(lambda: len(second.fleet) == 1)
    clock.advance(2 * HOUR)
    await second.tick(2)
    assert cluster.status()["shadow"]["comparedMinutes"] >= before["comparedMinutes"]


async def test_in_auto_mode_there_is_nothing_to_compare(cluster, operator):
    await cluster.deployment(replicas=2)
    await cluster.scaler()
    await operator.until(cluster.status)
    await operator.tick()
    assert "shadow" not in cluster.status()
