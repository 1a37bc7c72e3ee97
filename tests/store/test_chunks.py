"""Six hours of roll-ups as bytes."""

import math
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.store import chunks
from foretide.store.rollups import STEP, Rollup, as_kept

BASE = chunks.slot_of(1_790_000_000) * chunks.SECONDS

values = st.floats(min_value=0, max_value=1e30)
parts = st.one_of(st.just(math.nan), values)
rollups = st.builds(
    Rollup,
    st.integers(0, chunks.SIZE - 1).map(lambda place: BASE + place * STEP),
    st.integers(1, 65_535),
    parts,
    values,
    parts,
)


def kept(data):
    return list(chunks.read([(BASE // chunks.SECONDS, data)], BASE, BASE + chunks.SECONDS))


def same(one, other):
    return repr(one) == repr(other)  # NaN is like NaN


def read_again(rollup):
    start, samples, *values = rollup
    return Rollup(start, samples, *map(as_kept, values))


@pytest.mark.slow
@given(st.lists(rollups, unique_by=lambda rollup: rollup.start))
def test_what_goes_in_comes_out_with_six_digits(some):
    data, changed = chunks.merge(None, some)
    assert changed == len(some)
    assert same(kept(data), sorted(map(read_again, some)))


@pytest.mark.slow
@given(st.lists(rollups))
def test_the_same_again_changes_nothing(some):
    data, _ = chunks.merge(None, some)
    assert chunks.merge(data, some) == (data, 0)


@pytest.mark.slow
@given(st.lists(rollups, max_size=8), st.lists(rollups, max_size=8))
def test_the_order_of_batches_does_not_matter_where_one_knows_more(one, other):
    ranks = {(rollup.start, rollup.rank) for rollup in one + other}
    if len(ranks) < len(one + other):
        return  # of two that know as much, the first one stays
    forth, _ = chunks.merge(chunks.merge(None, one)[0], other)
    back, _ = chunks.merge(chunks.merge(None, other)[0], one)
    assert forth == back


def test_the_roll_up_that_knows_more_is_kept():
    partly = Rollup(BASE, 7, 1.0, 2.0, 1.0)
    wholly = Rollup(BASE, 20, 2.0, 5.0, 3.0)
    for order in ([partly, wholly], [wholly, partly]):
        assert kept(chunks.merge(None, order)[0]) == [wholly]


def test_of_two_that_know_as_much_the_first_one_is_kept():
    first, second = Rollup(BASE, 20, 1.0, 2.0, 1.0), Rollup(BASE, 20, 2.0, 5.0, 3.0)
    assert kept(chunks.merge(None, [first, second])[0]) == [first]


def test_with_as_many_samples_a_known_mean_counts_more():
    peak = Rollup(BASE, 20, math.nan, 5.0, math.nan)
    whole = Rollup(BASE, 20, 2.0, 4.0, 3.0)
    assert kept(chunks.merge(None, [peak, whole])[0]) == [whole]
    assert kept(chunks.merge(None, [whole, peak])[0]) == [whole]


def test_only_the_times_asked_for_are_read():
    data, _ = chunks.merge(None, [Rollup(BASE + i * STEP, 1, i, i, i) for i in range(72)])
    pairs = [(BASE // chunks.SECONDS, data)]
    found = chunks.read(pairs, BASE + 3 * STEP, BASE + 5 * STEP)
    assert list(found.max) == [3, 4]
    assert list(chunks.read(pairs, BASE + 3 * STEP - 1, BASE + 4 * STEP + 1).max) == [3, 4]
    assert len(chunks.read(pairs, -math.inf, math.inf)) == 72
    assert len(chunks.read(pairs, BASE + 5 * STEP, BASE + 3 * STEP)) == 0


def test_peaks_can_be_read_alone():
    data, _ = chunks.merge(None, [Rollup(BASE, 20, 1.0, 5.0, 2.0)])
    found = chunks.read([(BASE // chunks.SECONDS, data)], BASE, BASE + STEP, peaks_only=True)
    assert same(list(found), [Rollup(BASE, 20, math.nan, 5.0, math.nan)])


def test_the_layout_is_the_same_on_every_machine():
    """A file outlives versions: planes of bytes, little-endian, all first bytes first."""
    data, _ = chunks.merge(None, [Rollup(BASE + STEP, 0x0102, 1.5, 2.5, 0.5)])
    raw = zlib.decompress(data[1:])
    assert data[:1] == b"\x01"
    assert len(raw) == 72 * 14
    assert [plane * 72 + 1 for plane in range(14) if raw[plane * 72 + 1]] == [
        place for place in range(len(raw)) if raw[place]
    ]
    assert raw[1::72] == bytes.fromhex("0201 0000c03f 00002040 0000003f")


@pytest.mark.parametrize(
    "data",
    [b"", b"\x02", b"\x01", b"\x01nothing", b"\x01" + zlib.compress(b"short")],
)
def test_what_is_no_chunk_is_an_error(data):
    with pytest.raises(chunks.CorruptChunk):
        chunks.unpack(data)
