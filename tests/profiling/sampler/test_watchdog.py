"""No target stays stopped: py-spy hangs, py-spy is killed, the sampler is killed."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from foretide.profiling.sampler import watchdog

COUNTS = "print('ready', flush=True)\nwhile True: pass"


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.002)
    return False


def runs(pid):
    state, tracer = watchdog.status(pid)
    return state not in ("t", "T", "") and tracer == 0


HOLDER = """
import ctypes, os, signal, sys
libc, pid = ctypes.CDLL(None), int(sys.argv[1])
libc.ptrace(0x4206, pid, 0, 0)
libc.ptrace(0x4207, pid, 0, 0)
os.waitpid(pid, 0x40000000)
print("held", flush=True)
signal.pause()
"""


@pytest.fixture
def held(run):
    """A program, and a process that holds it as a py-spy does that hangs."""
    program = run(COUNTS)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(program.pid)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    yield program, holder
    holder.kill()
    holder.wait()
    holder.stdout.close()


@pytest.mark.slow
def test_who_holds_its_target_too_long_is_ended(held):
    program, holder = held
    with watchdog.Watchdog() as dog:
        assert not runs(program.pid)
        dog.watch(holder.pid, program.pid)
        assert until(lambda: holder.poll() is not None)
        assert until(lambda: runs(program.pid))


def test_end_of_the_sampler_ends_who_holds(held):
    program, holder = held
    dog = watchdog.Watchdog()
    dog.watch(holder.pid, program.pid)
    dog.close()  # the same to it as the sampler's death: its input ends
    assert until(lambda: holder.poll() is not None)
    assert until(lambda: runs(program.pid))


def test_process_that_was_stopped_before_stays_so(run):
    program = run(COUNTS)
    program.send_signal(signal.SIGSTOP)
    assert until(lambda: watchdog.status(program.pid)[0] == "T")
    watch = watchdog.Watch(1, program.pid, was_stopped=True)
    assert watchdog.is_free(watch)
    assert watchdog.status(program.pid)[0] == "T"
    assert not watchdog.is_free(watchdog.Watch(1, program.pid, was_stopped=False))
    assert until(lambda: runs(program.pid))


def test_who_is_stopped_by_somebody_else_while_it_is_watched_stays_so(run):
    program = run(COUNTS)
    # Another process stands for a py-spy that rests between two samples.
    resting = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    watch = watchdog.Watch(resting.pid, program.pid, watchdog.began(resting.pid))
    program.send_signal(signal.SIGSTOP)
    assert until(lambda: watchdog.status(program.pid)[0] == "T")
    watchdog.look(watch)
    resting.communicate()
    assert watchdog.is_free(watch)
    assert watchdog.status(program.pid)[0] == "T"
    program.send_signal(signal.SIGCONT)
    assert until(lambda: runs(program.pid))


def sampler_of(program):
    command = [sys.executable, "-m", "foretide.profiling.sampler", str(program.pid)]
    limits = ["--rate=300", "--stopped=1", "--cores=4"]
    return subprocess.Popen([*command, *limits], stdout=subprocess.DEVNULL, start_new_session=True)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["py-spy", "sampler", "all"])
def test_kill_in_the_middle_of_a_stop_leaves_nobody_stopped(run, victim):
    program = run(COUNTS)
    sampler = sampler_of(program)
    try:
        tracer = 0

        def traced():
            nonlocal tracer
            tracer = watchdog.status(program.pid)[1]
            return tracer

        assert until(traced, 30.0)
        if victim == "py-spy":
            os.kill(tracer, signal.SIGKILL)
        elif victim == "sampler":
            sampler.kill()
        else:
            os.killpg(sampler.pid, signal.SIGKILL)
        if victim == "py-spy":
            sampler.terminate()
        sampler.wait()
        assert until(lambda: runs(program.pid))
        assert until(lambda: watchdog.status(tracer)[0] in ("", "Z"))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(sampler.pid, signal.SIGKILL)
        sampler.wait()
