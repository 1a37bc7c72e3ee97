"""What a thread is told to do, from texts of /proc as the kernel writes them."""

import os
import signal
import subprocess
import sys

import pytest

from foretide.profiling.sampler import maps, procfs
from foretide.profiling.sampler.syscalls import NAMES
from foretide.profiling.sampler.threads import Look, Watched, look_at, moment, state_of
from foretide.profiling.window import ThreadState

NUMBERS = {name: number for number, name in NAMES.items()}

SHARED = """\
55d0a0000000-55d0a0001000 r-xp 00000000 08:01 11 /usr/local/bin/python3.11
55d0a1000000-55d0a1200000 rw-p 00000000 00:00 0  [heap]
7f0000000000-7f0000300000 r-xp 00000000 08:01 12 /usr/local/lib/libpython3.11.so.1.0
7f0000300000-7f0000340000 rw-p 00300000 08:01 12 /usr/local/lib/libpython3.11.so.1.0
7f0000340000-7f0000360000 rw-p 00000000 00:00 0
7f0000400000-7f0000500000 rw-p 00000000 00:00 0
"""


class Book:
    def is_runtime(self, address):
        return address == 0x1000


class Files:
    def kind(self, number):
        return {3: "socket", 4: "pipe"}.get(number, "file")


def call(name, *arguments):
    return (NUMBERS[name], *arguments, *([0] * (6 - len(arguments))))


@pytest.mark.parametrize(
    ("seen", "scheduler", "state"),
    [
        (None, "", ThreadState.RUNNING),
        (call("futex", 0x1000, 0x189, 0, 1), "", ThreadState.GIL),
        (call("futex", 0x1000, 0x189), "", ThreadState.GIL),
        (call("futex", 0x2000, 0x189), "", ThreadState.LOCK),
        (call("futex", 0x2000, 0x189, 0, 1), "", ThreadState.LOCK),  # acquire(timeout=…)
        (call("clock_nanosleep"), "", ThreadState.SLEEP),
        (call("pselect6", 0), "", ThreadState.SLEEP),  # time.sleep until 3.10
        (call("pselect6", 9), "", ThreadState.POLL),
        (call("ppoll", 5, 1), "", ThreadState.NETWORK),  # a socket with a timeout
        (call("ppoll", 5, 3), "", ThreadState.POLL),
        (call("epoll_pwait", 5, 6, 7, 8), "", ThreadState.POLL),
        (call("accept4", 3), "", ThreadState.POLL),
        (call("recvfrom", 3), "", ThreadState.NETWORK),
        (call("read", 3), "S", ThreadState.NETWORK),
        (call("read", 4), "S", ThreadState.NETWORK),
        (call("read", 5), "S", ThreadState.DISK),
        (call("read", 3), "D", ThreadState.DISK),
        (call("fsync", 5), "D", ThreadState.DISK),
        (call("flock", 5, 2), "S", ThreadState.LOCK),
        (call("fcntl", 5, 7), "S", ThreadState.LOCK),  # lockf
        (call("wait4"), "", ThreadState.CHILD),
        ((-1,), "D", ThreadState.DISK),  # a page that must be read
        ((-1,), "S", ThreadState.OTHER),
    ],
)
def test_state_of_a_thread(seen, scheduler, state):
    assert state_of(seen, scheduler, Book(), Files()) is state


@pytest.mark.parametrize(
    ("before", "at_stop", "active"),
    [
        # It slept when we looked, and had woken up by the time it was stopped; the other way round.
        (ThreadState.SLEEP, (-1,), True),
        (ThreadState.RUNNING, call("clock_nanosleep"), False),
        (ThreadState.RUNNING, call("futex", 0, 0x80), False),
        (ThreadState.RUNNING, call("restart_syscall"), False),
        (ThreadState.RUNNING, call("futex", 0, 0x81), True),  # wakes others, and goes on
        (ThreadState.RUNNING, call("epoll_pwait", 3, 4, 5, 0), True),  # does not wait
        (ThreadState.RUNNING, call("epoll_pwait", 3, 4, 5, 100), False),
        # In a call that may work or wait, what was seen just before decides.
        (ThreadState.RUNNING, call("write", 5), True),
        (ThreadState.NETWORK, call("read", 3), False),
        (ThreadState.RUNNING, None, None),
        (ThreadState.UNKNOWN, (-1,), None),
    ],
)
def test_thread_at_work_when_its_stack_was_read(before, at_stop, active):
    assert moment(Look(before, None, ""), at_stop).active is active


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        (b"running\n", None),
        (b"-1 0x7ffc1 0x7f22\n", (-1,)),
        (b"202 0x10 0x189 0x0 0x5 0x0 0xffff 0x7ffd 0x7f33\n", (202, 16, 0x189, 0, 5, 0, 0xFFFF)),
        (b"", None),
    ],
)
def test_system_call_as_the_kernel_writes_it(text, parsed):
    assert procfs.parse_syscall(text) == parsed


TIMED = {
    "lock": ("import _thread as t; a = t.allocate_lock(); a.acquire(); {}; a.acquire(True, 60)"),
    "network": (
        "import socket as s; a, b = s.socketpair(); a.settimeout(60); {}; a.recv(1)"  # poll first
    ),
}


@pytest.mark.parametrize("state", TIMED)
def test_a_wait_with_a_time_limit_is_known_after_the_process_was_stopped(state):
    """The kernel goes on with it in another call: at each look but the first it was no wait."""
    program = TIMED[state].format("print(flush=True)")
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        watched = Watched(process.pid, process.pid)

        def look_until(number):
            while (look := look_at(watched, Book(), Files())).state is ThreadState.RUNNING or (
                not watched.files.read("syscall", 160).startswith(b"%d " % number)
            ):
                pass
            return look

        first = look_until(NUMBERS["futex" if state == "lock" else "poll"])
        os.kill(process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        os.kill(process.pid, signal.SIGCONT)
        again = look_until(NUMBERS["restart_syscall"])
        assert first.state == again.state == state
        assert first.call == again.call
    finally:
        process.kill()
        process.wait()


def test_name_with_parentheses_does_not_shift_the_numbers():
    text = b"7 (a) R (b) S " + b" ".join(str(number).encode() for number in range(4, 53))
    stat = procfs.parse_stat(text)
    assert stat.state == "S"
    assert stat.major_faults == 12
    assert stat.user_seconds == pytest.approx(14 / procfs.TICKS)


def test_interpreters_data_and_what_follows_it_are_its_own():
    mappings = maps.parse_maps(SHARED)
    assert maps.runtime_ranges(mappings, "/usr/local/bin/python3.11") == [
        (0x7F0000300000, 0x7F0000340000),
        (0x7F0000340000, 0x7F0000360000),
    ]
    assert maps.python_version(mappings, "/usr/local/bin/python3.11") == "3.11"
    assert not maps.is_free_threaded(mappings, "/usr/local/bin/python3.11")


@pytest.mark.parametrize("name", ["libpython3.13t.so.1.0", "python3.13t"])
def test_free_threaded_build_is_known_by_its_name(name):
    text = f"7f0000000000-7f0000300000 r-xp 00000000 08:01 12 /usr/lib/{name}\n"
    assert maps.is_free_threaded(maps.parse_maps(text), "")
    assert maps.python_version(maps.parse_maps(text), "") == "3.13"


def test_command_tells_the_program_and_no_arguments():
    process = subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", "import time; time.sleep(60)", "--password=secret"]
    )
    try:
        while b"secret" not in procfs.read(f"/proc/{process.pid}/cmdline"):
            pass
        assert procfs.command(process.pid).endswith(" -c")
    finally:
        process.kill()
        process.wait()
