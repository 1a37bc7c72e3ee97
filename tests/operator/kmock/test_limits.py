"""What the administrator may forbid: all changes, too many changes, and changes by a follower."""

import asyncio

import pytest

from foretide.operator.configuration import follow_config_map

MINUTE = 60.0
CONFIGURATION = "sources: {default: {url: 'http://prometheus.example'}}\nsyncPeriod: 10m\n"


@pytest.fixture
async def scaled(cluster, demand, start):
    """Five replicas by one change, of which one an hour is allowed."""
    operator = await start(maxChangesPerHour=1)
    await cluster.deployment(replicas=2)
    demand.answer = 250
    await cluster.scaler()
    await operator.until(lambda: cluster.condition("ScalingLimited") == ("False", "WithinLimits"))
    assert cluster.replicas() == 5
    return operator


async def test_the_kill_switch_stops_all_changes_at_once(
    cluster, clock, demand, operator, eventually
):
    await cluster.deployment(replicas=2)
    demand.answer = 250
    await cluster.scaler()
    await operator.until(lambda: cluster.replicas() == 5)
    operator.configure(killSwitch=True)
    await eventually(lambda: cluster.condition("ScalingActive") == ("False", "KillSwitch"))
    clock.advance(MINUTE)
    demand.answer = 400
    await operator.tick(2)
    assert cluster.replicas() == 5
    assert cluster.status()["desiredReplicas"] == 8  # decided and reported all the same
    operator.configure(killSwitch=False)
    await eventually(lambda: cluster.replicas() == 8)
    await eventually(lambda: cluster.condition("ScalingActive") == ("True", "Active"))


async def test_a_forecast_waits_for_the_hourly_limit(cluster, clock, fitter, scaled):
    fitter.foresee(800)
    clock.advance(2 * MINUTE)
    await scaled.until(lambda: cluster.condition("ScalingLimited") == ("True", "TooManyChanges"))
    await scaled.tick(2)
    assert cluster.replicas() == 5
    assert cluster.status()["desiredReplicas"] == 8
    clock.advance(59 * MINUTE)
    await scaled.until(lambda: cluster.replicas() == 8)


async def test_demand_that_is_there_never_waits(cluster, clock, demand, fitter, scaled):
    fitter.foresee(800)
    clock.advance(2 * MINUTE)
    await scaled.until(lambda: cluster.condition("ScalingLimited") == ("True", "TooManyChanges"))
    demand.answer = 650
    await scaled.until(lambda: cluster.replicas() >= 7)


async def test_scaling_down_waits_for_the_hourly_limit(cluster, clock, demand, scaled):
    demand.answer = 50
    for _ in range(7):
        clock.advance(MINUTE)
        await scaled.tick()
    assert cluster.condition("ScalingLimited") == ("True", "TooManyChanges")
    assert cluster.replicas() == 5
    clock.advance(54 * MINUTE)
    await scaled.until(lambda: cluster.replicas() == 1)


async def test_the_bounds_of_the_spec_are_told_when_they_hold(cluster, demand, operator):
    await cluster.deployment(replicas=5)
    demand.answer = 2000
    await cluster.scaler(maxReplicas=6)
    await operator.until(lambda: cluster.replicas() == 6)
    assert cluster.condition("ScalingLimited") == ("True", "TooManyReplicas")
    assert cluster.message("ScalingLimited") == "40 wanted, 6 allowed"


async def test_a_night_at_the_minimum_is_told_but_is_no_news(cluster, clock, demand, operator):
    await cluster.deployment(replicas=5)
    demand.answer = 50
    await cluster.scaler(minReplicas=5)
    await operator.until(cluster.status)
    clock.advance(6 * MINUTE)
    await operator.until(lambda: cluster.condition("ScalingLimited") == ("True", "TooFewReplicas"))
    assert cluster.message("ScalingLimited") == "1 wanted, 5 allowed"
    demand.answer = 250
    await operator.until(lambda: cluster.condition("ScalingLimited") == ("False", "WithinLimits"))
    assert not cluster.events("TooFewReplicas")
    assert not cluster.events("WithinLimits")


async def test_who_is_not_the_leader_writes_nothing_at_all(api, cluster, demand, operator):
    operator.leads = False
    await cluster.deployment(replicas=2)
    demand.answer = 250
    await cluster.scaler()
    await cluster.scaler("adviser", mode="Recommend")
    await cluster.scaler("broken", minReplicas=30)
    await operator.until(lambda: len(operator.fleet) == 3)
    demand.lose()
    await operator.tick(2)
    assert not cluster.writes()
    assert not api.all("v1/events")
    demand.answer = 250
    operator.leads = True
    await operator.until(lambda: cluster.replicas() == 5)
    await operator.until(lambda: cluster.events("InvalidSpec"))  # told late, but told


async def test_a_config_map_is_followed(cluster, demand, start, eventually, caplog):
    operator = await start()
    following = asyncio.create_task(
        follow_config_map(
            *(operator.cluster, operator.settings, operator.fleet.wake_all, "default", "foretide"),
            period=0.02,
        )
    )
    await cluster.deployment(replicas=2)
    demand.answer = 250
    await eventually(lambda: "The old configuration stays" in caplog.text)
    await cluster.create("v1/configmaps", "other", {"data": {"foretide.yaml": "killSwitch: true"}})
    on = {"data": {"foretide.yaml": CONFIGURATION + "killSwitch: true\n"}}
    await cluster.create("v1/configmaps", "foretide", on)
    await eventually(lambda: operator.settings.current.kill_switch)
    await cluster.scaler()
    await eventually(lambda: cluster.condition("ScalingActive") == ("False", "KillSwitch"))

    broken = {"data": {"foretide.yaml": CONFIGURATION + "syncPeriod: never\n"}}
    await cluster.edit("v1/configmaps", "foretide", broken)
    await eventually(lambda: "is refused, the old one stays" in caplog.text)
    assert operator.settings.current.kill_switch

    await cluster.edit("v1/configmaps", "foretide", {"data": {"foretide.yaml": CONFIGURATION}})
    await eventually(lambda: cluster.replicas() == 5)
    await cluster.delete("v1/configmaps", "foretide")
    await operator.tick(2)
    assert cluster.condition("MetricsAvailable") == ("True", "Available")
    following.cancel()
