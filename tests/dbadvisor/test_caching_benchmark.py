"""The benchmark of projected hit rates, on traffic small enough for a test."""

import random
from dataclasses import replace

import pytest

from benchmarks import dbadvisor_caching
from benchmarks.dbadvisor_traffic import Traffic, cases, moments


@pytest.mark.slow
@pytest.mark.parametrize(
    "traffic",
    [
        Traffic(100, 0.8, 3.0, "bursts", 0.02, sampled=0.5),
        Traffic(5000, 0.0, 3.0, "even", asking="visits", sampled=1.0, ordered=True),
    ],
    ids=["bursts", "visits"],
)
def test_projections_hold_against_a_replay(traffic):
    found = {traffic: dbadvisor_caching.outcomes(traffic, seed=77)}
    assert max(dbadvisor_caching.worst(found).values()) <= 10
    assert dbadvisor_caching.refused(found) <= 0.3


def test_without_a_close_look_bursts_are_taken_for_an_even_flow():
    traffic = Traffic(20, 0.0, 2.0, "bursts", sampled=0.5)
    close = dbadvisor_caching.outcomes(traffic, seed=3)["1 s"]
    blind = dbadvisor_caching.outcomes(traffic, seed=3, close=False)["1 s"]
    assert blind.projected < close.projected - 0.1


def times_alone(traffic):
    """The same for traffic whose moments are the same: which key is read is drawn after them."""
    if traffic.asking != "any":
        return traffic
    return replace(traffic, keys=1, exponent=0.0, sampled=1.0, ordered=False, day=False, held=False)


SMALL = {times_alone(each): each for each in cases() if each.keys <= 50_000 and each.reads <= 20}


@pytest.mark.parametrize("traffic", SMALL.values(), ids=lambda traffic: traffic.name)
def test_traffic_comes_as_often_as_it_says(traffic):
    seconds = 1800.0
    found = list(moments(traffic, seconds, random.Random(4)))
    assert [each.at for each in found] == sorted(each.at for each in found)
    reads = sum(each.key is not None for each in found) / seconds
    more = traffic.changes if traffic.writing == "before reads" else 0
    assert 0.3 * traffic.reads < reads < 2.5 * traffic.reads + more
