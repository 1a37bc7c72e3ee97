"""Several processes of a container: found, sampled side by side, taken in turn."""

import contextlib
import os
import signal
import threading

import pytest

from foretide.profiling.sampler import Budget, find
from foretide.profiling.sampler.several import NothingToSample, sample_all
from foretide.profiling.sampler.watchdog import Watchdog

FORKS = """
    import os, signal

    for _ in range(2):
        if not os.fork():
            while True:
                sum(range(1000))
    print("ready", flush=True)
    signal.pause()
"""
GENEROUS = Budget(cores=1.0, stopped=1.0, rate=50.0)


@pytest.fixture
def forked(run):
    parent = run(FORKS)
    pids = [each.pid for each in find.python_processes() if each.parent == parent.pid]
    yield parent.pid, pids
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # a test may have ended it
            os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_workers_are_found_and_sampled_side_by_side(forked):
    _, workers = forked
    assert len(workers) == 2
    (windows,) = sample_all(lambda _: workers, seconds=0.5, rounds=1, budget=GENEROUS)
    assert {window.pid for window in windows} == set(workers)
    first, second = windows
    assert abs(first.started_at - second.started_at) < 2.0
    for window in windows:
        assert window.sample_count > 5


@pytest.mark.slow
def test_process_that_cannot_be_sampled_is_passed_over(forked):
    _, workers = forked
    (windows,) = sample_all(lambda _: [2**22 + 1, workers[0]], seconds=0.4, rounds=1)
    assert [window.pid for window in windows] == [workers[0]]


@pytest.mark.slow
def test_one_that_ends_within_a_round_leaves_its_whole_seconds(forked):
    _, workers = forked
    ending = threading.Timer(3.0, os.kill, [workers[0], signal.SIGKILL])
    ending.start()
    (windows,) = sample_all(lambda _: workers, seconds=4, rounds=1, budget=GENEROUS)
    ending.join()
    assert [window.pid for window in windows] == workers
    ended, went_on = windows
    assert 1 <= ended.seconds < 3
    assert went_on.seconds == pytest.approx(4, abs=0.5)


def test_nothing_to_sample_is_said_with_the_reasons():
    with pytest.raises(NothingToSample, match="No such"):
        next(sample_all(lambda _: [2**22 + 1]))
    with pytest.raises(NothingToSample, match="no process"):
        next(sample_all(lambda _: []))


def test_each_has_its_turn():
    processes = [find.Found(pid, 1, pid, "", 0.0) for pid in range(5)]
    seen = [each.pid for at in range(5) for each in find.turn(processes, 2, at)]
    assert sorted(seen) == sorted([0, 1, 2, 3, 4] * 2)
    assert find.turn(processes, 9, 3) == processes


def test_watchdogs_are_not_taken_for_an_application():
    with Watchdog() as dog:
        assert dog.pid not in [each.pid for each in find.python_processes()]
