"""The cost guard and the SLO limit what a forecast adds and takes away."""

import pytest

from foretide.forecasting.demand import Unavailable

MINUTE = 60.0
EAGER = {"scaleDown": {"stabilizationWindowSeconds": 0}}


async def test_the_forecast_adds_no_more_than_the_guard_allows(cluster, demand, fitter, operator):
    await cluster.deployment(replicas=5)
    demand.answer = 250
    fitter.foresee(1_500)
    await cluster.scaler(costGuard={"maxExtraReplicas": 2})
    await operator.until(lambda: cluster.replicas() == 7)  # HPA's 5, and 2
    await operator.until(
        lambda: cluster.condition("ScalingLimited") == ("True", "MaxExtraReplicas")
    )
    assert cluster.metric()["predicted"] == 15


async def test_what_hpa_would_have_is_never_limited_by_the_guard(cluster, demand, fitter, operator):
    await cluster.deployment(replicas=5)
    demand.answer = 250
    fitter.foresee(1_500)
    await cluster.scaler(costGuard={"maxExtraReplicas": 0})
    await operator.until(lambda: operator.figure("predicted") == 15)
    assert cluster.replicas() == 5
    demand.answer = 400
    await operator.until(lambda: cluster.replicas() == 8)


async def test_no_guard_takes_away_what_an_outage_holds(cluster, clock, demand, fitter, operator):
    """Of two metrics the one is gone that ten replicas were there for."""
    await cluster.deployment(replicas=10)
    demand.answer = 250
    demand.answers["orders"] = Unavailable("Empty", "the query answers nothing")
    metrics = [{"query": "demand", "perReplica": 100}, {"query": "orders", "perReplica": 100}]
    await cluster.scaler(metrics=metrics, costGuard={"maxExtraReplicas": 0}, behavior=EAGER)
    await operator.until(lambda: cluster.status().get("decision", {}).get("source") == "Held")
    for _ in range(10):
        clock.advance(MINUTE)
        await operator.tick()
    assert cluster.replicas() == 10


@pytest.fixture
async def spent(cluster, clock, demand, fitter, start):
    """A budget of one pod-hour that is spent: ten replicas ran for twelve minutes, not HPA's 5."""
    await cluster.deployment(replicas=5)
    demand.answer = 250
    fitter.foresee(1_000)
    await cluster.scaler(costGuard={"maxExtraPodHoursPerDay": 1}, behavior=EAGER)
    operator = await start()
    await operator.until(lambda: cluster.replicas() == 10)
    for _ in range(13):
        clock.advance(MINUTE)
        await operator.tick()
    await operator.until(lambda: cluster.replicas() == 5)
    return operator


async def test_a_budget_that_is_spent_ends_what_the_forecast_adds(cluster, spent):
    assert cluster.condition("ScalingLimited") == ("True", "ExtraPodHoursSpent")
    assert cluster.status()["costGuard"]["exhausted"] is True


async def test_what_was_spent_is_remembered_over_a_restart(cluster, clock, spent, start):
    await spent.stop()
    second = await start()
    await second.until(lambda: len(second.fleet) == 1)
    clock.advance(MINUTE)
    await second.tick(4)
    assert cluster.replicas() == 5
    assert cluster.status()["costGuard"]["exhausted"] is True


@pytest.fixture
async def promised(cluster, demand, fitter, operator):
    """Ten replicas by HPA; the forecast would have five, and the SLO is at 100 of 300 ms."""
    await cluster.deployment(replicas=10)
    demand.answer = 500
    demand.answers["latency"] = 0.1
    fitter.foresee(500)
    slo = {"query": "latency", "objective": "300m", "window": "5m", "stepPercent": 20}
    await cluster.scaler(slo=slo, behavior=EAGER)
    await operator.until(lambda: cluster.replicas() == 8)
    return operator


async def test_replicas_are_taken_away_step_by_step(cluster, clock, promised):
    await promised.tick(3)
    assert cluster.replicas() == 8
    assert cluster.status()["slo"]["phase"] in ("SteppedDown", "ObservingSlo")
    clock.advance(5 * MINUTE + 1)
    await promised.until(lambda: cluster.replicas() == 7)


async def test_they_are_brought_back_when_the_slo_worsens(cluster, clock, demand, promised):
    demand.answers["latency"] = 0.4
    for _ in range(6):
        clock.advance(15)
        await promised.tick()
    assert cluster.replicas() == 10
    await promised.until(lambda: cluster.status()["slo"]["phase"] in ("TakenBack", "SloWorse"))
    assert cluster.status()["slo"]["pausedUntil"]


async def test_while_the_slo_is_unknown_nothing_is_taken_away(cluster, clock, demand, promised):
    demand.answers["latency"] = Unavailable("Empty", "the query answers nothing")
    clock.advance(10 * MINUTE)
    await promised.tick(3)
    assert cluster.replicas() == 8
