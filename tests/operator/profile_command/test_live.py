"""`foretide profile` on a running process: a real one, with the real py-spy."""

import subprocess
import sys

import pytest

from foretide.operator.commands.profile_sampling import live_budget
from foretide.profiling.attribution import attribute
from foretide.profiling.files import read_windows
from foretide.profiling.sampler.budget import Budget, Cost, affordable
from foretide.profiling.sampler.probes import can_attach

PROGRAM = """
import time
def hot():
    total = 0
    for number in range(20_000):
        total += number
def cool():
    time.sleep(0.001)
print("ready", flush=True)
while True:
    hot()
    cool()
"""
pytestmark = pytest.mark.slow


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


def test_the_cost_of_short_windows_leaves_top_its_samples():
    budget = live_budget(20.0, 2.0)
    assert budget.stopped == Budget().stopped
    assert affordable(budget, Cost(stop=0.0005, sample=0.001, window=0.04), 2.0) > 10


def test_a_process_that_ends_is_told(profile, program, tmp_path):
    program.kill()
    program.wait()
    status, _, err = profile("record", program.pid, "-o", tmp_path / "a.ftp")
    assert status == 2
    assert f"no process {program.pid}" in err
    assert not (tmp_path / "a.ftp").exists()
