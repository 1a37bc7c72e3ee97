"""Which Profilers are looked after: told of by a watch, or found by the census."""

import asyncio
import dataclasses
from pathlib import Path

import pytest

from foretide.operator.cluster import ClusterError
from foretide.operator.profilers.census import ProfilerCensus
from foretide.operator.profilers.fleet import ProfilerFleet
from foretide.operator.profilers.memory import MemoryPods
from foretide.operator.telemetry import Telemetry
from foretide.operator.ticking import Gone
from foretide.profiling.sampler.wire import read_windows

FIXTURES = Path(__file__).parents[2] / "profiling" / "fixtures"
GIL = (FIXTURES / "gil.txt").read_text(encoding="utf-8").splitlines()


class Reconciler:
    """Counts ticks, and detaches without a cluster."""

    def __init__(self):
        self.telemetry = Telemetry()
        self.ticked, self.detached = asyncio.Queue(), asyncio.Queue()
        self.error = None
        self.now = 1_800_000_000.0

    def clock(self):
        return self.now

    async def tick(self, member):
        self.ticked.put_nowait(member.generation)
        if self.error:
            raise self.error
        return 60.0

    async def detach(self, member):
        self.detached.put_nowait(member.name)


class Cluster:
    """Lists what there is."""

    def __init__(self):
        self.profilers, self.deployments, self.away = [], [], False

    async def request(self, method, path, body=None, *, content_type=""):
        if self.away:
            raise ClusterError("ApiUnreachable", "no answer")
        if "/profilers" in path:
            return {"items": self.profilers}
        return {"items": self.deployments if "/deployments" in path else []}


@pytest.fixture
async def fleet():
    it = ProfilerFleet()
    it.reconciler = Reconciler()
    yield it
    await it.stop()


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
def pods():
    return MemoryPods()


@pytest.fixture
def census(cluster, pods, fleet):
    return ProfilerCensus(cluster, pods, fleet, (), lambda: True)


def body(name="prof", *, uid=None, generation=1):
    meta = {"uid": uid or f"uid-{name}", "namespace": "shop", "name": name}
    spec = {"selector": {"matchLabels": {"app": "shop"}}}
    return {"metadata": {**meta, "generation": generation}, "spec": spec}


async def ticks(fleet):
    return await asyncio.wait_for(fleet.reconciler.ticked.get(), 10)


async def test_a_new_version_is_looked_at_at_once_and_an_old_one_never(fleet):
    fleet.upsert(body())
    assert await ticks(fleet) == 1
    fleet.upsert(body(generation=3))
    assert await ticks(fleet) == 3
    fleet.upsert(body(generation=2))
    fleet.upsert(body(generation=3))
    await asyncio.sleep(0)
    assert fleet.reconciler.ticked.empty()


async def test_what_is_gone_is_detached(fleet):
    fleet.upsert(body())
    fleet.remove("uid-prof")
    assert await asyncio.wait_for(fleet.reconciler.detached.get(), 10) == "prof"
    assert len(fleet) == 0


async def test_one_that_is_told_of_anew_in_the_moment_of_its_deletion_ends(fleet):
    fleet.upsert(body())
    ((_, task, _),) = fleet._members.values()
    await ticks(fleet)
    fleet.upsert(body(generation=2))
    fleet.remove("uid-prof")
    await asyncio.wait_for(fleet.reconciler.detached.get(), 10)
    assert task.cancelled()


async def test_a_new_version_waits_until_a_tick_is_over(fleet):
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def tick(member):
        run = member.run
        begun.set()
        await go_on.wait()
        fleet.reconciler.ticked.put_nowait((run == member.run, member.generation))
        return 60.0

    fleet.reconciler.tick = tick
    fleet.upsert(body())
    await begun.wait()
    fleet.upsert({**body(generation=3), "spec": {**body()["spec"], "run": "again"}})
    fleet.upsert(body(generation=2))
    go_on.set()
    assert [await ticks(fleet), await ticks(fleet)] == [(True, 1), (True, 3)]


async def test_what_a_tick_has_begun_with_is_over_before_it_is_detached(fleet):
    begun, told = asyncio.Event(), []

    async def tick(member):
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            told.append("ticked")

    fleet.reconciler.tick = tick
    fleet.upsert(body())
    await begun.wait()
    fleet.remove("uid-prof")
    await asyncio.wait_for(fleet.reconciler.detached.get(), 10)
    assert told == ["ticked"]


async def test_a_namesake_takes_the_place_of_one_whose_deletion_nobody_told_of(fleet):
    fleet.upsert(body(uid="old"))
    fleet.upsert(body(uid="new"))
    assert [member.uid for member in fleet] == ["new"]
    assert fleet.named("shop", "prof").uid == "new"


async def test_what_one_has_learned_of_an_image_all_know(fleet):
    fleet.upsert({**body("one"), "status": {"users": {"shop:1": "33:33"}}})
    fleet.upsert(body("two"))
    one, two = fleet
    assert two.users == {"shop:1": "33:33"}
    one.users["api:1"] = "5:5"
    assert two.users["api:1"] == "5:5"


async def test_windows_of_a_run_that_is_over_are_put_away_after_a_tick(fleet):
    fleet.upsert(body())
    (member,) = fleet
    member.finished_at = fleet.reconciler.now - 3_600
    labels = {"pod": "shop-1", "run": member.run}
    windows = [dataclasses.replace(it, labels=labels) for it in read_windows(GIL)]
    member.from_pod("uid-shop-1", "shop-1").windows.extend(windows)
    await ticks(fleet)
    fleet.wake_all()
    await ticks(fleet)
    assert member.windows() == []
    assert member.extent() == (len(windows), windows[-1].started_at)


async def test_one_that_fails_goes_on_and_takes_no_other_down(fleet):
    fleet.reconciler.error = RuntimeError("a bug")
    fleet.upsert(body("one"))
    fleet.upsert(body("two"))
    await ticks(fleet)
    await ticks(fleet)
    fleet.reconciler.error = None
    fleet.wake_all()
    await ticks(fleet)
    assert len(fleet) == 2


async def test_one_that_turns_out_to_be_gone_is_dropped(fleet):
    fleet.reconciler.error = Gone()
    fleet.upsert(body())
    await asyncio.wait_for(fleet.reconciler.detached.get(), 10)
    assert len(fleet) == 0


async def test_the_census_finds_what_no_watch_told_of_and_drops_what_is_gone(
    census, cluster, fleet
):
    fleet.upsert(body("gone"))
    cluster.profilers = [body("there")]
    await census.take()
    assert [member.name for member in fleet] == ["there"]


async def test_while_the_api_server_is_away_nothing_is_dropped(census, cluster, fleet):
    fleet.upsert(body())
    cluster.away = True
    with pytest.raises(ClusterError):
        await census.take()
    assert len(fleet) == 1


def deployment(holder):
    meta = {"annotations": {"foretide.dev/profiler": holder}}
    return {
        "metadata": {"namespace": "shop", "name": "shop"},
        "spec": {"template": {"metadata": meta, "spec": {}}},
    }


TARGET = {"kind": "Deployment", "name": "shop"}
HOLDING = {"targetRef": TARGET, "mode": "Continuous", "allowRollout": True}


async def test_a_template_whose_profiler_holds_it_is_left(census, cluster, pods):
    cluster.profilers = [{**body("prof"), "spec": HOLDING}]
    cluster.deployments = [deployment("prof")]
    await census.take()
    assert pods.calls == []


@pytest.mark.parametrize(
    "specs",
    [
        [],
        [{**HOLDING, "allowRollout": False}],
        [{**HOLDING, "suspend": True}],
        [{**HOLDING, "targetRef": {**TARGET, "name": "other"}}],
    ],
)
async def test_a_template_that_no_profiler_holds_any_more_is_given_back(
    census, cluster, pods, specs
):
    cluster.profilers = [{**body("prof"), "spec": spec} for spec in specs]
    cluster.deployments = [deployment("prof")]
    await census.take()
    ((verb, name, document),) = pods.calls
    assert (verb, name, document.keys()) == ("apply", "shop", {"apiVersion", "kind", "metadata"})
