"""Resources that come and go, ticks that go by themselves, and a clean stop."""

import asyncio

import pytest

SCALERS = "foretide.dev/v1alpha1/predictivescalers"
LABELS = {"namespace": "default", "name": "shop"}


@pytest.fixture
async def scaled(cluster, demand, operator):
    await cluster.deployment(replicas=2)
    demand.answer = 250
    await cluster.scaler()
    await operator.until(lambda: cluster.condition("Ready") == ("True", "Scaling"))
    return operator


def series(operator, name):
    return [
        sample.name
        for metric in operator.telemetry.registry.collect()
        for sample in metric.samples
        if sample.labels.get("name") == name
    ]


def ticking(name):
    return [task for task in asyncio.all_tasks() if task.get_name() == f"tick {name}"]


async def test_deletion_ends_ticks_and_series(cluster, demand, scaled, eventually):
    assert series(scaled, "shop")
    assert scaled.sample("foretide_predictivescalers") == 1
    await cluster.delete(SCALERS, "shop")
    await eventually(lambda: len(scaled.fleet) == 0)
    assert not series(scaled, "shop")
    assert scaled.sample("foretide_predictivescalers") == 0
    demand.answer = 400
    await scaled.tick(2)
    assert cluster.replicas() == 5
    await eventually(lambda: not ticking("shop"))


@pytest.mark.parametrize("steps", range(5))
async def test_a_deletion_that_comes_with_a_wake_ends_ticks_too(scaled, eventually, steps):
    [(_, task, wake)] = scaled.fleet._members.values()
    wake.set()
    for _ in range(steps):  # of the event loop, until the task has noticed
        await asyncio.sleep(0)
    [uid] = scaled.uids()
    scaled.fleet.remove(uid)
    await eventually(task.done)


async def test_deletion_cancels_a_fit_under_way(cluster, fitter, operator, eventually):
    fitter.gate.clear()
    await cluster.deployment()
    await cluster.scaler()
    await eventually(lambda: fitter.requests)
    await cluster.delete(SCALERS, "shop")
    await eventually(lambda: fitter.cancelled == 1)


async def test_a_resource_made_anew_starts_afresh(cluster, clock, demand, scaled):
    await cluster.delete(SCALERS, "shop")
    clock.advance(60)
    demand.answer = 400
    await cluster.scaler()
    await scaled.until(lambda: cluster.replicas() == 8)
    assert [change["before"] for change in cluster.status()["changes"]] == [5]


def delete_unseen(api):
    """Delete the resource without a word to those who watch."""
    api.objects[next(key for key in api.objects if (key[0], key[2]) == (SCALERS, "shop"))].delete()


async def test_a_resource_deleted_behind_a_broken_watch_is_let_go(api, cluster, demand, scaled):
    delete_unseen(api)
    await api.break_watch(SCALERS)
    demand.answer = 500
    await scaled.until(lambda: len(scaled.fleet) == 0)
    assert not series(scaled, "shop")


async def test_a_resource_replaced_behind_a_broken_watch_has_no_rival(api, cluster, scaled):
    delete_unseen(api)
    await cluster.scaler(minReplicas=7)
    await scaled.until(lambda: cluster.replicas() == 7)
    await scaled.until(lambda: cluster.condition("Conflict") == ("False", "SoleOwner"))
    assert len(scaled.fleet) == 1


async def test_a_broken_watch_is_opened_anew(api, cluster, demand, scaled, eventually):
    await api.break_watch(SCALERS)
    await cluster.edit_scaler(minReplicas=7)
    await eventually(lambda: cluster.replicas() == 7)


async def test_ticks_go_by_themselves_at_the_sync_period(cluster, demand, operator, eventually):
    often = operator.settings.current.model_copy(update={"sync_period": 0.05})
    operator.settings.current = often
    await cluster.deployment(replicas=2)
    await cluster.scaler()
    await eventually(lambda: operator.sample("foretide_tick_seconds_count") >= 4)
    demand.answer = 250
    await eventually(lambda: cluster.replicas() == 5)


async def test_the_operators_own_writes_cause_no_ticks(cluster, scaled, eventually):
    before = scaled.ticks("shop")
    await cluster.edit(SCALERS, "shop", {"metadata": {"labels": {"touched": "yes"}}})
    await cluster.scaler("other", mode="Paused")  # comes after that in the same watch
    await eventually(lambda: cluster.condition("Ready", "other"))
    assert scaled.ticks("shop") == before


@pytest.mark.slow
async def test_many_resources_are_looked_after(cluster, demand, operator):
    demand.answer = 250
    names = [f"app-{number}" for number in range(10)]
    for name in names:
        await cluster.deployment(name, replicas=2)
        await cluster.scaler(name, target=name)
    await operator.until(lambda: all(cluster.replicas(name) == 5 for name in names))
    assert operator.sample("foretide_predictivescalers") == 10


async def test_a_stop_leaves_no_tasks_and_cancels_fits(cluster, demand, fitter, start):
    def ours():
        return {task for task in asyncio.all_tasks() if task.get_name().startswith(("tick", "fit"))}

    fitter.gate.clear()
    await cluster.deployment(replicas=2)
    await cluster.scaler()
    operator = await start()
    await operator.until(lambda: cluster.status() and fitter.requests)
    assert {task.get_name().partition(" ")[0] for task in ours()} == {"tick", "fit"}
    await operator.stop()
    assert not ours()
    assert fitter.cancelled == 1
