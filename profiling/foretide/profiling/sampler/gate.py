"""Runs py-spy so that it sleeps as long as we let it, and tells us just before it stops anybody.

py-spy's own clock knows nothing of the looks at /proc that we take beside it, and its idle flag is
read long before the stack. Here a seccomp filter reports two of its system calls to us, and it
waits until we answer: its sleep between two samples, so that we choose the moments; and the ptrace
call that attaches to the target's first thread, so that we see how each thread was just before.
py-spy itself is as it was released. The filter needs no capability (seccomp_unotify(2), Linux 5.5).
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import platform
import select
import signal
import socket
import struct
import sys
import warnings
from collections.abc import Mapping, Sequence
from enum import Enum

PTRACE_SEIZE = 0x4206

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_FILTER_FLAG_NEW_LISTENER = 8
_RET_ALLOW = 0x7FFF0000
_RET_USER_NOTIF = 0x7FC00000
_RECEIVE = 0xC0502100
_ANSWER = 0xC0182101
_GO_ON = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE: let the kernel run the call as it was meant
_NOTIFICATION = struct.Struct("=QIIiI")  # id, pid, flags, number of the call, architecture
_NOTIFICATION_BYTES = 80

# BPF: load a word of the call's data, jump if equal, return.
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_AT_NUMBER, _AT_ARCHITECTURE, _AT_FIRST, _AT_SECOND = 0, 4, 16, 24


_LIBC = ctypes.CDLL(None, use_errno=True)


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _PollDescriptor(ctypes.Structure):
    _fields_ = (("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short))


class Call(Enum):
    """What py-spy waits for us to allow."""

    SLEEP = "sleep"
    ATTACH = "attach"


class GateUnavailable(Exception):
    """This kernel or container does not allow the filter: py-spy must run on its own."""


class GateClosed(Exception):
    """py-spy has ended."""


# Architecture's audit number, then seccomp, ptrace, nanosleep and clock_nanosleep.
_NUMBERS = {
    "x86_64": (0xC000003E, 317, 101, 35, 230),
    "aarch64": (0xC00000B7, 277, 117, 101, 115),
}


def _filter(target: int) -> bytes:
    """A BPF program that reports sleeps, and PTRACE_SEIZE of the thread `target`."""
    architecture, _, ptrace, nanosleep, clock_nanosleep = _NUMBERS[platform.machine()]
    code = [
        (_LOAD, 0, 0, _AT_ARCHITECTURE),
        (_IF_EQUAL, 0, 8, architecture),
        (_LOAD, 0, 0, _AT_NUMBER),
        (_IF_EQUAL, 7, 0, nanosleep),
        (_IF_EQUAL, 6, 0, clock_nanosleep),
        (_IF_EQUAL, 0, 4, ptrace),
        (_LOAD, 0, 0, _AT_FIRST),
        (_IF_EQUAL, 0, 2, PTRACE_SEIZE),
        (_LOAD, 0, 0, _AT_SECOND),
        (_IF_EQUAL, 1, 0, target),
        (_RETURN, 0, 0, _RET_ALLOW),
        (_RETURN, 0, 0, _RET_USER_NOTIF),
    ]
    return b"".join(struct.pack("=HBBI", *line) for line in code)


class Gate:
    """py-spy behind the filter. One call of it waits at a time; `answer` lets it go.

    `pid` is py-spy's. Close it in every case: it ends py-spy and reaps it.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        target: int,
        output: int,
        errors: int,
    ) -> None:
        """py-spy inherits `output` under its number, and `errors` as its standard output and
        error: how many samples it could not take it tells in the first.

        Raises:
            GateUnavailable: the filter is not allowed here.
        """
        if platform.machine() not in _NUMBERS or sys.byteorder != "little":
            raise GateUnavailable(f"not on {platform.machine()}")
        self.seconds = 0.0  # CPU of py-spy, known once it has ended
        self.status: int | None = None
        self._waiting: int | None = None
        # All that takes memory or locks comes before the fork: there may be other threads.
        code = ctypes.create_string_buffer(_filter(target))
        program = ctypes.create_string_buffer(
            struct.pack("=HxxxxxxQ", (len(code) - 1) // 8, ctypes.addressof(code))
        )
        silence = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        ours, theirs = socket.socketpair()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            standard = (silence, errors, errors)
            _become(list(arguments), environment, program, theirs, standard, output)
        os.close(silence)
        theirs.close()
        with ours:
            data, descriptors, _, _ = socket.recv_fds(ours, 16, 1)
        if not descriptors:
            _, self.status = os.waitpid(self.pid, 0)
            reason = os.strerror(int(data)) if data.isdigit() else "it did not start"
            raise GateUnavailable(f"no seccomp filter: {reason}")
        self._listener = descriptors[0]
        self._poll = select.poll()
        self._poll.register(self._listener, select.POLLIN)

    def wait(self, seconds: float) -> Call | None:
        """The next call of py-spy; None after `seconds` without one.

        Raises:
            GateClosed: py-spy has ended.
        """
        events = self._poll.poll(max(0.0, seconds) * 1000)
        if not events:
            return None
        if not events[0][1] & select.POLLIN:
            raise GateClosed
        buffer = bytearray(_NOTIFICATION_BYTES)
        try:
            fcntl.ioctl(self._listener, _RECEIVE, buffer)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):
                return None  # a signal has interrupted the call: it comes again
            raise
        self._waiting, _, _, number, _ = _NOTIFICATION.unpack_from(buffer)
        return Call.ATTACH if number == _NUMBERS[platform.machine()][2] else Call.SLEEP

    def ready(self, seconds: float) -> bool:
        """Does another call wait before so many seconds are over?"""
        # poll() counts milliseconds, and a stop is over in a quarter of one.
        whole = int(max(0.0, seconds))
        left = _Timespec(whole, int((max(0.0, seconds) - whole) * 1e9))
        asked = _PollDescriptor(self._listener, select.POLLIN, 0)
        return bool(_LIBC.ppoll(ctypes.byref(asked), 1, ctypes.byref(left), None) > 0)

    def answer(self, call: Call) -> None:
        """Let it go on: a sleep ends at once, an attach happens."""
        if self._waiting is None:
            return
        flags = _GO_ON if call is Call.ATTACH else 0
        try:
            fcntl.ioctl(self._listener, _ANSWER, struct.pack("=QqiI", self._waiting, 0, 0, flags))
        except OSError as error:
            if error.errno != errno.ENOENT:  # else it has gone in the meantime
                raise
        self._waiting = None

    def interrupt(self) -> None:
        """Ask py-spy to write what it has, as Ctrl-C does."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGINT)

    def reap(self) -> bool:
        """Has py-spy ended? Then `status` and `seconds` are known."""
        if self.status is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self.status, self.seconds = status, usage.ru_utime + usage.ru_stime
        return self.status is not None

    def close(self) -> None:
        """End py-spy, however it is. The kernel lets go of what it has attached to."""
        if not self.reap():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            _, self.status, usage = os.wait4(self.pid, 0)
            self.seconds = usage.ru_utime + usage.ru_stime
        with contextlib.suppress(OSError):
            os.close(self._listener)


def _become(
    arguments: list[str],
    environment: Mapping[str, str],
    program: ctypes.Array[ctypes.c_char],
    parent: socket.socket,
    standard: tuple[int, int, int],
    output: int,
) -> None:
    """In the child: put the filter on, hand its listener to the parent, and become py-spy."""
    try:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        listener = _LIBC.syscall(
            _NUMBERS[platform.machine()][1],
            _SECCOMP_SET_MODE_FILTER,
            _SECCOMP_FILTER_FLAG_NEW_LISTENER,
            program,
        )
        if listener < 0:
            parent.send(str(ctypes.get_errno()).encode())
            os._exit(1)
        socket.send_fds(parent, [b"ok"], [listener])
        os.close(listener)
        for number, descriptor in enumerate(standard):
            os.dup2(descriptor, number)
        os.set_inheritable(output, True)
        os.execve(arguments[0], arguments, environment)
    finally:
        os._exit(127)
