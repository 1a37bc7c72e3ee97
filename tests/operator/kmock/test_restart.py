"""What an operator that starts anew knows of what the one before it did."""

import pytest

MINUTE = 60.0


async def test_a_restart_does_not_scale_down_at_once(cluster, clock, demand, start):
    await cluster.deployment(replicas=8)
    demand.answer = 50
    await cluster.scaler()
    operator = await start()
    for _ in range(4):
        await operator.until(lambda: cluster.status())
        clock.advance(MINUTE)
        await operator.tick()
        assert cluster.replicas() == 8
    clock.advance(2 * MINUTE)
    await operator.until(lambda: cluster.replicas() == 1)


async def test_changes_are_remembered(cluster, clock, demand, start):
    await cluster.deployment(replicas=2)
    demand.answer = 250
    await cluster.scaler()
    first = await start(maxChangesPerHour=1)
    await first.until(lambda: cluster.status().get("changes"))
    await first.stop()
    clock.advance(MINUTE)
    demand.answer = 50
    second = await start(maxChangesPerHour=1)
    await second.until(lambda: len(second.fleet) == 1)
    for _ in range(7):
        clock.advance(MINUTE)
        await second.tick()
    assert cluster.condition("ScalingLimited") == ("True", "TooManyChanges")
    assert cluster.replicas() == 5
    clock.advance(60 * MINUTE)
    await second.until(lambda: cluster.replicas() == 1)
    assert [change["after"] for change in cluster.status()["changes"]][-1] == 1


async def test_a_sudden_zero_is_not_held_anew(cluster, clock, demand, start):
    await cluster.deployment(replicas=8)
    demand.answer = 0
    await cluster.scaler()
    first = await start()
    await first.until(lambda: cluster.condition("MetricsAvailable") == ("False", "SuddenZero"))
    await first.stop()
    clock.advance(29 * MINUTE)
    second = await start()
    await second.until(lambda: len(second.fleet) == 1)
    await second.tick(2)
    assert cluster.condition("MetricsAvailable") == ("False", "SuddenZero")
    clock.advance(2 * MINUTE)
    await second.until(lambda: cluster.condition("MetricsAvailable") == ("True", "Available"))


@pytest.fixture
async def restarted(cluster, clock, demand, fitter, start):
    """Eight replicas by forecast, and a restart with the next forecast under way."""
    fitter.foresee(800)
    await cluster.deployment(replicas=5)
    demand.answer = 100
    await cluster.scaler()
    first = await start()
    await first.until(lambda: cluster.replicas() == 8)
    await first.until(lambda: cluster.condition("ForecastAvailable") == ("True", "Forecasting"))
    await first.stop()
    fitter.gate.clear()
    clock.advance(10 * MINUTE)
    second = await start()
    await second.until(lambda: cluster.source() == "Awaited" or len(fitter.requests) == 2)
    await second.tick()
    return second


async def test_what_a_forecast_arranged_stays_until_the_next_one(cluster, clock, fitter, restarted):
    for _ in range(3):
        clock.advance(10 * MINUTE)
        await restarted.tick()
        assert cluster.replicas() == 8
    # Which signal it was is not worth a write by itself: it is seen in the metrics.
    labels = {"namespace": "default", "name": "shop", "source": "Awaited"}
    assert restarted.sample("foretide_decisions_total", **labels) >= 3
    fitter.foresee(300)
    fitter.gate.set()
    await restarted.until(lambda: cluster.source() == "Forecast")
    clock.advance(6 * MINUTE)
    await restarted.until(lambda: cluster.replicas() == 3)


async def test_demand_adds_replicas_while_a_forecast_is_awaited(cluster, demand, restarted):
    demand.answer = 1100
    await restarted.until(lambda: cluster.replicas() == 11)


async def test_a_forecast_that_cannot_be_made_any_more_is_not_awaited_for_ever(
    cluster, clock, fitter, restarted
):
    fitter.refuse("TooLittleHistory")
    fitter.gate.set()
    await restarted.until(
        lambda: cluster.condition("ForecastAvailable") == ("False", "TooLittleHistory")
    )
    clock.advance(6 * MINUTE)
    await restarted.until(lambda: cluster.replicas() == 2)


async def test_old_news_is_not_told_again(cluster, demand, start):
    await cluster.deployment(replicas=8)
    demand.lose("Unreachable")
    await cluster.scaler()
    first = await start()
    await first.until(lambda: cluster.events("Unreachable"))
    await first.tick(2)
    told = len(cluster.api.all("v1/events"))
    await first.stop()
    second = await start()
    await second.until(lambda: len(second.fleet) == 1)
    await second.tick(2)
    assert len(cluster.api.all("v1/events")) == told


async def test_a_status_that_somebody_has_edited_is_survived(cluster, clock, demand, start):
    await cluster.deployment(replicas=2)
    demand.answer = 250
    await cluster.scaler()
    nonsense = {
        "changes": [{"time": "yesterday", "before": 1, "after": 2}],
        "decision": {"metrics": [{"name": "demand", "zeroSince": "", "demand": "x"}]},
        "conditions": [
            {"type": "Ready", "status": "x", "reason": "", "message": "", "lastTransitionTime": ""}
        ],
    }
    await cluster.edit("foretide.dev/v1alpha1/predictivescalers", "shop", {"status": nonsense})
    operator = await start()
    await operator.until(lambda: cluster.replicas() == 5)
    await operator.until(lambda: cluster.condition("Ready") == ("True", "Scaling"))
