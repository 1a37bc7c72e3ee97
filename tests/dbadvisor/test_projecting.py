"""A day's shape, of which half an hour shows one phase alone."""

import random
from dataclasses import replace

import pytest

from foretide.dbadvisor.cache_replay import Moment, replay
from foretide.dbadvisor.hit_rate import uniform
from foretide.dbadvisor.popularity import Repeats
from foretide.dbadvisor.projecting import Traffic, levels, projected
from foretide.dbadvisor.pulses import seen
from foretide.dbadvisor.rhythm import Counts, Rhythm
from foretide.dbadvisor.snapshot import Pulse, Query, Workload

QUARTER, HALF = 900.0, 43_200.0
KEYS, BUSY, QUIET, CHANGES = 40, 1.0, 0.05, 0.004


def evenly(reads, changes, seconds, step):
    number = int(seconds / step)
    return Counts(step, (reads * step,) * number, (changes * step,) * number)


def joined(one, other):
    return Counts(one.step, one.reads + other.reads, one.changes + other.changes)


NOW = Rhythm(evenly(BUSY, CHANGES, 1800, 60.0), evenly(BUSY, CHANGES, 300, 0.5))
DAY = joined(evenly(BUSY, CHANGES, HALF, QUARTER), evenly(QUIET, CHANGES, HALF, QUARTER))


@pytest.fixture(scope="module")
def day():
    """Busy for half of it, and hardly read in the other half."""
    chance = random.Random(5)
    found = []
    for begin, rate in ((0.0, BUSY), (HALF, QUIET)):
        for of, often in ((True, rate), (False, CHANGES)):
            at = begin + chance.expovariate(often)
            while at < begin + HALF:
                found.append(Moment(at, str(chance.randrange(KEYS)) if of else None))
                at += chance.expovariate(often)
    return sorted(found, key=lambda each: each.at)


@pytest.mark.parametrize("ttl", [10.0, 60.0, 300.0, 3600.0])
@pytest.mark.parametrize("invalidated", [False, True])
def test_a_day_that_was_looked_at_is_projected_by_its_hours(day, ttl, invalidated):
    mean = (BUSY + QUIET) / 2
    known = Traffic(mean, CHANGES, replace(NOW, day=DAY))
    least, most = projected(Repeats(uniform(KEYS)), known, ttl, invalidated=invalidated)
    assert (least + most) / 2 == pytest.approx(replay(day, ttl, invalidation=invalidated), abs=0.03)


def test_what_was_seen_in_a_quiet_hour_is_not_taken_for_the_day():
    quiet = Rhythm(evenly(QUIET, CHANGES, 1800, 60.0), evenly(QUIET, CHANGES, 300, 0.5))
    mean = (BUSY + QUIET) / 2
    hour, whole = (
        projected(Repeats(uniform(KEYS)), Traffic(mean, CHANGES, one), 60.0, invalidated=False)
        for one in (quiet, replace(quiet, day=DAY))
    )
    assert max(hour) < min(whole) - 0.3


def test_levels_share_out_a_days_reads_and_keep_its_rates():
    found = levels(replace(NOW, day=DAY))
    assert sum(weight for weight, _ in found) == pytest.approx(1)
    rates = [sum(one.slow.reads) / one.slow.seconds for _, one in found]
    assert rates == sorted(rates)
    assert rates == [pytest.approx(QUIET, rel=0.05), pytest.approx(BUSY, rel=0.05)]
    assert len(levels(replace(NOW, day=evenly(BUSY, CHANGES, HALF, QUARTER)))) == 1
    assert levels(NOW) == [(1.0, NOW)]


def looked(seconds, step, rates):
    calls = dict.fromkeys(rates, 0.0)
    for number in range(int(seconds / step) + 1):
        yield Pulse(number * step, {each: int(count) for each, count in calls.items()})
        for each, rate in rates.items():
            calls[each] += rate(number * step) * step


WINDOWS = [Workload((Query("1", "", 60.0, 0.0),), 60.0)] * 30


def test_looks_far_apart_show_a_days_shape():
    rates = {1: lambda at: BUSY if at < HALF else QUIET, 2: lambda at: CHANGES}
    found = seen(WINDOWS, (), list(looked(2 * HALF, QUARTER, rates))).rhythm("1", ["2"])
    assert found.day.step == QUARTER
    assert sum(found.day.reads[:48]) == pytest.approx(HALF * BUSY, rel=0.01)
    assert sum(found.day.reads[48:]) == pytest.approx(HALF * QUIET, rel=0.01)


def test_no_longer_than_what_was_seen_lately_they_show_nothing_more():
    found = seen(WINDOWS, (), list(looked(2700, QUARTER, {1: lambda at: BUSY}))).rhythm("1", [])
    assert found.day is None


def test_what_was_followed_later_counts_from_then_on():
    """Its calls so far are not those of one stretch."""
    looks = list(looked(HALF, QUARTER, {1: lambda at: BUSY, 2: lambda at: CHANGES}))
    late = [
        Pulse(one.at, {1: one.calls[1]} if number < 10 else {1: one.calls[1], 2: 10_000_000})
        for number, one in enumerate(looks)
    ]
    found = seen(WINDOWS, (), late).rhythm("1", ["2"])
    assert found.day.seconds == HALF - 10 * QUARTER
    assert sum(found.day.changes) == 0
