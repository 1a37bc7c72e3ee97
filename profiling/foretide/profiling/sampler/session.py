"""Samples processes window by window: the sampler's front."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ..window import Overhead, Samples, Thread, Window
from . import joining, pyspy, usage
from .budget import Budget, Cost, Debt, affordable, calibrated, hindered, next_rate
from .gate import GateUnavailable
from .marks import Mark
from .plain import Plain
from .priority import come_at_once
from .sweeps import Sweeps
from .taking import Taking
from .target import Target, TargetGone
from .unseen import share_out
from .variables import by_index, read_variables
from .watchdog import Watchdog, shared

_MOST_FAILURES = 3  # windows in a row
_USUAL_STOP = 0.0003  # seconds for each thread, measured with stacks 14 deep
_USUAL_CPU = 0.0006
_CALIBRATION = 5  # samples, fewer where each of them stops the target for long
_CALIBRATION_RATE = 8.0
_WINDOW_CPU = 0.04  # seconds: to start py-spy and to read what it wrote
_PART_SECONDS = 1.0  # about
_HALTED_SECONDS = 0.2  # between two looks at a process that a signal has stopped
_BUSY = 0.1  # a thread that rests less has told how long it was stopped


class Sampler:
    """One process, window after window. Each starts its own py-spy, which ends with it.

    Times are wall-clock seconds. Close it, or use it as a context manager.
    """

    def __init__(
        self,
        pid: int,
        *,
        seconds: float = 10.0,
        budget: Budget | None = None,
        labels: Mapping[str, str] | None = None,
        variables: bool = False,
        watchdog: Watchdog | None = None,
    ) -> None:
        """`variables`: let local variables leave the process (Window.variables).

        Raises FileNotFoundError where there is no such process.
        """
        self.variables = variables
        self._watchdog = watchdog or shared()
        self.target = Target(pid)
        self.seconds = seconds
        self.budget = budget or Budget()
        self.labels = dict(labels or {})
        self.rate: float | None = None  # not known until the first stops have been measured
        self._taking: Taking | Plain | None = None
        self._held = True  # may py-spy be held at each sample? Until the kernel says no
        self._skipped: list[Mark] = []  # taken before the window, to measure their cost
        self._cut = False  # has the window ended before its time?
        self._ends = 0.0
        self._started_at = 0.0
        self._parts = joining.Parts(0.0, 1.0, 1)
        self._part_ends = 0.0
        self._cpu = 0.0
        self._sweeps = Sweeps(self.target, self.budget)
        self._debt = Debt()
        self._cost: Cost | None = None

    def __enter__(self) -> "Sampler":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def prepare(self) -> None:
        """Start py-spy, and find a rate where none is known: what must come before a window.

        Raises:
            TargetGone: the process has ended.
            pyspy.PySpyError: py-spy cannot attach.
        """
        if not self.target.lives():
            raise TargetGone(f"process {self.target.pid} has ended")
        if self.target.is_halted():
            raise pyspy.PySpyError(f"process {self.target.pid} is stopped: let it go on (SIGCONT)")
        self._cpu = usage.own_cpu()
        self._skipped = []
        come_at_once()
        self.target.begin()
        self._taking = taking = self._start()
        self._watchdog.watch(taking.pid, self.target.pid)
        if self.rate is None and self.budget.is_boundless:
            self.rate = self.budget.rate
        if self.rate is None:
            assert isinstance(taking, Taking)
            self.rate = self._calibrate(taking)

    def begin(self) -> None:
        """Start a window; `prepare` first where that has not been done.

        Raises:
            TargetGone, pyspy.PySpyError: as `prepare` does.
        """
        if self._taking is None:
            self.prepare()
        taking = self._taking
        assert taking is not None
        assert self.rate is not None
        self.target.begin()
        self._started_at = time.time()
        self._cut = False
        number = max(1, round(self.seconds / _PART_SECONDS))
        self._parts = joining.Parts(time.monotonic(), self.seconds / number, number)
        self._part_ends = self._parts.start + self._parts.length
        self._ends = self._parts.start + self.seconds
        taking.begin(self.rate)
        self._sweeps.begin(self.rate)

    def _start(self) -> Taking | Plain:
        if self._held:
            try:
                return Taking(self.target, rate=_CALIBRATION_RATE)
            except GateUnavailable:
                self._held = False
        if self.rate is None:  # it cannot be changed later: reckon with what others were stopped
            stop = _USUAL_STOP * len(self.target.watched)
            self.rate = self._affordable(Cost(stop, _USUAL_CPU, _WINDOW_CPU))
        return Plain(self.target, rate=self.rate)

    def _affordable(self, cost: Cost) -> float:
        """The rate that such a cost allows, with looks between samples where they are rare."""
        rate = affordable(self.budget, cost, self.seconds)
        looks = self._sweeps.expected(self.seconds, rate)
        return affordable(self.budget, replace(cost, window=cost.window + looks), self.seconds)

    def _calibrate(self, taking: Taking) -> float:
        """A rate for the first window, from a few stops: it must keep the budget, too."""
        taking.begin(_CALIBRATION_RATE)
        allowed = self.budget.stopped * self.seconds / 2
        before = 0.0
        while (
            len(taking.marks) < _CALIBRATION and sum(each.most for each in taking.stops) < allowed
        ):
            if len(taking.marks) <= 1:  # the first costs more than those that follow
                before = usage.own_cpu() + usage.cpu_of(taking.pid)
            time.sleep(max(0.0, taking.due - time.monotonic()))
            taking.take()
        spent = usage.own_cpu() + usage.cpu_of(taking.pid) - before
        self._skipped = taking.marks
        each = spent / max(1, len(self._skipped) - 1)
        cost = Cost(calibrated(taking.stops), each, _WINDOW_CPU, taking.first_stop)
        return self._affordable(cost)

    @property
    def due(self) -> float:
        """When `step` wants to be called next, in monotonic seconds."""
        assert self._taking is not None, "begin first"
        return min(self._taking.due, self._sweeps.due, self._part_ends, self._ends)

    def step(self) -> bool:
        """Take what is due; False once the window is over, as it also is where the process ends.

        Raises:
            pyspy.PySpyError: py-spy has ended, or hung and was killed.
        """
        taking = self._taking
        assert taking is not None, "begin first"
        now = time.monotonic()
        if now >= self._ends:
            return False
        try:
            if now >= taking.due:
                taking.take()
            elif now >= self._sweeps.due:
                self._sweeps.sweep(now)
            if now >= self._part_ends:
                if not self.target.lives():
                    raise TargetGone
                self.target.end_part()
                self._part_ends += self._parts.length
        except TargetGone:
            self._cut = True
            return False
        return True

    def cut_short(self) -> Window:
        """End the window now, and keep its whole parts. Raises what `finish` raises."""
        self._cut = True
        return self.finish()

    def finish(self) -> Window:
        """End the window and put it together; of one that was cut short, its whole parts.

        Raises:
            TargetGone: it was cut short before its first part was whole.
            pyspy.PySpyError: py-spy wrote nothing that can be read.
        """
        taking = self._taking
        assert taking is not None, "begin first"
        assert self.rate is not None
        if self._cut:  # what was counted in the part that is not whole is not known
            if not self.target.parts:
                raise TargetGone(f"process {self.target.pid} was not there for long enough")
            self._parts = replace(self._parts, number=self.target.parts)
        facts, container, seconds = self.target.end(self._parts.number)
        if self._cut:
            seconds = self._parts.number * self._parts.length
        rss = usage.own_pss() + usage.rss_of(taking.pid)
        try:
            text = taking.finish()
        finally:
            self._end_taking()
        recording, marks = self._read(text, taking)
        kept = self._parts.within(taking.marks)
        if marks:
            count = sum(not mark.lost for mark in kept)
        else:
            count = max((len(each.stacks) for each in recording.threads), default=0)
        usual = seconds / max(1, count)
        threads, samples = self._joined(recording, marks, facts.cpu_seconds, usual)
        variables: Mapping[int, Mapping[str, str]] = {}
        if self.variables:
            with contextlib.suppress(pyspy.PySpyError):  # the window is worth more without them
                variables = by_index(recording.frames, read_variables(self.target.pid))
        source = self.target.sources.of_leaves(recording.frames, recording.stacks)
        cpu = usage.own_cpu() - self._cpu + taking.cpu_seconds
        stopped = _stopped_share(taking, threads, seconds, len(kept))
        window = Window(
            started_at=round(self._started_at, 3),
            seconds=round(seconds, 4),
            rate=round(self.rate, 3),
            pid=self.target.pid,
            python_version=self.target.book.version,
            command=self.target.command,
            sample_count=count,
            sweeps=self.target.sweeps,
            frames=tuple(recording.frames),
            stacks=tuple(recording.stacks),
            threads=tuple(threads),
            samples=tuple(samples),
            process=facts,
            container=container,
            overhead=Overhead(
                stopped_share=None if stopped is None else round(stopped, 6),
                sampler_cpu_seconds=round(cpu, 6),
                sampler_rss=rss,
                late_samples=taking.slots.late,
                failed_samples=taking.failed,
            ),
            labels=self.labels,
            source=source,
            variables=variables,
            parts=self._parts.number,
        )
        first = taking.first_stop if isinstance(taking, Taking) else 0.0
        self._adapt(window, max(1, len(kept) or count), first)
        return window

    def _read(self, text: bytes, taking: Taking | Plain) -> tuple[pyspy.Recording, list[Mark]]:
        """What py-spy has written, and the marks of its samples as far as these are known; without
        them the samples that came before the window are left out here.
        """
        recording = pyspy.parse(text)
        marks = joining.of_samples([*self._skipped, *taking.marks], taking.failed)
        if not marks:
            recording = _without_first(recording, len(self._skipped))
        self._skipped = []
        return recording, marks

    def _joined(
        self, recording: pyspy.Recording, marks: Sequence[Mark], cpu_seconds: float, usual: float
    ) -> tuple[list[Thread], list[Samples]]:
        """Threads and their samples, of a process that has used so much CPU time. `usual`: seconds
        from one sample to the next.
        """
        tids = self.target.tids_of([t.pthread for t in recording.threads if t.pthread])
        watched = self.target.watched
        threads, samples = joining.join(recording, watched, tids, marks, self._parts)
        unseen = cpu_seconds - sum(thread.cpu_seconds for thread in threads)
        ended = [not (each.tid in watched and watched[each.tid].alive) for each in threads]
        return share_out(threads, samples, ended, unseen, usual), samples

    def _adapt(self, window: Window, taken: int, first: float) -> None:
        total = window.overhead.sampler_cpu_seconds
        fixed = min(total / 2, _WINDOW_CPU + self._sweeps.cpu)
        share = window.overhead.stopped_share or 0.0
        stops = max(0.0, share * window.seconds - first)
        cost = Cost(stops / taken, (total - fixed) / taken, fixed, first)
        self._cost = cost = cost.after(self._cost)
        # A rate that fits what a window's stops have cost is too high for every second window
        # that follows, by more than it is too low for the others.
        self._debt = self._debt.after(self.budget, total / window.seconds, share)
        self.rate = next_rate(self._debt.paid_from(self.budget), window.rate, cost, self.seconds)

    def window(self) -> Window:
        """One window. Raises what `begin`, `step` and `finish` raise; py-spy has ended then.

        KeyboardInterrupt leaves it as it is: `cut_short` then has what was seen.
        """
        try:
            self.begin()
            while True:
                time.sleep(max(0.0, self.due - time.monotonic()))
                if not self.step():
                    return self.finish()
        except Exception:
            self._end_taking()
            raise

    def close(self) -> None:
        """End py-spy if it runs, and let go of the process' files."""
        self._end_taking()

    def _end_taking(self) -> None:
        self.target.close()  # a window opens its files anew, and others may need theirs until then
        if self._taking is not None:
            self._taking.close()
            self._watchdog.forget(self._taking.pid)
            self._taking = None


def _without_first(recording: pyspy.Recording, skipped: int) -> pyspy.Recording:
    """Leave out the samples that were taken to measure their cost."""
    if not skipped:
        return recording
    threads = [
        pyspy.ThreadSamples(t.tid, t.pthread, t.name, t.stacks[skipped:]) for t in recording.threads
    ]
    return pyspy.Recording(recording.frames, recording.stacks, threads)


def sample(
    pid: int,
    *,
    seconds: float = 10.0,
    windows: int | None = None,
    budget: Budget | None = None,
    labels: Mapping[str, str] | None = None,
    variables: bool = False,
) -> Iterator[Window]:
    """Windows of one process, until it ends or `windows` have been taken. Local variables
    stay where they are unless `variables` asks for them. A window in which the process ends, or
    Ctrl-C comes, is as long as it has whole parts, and is the last. None begins while a signal has
    stopped the process.

    Raises:
        FileNotFoundError: there is no such process.
        pyspy.PySpyError: py-spy is missing or cannot attach (`probes.can_attach` says why).
    """
    with Sampler(
        pid, seconds=seconds, budget=budget, labels=labels, variables=variables
    ) as sampler:
        taken = failures = 0
        while windows is None or taken < windows:
            try:
                window = sampler.window()
            except TargetGone:
                return
            except KeyboardInterrupt:
                with contextlib.suppress(TargetGone, pyspy.PySpyError):
                    yield sampler.cut_short()
                raise
            except pyspy.PySpyError:
                if sampler.target.is_halted():  # by a signal: it may go on
                    time.sleep(_HALTED_SECONDS)
                    continue
                failures += 1
                if failures == _MOST_FAILURES:
                    raise
                continue
            failures = 0
            taken += 1
            yield window


def _stopped_share(
    taking: Taking | Plain, threads: Sequence[Thread], seconds: float, taken: int
) -> float | None:
    """The share of the time in which the target stood still for its samples; None: not known."""
    still = _stood_still(threads, seconds)
    if isinstance(taking, Taking):
        wakes = sum(each.voluntary_switches for each in threads) / seconds
        held = taking.first_stop + hindered(taking.stops[:taken], wakes)
        return min(held, still) / seconds
    return still / seconds if still < _BUSY * seconds else None


def _stood_still(threads: Sequence[Thread], seconds: float) -> float:
    """Seconds in which the busiest thread neither ran nor waited for a core: no stop is longer.

    Our own clock sees each stop too long where py-spy, or we after it, had to wait for a core.
    """
    busiest = max((each.cpu_seconds + each.runqueue_seconds for each in threads), default=0.0)
    return max(0.0, seconds - busiest)


__all__ = ["Sampler", "TargetGone", "sample"]
