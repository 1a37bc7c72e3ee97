"""Roll-ups in a real SQLite and a real PostgreSQL."""

import asyncio
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretide.store import chunks
from foretide.store.errors import StoreRefused
from foretide.store.memory import MemoryRollups
from foretide.store.repository import Repository
from foretide.store.rollups import STEP, Columns, Rollup, SeriesKey

DAY = 86_400
LATER = 2_000_000_000


async def rows(rollups, key, start=0, end=LATER, **options):
    return list(await rollups.read(key, start, end, **options))


async def test_what_is_written_is_read(repository, key, columns):
    written = columns(10, 20, 30)
    assert await repository.write({key(): written}) == (3, 3)
    assert await rows(repository, key()) == list(written)


async def test_only_the_times_asked_for_are_read(repository, key, columns, now):
    await repository.write({key(): columns(*range(1, 200))})
    found = await repository.read(key(), now - 5 * STEP, now - 2 * STEP)
    assert list(found.max) == [195, 196, 197]


async def test_peaks_can_be_read_alone(repository, key, columns):
    await repository.write({key(): columns(10)})
    (rollup,) = await rows(repository, key(), peaks_only=True)
    assert rollup.max == 10
    assert math.isnan(rollup.mean)
    assert math.isnan(rollup.last)


async def test_a_batch_that_is_sent_again_changes_nothing(repository, key, columns):
    batch = {key(): columns(10, 20, 30), key("cart"): columns(5)}
    before = await repository.write(batch), await rows(repository, key())
    assert await repository.write(batch) == (4, 0)
    assert before == ((4, 4), await rows(repository, key()))


async def test_a_more_complete_roll_up_replaces_a_partial_one_and_not_the_other_way(
    repository, key, columns
):
    await repository.write({key(): columns(10, samples=7)})
    await repository.write({key(): columns(30, samples=20)})
    await repository.write({key(): columns(20, samples=13)})
    assert [rollup.max for rollup in await rows(repository, key())] == [30]


async def test_a_roll_up_may_be_there_twice_in_a_batch(repository, key, columns):
    once, again = columns(10, samples=7), columns(30, samples=20)
    twice = Columns.of([*once, *again, *once])
    assert await repository.write({key(): twice}) == (3, 2)
    assert [rollup.max for rollup in await rows(repository, key())] == [30]


async def test_series_do_not_mix(repository, key, columns):
    keys = [
        key(),
        key("cart"),
        key(metric="jobs"),
        key(namespace="other"),
        key(fingerprint="fedcba9876543210"),
    ]
    await repository.write({one: columns(place + 1) for place, one in enumerate(keys)})
    for place, one in enumerate(keys):
        assert [rollup.max for rollup in await rows(repository, one)] == [place + 1]
    assert await rows(repository, key("nobody")) == []


async def test_the_series_are_listed_with_their_first_and_last_time(repository, key, columns, now):
    await repository.write({key(): columns(*range(1, 500)), key("cart"): columns(1)})
    await repository.write({key(namespace="other"): columns(1, end=now - 30 * DAY)})
    found = await repository.series()
    assert [info.key for info in found] == [key(namespace="other"), key("cart"), key()]
    assert [(info.first, info.last) for info in found] == [
        (now - 30 * DAY - STEP, now - 30 * DAY - STEP),
        (now - STEP, now - STEP),
        (now - 499 * STEP, now - STEP),
    ]
    assert [info.key for info in await repository.series("web")] == [key("cart"), key()]
    assert [info.key for info in await repository.series("web", "shop")] == [key()]
    assert await repository.series("nowhere") == []


async def test_series_can_be_deleted(repository, key, columns):
    old = key(fingerprint="fedcba9876543210")
    keys = [key(), old, key(metric="jobs"), key("cart")]
    await repository.write({one: columns(1) for one in keys})
    assert await repository.delete("web", "shop", "requests", old.fingerprint) == 1
    assert await rows(repository, old) == []
    assert await repository.delete("web", "shop") == 2
    assert [info.key for info in await repository.series()] == [key("cart")]
    assert await repository.delete("web", "shop") == 0


async def test_a_deleted_series_can_begin_anew(repository, key, columns):
    await repository.write({key(): columns(1, 2)})
    await repository.delete("web", "shop")
    await repository.write({key(): columns(3)})
    assert [rollup.max for rollup in await rows(repository, key())] == [3]


async def test_the_sweep_deletes_what_is_too_old(repository, key, columns, now):
    await repository.write({key(): columns(1, end=now - 800 * DAY), key("cart"): columns(2)})
    await repository.write({key(): columns(3, end=now - 700 * DAY)})
    assert await repository.sweep(730 * DAY) == 6
    assert [rollup.max for rollup in await rows(repository, key())] == [3]
    assert [rollup.max for rollup in await rows(repository, key("cart"))] == [2]
    assert await repository.sweep(730 * DAY) == 0


async def test_the_sweep_forgets_series_that_have_nothing_left(database, key, columns, now):
    clock = [now - 800 * DAY]
    repository = await Repository.open(database, clock=lambda: clock[0])
    await repository.write({key(): columns(1, end=clock[0])})
    clock[0] = now
    await repository.write({key("cart"): columns(1)})
    await repository.sweep(730 * DAY)
    assert [info.key for info in await repository.series()] == [key("cart")]
    await repository.aclose()


async def test_a_batch_is_kept_wholly_or_not_at_all(repository, key, columns):
    bad = columns(1, 2, 3, max=math.nan)
    with pytest.raises(StoreRefused):
        await repository.write({key("cart"): columns(1), key(): bad})
    assert await repository.series() == []


async def test_an_empty_batch_is_nothing(repository, key):
    assert await repository.write({}) == (0, 0)
    assert await repository.write({key(): Columns()}) == (0, 0)
    assert await repository.series() == []


async def test_times_that_are_none_are_refused(repository, key):
    for times in ((math.nan, 1.0), (0.0, math.inf), (1.79e12, 1.8e12)):
        with pytest.raises(StoreRefused, match=r"Unix seconds|milliseconds"):
            await repository.read(key(), *times)


async def test_what_is_kept_outlives_the_process(database, key, columns, now):
    for peaks in ([1, 2], [1, 2, 3]):
        repository = await Repository.open(database, clock=lambda: now)
        await repository.write({key(): columns(*peaks)})
        await repository.aclose()
    again = await Repository.open(database, clock=lambda: now)
    assert [rollup.max for rollup in await rows(again, key())] == [1, 1, 2]
    await again.aclose()


async def test_many_writers_lose_nothing(database, key, now):
    """Several processes' worth of repositories write into the same chunks at the same time."""
    base = chunks.slot_of(now - DAY) * chunks.SECONDS
    keys = [key(f"app-{number}") for number in range(3)]
    expected = {
        one: [Rollup(base + place * STEP, 1 + place % 9, 1, 2, 1) for place in range(60)]
        for one in keys
    }
    pieces = [(one, rollup) for one in keys for rollup in expected[one]]
    random.Random(4).shuffle(pieces)
    repositories = [await Repository.open(database, clock=lambda: now) for _ in range(4)]

    async def work(repository, share):
        for first in range(0, len(share), 15):
            batch = {}
            for one, rollup in share[first : first + 15]:  # keys in any order
                batch[one] = Columns.of([*batch.get(one, Columns()), rollup])
            await repository.write(batch)

    await asyncio.gather(
        *(work(repository, pieces[number::4]) for number, repository in enumerate(repositories))
    )
    for one in keys:
        assert await rows(repositories[0], one) == expected[one]
    for repository in repositories:
        await repository.aclose()


async def test_a_writer_and_a_deleter_do_not_wait_for_each_other_for_ever(database, key, columns):
    writer, deleter = [await Repository.open(database) for _ in range(2)]
    async with asyncio.timeout(20):
        for _ in range(5):
            await asyncio.gather(
                writer.write({key(f"app-{n}"): columns(1) for n in range(5)}),
                *(deleter.delete("web", f"app-{n}") for n in reversed(range(5))),
            )
    await writer.write({key("app-0"): columns(1)})
    assert await rows(writer, key("app-0"))
    await writer.aclose()
    await deleter.aclose()


batches = st.lists(
    st.dictionaries(
        st.sampled_from([SeriesKey("a", "b", "c", "0"), SeriesKey("a", "b", "c", "1")]),
        st.lists(
            st.builds(
                Rollup,
                st.integers(0, 300).map(lambda place: 1_789_900_200 + place * STEP),
                st.integers(1, 3),
                st.sampled_from([math.nan, 0.0, 1 / 3]),
                st.floats(min_value=1, max_value=1e9),
                st.sampled_from([math.nan, 0.5]),
            ),
            max_size=6,
        ).map(Columns.of),
    ),
    max_size=5,
)


@pytest.mark.slow
@settings(max_examples=8)
@given(batches=batches)
async def test_the_one_in_memory_does_the_same(batches, tmp_path_factory, now):
    file = tmp_path_factory.mktemp("same") / "store.db"
    real = await Repository.open(str(file), clock=lambda: now)
    memory = MemoryRollups(clock=lambda: now)
    try:
        for batch in batches:
            assert await real.write(batch) == await memory.write(batch)
        assert await real.series() == await memory.series()
        for info in await real.series():
            found = repr(await rows(real, info.key))  # NaN is like NaN
            assert found == repr(await rows(memory, info.key))
    finally:
        await real.aclose()


async def test_the_file_of_sqlite_grows_with_what_changes_only(tmp_path, key, columns, now):
    repository = await Repository.open(str(tmp_path / "store.db"), clock=lambda: now)
    await repository.write({key(): columns(*range(1, 500))})
    await repository.aclose()
    size = (tmp_path / "store.db").stat().st_size
    repository = await Repository.open(str(tmp_path / "store.db"), clock=lambda: now)
    for _ in range(5):
        await repository.write({key(): columns(*range(1, 500))})
    await repository.aclose()
    assert (tmp_path / "store.db").stat().st_size == size
