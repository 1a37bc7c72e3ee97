"""Demand goes to the store in the background, and its being away is told but does no harm."""

import pytest

from foretide.forecasting.demand import Undecided
from foretide.store.rollups import fingerprint

STORE = {"url": "http://store.example", "tokenFile": "/run/token"}


@pytest.fixture
async def storing(cluster, start):
    await cluster.deployment(replicas=2)
    await cluster.scaler()
    return await start(store=STORE)


@pytest.fixture
def live(clock, storing):
    """Minutes of life, with the sender's own task."""

    async def go(minutes):
        for _ in range(minutes):
            clock.advance(60)
            await storing.tick()
            await storing.reconciler.observer.rollups.flush()

    return go


async def test_each_tick_leaves_a_sample_in_a_roll_up(cluster, demand, store, storing, live):
    await storing.until(cluster.status)
    demand.answer = 140
    await live(11)
    (series,) = await store.series()
    assert (series.key.namespace, series.key.name, series.key.metric) == (
        "default",
        "shop",
        "demand",
    )
    assert series.key.fingerprint == fingerprint("default", "demand")
    kept = await store.read(series.key, 0, 2e10)
    assert list(kept.max) == [140, 140]
    assert cluster.condition("StoreAvailable") == ("True", "Reachable")


async def test_a_store_that_is_away_is_told_and_scaling_goes_on(
    cluster, demand, store, storing, live
):
    await storing.until(cluster.status)
    store.away = True
    demand.answer = 250
    await live(11)
    assert cluster.condition("StoreAvailable") == ("False", "Unreachable")
    assert cluster.replicas() == 5
    assert storing.sample("foretide_rollups_waiting") >= 1
    store.away = False
    await live(6)
    assert cluster.condition("StoreAvailable") == ("True", "Reachable")
    assert len(await store.series()) == 1


@pytest.mark.slow
async def test_what_waits_too_long_is_dropped_and_counted(cluster, clock, store, storing, live):
    assert storing.sample("foretide_rollups_lost_total", outcome="dropped") == 0
    await storing.until(cluster.status)
    store.away = True
    await live(11)
    clock.advance(86_400)
    await live(1)
    await storing.tick(2)
    assert storing.sample("foretide_rollups_lost_total", outcome="dropped") == 3
    assert storing.sample("foretide_rollups_lost_total", outcome="refused") == 0


async def test_what_the_store_refuses_is_counted(cluster, clock, store, storing, live):
    await storing.until(cluster.status)
    store.refuses = True
    await live(11)
    await storing.tick(2)
    assert cluster.condition("StoreAvailable") == ("False", "Refused")
    assert storing.sample("foretide_rollups_lost_total", outcome="refused") == 2


async def test_without_a_store_nothing_is_said_of_one(cluster, operator):
    await cluster.deployment(replicas=2)
    await cluster.scaler()
    await operator.until(cluster.status)
    assert cluster.condition("StoreAvailable") is None


async def test_the_first_fit_keeps_what_prometheus_has_and_later_ones_do_not(
    cluster, clock, fitter, storing
):
    fitter.foresee(100)
    await storing.until(lambda: fitter.requests)
    clock.advance(3_600)
    await storing.until(lambda: len(fitter.requests) == 2)
    assert [request.keep for request in fitter.requests] == [True, False]
    stored = fitter.requests[0].stored
    assert stored.store.address.url == STORE["url"]
    assert (stored.key.name, stored.key.metric) == ("shop", "demand")


async def test_events_of_a_year_can_teach_only_with_a_store(cluster, fitter, start):
    christmas = {"name": "holidays", "holidays": {"country": "DE"}}
    await cluster.deployment(replicas=2)
    await cluster.scaler(events=[christmas])
    first = await start()
    await first.until(lambda: fitter.requests)
    await first.stop()
    second = await start(store=STORE)
    await second.until(lambda: len(fitter.requests) == 2)
    without, with_store = (len(request.calendar) for request in fitter.requests)
    assert without < 3
    assert with_store >= 9


async def test_a_store_that_fails_a_fit_is_told_and_is_no_reason_to_fail(cluster, fitter, storing):
    fitter.foresee(300)
    fitter.look_ahead(
        Undecided("NotWanted", ""), store_trouble=Undecided("Unreachable", "nobody answers")
    )
    await storing.until(lambda: cluster.source() == "Forecast")
    assert cluster.condition("StoreAvailable") == ("False", "FitWithoutStore")
    assert "did without it: demand: nobody answers" in cluster.message("StoreAvailable")
    failures = {"part": "store", "reason": "Unreachable"}
    assert storing.sample("foretide_fit_failures_total", **failures) == 1


async def test_a_store_that_can_be_read_again_is_well_again(cluster, clock, fitter, storing):
    fitter.foresee(300)
    fitter.look_ahead(
        Undecided("NotWanted", ""), store_trouble=Undecided("Unreachable", "nobody answers")
    )
    await storing.until(lambda: cluster.condition("StoreAvailable") == ("False", "FitWithoutStore"))
    fitter.look_ahead(Undecided("NotWanted", ""))
    clock.advance(3_600)
    await storing.until(lambda: cluster.condition("StoreAvailable") == ("True", "Reachable"))
