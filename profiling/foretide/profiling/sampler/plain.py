"""py-spy by its own clock, where no filter may hold it (gate.py), and looks beside it.

What each thread was doing at a sample is then not known, and py-spy's rate is fixed at its start.
"""

import contextlib
import math
import os
import signal
import subprocess
import time

from . import procfs, pyspy
from .marks import Mark
from .slots import Slots
from .target import Target, TargetGone

_HELD_SECONDS = 1.0  # a target that stands still for so long has been left by a py-spy that hangs
_END_SECONDS = 10.0


class Plain:
    """The same door as `Taking`, without marks."""

    skips = False

    def __init__(self, target: Target, *, rate: float) -> None:
        """Start py-spy. Raises pyspy.PySpyError where there is none."""
        self.target = target
        self.slots = Slots(rate)
        self.marks: list[Mark] = []
        self.failed = 0
        self.cpu_seconds = 0.0
        self._held_since: float | None = None
        self._output = os.memfd_create("profile", os.MFD_CLOEXEC)
        self._errors = os.memfd_create("errors", os.MFD_CLOEXEC)
        hertz = max(1, math.floor(rate))
        line = pyspy.arguments(target.pid, self._output, rate=hertz, samples=10_000_000)
        self._process = subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=self._errors,
            stderr=self._errors,
            pass_fds=[self._output],
            env=pyspy.environment(),
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def due(self) -> float:
        """When to call `take`, in monotonic seconds."""
        return self.slots.due

    def begin(self, rate: float) -> None:
        """Count looks from now on, at this rate."""
        self.slots.begin(rate, time.monotonic())

    def take(self) -> None:
        """Look at /proc, and that py-spy lives and lets its target live.

        Raises:
            TargetGone: the process has ended.
            pyspy.PySpyError: py-spy has ended, or hung and was killed.
        """
        now = time.monotonic()
        self.slots.taken(now)
        self.target.look()
        if self._process.poll() is not None:
            if not self.target.lives():
                raise TargetGone(f"process {self.target.pid} has ended")
            raise pyspy.PySpyError(self._complaint())
        text = procfs.read_or_none(f"/proc/{self.target.pid}/stat") or b") t"
        if procfs.parse_stat(text).state != "t":
            self._held_since = None
        elif self._held_since is None:
            self._held_since = now
        elif now - self._held_since > _HELD_SECONDS:
            self.close()
            raise pyspy.PySpyError("py-spy held its target for too long and was ended")

    def finish(self) -> bytes:
        """End py-spy and return what it has written. Raises pyspy.PySpyError: nothing."""
        self._process.send_signal(signal.SIGINT)
        try:
            _, _, usage = _wait(self._process, _END_SECONDS)
            self.cpu_seconds = usage
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise pyspy.PySpyError("py-spy did not end and was killed") from None
        text = pyspy.written(self._output)
        self.failed = pyspy.failures(pyspy.written(self._errors))
        if not text:
            raise pyspy.PySpyError(self._complaint())
        return text

    def _complaint(self) -> str:
        said = pyspy.complaint(pyspy.written(self._errors))
        return said or f"py-spy ended with status {self._process.returncode}"

    def close(self) -> None:
        """End py-spy in any case."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for descriptor in (self._output, self._errors):
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _wait(process: "subprocess.Popen[bytes]", seconds: float) -> tuple[int, int, float]:
    """Wait for its end, with the CPU seconds that it used."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return pid, status, usage.ru_utime + usage.ru_stime
        time.sleep(0.005)
    raise subprocess.TimeoutExpired(process.args, seconds)
