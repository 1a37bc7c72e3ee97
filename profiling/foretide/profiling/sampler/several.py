"""Several processes at once, in one thread: windows of the processes of a container."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from ..window import Window
from .budget import Budget
from .pyspy import PySpyError
from .session import Sampler
from .target import TargetGone


class NothingToSample(Exception):
    """No process could be sampled; the message says what each said."""


def sample_all(
    choose: Callable[[int], Sequence[int]],
    *,
    seconds: float = 10.0,
    rounds: int | None = None,
    budget: Budget | None = None,
    labels: Mapping[str, str] | None = None,
    variables: bool = False,
) -> Iterator[tuple[Window, ...]]:
    """Round by round the windows of those processes that `choose` names for the round of this
    number, counted from 0. Those in which a process ends, or Ctrl-C comes, are as long as they
    have whole parts.

    What the sampler may use of the CPU is for all of them together; how long one may stand still
    is for each. A process that cannot be sampled is passed over.

    Raises:
        NothingToSample: a whole round gave no window.
    """
    whole = budget or Budget()
    known: dict[int, Sampler] = {}
    try:
        number = 0
        while rounds is None or number < rounds:
            pids = choose(number)
            share = replace(whole, cores=whole.cores / max(1, len(pids)))
            complaints = []
            samplers = []
            for pid in pids:
                try:
                    if pid not in known or not known[pid].target.lives():
                        known[pid] = Sampler(
                            pid, seconds=seconds, labels=labels, variables=variables
                        )
                    known[pid].budget = share
                    samplers.append(known[pid])
                except OSError as error:
                    complaints.append(f"{pid}: {error.strerror}")
            taken: list[Window] = []
            try:
                for window in _round(samplers, complaints):
                    taken.append(window)  # noqa: PERF402 - to be kept where Ctrl-C comes
            except KeyboardInterrupt:
                if taken:
                    yield tuple(taken)
                raise
            if not taken:
                raise NothingToSample("; ".join(complaints) or "there is no process to sample")
            yield tuple(taken)
            known = {pid: each for pid, each in known.items() if each.target.lives()}
            number += 1
    finally:
        for sampler in known.values():
            sampler.close()


def _round(samplers: Sequence[Sampler], complaints: list[str]) -> Iterator[Window]:
    """One window of each, taken side by side."""
    active = list(samplers)
    for step in (Sampler.prepare, Sampler.begin):  # to prepare takes a while: first all of them
        for sampler in list(active):
            try:
                step(sampler)
            except (PySpyError, TargetGone, OSError) as error:
                _give_up(sampler, error, complaints)
                active.remove(sampler)
    while active:
        sampler = min(active, key=lambda each: each.due)
        try:
            time.sleep(max(0.0, sampler.due - time.monotonic()))
            if sampler.step():
                continue
            window = sampler.finish()
        except KeyboardInterrupt:
            for sampler in active:
                with contextlib.suppress(PySpyError, TargetGone, OSError):
                    yield sampler.cut_short()
            raise
        except (PySpyError, TargetGone, OSError) as error:
            _give_up(sampler, error, complaints)
            active.remove(sampler)
            continue
        active.remove(sampler)
        yield window


def _give_up(sampler: Sampler, error: Exception, complaints: list[str]) -> None:
    sampler.close()
    complaints.append(f"{sampler.target.pid}: {error}")
