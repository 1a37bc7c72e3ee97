"""Every CPython from 3.8 on this machine: stacks, thread numbers, the GIL told from locks."""

import pytest

from benchmarks.profiling_programs import pythons
from foretide.profiling.sampler import Budget, sample
from foretide.profiling.window import ThreadState

GENEROUS = Budget(cores=4.0, stopped=1.0, rate=60.0)
WANTS_GIL_AND_LOCKS = """
    import threading, time

    lock = threading.Lock()

    def count():
        number = 0
        while True:
            number = (number * 31 + 7) % 1000003

    def want_lock():
        with lock:
            pass

    lock.acquire()
    threading.Thread(target=want_lock, name="wants", daemon=True).start()
    for name in ("a", "b"):
        threading.Thread(target=count, name=name, daemon=True).start()
    print("ready", flush=True)
    count()
"""


@pytest.mark.slow
@pytest.mark.parametrize("version", sorted(pythons()))
def test_threads_are_known_by_number_and_gil_from_lock(run, version):
    program = run(WANTS_GIL_AND_LOCKS, python=pythons()[version])
    (window,) = sample(program.pid, seconds=1.5, windows=1, budget=GENEROUS)
    assert window.python_version == version
    states = {thread.name: thread.states for thread in window.threads}
    assert states.keys() == {"MainThread", "wants", "a", "b"}
    assert 0 not in {thread.tid for thread in window.threads}
    # A stop wakes everybody for a moment: hence not all of them.
    assert states["wants"][ThreadState.LOCK] > 0.8 * window.sweeps
    assert states["wants"].get(ThreadState.GIL, 0) == 0
    for name in ("MainThread", "a", "b"):
        assert states[name].get(ThreadState.GIL, 0) > 3
        assert states[name].get(ThreadState.LOCK, 0) <= 2
    lines = {window.frames[window.stacks[each.stack][-1]].function for each in window.samples}
    assert {"count", "want_lock"} <= lines
    # Threads that want the GIL are not at work, though one of them always is.
    counted = [each for each in window.samples if window.threads[each.thread].name != "wants"]
    active = sum(each.active or 0 for each in counted)
    assert 0 < active < 0.8 * sum(each.count for each in counted)


COMING_AND_GOING = """
    import threading, time

    def serve():
        time.sleep(0.03)

    def begin():
        while True:
            threading.Thread(target=serve).start()
            time.sleep(0.01)

    threading.Thread(target=begin, name="begins", daemon=True).start()
    print("ready", flush=True)
    while True:
        time.sleep(0.001)
"""


@pytest.mark.slow
@pytest.mark.parametrize("version", sorted(pythons()))
def test_threads_that_come_and_go_leave_the_others_their_numbers(run, version):
    program = run(COMING_AND_GOING, python=pythons()[version])
    (window,) = sample(program.pid, seconds=2.0, windows=1, budget=GENEROUS)
    counted = {thread.name: 0 for thread in window.threads}
    for one in window.samples:
        counted[window.threads[one.thread].name] += one.count
    by_name = {thread.name: thread for thread in window.threads}
    for name in ("MainThread", "begins"):
        assert by_name[name].tid > 0
        assert by_name[name].cpu_seconds > 0
        assert counted[name] == pytest.approx(window.sample_count, abs=2)
