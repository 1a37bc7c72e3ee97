"""One window of one process while it is being taken: py-spy's samples joined with looks at /proc.

For each sample py-spy waits twice (gate.py): until its moment has come, and just before it stops
the target, when we look at every thread; while the target stands still we see which call each
thread was in. So a sample knows whether its thread was at work at that very moment. py-spy's own
idle flag does not: it is older than the stack, so that a line that sleeps may look like work.
"""

import contextlib
import os
import time
from collections.abc import Mapping

from . import procfs, pyspy
from .gate import Call, Gate, GateClosed
from .marks import Mark
from .slots import Slots
from .target import Target, TargetGone
from .threads import Look, moment

_START_SECONDS = 15.0  # until py-spy has found the interpreter
_HELD_SECONDS = 1.0  # no sample takes so long: py-spy hangs, and its target with it
_END_SECONDS = 10.0
_TRIES = 6  # looks at the main thread until it stands still
_NAP_SECONDS = 20e-6  # between them: to spin would keep py-spy from a core where all are taken


class Taking:
    """Takes samples of a target at moments of our choice, until `finish`."""

    skips = True  # it can start before the window does

    def __init__(self, target: Target, *, rate: float) -> None:
        """Start py-spy.

        Raises:
            GateUnavailable: the kernel does not allow to hold it (take the window without).
            pyspy.PySpyError: py-spy could not attach.
        """
        self.target = target
        self.slots = Slots(rate)
        self.marks: list[Mark] = []
        self.stops: list[float] = []
        self.failed = 0
        self._own = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        self._output = os.memfd_create("profile", os.MFD_CLOEXEC)
        self._errors = os.memfd_create("errors", os.MFD_CLOEXEC)
        try:
            # At one a second py-spy never thinks that it is late: it always sleeps, and so asks.
            line = pyspy.arguments(target.pid, self._output, rate=1, samples=10_000_000)
            self.gate = Gate(line, target.pid, self._output, self._errors)
        except BaseException:
            self._close_files()
            raise
        try:
            self._expect_sleep(_START_SECONDS)
        except BaseException:
            self.close()
            raise

    def begin(self, rate: float) -> None:
        """Count from now on, at this rate."""
        self.marks, self.stops = [], []
        self.slots.begin(rate, time.monotonic())

    def take(self) -> None:
        """Take the sample that is due. Call it at `slots.due` or soon after.

        Raises:
            TargetGone: the process has ended.
            pyspy.PySpyError: py-spy has ended, or hung and was killed.
        """
        now = time.monotonic()
        self.slots.taken(now)
        self.gate.answer(Call.SLEEP)
        call = self._expect(_HELD_SECONDS)
        before: dict[int, Look] = {}
        at_stop: dict[int, tuple[int, ...]] = {}
        if call is Call.ATTACH:
            before = self.target.look()
            stopped_at, queued = time.monotonic(), self._queued()
            self.gate.answer(Call.ATTACH)
            at_stop = self._see_stopped(before)
            self._expect_sleep(_HELD_SECONDS)
            # What we waited for a core ourselves, the target had been let go already.
            queued = self._queued() - queued
            self.stops.append(max(0.0, time.monotonic() - stopped_at - queued))
        threads = {tid: moment(look, at_stop.get(tid)) for tid, look in before.items()}
        self.marks.append(Mark(now, threads))

    def _queued(self) -> float:
        """Seconds that this thread has waited for a core so far."""
        try:
            return procfs.parse_schedstat(os.pread(self._own, 128, 0))[1]
        except OSError:
            return 0.0

    def _see_stopped(self, before: Mapping[int, Look]) -> dict[int, tuple[int, ...]]:
        """The calls that threads were in while they stood still, as far as we come in time."""
        gate, watched = self.gate, self.target.watched
        calls: dict[int, tuple[int, ...]] = {}
        try:
            main = watched[self.target.pid].files
            for _ in range(_TRIES):
                time.sleep(_NAP_SECONDS)
                text = main.read("stat", 64)
                if text[text.rfind(b")") + 2 :][:1] == b"t":
                    break
                if gate.ready():
                    return calls
            for tid in before:
                text = watched[tid].files.read("syscall", 160)
                if gate.ready():
                    return calls
                if (call := procfs.parse_syscall(text)) is not None:
                    calls[tid] = call
        except (OSError, KeyError):
            pass  # a thread has gone: what was seen stays true
        return calls

    def _expect(self, seconds: float) -> Call:
        """py-spy's next call. If it hangs it is killed, which lets its target go."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                call = self.gate.wait(left)
            except GateClosed:
                raise self._ended() from None
            if call is not None:
                return call
        self.gate.close()
        raise pyspy.PySpyError(f"py-spy did not answer for {seconds:g} s and was ended")

    def _expect_sleep(self, seconds: float) -> None:
        while self._expect(seconds) is Call.ATTACH:
            self.gate.answer(Call.ATTACH)

    def _ended(self) -> Exception:
        self.gate.close()
        if not self.target.lives():
            return TargetGone(f"process {self.target.pid} has ended")
        return pyspy.PySpyError(self.messages() or f"py-spy ended with status {self.gate.status}")

    def messages(self) -> str:
        """What py-spy has said of what went wrong."""
        return pyspy.complaint(os.pread(self._errors, 65536, 0))

    @property
    def pid(self) -> int:
        """py-spy's."""
        return self.gate.pid

    @property
    def cpu_seconds(self) -> float:
        """Of py-spy, once it has ended."""
        return self.gate.seconds

    def finish(self) -> bytes:
        """End py-spy and return what it has written. Its marks are in `marks`.

        Raises:
            pyspy.PySpyError: it wrote nothing.
        """
        self.gate.interrupt()
        until = time.monotonic() + _END_SECONDS
        while not self.gate.reap() and time.monotonic() < until:
            # It ends once a sample has come in; each call that it waits in must be let go.
            try:
                self.gate.answer(Call.SLEEP)
                while self.gate.wait(0.05) is Call.ATTACH:
                    self.gate.answer(Call.ATTACH)
            except GateClosed:
                time.sleep(0.002)  # it has ended, or will at once
        size = os.fstat(self._output).st_size
        text = os.pread(self._output, size, 0)
        self.failed = pyspy.failures(os.pread(self._errors, 65536, 0))
        if not text:
            raise pyspy.PySpyError(self.messages() or "py-spy wrote nothing")
        return text

    def close(self) -> None:
        """End py-spy in any case."""
        self.gate.close()
        self._close_files()

    def _close_files(self) -> None:
        for descriptor in (self._output, self._errors, self._own):
            with contextlib.suppress(OSError):
                os.close(descriptor)
