"""Events and growth of demand add replicas ahead; a signal can be switched off."""

import pytest

from foretide.forecasting.demand import Undecided

# 80 a replica while there is no forecast.
TIGHT = {"query": "demand", "perReplica": 100, "targetUtilization": 0.8}
SALE = {"name": "sale", "start": "2026-03-02T12:02", "duration": "1h"}


@pytest.fixture
def surging(cluster, clock, demand, operator):
    """Demand of 100 for a while, which then grows by 20 each quarter of a minute."""

    async def go(steps=16):
        await operator.until(cluster.status)
        for _ in range(40):
            clock.advance(15)
            await operator.tick()
        for _ in range(steps):
            clock.advance(15)
            demand.answer += 20
            await operator.tick()

    return go


async def test_an_event_adds_replicas_before_it_begins(cluster, demand, operator):
    await cluster.deployment(replicas=2)
    await cluster.scaler(events=[{**SALE, "multiplier": 3}])
    await operator.until(lambda: cluster.replicas() == 6)
    await operator.until(lambda: cluster.source() == "Event")
    assert cluster.metric()["event"] == 6
    assert "sale" in cluster.events("ScaledUp")[0]
    (ahead,) = cluster.status()["events"]["ahead"]
    assert (ahead["name"], ahead["start"]) == ("sale", "2026-03-02T12:02:00Z")
    assert "declared: 3 times" in ahead["expected"]
    assert operator.figure("event") == 6


async def test_an_event_that_is_further_away_than_the_lead_time_waits(cluster, clock, operator):
    await cluster.deployment(replicas=2)
    later = {**SALE, "start": "2026-03-02T13:00", "multiplier": 3}
    await cluster.scaler(events=[later])
    await operator.until(lambda: cluster.status().get("events"))
    await operator.tick()
    assert cluster.replicas() == 2
    clock.advance(58 * 60)
    await operator.until(lambda: cluster.replicas() == 6)


async def test_declared_replicas_are_there_for_the_event_whatever_demand_is(
    cluster, demand, operator
):
    await cluster.deployment(replicas=5)
    demand.answer = 10
    await cluster.scaler(events=[{**SALE, "minReplicas": 9}])
    await operator.until(lambda: cluster.replicas() == 9)


async def test_an_event_by_annotation_on_the_target_counts(cluster, operator):
    await cluster.deployment(replicas=5)
    announced = {
        "foretide.dev/event.release-42": "start=2026-03-02T12:02,duration=1h,minReplicas=8"
    }
    await cluster.edit("apps/v1/deployments", "shop", {"metadata": {"annotations": announced}})
    await cluster.scaler()
    await operator.until(lambda: cluster.replicas() == 8)


async def test_an_event_on_top_of_the_coming_maximum(cluster, demand, fitter, operator, look_ahead):
    await cluster.deployment(replicas=2)
    fitter.look_ahead(lambda request: look_ahead(1.9, at=request.now, recent=(100,) * 60))
    await cluster.scaler(
        forecast={"engine": "Auto"}, events=[{**SALE, "multiplier": 3}], maxReplicas=20
    )
    await operator.until(lambda: cluster.status().get("forecasts"))
    assert (cluster.metric()["predicted"], cluster.metric()["event"]) == (2, 6)
    assert cluster.replicas() == 6


async def test_events_are_not_counted_twice_where_the_forecast_knows_them(
    cluster, demand, fitter, operator
):
    await cluster.deployment(replicas=2)
    fitter.foresee(300)
    await cluster.scaler(events=[{**SALE, "multiplier": 3}])
    await operator.until(lambda: cluster.source() == "Forecast")
    assert cluster.metric()["predicted"] == 3
    assert "event" not in cluster.metric()
    assert len(fitter.requests[-1].calendar) == 1


async def test_an_event_counts_where_what_it_does_could_not_be_learned_for_the_forecast(
    cluster, fitter, operator
):
    await cluster.deployment(replicas=2)
    fitter.foresee(300)
    fitter.look_ahead(unlearned=Undecided("LearningFailed", "no"))
    await cluster.scaler(events=[{**SALE, "multiplier": 3}])
    await operator.until(lambda: cluster.status().get("forecasts"))
    await operator.until(lambda: cluster.metric().get("predicted") == 3)
    assert cluster.metric()["event"] == 9


@pytest.fixture
def pass_minutes(clock):
    """Ticks once a minute, for so many minutes."""

    async def go(operator, minutes):
        for _ in range(minutes):
            clock.advance(60)
            await operator.tick()

    return go


LATER = {**SALE, "start": "2026-03-02T12:20", "multiplier": 3}


@pytest.mark.slow
async def test_an_event_whose_demand_is_late_keeps_its_replicas(
    cluster, demand, operator, pass_minutes
):
    await cluster.deployment(replicas=2)
    await cluster.scaler(events=[LATER])
    await operator.until(cluster.status)
    await pass_minutes(operator, 30)
    assert (cluster.source(), cluster.replicas()) == ("Event", 6)
    demand.answer = 280
    await pass_minutes(operator, 4)
    assert cluster.replicas() == 6
    assert cluster.source() == "Headroom"
    demand.answer = 100
    await pass_minutes(operator, 10)
    assert cluster.replicas() == 2


async def test_demand_that_comes_before_its_event_is_not_multiplied(
    cluster, demand, operator, pass_minutes
):
    await cluster.deployment(replicas=2)
    await cluster.scaler(events=[LATER])
    await operator.until(cluster.status)
    await pass_minutes(operator, 16)
    demand.answer = 300
    await pass_minutes(operator, 4)
    assert cluster.replicas() == 6


@pytest.mark.slow
async def test_after_a_restart_during_an_event_nothing_is_taken_away_that_may_be_for_it(
    cluster, clock, start, pass_minutes
):
    await cluster.deployment(replicas=6)
    clock.advance(25 * 60)
    await cluster.scaler(events=[LATER])
    operator = await start()
    await operator.until(cluster.status)
    await pass_minutes(operator, 20)
    assert cluster.replicas() == 6
    assert cluster.condition("ScalingLimited") == ("True", "EventUnderWay")
    await pass_minutes(operator, 42)
    assert cluster.replicas() == 2


async def test_after_a_restart_during_an_event_the_history_says_what_demand_was_before(
    cluster, clock, fitter, start, look_ahead
):
    await cluster.deployment(replicas=6)
    clock.advance(25 * 60)
    fitter.look_ahead(lambda request: look_ahead(1.9, at=request.now, recent=(100,) * 60))
    await cluster.scaler(forecast={"engine": "Auto"}, events=[LATER])
    operator = await start()
    await operator.until(lambda: cluster.source() == "Event")
    assert (cluster.metric()["predicted"], cluster.metric()["event"]) == (2, 6)
    assert cluster.condition("ScalingLimited") == ("False", "WithinLimits")


async def test_what_is_wrong_with_an_event_is_told_and_scaling_goes_on(cluster, demand, operator):
    await cluster.deployment(replicas=2)
    demand.answer = 250
    await cluster.scaler(events=[{"name": "never", "start": "2026-02-30"}])
    await operator.until(lambda: cluster.replicas() == 5)
    await operator.until(lambda: cluster.status().get("events"))
    assert "never" in cluster.status()["events"]["problems"][0]


@pytest.mark.slow
async def test_a_surge_is_met_before_demand_asks_for_it(cluster, demand, surging):
    await cluster.deployment(replicas=2)
    await cluster.scaler(maxReplicas=40, metrics=[TIGHT])
    await surging()
    assert cluster.source() == "Derivative"
    assert cluster.metric()["derivative"] > cluster.metric()["hpa"]
    assert cluster.replicas() == cluster.metric()["derivative"]


@pytest.mark.slow
async def test_switched_off_growth_and_events_are_not_looked_at(
    cluster, demand, fitter, operator, surging
):
    await cluster.deployment(replicas=2)
    await cluster.scaler(
        maxReplicas=40,
        metrics=[TIGHT],
        events=[{**SALE, "minReplicas": 20}],
        signals={"derivative": False, "events": False},
    )
    await surging()
    assert not {"derivative", "event"} & cluster.metric().keys()
    assert cluster.replicas() == cluster.metric()["hpa"] == 5
    assert not len(fitter.requests[-1].calendar)
    asked = [r.url.path for r in cluster.api.record if r.headers.get("User-Agent") == "foretide"]
    assert not [path for path in asked if path.endswith("deployments/shop")]


async def test_without_the_time_series_nothing_is_fitted(cluster, demand, fitter, operator):
    await cluster.deployment(replicas=2)
    demand.answer = 250
    fitter.foresee(800)
    await cluster.scaler(signals={"timeSeries": False})
    await operator.until(lambda: cluster.replicas() == 5)
    await operator.tick(3)
    assert fitter.requests == []
    assert "predicted" not in cluster.metric()


async def test_without_the_time_series_events_are_learned_all_the_same(
    cluster, demand, fitter, operator
):
    await cluster.deployment(replicas=2)
    await cluster.scaler(signals={"timeSeries": False}, events=[{**SALE, "multiplier": 3}])
    await operator.until(lambda: cluster.replicas() == 6)
    (request,) = fitter.requests
    assert (request.engine, request.lookahead, len(request.calendar)) == ("", None, 1)


async def test_a_signal_that_is_switched_on_again_counts_at_once(cluster, fitter, operator):
    await cluster.deployment(replicas=2)
    fitter.foresee(600)
    await cluster.scaler(signals={"timeSeries": False})
    await operator.until(lambda: cluster.source() == "Headroom")
    await cluster.edit_scaler(signals={"timeSeries": True})
    await operator.until(lambda: cluster.replicas() == 6)


async def test_a_drop_far_below_the_forecast_holds_the_replicas_for_a_while(
    cluster, clock, demand, fitter, operator
):
    await cluster.deployment(replicas=8)
    fitter.foresee(800, median=600)
    demand.answer = 600
    await cluster.scaler(behavior={"scaleDown": {"stabilizationWindowSeconds": 0}})
    await operator.until(lambda: cluster.source() == "Forecast")
    fitter.foresee(100, median=500)  # the model itself would let them go
    demand.answer = 100
    clock.advance(3_600)
    await operator.until(lambda: len(fitter.requests) == 2)
    await operator.tick(2)
    assert cluster.replicas() == 8
    assert cluster.metric()["dropSince"] == "2026-03-02T13:00:00Z"
    assert "outage upstream" in cluster.metric()["message"]
    clock.advance(14 * 60)
    await operator.tick()
    assert cluster.replicas() == 8
    clock.advance(2 * 60)
    await operator.until(lambda: cluster.replicas() == 1)
