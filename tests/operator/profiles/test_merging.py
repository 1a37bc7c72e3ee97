"""A day of raw profiles becomes a month of merged ones."""

import dataclasses

import pytest

from foretide.operator.profilers.bundles import Bundles
from foretide.operator.profilers.merging import ProfileMerger, plan
from foretide.operator.profilers.sender import profile_of
from foretide.operator.store_settings import StoreSettings
from foretide.profiling import codec
from foretide.store.errors import StoreUnavailable
from foretide.store.profile_memory import MemoryProfiles
from foretide.store.profiles import MERGE_STEP, Kind, ProfileQuery

MERGED = ProfileQuery(kind=Kind.MERGED)


@pytest.fixture
def store(clock):
    clock.now += MERGE_STEP + 180
    return MemoryProfiles(clock=clock, page=3)


@pytest.fixture
def merger(store, clock, tmp_path):
    settings = StoreSettings(url="http://store", token_file=tmp_path / "token")
    return ProfileMerger(lambda: settings, connect=lambda settings: store, clock=clock)


@pytest.fixture
def raw(target, window, noon):
    """A raw profile of one window, some seconds after noon."""

    def make(after=0.0, cpu=4.0, pid=7, **changes):
        bundles = Bundles()
        bundles.add(target(**changes), window(noon + after, cpu=cpu, pid=pid))
        return profile_of(bundles.close_due(0.0, everything=True)[0])

    return make


async def found(store, query=MERGED):
    page = await store.find(query, data=True)
    assert page.after is None
    return list(page.profiles)


async def test_five_minutes_of_all_pods_become_one_profile(store, merger, raw, target, noon):
    await store.put([raw(), raw(60, pod="shop-b"), raw(120, pid=8), raw(MERGE_STEP)])
    assert await merger.merge_due() == 1
    (one,) = await found(store)
    assert (one.start, one.end, one.windows) == (noon, noon + MERGE_STEP, 3)
    assert (one.target, one.process) == (target(pod=""), "")
    profile = codec.unpack_profile(one.data)
    assert profile.cpu == pytest.approx(12.0, abs=1e-4)
    assert profile.windows == 3


async def test_seconds_that_two_profilers_have_measured_count_once(store, merger, raw):
    mine, others = {"profiler": "mine"}, {"profiler": "another"}
    await store.put([raw(labels=mine), raw(65, labels=mine), raw(5, labels=others)])
    await store.put([raw(5, pod="shop-b", labels=others), raw(5, pid=8, labels=others)])
    assert await merger.merge_due() == 1
    (one,) = await found(store)
    assert one.windows == 4
    assert await merger.merge_due() == 0


async def test_what_is_merged_is_not_merged_again(store, merger, raw):
    await store.put([raw()])
    assert [await merger.merge_due() for _ in range(2)] == [1, 0]


async def test_what_comes_late_is_merged_with_what_was_there(store, merger, raw):
    await store.put([raw()])
    await merger.merge_due()
    await store.put([raw(60)])
    assert await merger.merge_due() == 1
    assert [one.windows for one in await found(store)] == [2]


async def test_a_step_that_is_not_over_is_waited_for(store, merger, raw, clock):
    clock.now -= 1
    await store.put([raw()])
    assert await merger.merge_due() == 0
    clock.now += 1
    assert await merger.merge_due() == 1


async def test_containers_versions_and_workloads_are_kept_apart(store, merger, raw):
    others = [{"container": "cache"}, {"version": ""}, {"workload": "x"}, {"namespace": "y"}]
    await store.put([raw(), *(raw(**other) for other in others)])
    assert await merger.merge_due() == 5
    page = await store.find(MERGED)
    assert page.after is not None  # all pages count
    assert sum(one.profiles for one in await store.workloads() if one.kind is Kind.MERGED) == 5


async def test_one_that_is_damaged_costs_no_more_than_itself(store, merger, raw, caplog):
    await store.put([raw(), dataclasses.replace(raw(60), data=b"no profile")])
    assert await merger.merge_due() == 1
    assert await merger.merge_due() == 0
    assert [one.windows for one in await found(store)] == [1]
    assert "cannot be merged" in caplog.text


async def test_a_store_that_is_away_is_tried_again_later(store, merger, raw, clock, monkeypatch):
    await store.put([raw()])

    async def away(namespace=None):
        raise StoreUnavailable("Unreachable", "cannot reach the store")

    monkeypatch.setattr(store, "workloads", away)
    assert await merger.merge_due() == 0
    monkeypatch.undo()
    assert await merger.merge_due() == 0  # not due yet
    clock.now += 16
    assert await merger.merge_due() == 1


async def test_without_a_store_there_is_nothing_to_do(clock):
    merger = ProfileMerger(lambda: None, clock=clock)
    assert await merger.merge_due() == 0
    await merger.aclose()


def test_nothing_is_planned_of_nothing():
    assert plan([], [], now=0.0) == []
