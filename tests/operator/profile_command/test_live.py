"""`foretide profile` on a running process: a real one, with the real py-spy."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading

import pytest

from foretide.operator.commands.profile_sampling import budget_of, children_of
from foretide.profiling.attribution import attribute
from foretide.profiling.files import read_windows
from foretide.profiling.sampler.budget import Budget, Cost, affordable
from foretide.profiling.sampler.probes import can_attach

PROGRAM = """
import time
def hot():
    total = 0
    for number in range(200_000):
        total += number
def cool():
    time.sleep(0.001)
print("ready", flush=True)
while True:
    hot()
    cool()
"""
FORKS = """
import os, signal
def in_child():
    while True:
        sum(range(1000))
for _ in range(2):
    if not os.fork():
        in_child()
print("ready", flush=True)
signal.pause()
"""
pytestmark = pytest.mark.slow


@contextlib.contextmanager
def parent_of_two():
    """A process with two children at work, in a process group of their own."""
    parent = subprocess.Popen(
        [sys.executable, "-c", FORKS], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert parent.stdout.readline() == "ready\n"
        if (refusal := can_attach(parent.pid)) is not None:
            pytest.skip(str(refusal))
        yield parent
    finally:
        os.killpg(parent.pid, signal.SIGKILL)
        parent.wait()


@pytest.fixture
def program():
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    refusal = can_attach(process.pid)
    if refusal is not None:
        process.kill()
        pytest.skip(str(refusal))
    yield process
    process.kill()
    process.wait()


def test_a_process_is_recorded_and_reported(profile, program, tmp_path):
    path = tmp_path / "a.ftp"
    status, out, _ = profile("record", program.pid, "--seconds", 5, "--rate", 100, "-o", path)
    assert status == 0
    assert f"{path}: 5 s" in out
    costs = attribute(read_windows(path))
    by_name = {function.name: cost for function, cost in costs.functions.items()}
    assert by_name["hot"].self_cpu > 0.6 * costs.cpu_seconds
    assert program.poll() is None


def test_top_shows_what_runs(profile, program):
    status, out, _ = profile("top", program.pid, "--every", 2, "--count", 1)
    assert status == 0
    assert f"process {program.pid}" in out
    assert "Where the CPU time goes" in out


def test_top_ranks_what_little_it_has_seen_and_says_so(profile, program):
    # A second holds few samples where the machine is busy: they may come while the program rests.
    def ranked():
        _, out, _ = profile("top", program.pid, "--every", 1, "--count", 1)
        assert "1 s: " in out
        return "for now: it comes of" in out and "hot (<string>)" in out

    assert any(ranked() for _ in range(20))


def test_a_program_that_ends_early_is_reported(profile, program, tmp_path):
    path = tmp_path / "a.ftp"
    ending = threading.Timer(4.0, program.kill)
    ending.start()
    status, out, err = profile("record", program.pid, "--seconds", 30, "-o", path)
    ending.join()
    assert status == 0
    assert re.search(rf"process {program.pid} has ended: [123] s of it are kept", err)
    assert f"{path}: " in out
    assert profile("report", path)[0] == 0


def test_what_was_seen_until_sigterm_is_kept(profile, program, tmp_path):
    """As `timeout` sends it, or the end of a session."""
    path = tmp_path / "a.ftp"
    ending = threading.Timer(4.0, signal.raise_signal, [signal.SIGTERM])
    ending.start()
    status, out, _ = profile("record", program.pid, "--seconds", 60, "-o", path)
    ending.join()
    assert (status, signal.getsignal(signal.SIGTERM)) == (0, signal.SIG_DFL)
    assert re.search(r"a\.ftp: [123] s, ", out)
    assert len(read_windows(path)) == 1
    assert program.poll() is None


def test_top_shows_children_too(profile, tmp_path):
    with parent_of_two() as parent:
        status, out, _ = profile("top", parent.pid, "--children", "--every", 1, "--count", 1)
        assert status == 0
        assert f"process {parent.pid} and 2 more" in out
        assert "in_child" in out
        _, _, err = profile("top", parent.pid, "--every", 1, "--count", 1)
        assert "has 2 Python children" in err


def test_children_that_were_gone_too_soon_are_told(profile, tmp_path):
    with parent_of_two() as parent:
        [first, _] = children_of(parent.pid)
        ending = threading.Timer(1.0, os.kill, [first, signal.SIGKILL])
        ending.start()
        arguments = ("--children", "--seconds", 3, "-o", tmp_path / "a.ftp")
        status, out, err = profile("record", parent.pid, *arguments)
        ending.join()
    assert status == 0
    assert "1 of its children ended too soon" in err
    assert "of 2 processes together" in out


def test_the_cost_of_short_windows_leaves_them_their_samples():
    cost = Cost(stop=0.0005, sample=0.001, window=0.04)
    for seconds in (1.0, 2.0, 10.0):
        budget = budget_of(20.0, seconds)
        assert budget.stopped == Budget().stopped
        assert affordable(budget, cost, seconds) > 10
    assert budget_of(20.0) == Budget()
    assert budget_of(20.0, 10.0, 3).cores == pytest.approx(3 * Budget().cores)


def test_a_process_that_ends_is_told(profile, program, tmp_path):
    program.kill()
    program.wait()
    status, _, err = profile("record", program.pid, "-o", tmp_path / "a.ftp")
    assert status == 2
    assert f"no process {program.pid}" in err
    assert not (tmp_path / "a.ftp").exists()
