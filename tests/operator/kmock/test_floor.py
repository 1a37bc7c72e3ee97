"""actuation: HPAFloor moves the minimum of the HPA that scales the target, and gives it back."""

import pytest

from foretide.operator.census import Census

MINUTE = 60.0


def census_of(operator, **options):
    return Census(operator.cluster, operator.fleet, (), operator.telemetry, **options)


@pytest.fixture
async def held(cluster, demand, fitter, operator):
    """An HPA of 2 to 15 whose minimum is held up at 8 by a forecast of 800."""
    fitter.foresee(800)
    demand.answer = 300
    await cluster.deployment(replicas=5)
    await cluster.hpa()
    await cluster.scaler(actuation="HPAFloor")
    await operator.until(lambda: cluster.minimum() == 8)
    return operator


@pytest.fixture
def sweep(cluster, operator):
    async def go():
        await census_of(operator, may_write=lambda: operator.leads).sweep()

    return go


async def test_the_minimum_is_held_at_what_is_foreseen(cluster, held):
    await held.tick()
    assert cluster.replicas() == 5  # the HPA's own work
    assert not cluster.writes("/scale")
    assert cluster.condition("ScalingActive") == ("True", "FloorHeld")
    assert cluster.condition("Conflict") == ("False", "SoleOwner")
    assert cluster.condition("Ready")[0] == "True"
    (event,) = cluster.events("FloorHeld")
    assert "minReplicas of HorizontalPodAutoscaler shop-hpa is held at 8 (its own: 2)" in event
    assert "up to 800" in event


@pytest.fixture
async def limited(cluster, demand, fitter, start):
    """As `held`, with one change an hour."""
    operator = await start(maxChangesPerHour=1)
    fitter.foresee(800)
    demand.answer = 300
    await cluster.deployment(replicas=5)
    await cluster.hpa()
    await cluster.scaler(actuation="HPAFloor", forecast={"refitEvery": "10m"})
    await operator.until(lambda: cluster.minimum() == 8)
    return operator


async def foresee(operator, clock, fitter, upper):
    """Ten minutes later there is another forecast."""
    fits = len(fitter.requests)
    fitter.foresee(upper)
    clock.advance(10 * MINUTE)
    await operator.until(lambda: len(fitter.requests) > fits)
    await operator.tick(2)


async def test_moves_count_as_changes_against_the_hourly_limit(cluster, clock, fitter, limited):
    where = {"namespace": "default", "name": "shop"}
    assert limited.sample("foretide_replica_changes_total", direction="up", **where) == 1
    assert cluster.status()["floorChanges"] == [
        {"time": "2026-03-02T12:00:00Z", "before": 2, "after": 8}
    ]
    assert cluster.condition("ScalingLimited") == ("False", "WithinLimits")
    await foresee(limited, clock, fitter, 1200)
    assert cluster.minimum() == 8
    assert cluster.condition("ScalingLimited") == ("True", "TooManyChanges")
    assert "is held at 8" in cluster.message("ScalingActive")
    await foresee(limited, clock, fitter, 800)
    assert cluster.condition("ScalingLimited") == ("False", "WithinLimits")
    clock.advance(50 * MINUTE)
    await foresee(limited, clock, fitter, 600)
    await limited.until(lambda: cluster.minimum() == 6)
    assert limited.sample("foretide_replica_changes_total", direction="down", **where) == 1
    assert [change["after"] for change in cluster.status()["floorChanges"]] == [6]


async def test_a_restart_does_not_forget_the_moves(cluster, clock, fitter, start, limited):
    await limited.stop()
    second = await start(maxChangesPerHour=1)
    await second.until(lambda: len(second.fleet) == 1)
    await foresee(second, clock, fitter, 1200)
    await second.until(lambda: cluster.condition("ScalingLimited") == ("True", "TooManyChanges"))
    assert cluster.minimum() == 8


async def test_while_nothing_changes_nothing_is_written(cluster, held):
    await held.tick(2)
    before = len(cluster.writes())
    await held.tick(3)
    assert len(cluster.writes()) == before


async def test_without_a_forecast_the_hpa_has_its_own_minimum(cluster, demand, fitter, operator):
    demand.answer = 300
    await cluster.deployment(replicas=6)
    await cluster.hpa(minimum=3)
    await cluster.scaler(actuation="HPAFloor")
    await operator.until(lambda: cluster.condition("ScalingActive") == ("True", "FloorUnneeded"))
    assert cluster.minimum() == 3
    assert not cluster.writes("/horizontalpodautoscalers/shop-hpa")


async def test_a_forecast_that_is_lost_gives_the_minimum_back(cluster, clock, fitter, held):
    fitter.refuse("TooLittleHistory")
    clock.advance(7 * 3_600)
    await held.until(lambda: cluster.minimum() == 2)


async def test_while_demand_is_unknown_the_floor_stays(cluster, clock, demand, held):
    demand.lose()
    clock.advance(MINUTE)
    await held.tick(3)
    assert cluster.minimum() == 8


@pytest.mark.parametrize(
    "change", [{"mode": "Paused"}, {"mode": "Recommend"}, {"actuation": "Replicas"}]
)
async def test_who_does_not_hold_it_any_more_gives_it_back(cluster, held, change):
    await cluster.edit_scaler(**change)
    await held.until(lambda: cluster.minimum() == 2)
    annotations = cluster.api.find("autoscaling/v2/horizontalpodautoscalers", "shop-hpa")
    assert not [key for key, value in annotations["metadata"]["annotations"].items() if value]


async def test_a_resource_that_is_deleted_gives_it_back(cluster, held, eventually):
    await cluster.delete("foretide.dev/v1alpha1/predictivescalers", "shop")
    await eventually(lambda: cluster.minimum() == 2)


@pytest.mark.slow
async def test_what_was_deleted_while_no_operator_ran_is_found_by_the_sweep(cluster, start, held):
    await held.stop()
    await cluster.delete("foretide.dev/v1alpha1/predictivescalers", "shop")
    assert cluster.minimum() == 8
    second = await start()
    await census_of(second, may_write=lambda: False).sweep()
    assert cluster.minimum() == 8
    await census_of(second, may_write=lambda: True).sweep()
    assert cluster.minimum() == 2


async def test_the_sweep_spares_what_is_held(cluster, held, sweep):
    await sweep()
    assert cluster.minimum() == 8


async def test_the_kill_switch_leaves_the_minimum_alone(cluster, clock, fitter, held):
    held.configure(killSwitch=True)
    fitter.foresee(500)
    clock.advance(3_600)
    await held.until(lambda: len(fitter.requests) == 2)
    await cluster.edit_scaler(mode="Paused")
    await held.tick(3)
    assert cluster.minimum() == 8
    held.configure(killSwitch=False)
    await held.until(lambda: cluster.minimum() == 2)


async def test_an_operator_that_does_not_lead_moves_nothing(cluster, clock, fitter, held):
    held.leads = False
    fitter.foresee(500)
    clock.advance(3_600)
    await held.until(lambda: len(fitter.requests) == 2)
    await cluster.edit_scaler(mode="Paused")
    await held.tick(3)
    assert cluster.minimum() == 8


async def test_without_an_autoscaler_it_says_what_is_missing(cluster, operator):
    await cluster.deployment(replicas=2)
    await cluster.scaler(actuation="HPAFloor")
    await operator.until(lambda: cluster.condition("Ready") == ("False", "NoAutoscaler"))
    assert "set actuation to Replicas" in cluster.message("Ready")
    assert cluster.replicas() == 2


async def test_after_a_restart_the_floor_is_given_back_all_the_same(
    cluster, clock, fitter, start, held
):
    await held.stop()
    second = await start()
    await second.until(lambda: len(fitter.requests) == 2)
    await second.tick(2)
    assert cluster.minimum() == 8
    await cluster.edit_scaler(mode="Paused")
    await second.until(lambda: cluster.minimum() == 2)
