"""One window of one process while it is being taken: py-spy's samples joined with looks at /proc.

For each sample py-spy waits twice (gate.py): until its moment has come, and just before it stops
the target, when we look at every thread; while the target stands still we see which call each
thread was in. So a sample knows whether its thread was at work at that very moment. py-spy's own
idle flag does not: it is older than the stack, so that a line that sleeps may look like work.
"""

import contextlib
import os
import random
import time
from collections.abc import Mapping
from dataclasses import replace

from . import procfs, pyspy
from .budget import Stop
from .gate import Call, Gate, GateClosed
from .marks import Mark, Moment
from .slots import Slots
from .target import Target, TargetGone
from .threads import Look, moment

_START_SECONDS = 15.0  # until py-spy has found the interpreter
_HELD_SECONDS = 1.0  # no sample takes so long: py-spy hangs, and its target with it
_END_SECONDS = 10.0
_USUAL_SPAN = 0.0005  # seconds from the moment that py-spy may stop the target until it sleeps
_MARGIN = 1.25  # of that span, in which we look for the target standing still
_TRACED = "t"
_LOOK_SECONDS = 0.0005  # between two looks whether it still stands, at the first stop
_SAID_SECONDS = 0.02
_MOST_SAID = 65536  # bytes between two samples
_LEARN = 0.1  # what a sample counts for in an average of them
_USUAL_LEAD = 0.0006  # seconds before a sample at which py-spy begins
_LEAD_MARGIN = 1.5  # of what it takes on average
_MOST_LEAD = 0.005


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
        self.stops: list[Stop] = []
        self.failed = 0
        self._told = 0  # bytes of what py-spy has said that have been read
        self._span = self._late = 0.0
        self._lead = _USUAL_LEAD
        self._output = os.memfd_create("profile", os.MFD_CLOEXEC)
        self._errors = os.memfd_create("errors", os.MFD_CLOEXEC)
        try:
            # At one a second py-spy never thinks that it is late: it always sleeps, and so asks.
            line = pyspy.arguments(target.pid, self._output, rate=1, samples=10_000_000)
            self.gate = Gate(line, pyspy.environment(), target.pid, self._output, self._errors)
        except BaseException:
            self._close_files()
            raise
        try:
            self.first_stop = self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> float:
        """Until py-spy sleeps before its first sample; for how long it has stopped the target.

        Where a program has just been started it tries again, and sleeps in between. No sample comes
        of that sleep, so it is let sleep.
        """
        stood = 0.0
        while self._expect(_START_SECONDS) is Call.ATTACH or self._tries_again():
            # To let a sleep go on is the same as to let it attach.
            began = seen = now = time.monotonic()
            self.gate.answer(Call.ATTACH)
            while not self.gate.ready(_LOOK_SECONDS) and now < began + _START_SECONDS:
                now = time.monotonic()
                if self._stands():
                    seen = now
                if seen - began > _HELD_SECONDS:
                    raise self._hung(_HELD_SECONDS)
            stood += seen - began + _LOOK_SECONDS / 2
        return stood

    def _tries_again(self) -> bool:
        return pyspy.tries_again(self._newly_said())

    def _newly_said(self) -> bytes:
        said = os.pread(self._errors, _MOST_SAID, self._told)
        self._told += len(said)
        return said

    def begin(self, rate: float) -> None:
        """Count from now on, at this rate."""
        self._note_lost()
        self.marks, self.stops = [], []
        self.slots.begin(rate, time.monotonic())

    @property
    def due(self) -> float:
        """When to call `take`, in monotonic seconds: some time before the sample."""
        return self.slots.due - self._lead

    def take(self) -> None:
        """Take the next sample. Call it at `due` or soon after.

        What py-spy does before it stops anybody takes longer where the target keeps a core busy.
        So it begins early and waits for its moment: else those just after a sleep were sampled too
        rarely.

        Raises:
            TargetGone: the process has ended.
            pyspy.PySpyError: py-spy has ended, or hung and was killed.
        """
        self._note_lost()
        began, moment = time.monotonic(), self.slots.due
        self.slots.taken(max(began, moment))
        self.gate.answer(Call.SLEEP)
        call = self._expect(_HELD_SECONDS)
        now = time.monotonic()
        lead = min(_LEAD_MARGIN * (now - began), _MOST_LEAD)
        self._lead += _LEARN * (lead - self._lead)
        if now < moment:
            time.sleep(moment - now)
            now = moment
        threads = self._stop() if call is Call.ATTACH else {}
        self.marks.append(Mark(now, threads))

    def _note_lost(self) -> None:
        """See whether py-spy has failed at the last sample: what it has said since is about that.

        Its first thread says it, which may still wait for a core; once it sleeps, all is said. Of
        two at once, the one before was told late all the same.
        """
        until = time.monotonic() + _SAID_SECONDS
        while self._says() and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
        for at in range(1, 1 + min(pyspy.lost(self._newly_said()), len(self.marks))):
            self.marks[-at] = replace(self.marks[-at], lost=True)

    def _says(self) -> bool:
        """Is py-spy's first thread at work?"""
        text = procfs.read_or_none(f"/proc/{self.pid}/stat")
        return text is not None and procfs.parse_stat(text).state == "R"

    def _stop(self) -> dict[int, Moment]:
        """Let py-spy stop the target, and see what each thread was doing before and then."""
        before = self.target.look()
        span = self._span or _USUAL_SPAN
        began = time.monotonic()
        self.gate.answer(Call.ATTACH)
        stood, at_stop = self._peek(before, span * random.random())
        longer = self._stands_for(span, began + 2 * span)
        self._expect_sleep(_HELD_SECONDS)
        took = time.monotonic() - began
        threads = {tid: moment(look, at_stop.get(tid)) for tid, look in before.items()}
        # It was let go some time before py-spy slept; when, nobody tells. But looks at random
        # moments of a span see it stand still as often as it does (Monte Carlo integration). What
        # lies before the first of them, as each comes a little late, is taken for a part of it.
        late = min(self._late, span / 2)
        seconds = min(late + span * stood + longer, took)
        self.stops.append(Stop(seconds, any(map(_may_work, threads.values())), took))
        usual = _MARGIN * min(took, 2 * span)
        self._span = usual if not self._span else self._span + _LEARN * (usual - self._span)
        return threads

    def _peek(
        self, before: Mapping[int, Look], after: float
    ) -> tuple[bool, dict[int, tuple[int, ...]]]:
        """Does the target stand still in so many seconds? And which calls are its threads in then?

        None of them where it went on in the meantime: they may be others.
        """
        calls: dict[int, tuple[int, ...]] = {}
        wanted = time.monotonic() + after
        if self.gate.ready(after):
            return False, {}
        self._late += _LEARN * (time.monotonic() - wanted - self._late)
        if not self._stands():
            return False, {}
        with contextlib.suppress(OSError):  # a thread has gone
            for tid in before:
                text = self.target.watched[tid].files.read("syscall", 160)
                if (call := procfs.parse_syscall(text)) is not None:
                    calls[tid] = call
        return True, calls if self._stands() else {}

    def _stands_for(self, span: float, until: float) -> float:
        """Seconds for which it still stands beyond a span, where it does so at the time `until`."""
        more = 0
        wait = until - time.monotonic()
        while more < _HELD_SECONDS / span and not self.gate.ready(wait) and self._stands():
            more += 1 if more else 2
            wait = span
        return more * span

    def _stands(self) -> bool:
        """Is the target's first thread traced and still?"""
        return self.target.letter() == _TRACED

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
        raise self._hung(seconds)

    def _hung(self, seconds: float) -> Exception:
        self.gate.close()
        return pyspy.PySpyError(f"py-spy did not answer for {seconds:g} s and was ended")

    def _expect_sleep(self, seconds: float) -> None:
        """Until py-spy sleeps, which may attach again before."""
        while self._expect(seconds) is Call.ATTACH:
            self.gate.answer(Call.ATTACH)

    def _ended(self) -> Exception:
        self.gate.close()
        if not self.target.lives():
            return TargetGone(f"process {self.target.pid} has ended")
        return pyspy.PySpyError(self.messages() or f"py-spy ended with status {self.gate.status}")

    def messages(self) -> str:
        """What py-spy has said of what went wrong."""
        return pyspy.complaint(pyspy.written(self._errors))

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
        self._note_lost()
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
        text = pyspy.written(self._output)
        # One that it was asked for only to let it end is none of ours.
        said = pyspy.written(self._errors)
        self.failed = pyspy.failures(said) - pyspy.lost(said[self._told :])
        if not text:
            raise pyspy.PySpyError(self.messages() or "py-spy wrote nothing")
        return text

    def close(self) -> None:
        """End py-spy in any case."""
        self.gate.close()
        self._close_files()

    def _close_files(self) -> None:
        for descriptor in (self._output, self._errors):
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _may_work(moment: Moment) -> bool:
    """As far as it was seen: at the stop, or else just before."""
    seen = moment.ran_before if moment.active is None else moment.active
    return seen is not False
