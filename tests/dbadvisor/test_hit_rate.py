"""Projected hit rates: exact where they can be, within their bounds where they are estimated."""

import itertools
import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretide.dbadvisor.cache_replay import Moment, replay
from foretide.dbadvisor.hit_rate import (
    ONE_KEY,
    both,
    bounds,
    hit_rate,
    lifetime,
    uniform,
)
from foretide.dbadvisor.shares import estimated

COUNTS = st.lists(st.integers(1, 50), min_size=1, max_size=60)
deterministic = settings(derandomize=True, deadline=None, max_examples=60, database=None)


def arrivals(rate, seconds, chance):
    at = chance.expovariate(rate)
    while at < seconds:
        yield at
        at += chance.expovariate(rate)


def test_one_key_is_missed_once_in_each_life():
    assert hit_rate(ONE_KEY, reads=2.0, life=10.0) == pytest.approx(20 / 21)
    assert hit_rate(uniform(20), reads=2.0, life=10.0) == pytest.approx(1 / 2)


def test_a_life_ends_with_the_ttl_or_with_a_change():
    assert lifetime(60, 0.0) == 60
    assert lifetime(1e9, 0.5) == pytest.approx(2.0)
    assert lifetime(60, 1 / 60) == pytest.approx(60 * (1 - math.exp(-1)))


@deterministic
@given(COUNTS, st.floats(0.01, 100), st.floats(0.01, 1000))
def test_shares_add_up_and_longer_lives_never_have_fewer_hits(counts, reads, life):
    popularity = estimated(counts)
    assert sum(share * keys for share, keys in popularity.groups) == pytest.approx(1)
    least, most = bounds(popularity, reads, life)
    assert 0 <= least <= most <= 1
    assert most <= hit_rate(popularity.at_most_hits, reads, life * 2) + 1e-9
    assert hit_rate(uniform(popularity.keys), reads, life) <= most + 1e-9


@deterministic
@given(COUNTS)
def test_no_more_keys_are_assumed_than_there_can_be(counts):
    assert estimated(counts, len(counts)).keys == pytest.approx(len(counts))


def test_independent_constants_make_pairs():
    pairs = both(uniform(10), estimated([1, 1, 2]))
    assert pairs.sample == 4
    assert sum(share * keys for share, keys in pairs.groups) == pytest.approx(1)
    assert both(uniform(10), uniform(30)).keys == pytest.approx(300)


def test_a_sample_too_small_for_long_lives_says_so():
    chance = random.Random(1)
    seen = Counter(chance.randrange(100_000) for _ in range(300))
    popularity = estimated(seen.values())
    assert bounds(popularity, 10.0, 10.0)[1] < 0.05
    least, most = bounds(popularity, 10.0, 100_000.0)
    assert most - least > 0.3


@pytest.mark.parametrize("changes", [0.0, 0.05])
def test_the_projection_is_what_the_cache_does(changes):
    """Zipf's law over 500 keys; half of the reads are seen."""
    chance = random.Random(7)
    weights = [1 / rank for rank in range(1, 501)]
    reads = 5.0

    def traffic(seconds):
        times = list(arrivals(reads, seconds, chance))
        keys = chance.choices(range(500), weights, k=len(times))
        read = [Moment(at, str(key)) for at, key in zip(times, keys, strict=True)]
        changed = [Moment(at, None) for at in arrivals(changes, seconds, chance)] if changes else []
        return sorted(read + changed, key=lambda moment: moment.at)

    before, after = traffic(1000), traffic(2000)
    seen = Counter(m.key for m in before if m.key is not None and chance.random() < 0.5)
    popularity = estimated(seen.values())
    for ttl, invalidation in itertools.product((2.0, 30.0, 300.0), (False, True)):
        life = lifetime(ttl, changes if invalidation else 0.0)
        least, most = bounds(popularity, reads, life)
        real = replay(after, ttl, invalidation=invalidation, counted_from=1000)
        assert (least + most) / 2 == pytest.approx(real, abs=0.05)


def test_nothing_seen_is_refused():
    with pytest.raises(ValueError, match="no read"):
        estimated([])
