"""Pods: when they are ready, and which of them go."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.simulation.pods import Pods


def ready(pods, *moments):
    return pods.ready(np.array(moments, dtype=float)).tolist()


def test_a_pod_is_ready_when_its_delay_is_over():
    pods = Pods(delay=100)
    pods.start_with(2, 0)
    pods.scale(5, 1_000)
    assert ready(pods, 500, 1_000, 1_099, 1_100, 2_000) == [2, 2, 2, 5, 5]


def test_pods_that_are_not_ready_go_first():
    pods = Pods(delay=100)
    pods.start_with(2, 0)
    pods.scale(5, 1_000)
    pods.scale(3, 1_050)
    assert ready(pods, 1_050, 1_099, 1_100) == [2, 2, 3]


def test_ready_pods_go_at_once_when_there_are_no_others():
    pods = Pods(delay=100)
    pods.start_with(4, 0)
    pods.scale(1, 1_000)
    assert ready(pods, 999, 1_000) == [4, 1]


def test_taking_back_and_asking_again_starts_the_delay_anew():
    pods = Pods(delay=100)
    pods.start_with(1, 0)
    pods.scale(2, 1_000)
    pods.scale(1, 1_050)
    pods.scale(2, 1_060)
    assert ready(pods, 1_100, 1_159, 1_160) == [1, 1, 2]


def test_jitter_spreads_starts_around_the_delay_the_same_for_the_same_seed():
    def starts(seed):
        pods = Pods(delay=100, jitter=0.2, seed=seed)
        pods.start_with(0, 0)
        pods.scale(500, 0)
        return ready(pods, *range(0, 200))

    first = starts(1)
    assert first[79] == 0
    assert 200 < first[100] < 300
    assert first[121] == 500
    assert starts(1) == first
    assert starts(2) != first


@given(
    st.lists(st.tuples(st.integers(1, 300), st.integers(0, 40)), min_size=1, max_size=30),
    st.floats(0, 500),
    st.floats(0, 0.9),
)
def test_no_more_pods_are_ready_than_were_asked_for(changes, delay, jitter):
    pods = Pods(delay=delay, jitter=jitter)
    pods.start_with(3, 0)
    times, counts, now = [0.0], [3], 0.0
    for after, replicas in changes:
        now += after
        pods.scale(replicas, now)
        times.append(now)
        counts.append(replicas)
    moments = np.arange(0, now + 1_500, 7.0)
    asked = np.array(counts)[np.searchsorted(times, moments, side="right") - 1]
    there = pods.ready(moments)
    assert (there <= asked).all()
    # A pod that nobody takes away is ready in the end.
    assert there[-1] == counts[-1]
