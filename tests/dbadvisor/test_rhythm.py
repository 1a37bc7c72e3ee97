"""What a cache makes of traffic whose rhythm is known: against its replay, or exactly."""

import random
from bisect import bisect_left

import pytest

from foretide.dbadvisor.cache_replay import Moment, replay
from foretide.dbadvisor.hit_rate import ONE_KEY, Popularity, hit_rate, lifetime, uniform
from foretide.dbadvisor.rhythm import (
    Counts,
    Pace,
    Rhythm,
    answered,
    clump,
    counted,
    coupling,
    leveled,
    pace,
)


def even(reads, changes=0.0, seconds=1800.0):
    """A rhythm that is none."""
    steps = int(seconds / 60)
    fine = Counts(0.5, (reads / 2,) * 600, (changes / 2,) * 600)
    return Rhythm(Counts(60.0, (reads * 60,) * steps, (changes * 60,) * steps), fine)


@pytest.mark.parametrize("ttl", [1.0, 7.0, 60.0, 90.0, 130.0, 300.0, 1200.0])
@pytest.mark.parametrize("changes", [0.0, 0.02, 1.0])
@pytest.mark.parametrize("keys", [1, 30, 5000])
def test_without_a_rhythm_it_is_what_poissons_formula_says(ttl, changes, keys):
    popularity = uniform(keys)
    found = answered(popularity, pace(even(8.0, changes), ttl), ttl)
    assert found == pytest.approx(hit_rate(popularity, 8.0, lifetime(ttl, changes)), abs=0.02)


def moments(reads, changes=(), keys=1, chance=None):
    found = [Moment(at, str(chance.randrange(keys)) if chance else "1") for at in reads]
    return sorted([*found, *(Moment(at, None) for at in changes)], key=lambda each: each.at)


def rhythm_of(reads, changes, seconds):
    reads, changes = sorted(reads), sorted(changes)

    def looks(step):
        times = [step * number for number in range(int(seconds / step) + 1)]
        return [(t, bisect_left(reads, t), bisect_left(changes, t)) for t in times]

    return Rhythm(counted(looks(60.0), 60.0), counted(looks(0.5), 0.5))


def poisson(rate, begin, end, chance):
    at = begin + chance.expovariate(rate)
    while at < end:
        yield at
        at += chance.expovariate(rate)


@pytest.mark.parametrize("invalidated", [False, True])
@pytest.mark.parametrize("ttl", [1.0, 10.0, 60.0])
def test_bursts_within_a_minute_have_the_hits_of_a_replay(ttl, invalidated):
    chance = random.Random(5)
    reads = [at for m in range(10) for at in poisson(30.0, m * 60, m * 60 + 6, chance)]
    changes = list(poisson(0.05, 0, 600, chance))
    rhythm = rhythm_of(reads, changes if invalidated else [], 600)
    real = replay(moments(reads, changes, 40, chance), ttl, invalidation=invalidated)
    found = answered(uniform(40), pace(rhythm, ttl), ttl)
    assert found == pytest.approx(real, abs=0.05)
    if ttl == 1.0:
        as_if_even = hit_rate(uniform(40), len(reads) / 600, ttl)
        assert found > as_if_even + 0.2


def test_a_batch_of_changes_drops_an_answer_once():
    chance = random.Random(6)
    reads = list(poisson(2.0, 0, 600, chance))
    changes = [at + chance.random() * 0.3 for at in poisson(0.1, 0, 600, chance) for _ in range(50)]
    real = replay(moments(reads, changes), 300.0, invalidation=True)
    found = answered(ONE_KEY, pace(rhythm_of(reads, changes, 600), 300.0), 300.0)
    assert found == pytest.approx(real, abs=0.06)
    assert found > hit_rate(ONE_KEY, 2.0, lifetime(300.0, 5.0)) + 0.3


def test_reads_that_come_with_changes_are_misses():
    """Nobody asks but who has just written."""
    chance = random.Random(7)
    changes = list(poisson(0.3, 0, 600, chance))
    reads = [at + 0.02 for at in changes]
    rhythm = rhythm_of(reads, changes, 600)
    assert coupling(rhythm.fine) == pytest.approx(1.0, abs=0.15)
    assert answered(ONE_KEY, pace(rhythm, 60.0), 60.0) < 0.15
    apart = rhythm_of(list(poisson(0.3, 0, 600, chance)), changes, 600)
    assert coupling(apart.fine) == 0.0


def test_chance_is_no_rhythm():
    chance = random.Random(8)
    level = leveled([float(chance.random() < 0.3) for _ in range(2000)])
    assert max(level[100:-100]) - min(level[100:-100]) < 0.2
    assert leveled([0.0] * 5) == [0.0] * 5
    assert leveled([3.0]) == [3.0]


def test_a_burst_shows_even_with_few_reads_in_each_step():
    chance = random.Random(9)
    busy = [place % 128 < 32 for place in range(2048)]
    counts = [float(chance.random() < (0.2 if each else 0.01)) for each in busy]
    level = leveled(counts)
    assert sum(level) == pytest.approx(sum(counts))
    within = [each for each, burst in zip(level, busy, strict=True) if burst]
    assert sum(within) / sum(level) > 0.8
    assert sum(0.1 < each < 0.35 for each in within) > 0.8 * len(within)


def test_busy_times_of_some_seconds_are_neither_batches_nor_reads_that_come_with_changes():
    chance = random.Random(10)
    reads = [at for m in range(10) for at in poisson(100.0, m * 60, m * 60 + 10, chance)]
    changes = [at for m in range(10) for at in poisson(6.0, m * 60, m * 60 + 10, chance)]
    fine = rhythm_of(reads, changes, 600).fine
    assert clump(fine) < 2
    assert coupling(fine) <= 2
    batches = [at + chance.random() * 0.3 for at in poisson(0.1, 0, 600, chance) for _ in range(50)]
    assert clump(rhythm_of(reads, batches, 600).fine) > 20


def test_caches_that_share_the_reads_see_each_its_part():
    paced = pace(even(10.0), 30.0)
    found = answered(uniform(50), paced, 30.0, thinned=0.1)
    assert found == pytest.approx(hit_rate(uniform(50), 1.0, 30.0), abs=0.02)


def test_counters_that_fall_back_count_nothing():
    """They were reset; what came since is small against what there was."""
    found = counted([(0.0, 100.0, 5.0), (1.0, 110.0, 5.0), (2.0, 3.0, 0.0), (3.0, 13.0, 2.0)], 1.0)
    assert found == Counts(1.0, (10.0, 0.0, 10.0), (0.0, 0.0, 2.0))
    assert counted([(0.0, 0.0, 0.0), (1.0, 5.0, 0.0)], 1.0) is None


def test_looks_at_odd_moments_are_shared_out():
    found = counted([(0.0, 0.0, 0.0), (1.5, 15.0, 0.0), (3.0, 15.0, 3.0)], 1.0)
    assert found.reads == pytest.approx((10.0, 5.0, 0.0))
    assert found.changes == pytest.approx((0.0, 1.0, 2.0))


def test_nothing_read_is_nothing_answered():
    assert answered(Popularity(((1.0, 1.0),)), Pace(1.0, (0.0,), (1.0,), 1.0), 5.0) == 0.0


def test_a_minute_with_more_reads_was_busy_for_longer_and_no_busier():
    """Ten reads a second or none: of the five minutes looked at none was busy for all of it."""
    fine = Counts(0.5, ((5.0,) * 20 + (0.0,) * 100) * 5, (0.0,) * 600)
    slow = Counts(60.0, (100.0,) * 15 + (600.0,) * 15, (0.0,) * 30)
    paced = pace(Rhythm(slow, fine), 1.0)
    assert max(paced.reads) / paced.step < 15
    assert sum(paced.reads) / len(paced.reads) / paced.step == pytest.approx(350 / 60, rel=0.05)


def test_a_change_that_was_seen_once_is_no_batch_at_a_busier_time():
    fine = Counts(0.5, (1.0,) * 600, (0.0,) * 300 + (1.0,) + (0.0,) * 299)
    busier = Counts(0.5, fine.reads, tuple(3 * each for each in fine.changes))
    slow = Counts(60.0, (120.0,) * 30, (0.6,) * 30)
    assert pace(Rhythm(slow, busier, counted=fine), 60.0).clump == 1.0


def test_what_met_by_chance_once_is_not_taken_to_do_so_always():
    """One busy time of each was seen, at the same moment, or one after the other."""
    busy = (0.0,) * 100 + (10.0,) * 40 + (0.0,) * 460
    later = (0.0,) * 170 + (1.0,) * 40 + (0.0,) * 390
    slow = Counts(60.0, (80.0,) * 30, (8.0,) * 30)
    paced = pace(Rhythm(slow, Counts(0.5, busy, later)), 30.0)
    met = sum(a * b for a, b in zip(paced.reads, paced.changes, strict=True))
    assert met > 0
