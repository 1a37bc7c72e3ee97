"""Keys that have their times, and those that have none."""

import random
from collections import Counter

import pytest

from foretide.dbadvisor.executed import Execution, executions
from foretide.dbadvisor.hit_rate import hit_rate
from foretide.dbadvisor.nplusone.events import event
from foretide.dbadvisor.popularity import of_executions, of_looks
from foretide.dbadvisor.snapshot import Query, Workload

SECONDS = 1800.0


def spread(keys, seen=0.5):
    """Executions at even distances, of which there were more."""
    keys = list(keys)
    executed = [
        Execution(place * SECONDS / len(keys), (str(key),)) for place, key in enumerate(keys)
    ]
    return of_executions(executed, len(keys) / seen)


def test_keys_without_times_of_their_own_are_taken_all_together():
    chance = random.Random(1)
    weights = [1 / rank for rank in range(1, 301)]
    repeats = spread(chance.choices(range(300), weights, k=9000))
    for life in (1.0, 10.0, 60.0, 600.0, 1e6):
        assert repeats.while_living(life) is repeats.popularity


def test_visitors_who_read_the_same_again_are_seen():
    """Each visit reads a row three times in a row; no row is visited twice."""
    repeats = spread(number // 3 for number in range(9000))
    rate = 9000 / SECONDS
    assert hit_rate(repeats.popularity, rate, 10.0) < 0.05
    assert hit_rate(repeats.while_living(10.0), rate, 10.0) == pytest.approx(2 / 3, abs=0.12)


def test_a_report_that_goes_through_all_keys_repeats_none_for_long():
    repeats = spread(number % 3000 for number in range(9000))
    assert hit_rate(repeats.popularity, 5.0, 100.0) > 0.1
    assert hit_rate(repeats.while_living(100.0), 5.0, 100.0) < 0.02


def test_keys_that_come_back_just_as_their_answers_end_are_told():
    """600 keys one after the other, two a second: half comes back a little too late, and what was
    seen of that looks like chance.
    """
    chance = random.Random(1)
    executed, at = [], 0.0
    for number in range(3600):
        at += chance.expovariate(2.0)
        if chance.random() < 0.7:
            executed.append(Execution(at, (str(number % 600),)))
    repeats = of_executions(executed, 3600)
    assert all(repeats.comes_evenly(life) for life in range(300, 400, 10))
    assert not any(repeats.comes_evenly(life) for life in range(200, 290, 10))


def test_keys_that_come_back_at_even_distances_are_told():
    """Each of 600 keys every 120 s: what a sample of them misses is not what a cache does."""
    repeats = spread(number % 600 for number in range(9000))
    assert repeats.comes_evenly(150.0)
    assert repeats.is_beyond(150.0)
    assert not repeats.comes_evenly(20.0)


def test_shares_of_a_block_add_up():
    popularity = spread(number // 3 for number in range(9000)).while_living(10.0)
    assert sum(share * keys for share, keys in popularity.groups) == pytest.approx(1)
    assert popularity.sample == pytest.approx(62.5, abs=3)


def test_a_handful_of_executions_tells_nothing_of_times():
    repeats = spread([1] * 5 + [2] * 5)
    assert repeats.while_living(1.0) is repeats.popularity


def test_a_log_tells_which_constants_a_query_of_the_workload_had():
    text = "SELECT * FROM item WHERE id = %s AND shelf = 'a'"
    events = [
        event(text % 7, at=2.0),
        event("SELECT 1 + 1", at=3.0),
        event("SELECT * FROM item WHERE id = $1 AND shelf = $2", at=1.0, parameters=("5", "b")),
    ]
    workload = Workload(
        (Query("12", "SELECT * FROM item WHERE id = $1 AND shelf = $2", 2, 9),), 1.0
    )
    assert executions(events, workload) == {
        "12": [Execution(1.0, ("5", "b")), Execution(2.0, ("7", "a"))]
    }


def test_what_was_seen_as_a_whole_is_replayed():
    repeats = spread((number % 3000 for number in range(9000)), seen=1.0)
    assert repeats.replayed(500.0) == 0.0  # each key comes after 600 s
    assert repeats.replayed(700.0) == pytest.approx(0.5, abs=0.1)
    assert repeats.replayed(1000.0) is None  # too short a time
    assert spread(range(9000), seen=0.5).replayed(10.0) is None


def test_nobody_can_tell_what_comes_back_after_longer_than_was_seen():
    report = spread(number % 3000 for number in range(7000))
    assert report.is_beyond(1200.0)
    assert not report.is_beyond(100.0)
    chance = random.Random(2)
    assert not spread(chance.randrange(100) for _ in range(7000)).is_beyond(1200.0)


def looks(spans, seconds=60.0):
    """What pg_qualstats has counted by the ends of stretches in which these keys were read."""
    counted = Counter()
    found = [(0.0, Counter())]
    for place, keys in enumerate(spans, 1):
        counted.update((str(key),) for key in keys)
        found.append((place * seconds, Counter(counted)))
    return found


def test_counters_that_are_read_again_and_again_show_keys_that_have_their_times():
    """Each minute asks for other keys, three times each."""
    repeats = of_looks(looks([[*range(n * 100, n * 100 + 100)] * 3 for n in range(10)]))
    assert repeats.grain == 60
    assert hit_rate(repeats.popularity, 5.0, 60.0) < 0.3
    assert hit_rate(repeats.while_living(60.0), 5.0, 60.0) > 0.6
    assert repeats.replayed(60.0) is None
    # How they come within a minute was not seen, nor what comes back after more than ten.
    assert repeats.is_beyond(5.0)
    assert repeats.is_beyond(1200.0)
    assert not repeats.is_beyond(60.0)


def test_counters_of_keys_without_times_of_their_own_are_taken_all_together():
    chance = random.Random(3)
    repeats = of_looks(looks([chance.choices(range(200), k=300) for _ in range(10)]))
    for life in (1.0, 60.0, 3600.0):
        assert not repeats.is_beyond(life)
        assert repeats.while_living(life) is repeats.popularity


def test_counters_that_have_shrunk_or_hardly_grown_tell_nothing_of_times():
    counted = looks([[1] * 300, [2] * 300])
    assert of_looks([*counted, (180.0, Counter())]) is None
    assert of_looks(looks([[1] * 10, [2] * 10])) is None
