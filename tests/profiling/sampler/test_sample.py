"""Windows of real processes, taken with the real py-spy."""

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from foretide.profiling.attribution import attribute
from foretide.profiling.demand import demand
from foretide.profiling.sampler import Budget, gate, pyspy, sample
from foretide.profiling.sampler.session import Sampler
from foretide.profiling.sampler.target import Target
from foretide.profiling.window import ThreadState

from .conftest import WORKS_AND_SLEEPS

GENEROUS = Budget(cores=1.0, stopped=1.0, rate=60.0)


def leaf(window, sample):
    return window.frames[window.stacks[sample.stack][-1]]


@pytest.fixture(scope="module")
def window(run):
    program = run(WORKS_AND_SLEEPS)
    # Not so often that a thread still waits for a core after one stop when the next one comes.
    budget = replace(GENEROUS, rate=30.0)
    (window,) = sample(program.pid, seconds=3.0, windows=1, budget=budget, labels={"pod": "a"})
    return window


@pytest.mark.slow
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
def test_first_thread_has_its_name_where_nobody_has_imported_threading(run):
    """Its work would else be another thread's once somebody does, as a fix may."""
    program = run(
        """
        import sys
        assert "threading" not in sys.modules
        print("ready", flush=True)
        while True:
            sum(range(1_000))
        """
    )
    (window,) = sample(program.pid, seconds=1.0, windows=1, budget=GENEROUS)
    assert [thread.name for thread in window.threads] == ["MainThread"]


@pytest.mark.slow
def test_cpu_time_of_threads_that_nobody_saw_is_theirs_whom_samples_have_caught(run):
    """A server that starts a thread for each request: most come and go between two looks."""
    program = run(
        """
        import threading
        def serve():
            sum(range(50_000))
        print("ready", flush=True)
        while True:
            thread = threading.Thread(target=serve)
            thread.start()
            thread.join()
        """
    )
    (window,) = sample(program.pid, seconds=3.0, windows=1, budget=GENEROUS)
    process = window.process
    whole = process.user_seconds + process.system_seconds
    assert process.cpu_seconds == pytest.approx(whole)
    costs = attribute(window)
    serve = sum(cost.total_cpu for name, cost in costs.functions.items() if name.name == "serve")
    assert serve > 0.6 * whole  # starting threads, and waiting for them, costs the rest


@pytest.mark.slow
def test_more_threads_than_files_may_be_open(run):
    program = run(
        """
        import threading, time
        for _ in range(120):
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        print("ready", flush=True)
        while True:
            sum(range(1_000))
        """
    )
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, allowed[1]))
    try:
        (window,) = sample(program.pid, seconds=1.0, windows=1, budget=GENEROUS)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, allowed)
    assert len(window.threads) == 121
    assert len({one.thread for one in window.samples}) == 121
    assert window.threads[-1].states[ThreadState.SLEEP] > 0


@pytest.mark.slow
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
    # What the process used after its last whole second is in neither count.
    of_threads = sum(thread.cpu_seconds for thread in window.threads)
    assert window.process.cpu_seconds == pytest.approx(of_threads, abs=0.03)
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


@pytest.mark.slow
def test_a_process_that_another_has_stopped_neither_works_nor_waits(run):
    program = run(WORKS_AND_SLEEPS)
    with Sampler(program.pid, seconds=3.0, budget=GENEROUS) as sampler:
        sampler.begin()
        program.send_signal(signal.SIGSTOP)
        woken = sampler.due + 2.0
        while sampler.step():
            time.sleep(max(0.0, sampler.due - time.monotonic()))
            if time.monotonic() > woken:
                program.send_signal(signal.SIGCONT)
                woken = float("inf")
        window = sampler.finish()
    assert demand([window]).halted == pytest.approx(2.0, abs=0.5)
    # py-spy reads nobody's stack who is stopped.
    assert window.overhead.failed_samples > window.sample_count > 0


TELLS_THE_TIME = """
    import time
    def at(slot):
        names = {"time": time}
        body = f"while time.time() // 0.25 % 40 == {slot}: time.sleep(0.001)"
        exec(f"def f{slot}():\\n {body}", names)
        return names[f"f{slot}"]
    each = [at(slot) for slot in range(40)]
    print("ready", flush=True)
    while True:
        each[int(time.time() // 0.25 % 40)]()
    """


def assert_own_moments(window):
    """Each function of TELLS_THE_TIME was seen when it runs: a quarter of a second of each ten."""
    told = [(leaf(window, one).function, one.part) for one in window.samples]
    told = [(int(name[1:]), part) for name, part in told if name.startswith("f")]
    assert len({part for _, part in told}) >= window.parts - 1
    for slot, part in told:
        # Where py-spy had to wait for a core it was later than its moment by so much at the most.
        ends = window.started_at + part + 1.25
        # A program that waits for a core, or was stopped, is late, and never too early.
        assert slot in {int((ends - 0.25 * late) // 0.25 % 40) for late in range(13)}


@pytest.mark.slow
def test_each_sample_is_of_its_own_moment_where_the_process_was_stopped_in_between(run):
    program = run(TELLS_THE_TIME)
    with Sampler(program.pid, seconds=4.0, budget=GENEROUS) as sampler:
        sampler.begin()
        stops = [(sampler.due + 0.5, signal.SIGSTOP), (sampler.due + 1.8, signal.SIGCONT)]
        while sampler.step():
            time.sleep(max(0.0, sampler.due - time.monotonic()))
            if stops and time.monotonic() > stops[0][0]:
                program.send_signal(stops.pop(0)[1])
        window = sampler.finish()
    assert window.overhead.failed_samples > 20
    assert_own_moments(window)


@pytest.mark.slow
def test_a_py_spy_that_had_to_try_again_at_first_gives_each_sample_its_own_moment(run, monkeypatch):
    """As with a program that is just starting: it sleeps between two tries, and takes no sample."""
    program = run(TELLS_THE_TIME)
    program.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, program.pid, os.WSTOPPED | os.WNOWAIT)
    monkeypatch.setattr(Target, "is_halted", lambda self: False)
    tries, tries_again = [], pyspy.tries_again

    def going_on(said):
        tries.append(tries_again(said))
        program.send_signal(signal.SIGCONT)
        return tries[-1]

    monkeypatch.setattr(pyspy, "tries_again", going_on)
    (window,) = sample(program.pid, seconds=5.0, windows=1, budget=replace(GENEROUS, rate=1.0))
    assert tries[0]
    assert_own_moments(window)


@pytest.mark.slow
def test_no_window_begins_while_the_process_is_stopped(run):
    program = run(WORKS_AND_SLEEPS)
    windows = sample(program.pid, seconds=1.0, budget=GENEROUS)
    next(windows)
    program.send_signal(signal.SIGSTOP)
    going_on = threading.Timer(2.5, program.send_signal, [signal.SIGCONT])
    going_on.start()
    window = next(windows)  # and no third failure in a row
    going_on.join()
    assert window.sample_count > 0


TRACER = """
import ctypes, sys
libc, pid = ctypes.CDLL(None), int(sys.argv[1])
assert libc.ptrace(0x4206, pid, 0, 0) == 0  # PTRACE_SEIZE: it goes on
print("traces", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_samples_that_py_spy_could_not_take_are_the_only_ones_that_are_lost(run):
    """While another traces the program, such as strace, py-spy cannot."""
    program = run(WORKS_AND_SLEEPS)
    tracer = None
    with Sampler(program.pid, seconds=4.0, budget=replace(GENEROUS, rate=30.0)) as sampler:
        sampler.begin()
        traced = sampler.due + 1.0
        while sampler.step():
            time.sleep(max(0.0, sampler.due - time.monotonic()))
            if tracer is None and time.monotonic() > traced:
                command = [sys.executable, "-c", TRACER, str(program.pid)]
                tracer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                tracer.stdout.readline()
            elif tracer and tracer.poll() is None and time.monotonic() > traced + 1.0:
                tracer.communicate()
        window = sampler.finish()
    lost = window.overhead.failed_samples
    assert 5 < lost < window.sample_count
    assert window.sample_count + lost <= 4.0 * window.rate + 1
    seen = {}
    for each in window.samples:
        name = leaf(window, each).function
        count, active = seen.get(name, (0, 0))
        seen[name] = count + each.count, active + each.active
    # Whose moments were others' would look at work as often as the program is.
    assert seen["work"][1] > 0.7 * seen["work"][0]
    assert seen["nap"][1] < 0.2 * seen["nap"][0]


@pytest.mark.slow
def test_a_program_that_another_has_taken_the_place_of_is_known(run, tmp_path):
    """By exec: the process is the same, its interpreter is not where it was."""
    other = tmp_path / "second.py"
    other.write_text("def second():\n    while True:\n        pass\nsecond()\n")
    program = run(
        f"""
        import os, sys, time
        print("ready", flush=True)
        time.sleep(1.5)
        os.execv(sys.executable, [sys.executable, {str(other)!r}])
        """
    )
    windows = sample(program.pid, seconds=1.0, budget=GENEROUS)
    for window in windows:
        if any(leaf(window, each).function == "second" for each in window.samples):
            break
    assert "second.py" in window.command
