"""Profiles in a real SQLite and a real PostgreSQL, and the one in memory beside them."""

import asyncio
import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretide.store.errors import StoreRefused
from foretide.store.profile_memory import MemoryProfiles
from foretide.store.profile_repository import ProfileRepository
from foretide.store.profiles import (
    LARGEST_PROFILE,
    MERGE_STEP,
    Deleted,
    Kind,
    ProfileQuery,
    Target,
)
from foretide.store.retention import Retention
from foretide.store.sessions import Database

HOUR = 3_600
DAY = 24 * HOUR
EVERYTHING = ProfileQuery()
SHOP = ProfileQuery(namespace="web", workload="deployment/shop")


@pytest.fixture
async def opened(database):
    """A database without anything in it."""
    opened = await Database.open(database)
    yield opened
    await opened.aclose()


@pytest.fixture
def profiles(opened, now):
    return ProfileRepository(opened, clock=lambda: now)


async def all_of(profiles, query=EVERYTHING, **options):
    """What all pages have."""
    found, after = [], None
    while True:
        page = await profiles.find(query, after=after, **options)
        found += page.profiles
        if (after := page.after) is None:
            return found


async def test_what_is_put_is_found(profiles, profile, now):
    one = profile(windows=6, process="7")
    assert await profiles.put([one]) == (1, 1)
    (found,) = await all_of(profiles, SHOP, data=True)
    kept = {field: getattr(found, field) for field in ("target", "kind", "start", "end", "data")}
    assert kept == {field: getattr(one, field) for field in kept}
    assert (found.windows, found.process, found.size) == (6, "7", len(one.data))
    assert found.content_type == one.content_type
    assert await profiles.get(found.id) == found
    (listed,) = await all_of(profiles, SHOP)
    assert listed == dataclasses.replace(found, data=None)


async def test_a_profile_that_is_not_there_is_none(profiles):
    assert await profiles.get(7) is None


async def test_what_is_put_again_changes_nothing(profiles, profile):
    batch = [profile(), profile(pod="shop-b")]
    assert await profiles.put(batch) == (2, 2)
    assert await profiles.put(batch) == (2, 0)
    assert len(await all_of(profiles)) == 2


async def test_the_one_with_more_windows_is_kept_under_the_same_number(profiles, profile):
    await profiles.put([profile(windows=2, data=b"two")])
    (before,) = await all_of(profiles)
    await profiles.put([profile(windows=3, data=b"three")])
    await profiles.put([profile(windows=1, data=b"one")])
    (found,) = await all_of(profiles, data=True)
    assert (found.id, found.data, found.size) == (before.id, b"three", 5)


async def test_a_profile_may_be_there_twice_in_a_batch(profiles, profile):
    batch = [profile(windows=1), profile(windows=3, data=b"three"), profile(windows=2)]
    assert await profiles.put(batch) == (3, 1)
    assert [found.data for found in await all_of(profiles, data=True)] == [b"three"]


async def test_an_empty_batch_is_nothing(profiles):
    assert await profiles.put([]) == (0, 0)


async def test_only_those_asked_for_are_found(profiles, profile, now):
    batch = [
        profile(),
        profile(pod="shop-b"),
        profile(workload="deployment/cart"),
        profile(namespace="other"),
        profile(container="cache"),
        profile(version="2"),
        profile(kind=Kind.MERGED),
        profile(ago=HOUR),
        profile(process="8"),
    ]
    await profiles.put(batch)

    async def count(**wanted):
        return len(await all_of(profiles, ProfileQuery(**wanted)))

    assert await count() == len(batch)
    assert await count(pod="shop-b") == 1
    assert await count(workload="deployment/cart") == 1
    assert await count(namespace="other") == 1
    assert await count(container="cache") == 1
    assert await count(version="2") == 1
    assert await count(kind=Kind.MERGED) == 1
    assert await count(end=now - HOUR / 2) == 1
    assert await count(start=now - HOUR / 2) == len(batch) - 1
    assert await count(pod="nobody") == 0


async def test_a_range_of_time_has_its_start_and_not_its_end(profiles, profile):
    one = profile()
    await profiles.put([one])
    assert await all_of(profiles, ProfileQuery(start=one.start, end=one.start + 1))
    assert not await all_of(profiles, ProfileQuery(start=one.start - 1, end=one.start))


async def test_pages_join_without_a_gap_or_a_repetition(profiles, profile):
    batch = [profile(ago=place // 3, process=str(place)) for place in range(620)]
    await profiles.put(batch)
    page = await profiles.find(EVERYTHING, data=True)
    assert page.after is not None
    assert len(page.profiles) < 620
    found = await all_of(profiles, data=True)
    assert len({one.id for one in found}) == len(found) == 620
    assert [one.start for one in found] == sorted(one.start for one in found)


async def test_a_page_ends_where_its_data_would_be_too_large(profiles, profile):
    large = bytes(LARGEST_PROFILE // 2 + 1)
    await profiles.put([profile(ago=place, data=large) for place in range(3)])
    page = await profiles.find(EVERYTHING, data=True)
    assert len(page.profiles) == 1
    assert len((await profiles.find(EVERYTHING)).profiles) == 3
    assert len(await all_of(profiles, data=True)) == 3


@pytest.mark.parametrize("after", ["", "7", "7-", "-", "a-b", "7-8-9", "9" * 50])
async def test_a_place_that_no_page_has_named_is_refused(profiles, after):
    with pytest.raises(StoreRefused, match="what the page before has said"):
        await profiles.find(EVERYTHING, after=after)


async def test_a_batch_is_kept_wholly_or_not_at_all(profiles, profile):
    with pytest.raises(StoreRefused, match="profile 1"):
        await profiles.put([profile(), profile(data=b"")])
    assert await all_of(profiles) == []


async def test_profiles_of_a_workload_can_be_deleted(profiles, profile, now):
    await profiles.put([profile(), profile(ago=HOUR), profile(workload="deployment/cart")])
    newest = dataclasses.replace(SHOP, start=now - HOUR / 2)
    assert await profiles.delete(newest) == Deleted(1, len(profile().data))
    assert (await profiles.delete(SHOP)).profiles == 1
    assert (await profiles.delete(SHOP)).profiles == 0
    assert [one.target.workload for one in await all_of(profiles)] == ["deployment/cart"]
    await profiles.put([profile()])
    assert len(await all_of(profiles)) == 2


@pytest.mark.parametrize("query", [EVERYTHING, ProfileQuery(namespace="web")])
async def test_not_everything_can_be_deleted_by_leaving_out_what(profiles, query):
    with pytest.raises(StoreRefused, match="of which namespace and workload"):
        await profiles.delete(query)


async def test_what_is_kept_is_summed_up_by_workload(profiles, profile, now):
    await profiles.put([profile(), profile(pod="shop-b", ago=HOUR), profile(kind=Kind.MERGED)])
    await profiles.put([profile(namespace="other", data=b"12345")])
    found = await profiles.workloads()
    assert [(one.namespace, one.kind, one.pods, one.profiles) for one in found] == [
        ("other", Kind.RAW, 1, 1),
        ("web", Kind.MERGED, 1, 1),
        ("web", Kind.RAW, 2, 2),
    ]
    assert found[0].size == 5
    assert (found[2].first, found[2].last) == (profile(ago=HOUR).start, profile().end)
    assert [one.namespace for one in await profiles.workloads("web")] == ["web", "web"]


async def test_what_is_too_old_is_swept_away_each_kind_at_its_age(opened, profile, now):
    profiles = ProfileRepository(opened, retention=Retention(), clock=lambda: now)
    batch = [
        profile(kind=kind, ago=ago)
        for kind in Kind
        for ago in (HOUR, DAY + 2 * MERGE_STEP, 31 * DAY)
    ]
    await profiles.put(batch)
    gone = await profiles.sweep()
    assert gone == Deleted(3, 3 * len(profile().data))
    left = {(one.kind, round((now - one.start) / HOUR)) for one in await all_of(profiles)}
    assert left == {(Kind.MERGED, 24), (Kind.RAW, 1), (Kind.MERGED, 1)}
    assert await profiles.sweep() == Deleted(0, 0)


@pytest.mark.slow
async def test_no_more_than_the_space_is_ever_used_and_the_oldest_raw_ones_go(opened, profile, now):
    retention = Retention(size=50_000)
    profiles = ProfileRepository(opened, retention=retention, clock=lambda: now)
    await profiles.put([profile(kind=Kind.MERGED, ago=10 * HOUR, data=bytes(1_000))])
    for place in range(30):
        ago = 6 * HOUR - place * MERGE_STEP
        await profiles.put([profile(ago=ago, data=bytes(2_500))])
        used = sum(one.size for one in await profiles.workloads())
        assert used <= retention.size * 1.05
    left = await all_of(profiles)
    assert left[0].kind is Kind.MERGED
    assert left[-1].start == profile(ago=6 * HOUR - 29 * MERGE_STEP).start
    assert len(left) > 15
    raw = [one.start for one in left[1:]]
    assert raw == [raw[0] + place * MERGE_STEP for place in range(len(raw))]  # no gap


async def test_the_sweep_forgets_targets_that_have_nothing_left(opened, profile, now):
    clock = [now]
    profiles = ProfileRepository(opened, retention=Retention(), clock=lambda: clock[0])
    await profiles.put([profile()])
    clock[0] += 2 * DAY
    assert (await profiles.sweep()).profiles == 1
    async with opened.reading() as connection:
        found = await connection.exec_driver_sql("SELECT count(*) FROM profile_targets")
        assert found.scalar() == 0


@pytest.mark.slow
async def test_many_writers_and_a_sweeper_lose_nothing(database, profile, now):
    opened = [await Database.open(database) for _ in range(3)]
    writers = [ProfileRepository(one, clock=lambda: now) for one in opened]
    sweeper = ProfileRepository(opened[0], retention=Retention(), clock=lambda: now)

    async def work(writer, share):
        for first in range(0, 30, 6):
            batch = [
                profile(pod=f"shop-{place % 4}", process=f"{share}-{place}")
                for place in range(first, first + 6)
            ]
            await writer.put(batch if share % 2 else batch[::-1])

    async with asyncio.timeout(30):
        await asyncio.gather(
            *(work(writer, share) for share, writer in enumerate(writers)),
            *(sweeper.sweep() for _ in range(5)),
        )
    assert len(await all_of(writers[0])) == 90
    for one in opened:
        await one.aclose()


async def test_what_is_kept_outlives_the_process(database, profile, now):
    for _ in range(2):
        opened = await Database.open(database)
        await ProfileRepository(opened, clock=lambda: now).put([profile()])
        await opened.aclose()
    opened = await Database.open(database)
    assert len(await all_of(ProfileRepository(opened, clock=lambda: now))) == 1
    await opened.aclose()


batches = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.sampled_from(list(Kind)),
            st.integers(0, 3),
            st.integers(1, 3),
            st.sampled_from(["", "7"]),
        ),
        max_size=5,
    ),
    max_size=4,
)


@pytest.mark.slow
@settings(max_examples=8)
@given(batches=batches)
async def test_the_one_in_memory_does_the_same(batches, tmp_path_factory, profile, now):
    file = tmp_path_factory.mktemp("same") / "store.db"
    opened = await Database.open(str(file))
    real = ProfileRepository(opened, clock=lambda: now)
    memory = MemoryProfiles(clock=lambda: now, page=2)
    try:
        for batch in batches:
            made = [
                profile(pod=pod, kind=kind, ago=ago, windows=windows, process=process)
                for pod, kind, ago, windows, process in batch
            ]
            assert (await real.put(made)).received == (await memory.put(made)).received

        def known(found):
            return [dataclasses.replace(one, id=0) for one in found]

        def order(one):
            return one.start, one.target.pod, one.kind, one.process

        found = known(await all_of(real, data=True))
        assert sorted(found, key=order) == sorted(known(await all_of(memory, data=True)), key=order)
        assert await real.workloads() == await memory.workloads()
        only = ProfileQuery(namespace="web", workload="deployment/shop", pod="a")
        assert await real.delete(only) == await memory.delete(only)
    finally:
        await opened.aclose()


def test_a_target_without_a_pod_is_told_as_all_of_them():
    assert str(Target("web", "deployment/shop", "app")) == "web/deployment/shop all pods app"
