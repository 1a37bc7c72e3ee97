"""Windows of real processes, taken with the real py-spy."""

import os
import signal
import threading

import pytest

from foretide.profiling.sampler import Budget, gate, sample
from foretide.profiling.window import ThreadState

from .conftest import WORKS_AND_SLEEPS

GENEROUS = Budget(cores=1.0, stopped=1.0, rate=60.0)


def leaf(window, sample):
    return window.frames[window.stacks[sample.stack][-1]]


@pytest.fixture(scope="module")
def window(run):
    program = run(WORKS_AND_SLEEPS)
    (window,) = sample(program.pid, seconds=0.6, windows=1, budget=GENEROUS, labels={"pod": "a"})
    return window


def test_window_tells_what_each_thread_did(window):
    main, holder = window.threads
    assert (main.name, holder.name) == ("MainThread", "holder")
    assert window.labels == {"pod": "a"}
    assert window.sweeps >= window.sample_count > 10
    # Every thread is in every sample.
    for index in (0, 1):
        seen = [each.count for each in window.samples if each.thread == index]
        assert sum(seen) == window.sample_count
    # A stop wakes a waiting thread for a moment, in which a busy machine may let it wait.
    assert holder.states[ThreadState.LOCK] >= 0.9 * window.sweeps
    assert main.states[ThreadState.SLEEP] > 0
    assert main.states[ThreadState.RUNNING] > 0
    assert main.cpu_seconds > 0.05 > holder.cpu_seconds
    assert window.process.cpu_seconds == pytest.approx(main.cpu_seconds, rel=0.2)

    lines = {leaf(window, each).function: each for each in window.samples}
    assert {"work", "nap", "hold"} <= lines.keys()
    nap = leaf(window, lines["nap"])
    assert os.path.isabs(nap.file)
    at_nap = window.stacks[lines["nap"].stack][-1]
    assert window.source[at_nap] == "time.sleep(0.004)"
    assert window.overhead.stopped_share > 0
    assert window.overhead.sampler_rss > 1_000_000


@pytest.mark.slow
def test_cpu_time_of_threads_that_nobody_saw_is_counted(run):
    """A server that starts a thread for each request: most come and go between two looks."""
    program = run(
        """
        import threading
        print("ready", flush=True)
        while True:
            thread = threading.Thread(target=sum, args=(range(50_000),))
            thread.start()
            thread.join()
        """
    )
    (window,) = sample(program.pid, seconds=1.0, windows=1, budget=GENEROUS)
    process = window.process
    whole = process.user_seconds + process.system_seconds
    assert sum(thread.cpu_seconds for thread in window.threads) < 0.9 * whole
    assert process.cpu_seconds == pytest.approx(whole)


def test_lines_that_work_are_told_from_lines_that_sleep(window):
    seen = {}
    for each in window.samples:
        name = leaf(window, each).function
        count, active = seen.get(name, (0, 0))
        seen[name] = count + each.count, active + (each.active or 0)
    assert seen["work"][1] > 0.7 * seen["work"][0]
    assert seen["nap"][1] < 0.2 * seen["nap"][0]
    assert seen["hold"][1] == 0


@pytest.mark.slow
def test_where_py_spy_cannot_be_held_it_runs_by_its_own_clock(run, monkeypatch):
    def refuse(*_):
        raise gate.GateUnavailable("not here")

    monkeypatch.setattr("foretide.profiling.sampler.taking.Gate", refuse)
    program = run(WORKS_AND_SLEEPS)
    (window,) = sample(program.pid, seconds=0.8, windows=1, budget=GENEROUS)
    assert window.sample_count > 10
    assert window.sweeps > 10
    assert {leaf(window, each).function for each in window.samples} >= {"work", "nap", "hold"}
    assert {each.active for each in window.samples} == {None}


@pytest.mark.slow
def test_a_process_that_ends_within_a_window_leaves_its_whole_seconds(run):
    program = run(WORKS_AND_SLEEPS)
    ending = threading.Timer(3.5, program.kill)
    ending.start()
    (window,) = sample(program.pid, seconds=10, budget=GENEROUS)
    ending.join()
    assert window.parts in (2, 3)  # whole ones, of what was left after py-spy had started
    assert window.seconds == window.parts
    assert {each.part for each in window.samples} == set(range(window.parts))
    main = window.threads[0]
    assert len(main.cpu_parts) == window.parts
    assert sum(main.cpu_parts) == pytest.approx(main.cpu_seconds, abs=1e-4)
    assert main.cpu_seconds > 0.1
    # As many as the rate gives in these seconds: none of those that came after them.
    seen = sum(each.count for each in window.samples if each.thread == 0)
    assert seen <= window.rate * window.seconds + 1


def test_a_process_that_ends_at_once_leaves_no_window(run):
    program = run(WORKS_AND_SLEEPS)
    ending = threading.Timer(0.3, program.kill)
    ending.start()
    assert list(sample(program.pid, seconds=10, budget=GENEROUS)) == []


@pytest.mark.slow
def test_ctrl_c_keeps_the_whole_seconds_of_a_window(run):
    program = run(WORKS_AND_SLEEPS)
    windows = sample(program.pid, seconds=10, budget=GENEROUS)
    threading.Timer(3.5, signal.raise_signal, [signal.SIGINT]).start()
    window = next(windows)
    assert window.seconds == window.parts
    assert window.parts in (2, 3)
    with pytest.raises(KeyboardInterrupt):
        next(windows)
    assert program.poll() is None


def test_sampling_ends_with_the_process(run):
    program = run(WORKS_AND_SLEEPS)
    windows = sample(program.pid, seconds=0.3, budget=GENEROUS)
    next(windows)
    program.kill()
    program.wait()
    assert list(windows) == []


def test_process_that_is_not_there_is_said_so():
    with pytest.raises(FileNotFoundError):
        next(sample(2**22 + 1))
