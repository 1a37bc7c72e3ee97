"""What a forecast changes, and what its absence does."""

from foretide.forecasting.demand import Undecided
from foretide.forecasting.worker import NOT_WANTED

HOUR = 3600.0


async def test_a_forecast_above_demand_scales_ahead(cluster, demand, fitter, operator):
    await cluster.deployment(replicas=5)
    demand.answer = 250
    fitter.foresee(800)
    await cluster.scaler()
    await operator.until(lambda: cluster.replicas() == 8)
    await operator.until(lambda: cluster.source() == "Forecast")
    assert cluster.condition("ForecastAvailable") == ("True", "Forecasting")
    metric = cluster.status()["decision"]["metrics"][0]
    assert (metric["reactive"], metric["peak"], metric["predicted"]) == (3, "800", 8)
    forecast = cluster.status()["forecasts"][0]
    assert forecast["model"] == "test"
    assert forecast["nextPeak"]["replicas"] == 8
    assert operator.sample(
        "foretide_replicas", namespace="default", name="shop", source="predicted"
    )


async def test_demand_above_the_forecast_is_the_floor(cluster, demand, fitter, operator):
    await cluster.deployment(replicas=5)
    demand.answer = 700
    fitter.foresee(300)
    await cluster.scaler(minReplicas=1)
    await operator.until(lambda: cluster.condition("ForecastAvailable") == ("True", "Forecasting"))
    await operator.tick()
    assert cluster.status()["decision"]["metrics"][0]["reactive"] == 7
    assert cluster.replicas() >= 7


async def test_without_a_forecast_headroom_is_kept_and_the_reason_told(cluster, demand, operator):
    await cluster.deployment(replicas=2)
    demand.answer = 250
    await cluster.scaler()
    await operator.until(
        lambda: cluster.condition("ForecastAvailable") == ("False", "TooLittleHistory")
    )
    assert "needs 2 days of history" in cluster.message("ForecastAvailable")
    assert cluster.source() == "Headroom"
    assert cluster.replicas() == 5
    assert "forecasts" not in cluster.status()


async def test_a_first_forecast_under_way_is_neither_good_nor_bad_news(
    cluster, demand, fitter, operator
):
    fitter.gate.clear()
    fitter.foresee(800)
    await cluster.deployment(replicas=5)
    demand.answer = 250
    await cluster.scaler()
    await operator.until(
        lambda: cluster.condition("ForecastAvailable") == ("Unknown", "NotFittedYet")
    )
    await operator.tick(3)
    assert len(fitter.requests) == 1
    assert not cluster.events("NotFittedYet")
    fitter.gate.set()
    await operator.until(lambda: cluster.replicas() == 8)


async def test_a_forecast_is_made_anew_when_it_is_due(cluster, clock, fitter, operator):
    fitter.foresee(100)
    await cluster.deployment(replicas=1)
    await cluster.scaler()
    await operator.until(lambda: cluster.status().get("forecasts"))
    clock.advance(0.8 * HOUR)
    await operator.tick(2)
    assert len(fitter.requests) == 1
    clock.advance(0.2 * HOUR)
    await operator.until(
        lambda: cluster.status()["forecasts"][0]["fittedAt"] == "2026-03-02T13:00:00Z"
    )
    assert len(fitter.requests) == 2


async def test_a_failed_fit_is_tried_again_ever_more_seldom(cluster, clock, fitter, operator):
    fitter.refuse("Unreachable")
    await cluster.deployment(replicas=2)
    await cluster.scaler()
    await operator.until(lambda: cluster.condition("ForecastAvailable") == ("False", "Unreachable"))
    for seconds, fits in ((40, 1), (35, 2), (90, 2), (60, 3)):
        clock.advance(seconds)
        await operator.tick(2)
        assert len(fitter.requests) == fits


async def test_an_old_forecast_stays_until_it_runs_out(cluster, clock, demand, fitter, operator):
    fitter.foresee(800, valid_for=2 * HOUR)
    await cluster.deployment(replicas=8)
    demand.answer = 250
    await cluster.scaler()
    await operator.until(lambda: cluster.source() == "Forecast")
    fitter.refuse("FitTimeout", "gave up after 180 s")
    clock.advance(1.5 * HOUR)
    await operator.tick(2)
    assert len(fitter.requests) == 2
    assert cluster.condition("ForecastAvailable") == ("True", "RefitFailed")
    clock.advance(0.6 * HOUR)
    await operator.until(lambda: cluster.condition("ForecastAvailable") == ("False", "Stale"))
    await operator.until(lambda: cluster.source() == "Headroom")
    assert "demand: gave up after 180 s" in cluster.message("ForecastAvailable")


async def test_a_refit_that_fails_is_seen_while_the_older_forecast_serves(
    cluster, clock, fitter, operator
):
    fitter.foresee(800)
    await cluster.deployment(replicas=8)
    await cluster.scaler()
    await operator.until(lambda: cluster.condition("ForecastAvailable") == ("True", "Forecasting"))
    fitter.refuse("FitTimeout", "gave up after 180 s")
    clock.advance(HOUR)
    await operator.until(lambda: cluster.condition("ForecastAvailable") == ("True", "RefitFailed"))
    assert cluster.message("ForecastAvailable") == (
        "every metric that can be has a forecast; fitting fails: demand: gave up after 180 s"
    )
    failures = {"part": "forecast", "reason": "FitTimeout"}
    assert operator.sample("foretide_fit_failures_total", **failures) == 1
    assert not cluster.events("RefitFailed")
    fitter.foresee(800)
    clock.advance(2 * 60)
    await operator.until(lambda: cluster.condition("ForecastAvailable") == ("True", "Forecasting"))


async def test_effects_of_events_that_cannot_be_learned_are_seen(cluster, fitter, operator):
    why = Undecided("LearningFailed", "KeyError: 'x'")
    fitter.foresee(800)
    fitter.look_ahead(NOT_WANTED, unlearned=why)
    await cluster.deployment(replicas=8)
    await cluster.scaler()
    await operator.until(lambda: cluster.condition("EventsKnown") == ("False", "LearningFailed"))
    assert "demand: KeyError: 'x'" in cluster.message("EventsKnown")
    assert cluster.condition("ForecastAvailable") == ("True", "Forecasting")
    failures = {"part": "events", "reason": "LearningFailed"}
    assert operator.sample("foretide_fit_failures_total", **failures) == 1


async def test_a_source_that_is_gone_while_a_forecast_serves_is_seen(cluster, fitter, operator):
    fitter.foresee(800)
    await cluster.deployment(replicas=8)
    await cluster.scaler()
    await operator.until(lambda: cluster.condition("ForecastAvailable") == ("True", "Forecasting"))
    operator.configure(sources={})
    await operator.until(lambda: cluster.condition("ForecastAvailable") == ("True", "RefitFailed"))
    assert "no Prometheus source named 'default'" in cluster.message("ForecastAvailable")
    operator.configure(sources={"default": {"url": "http://prometheus.example"}})
    await operator.until(lambda: cluster.condition("ForecastAvailable") == ("True", "Forecasting"))
    assert len(fitter.requests) == 1


async def test_only_another_question_needs_another_forecast(cluster, fitter, operator, eventually):
    fitter.foresee(100)
    await cluster.deployment(replicas=1)
    await cluster.scaler()
    await operator.until(lambda: cluster.status().get("forecasts"))
    await cluster.edit_scaler(maxReplicas=30)
    await eventually(lambda: cluster.status()["observedGeneration"] == 2)
    assert [request.query for request in fitter.requests] == ["demand"]
    await cluster.edit_scaler(metrics=[{"query": "other", "perReplica": 100}])
    await eventually(lambda: [request.query for request in fitter.requests] == ["demand", "other"])


async def test_the_fit_is_asked_for_what_the_spec_says(cluster, clock, fitter, operator):
    await cluster.deployment()
    forecast = {"history": "7d", "step": "1m", "quantile": 0.9, "timeZone": "Europe/Berlin"}
    await cluster.scaler(forecast=forecast)
    await operator.until(lambda: fitter.requests)
    request = fitter.requests[0]
    assert (request.now, request.history, request.step) == (clock.now, 7 * 86_400, 60)
    assert (request.quantile, request.time_zone) == (0.9, "Europe/Berlin")
    assert request.source.url == "http://prometheus.example"


async def test_the_error_of_the_forecast_is_measured(cluster, clock, demand, fitter, operator):
    fitter.foresee(400, median=300)
    demand.answer = 200
    await cluster.deployment(replicas=4)
    await cluster.scaler(metrics=[{"name": "rps", "query": "demand", "perReplica": 100}])
    labels = {"namespace": "default", "name": "shop", "metric": "rps"}
    await operator.until(lambda: operator.sample("foretide_forecast_error_ratio", **labels) == 0.5)
