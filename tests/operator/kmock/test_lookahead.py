"""Scaling by the model of the coming maximum: its plan, its trust, its window, its restart."""

import math

import pytest

from foretide.forecasting.demand import Undecided

MINUTE = 60.0
AUTO = {"engine": "Auto", "refitEvery": "6h", "horizon": "30h"}


@pytest.fixture
def foreseen(cluster, demand, fitter, operator, look_ahead):
    """Two replicas, and a model that foresees so many times the demand of 200."""

    async def go(factor=2.9, *, replicas=5, spec=None, **model):
        await cluster.deployment(replicas=replicas)
        demand.answer = 200
        recent = (200,) * 60
        fitter.look_ahead(
            lambda request: look_ahead(factor, at=request.now, recent=recent, **model)
        )
        await cluster.scaler(**{"forecast": AUTO, **(spec or {})})
        await operator.until(lambda: fitter.requests)
        await operator.tick(2)

    return go


@pytest.fixture
def live(clock, operator):
    """Minutes of life, four ticks each."""

    async def go(minutes):
        for _ in range(minutes * 4):
            clock.advance(15)
            await operator.tick()

    return go


async def test_the_coming_maximum_is_scaled_for(cluster, operator, foreseen):
    await foreseen()
    # 580 is foreseen, and a third of the slack is added when replicas must move.
    assert cluster.replicas() == 7
    assert cluster.source() == "Forecast"
    metric = cluster.metric()
    assert (metric["peak"], metric["predicted"], metric["quantile"]) == ("580", 6, 0.9)
    assert metric["trust"] == "Trusted"
    lookahead = cluster.status()["forecasts"][0]["lookahead"]
    assert (lookahead["window"], lookahead["slack"]) == ("4m", "0.1")
    sample = {"namespace": "default", "name": "shop", "metric": "demand"}
    assert operator.sample("foretide_forecast_trusted", **sample) == 1


async def test_the_fit_is_asked_for_what_the_lead_time_and_the_policy_say(
    cluster, fitter, foreseen
):
    await foreseen(spec={"minReplicas": 3, "forecast": {**AUTO, "leadTime": "5m"}})
    request = fitter.requests[0]
    assert request.engine == "Auto"
    need = request.lookahead
    assert (need.window, need.lead, need.stabilization) == (15, 5, 5)  # a tick is ten minutes here
    assert (need.per_replica, need.min_replicas, need.target_utilization) == (100, 3, 0.5)


@pytest.mark.slow
async def test_the_plan_goes_on_with_demand_as_it_comes(demand, operator, foreseen, live):
    await foreseen()
    demand.answer = 400
    await live(8)
    assert operator.figure("predicted") == 12


async def test_a_quantile_that_is_given_is_planned_for(cluster, foreseen):
    await foreseen(spec={"forecast": {**AUTO, "quantile": 0.95}})
    assert cluster.metric()["quantile"] == 0.95
    assert cluster.status()["forecasts"][0]["lookahead"]["quantile"] == 0.95


async def test_where_no_plan_is_better_than_hpa_the_forecast_does_not_act(
    cluster, operator, foreseen
):
    none = Undecided("NoBetterThanReactive", "no plan would have been both safer and cheaper")
    await foreseen(plan=none, replicas=2)
    assert cluster.source() == "Headroom"
    assert cluster.replicas() == 4
    assert "both safer and cheaper" in cluster.metric()["message"]
    sample = {"namespace": "default", "name": "shop", "metric": "demand"}
    assert operator.sample("foretide_forecast_trusted", **sample) == 0


async def test_a_forecast_that_there_is_not_is_neither_trusted_nor_distrusted(
    cluster, demand, operator
):
    await cluster.deployment(replicas=2)
    await cluster.scaler(forecast=AUTO)
    await operator.until(lambda: cluster.condition("ForecastAvailable"))
    await operator.tick(2)
    sample = {"namespace": "default", "name": "shop", "metric": "demand"}
    assert math.isnan(operator.sample("foretide_forecast_trusted", **sample))


async def test_a_quantile_that_is_given_acts_where_no_plan_is_found(cluster, foreseen):
    none = Undecided("NoBetterThanReactive", "no plan would have been both safer and cheaper")
    await foreseen(plan=none, spec={"forecast": {**AUTO, "quantile": 0.9}})
    assert cluster.metric()["predicted"] == 6


async def test_a_forecast_that_goes_wrong_today_stops_acting_today(
    cluster, clock, demand, operator, foreseen, live
):
    """It foresees a third of demand, which outgrows the room that a surprise leaves."""
    await foreseen(0.3, replicas=2)
    await live(3)
    for _ in range(14):
        demand.answer *= 1.2
        await live(1)
    assert cluster.condition("ForecastTrusted") == ("False", "Distrusted")
    assert cluster.metric()["trust"] == "Distrusted"
    assert cluster.source() == "Headroom"
    sample = {"namespace": "default", "name": "shop", "metric": "demand"}
    assert operator.sample("foretide_forecast_trusted", **sample) == 0


@pytest.mark.slow
async def test_trust_is_lost_over_a_restart(
    cluster, clock, demand, start, foreseen, live, operator
):
    await foreseen(0.3, replicas=2)
    await live(3)
    for _ in range(14):
        demand.answer *= 1.2
        await live(1)
    assert cluster.metric()["trust"] == "Distrusted"
    await operator.stop()
    second = await start()
    await second.until(lambda: len(second.fleet) == 1)
    clock.advance(15)
    await second.tick(3)
    assert cluster.metric()["trust"] == "Distrusted"
    assert cluster.source() == "Headroom"


async def test_another_target_utilisation_gets_a_plan_of_its_own(
    cluster, fitter, operator, foreseen, look_ahead
):
    await foreseen()
    fitter.gate.clear()
    fitter.look_ahead(
        lambda request: look_ahead(1.9, at=request.now, recent=(200,) * 60, utilization=0.8)
    )
    metric = {"query": "demand", "perReplica": 100, "targetUtilization": 0.8}
    await cluster.edit_scaler(metrics=[metric])
    await operator.until(lambda: len(fitter.requests) == 2)
    await operator.tick()
    assert "plan for the new targetUtilization" in cluster.metric()["message"]
    fitter.gate.set()
    await operator.until(lambda: cluster.metric().get("predicted") == 4)


async def test_a_longer_lead_time_needs_a_longer_window_at_once(
    cluster, clock, fitter, operator, foreseen
):
    await foreseen(window=13)
    assert fitter.requests[0].lookahead.window == 13
    for number in range(5):
        clock.advance(10 * MINUTE)
        await cluster.started_pod(f"slow-{number}", created=clock.now - 590, seconds=500)
        await operator.tick()
    await operator.until(lambda: len(fitter.requests) == 2)
    assert fitter.requests[1].lookahead.lead > 8
    assert fitter.requests[1].lookahead.window > 17
    await operator.tick(2)
    assert len(fitter.requests) == 2


async def test_while_demand_is_unknown_the_hours_ahead_may_still_add(
    cluster, clock, demand, fitter, operator, foreseen
):
    fitter.foresee(900)
    await foreseen(1.9, replicas=5)
    assert cluster.source() == "Forecast"
    demand.lose()
    clock.advance(20 * MINUTE)
    await operator.tick()
    assert cluster.condition("MetricsAvailable") == ("False", "Unreachable")
    assert cluster.metric()["predicted"] == 9
    clock.advance(MINUTE)
    await operator.until(lambda: cluster.replicas() == 9)


async def test_growth_is_seen_at_once_after_the_first_fit(
    cluster, clock, demand, fitter, operator, look_ahead
):
    """The last hour comes along with the model: there is no need to watch for one."""
    await cluster.deployment(replicas=2)
    hour = tuple(98.0 + 2 * (minute % 3) for minute in range(60))
    none = Undecided("NoBetterThanReactive", "no plan")
    fitter.look_ahead(lambda request: look_ahead(at=request.now, recent=hour, plan=none))
    tight = {"query": "demand", "perReplica": 100, "targetUtilization": 0.9}
    await cluster.scaler(forecast=AUTO, metrics=[tight])
    await operator.until(lambda: fitter.requests)
    for _ in range(6):
        clock.advance(15)
        demand.answer += 10
        await operator.tick()
    assert operator.figure("derivative") > operator.figure("hpa")
