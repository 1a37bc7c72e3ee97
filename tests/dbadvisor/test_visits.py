"""Reads of one key that come together, of which a sample was seen."""

import random

import pytest

from foretide.dbadvisor.executed import Execution
from foretide.dbadvisor.popularity import of_executions
from foretide.dbadvisor.projecting import Traffic, projected
from foretide.dbadvisor.visits import visits

SECONDS, KEYS = 1800.0, 20_000


def sample(size, seen, seed=1, rate=2.0, apart=2.0):
    """Of visits with `size()` reads each, one after the other, to keys that are all alike."""
    chance = random.Random(seed)
    reads, at = [], 0.0
    while (at := at + chance.expovariate(rate)) < SECONDS:
        key, moment = (str(chance.randrange(KEYS)),), at
        for _ in range(size(chance)):
            reads.append(Execution(moment, key))
            moment += chance.expovariate(1 / apart)
    reads.sort(key=lambda each: each.at)
    return len(reads), [each for each in reads if chance.random() < seen]


def never(seconds):
    """No change comes."""
    return 1.0


def three(chance):
    return 3


def any_number(chance):
    """Geometric: whoever has read once more does so again as likely as before."""
    return 1 + (any_number(chance) if chance.random() < 2 / 3 else 0)


@pytest.mark.parametrize(("size", "following"), [(three, 2.0), (any_number, 2.0)])
@pytest.mark.parametrize("seen", [0.25, 0.5, 1.0])
def test_how_many_reads_follow_the_first_one_shows_in_a_sample(size, following, seen):
    _, executed = sample(size, seen)
    least, most = visits(executed, seen).following(600.0, never)
    assert (least + most) / 2 == pytest.approx(following, rel=0.2)


def test_of_too_small_a_sample_visits_may_be_alike_or_not():
    _, executed = sample(three, 0.06)
    found = visits(executed, 0.06)
    assert not found.told
    least, most = found.following(600.0, never)
    assert least < 2.0 < most


def test_answers_that_live_no_longer_than_a_visit_serve_fewer_of_its_reads():
    _, executed = sample(three, 0.5)
    found = visits(executed, 0.5)
    by_ttl = [found.following(ttl, never)[1] for ttl in (0.01, 1.0, 3.0, 30.0)]
    assert by_ttl == sorted(by_ttl)
    assert by_ttl[0] < 0.1
    assert found.following(600.0, lambda seconds: seconds < 1)[1] == pytest.approx(by_ttl[1], 0.1)


def test_of_many_caches_each_sees_a_part_of_a_visit():
    _, executed = sample(three, 0.5)
    found = visits(executed, 0.5)
    shares = [found.following(600.0, never, share)[1] for share in (1.0, 0.5, 0.05)]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 0.15


def chosen(weights, at_moments, chance):
    keys = chance.choices(range(len(weights)), weights, k=len(at_moments))
    return [Execution(at, (str(key),)) for at, key in zip(sorted(at_moments), keys, strict=True)]


def test_popular_keys_and_busy_times_are_no_visits():
    """Nine of ten reads come in a tenth of the time; keys are as unlike as keys mostly are."""
    chance = random.Random(3)
    busy = [
        chance.uniform(0, 6) + 60 * chance.randrange(30)
        if chance.random() < 0.9
        else chance.uniform(0, SECONDS)
        for _ in range(8000)
    ]
    for exponent in (0.0, 0.8, 1.2):
        weights = [1 / rank**exponent for rank in range(1, 5001)]
        assert visits(chosen(weights, busy, chance), 0.5) is None


def test_a_report_that_goes_through_all_keys_is_no_visit():
    executed = [Execution(n / 5, (str(n % 3000),)) for n in range(9000)]
    assert visits(executed, 1.0) is None


@pytest.mark.parametrize("ttl", [30.0, 300.0])
def test_the_first_of_a_visit_misses_and_the_others_hit(ttl):
    calls, executed = sample(three, 0.3, rate=1.0)
    least, most = projected(
        of_executions(executed, calls), Traffic(calls / SECONDS, 0.0), ttl, invalidated=True
    )
    # One of 20,000 keys is visited again within its TTL once in 60 times, or less.
    assert (least + most) / 2 == pytest.approx(1 - 1 / (3 * (1 + ttl / KEYS)), abs=0.05)
    assert most - least < 0.16
