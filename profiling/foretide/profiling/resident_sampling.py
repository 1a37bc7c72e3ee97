"""Which processes the resident samples, and their windows as lines. Standard library only."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TypeVar

from .orders import Order, SamplingRefused
from .sampler import Budget, PySpyError, Sampler, TargetGone, to_packed_line
from .sampler.find import Found, python_processes
from .sampler.probes import can_attach

T = TypeVar("T")

# A first look at how things stand is worth more than a long first window: seconds.
FIRST_WINDOW = 5.0
# Forked workers are alike; each one more costs as much as the first.
MOST_PROCESSES = 3
_OURS = "foretide.profiling."
_LOOK_AGAIN = 1.0
_PATIENCE = 20.0
# What is left of an order, in seconds, for which another window would say nothing.
_TOO_SHORT = 1.5


def sampling(order: Order, interrupt: threading.Event) -> Iterator[str]:
    """Sample the busiest Python processes until the order is done or the event is set.

    Raises:
        SamplingRefused: there is none, or it cannot be looked into.
    """
    ends = float("inf") if order.seconds is None else time.monotonic() + order.seconds
    samplers: dict[int, Sampler] = {}
    length = min(FIRST_WINDOW, order.window)
    try:
        while not interrupt.is_set() and ends - time.monotonic() > _TOO_SHORT:
            chosen = _choose(order.container_id, interrupt)
            _follow(samplers, [it.pid for it in chosen], order)
            for sampler in samplers.values():
                sampler.seconds = max(1.0, min(length, ends - time.monotonic()))
            yield from _windows(samplers, interrupt)
            length = order.window
    finally:
        for sampler in samplers.values():
            sampler.close()


def _choose(container_id: str, interrupt: threading.Event) -> list[Found]:
    """The busiest Python processes; an application that is just starting is waited for."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        found = [it for it in python_processes(container_id) if _OURS not in it.command]
        if found:
            return sorted(found, key=lambda it: -it.cpu_seconds)[:MOST_PROCESSES]
        if time.monotonic() > deadline or interrupt.wait(_LOOK_AGAIN):
            break
    raise SamplingRefused(
        "NotPython",
        "no Python process of the application is to be seen. Name the container that runs it",
    )


def _follow(samplers: dict[int, Sampler], pids: list[int], order: Order) -> None:
    """Let there be a sampler for each of these processes and for no other."""
    for gone in samplers.keys() - set(pids):
        samplers.pop(gone).close()
    whole = Budget(rate=order.rate)
    share = replace(whole, cores=whole.cores / max(1, len(pids)))
    labels = {**order.labels, "run": order.run}
    for pid in pids:
        if pid not in samplers:
            if (refusal := can_attach(pid)) is not None:
                raise SamplingRefused(refusal.reason, f"{refusal.message}. {refusal.remedy}")
            try:
                samplers[pid] = Sampler(pid, labels=labels, variables=order.locals)
            except (FileNotFoundError, ProcessLookupError):  # it has just ended
                continue
            except OSError as error:
                raise SamplingRefused("CannotAttach", f"process {pid}: {error}") from None
        samplers[pid].budget = share


def _windows(samplers: dict[int, Sampler], interrupt: threading.Event) -> Iterator[str]:
    """One window of each, all at the same time; one whose process has ended is left out."""
    running = dict(samplers)
    for step in (Sampler.prepare, Sampler.begin):  # to prepare takes a while: first all of them
        for pid, sampler in list(running.items()):
            _tried(pid, partial(step, sampler), samplers)
            if pid not in samplers:
                del running[pid]
    while running:
        pid = min(running, key=lambda it: running[it].due)
        sampler = running[pid]
        if interrupt.wait(max(0.0, sampler.due - time.monotonic())):
            return
        going_on = _tried(pid, sampler.step, samplers)
        if not going_on:
            del running[pid]
            window = _tried(pid, sampler.finish, samplers) if pid in samplers else None
            if window is not None:
                yield to_packed_line(window)


def _tried(pid: int, work: Callable[[], T], samplers: dict[int, Sampler]) -> T | None:
    """Do it; what came of it, None where the process has ended, which is forgotten then.

    Raises:
        SamplingRefused: the process is there, and cannot be sampled.
    """
    try:
        return work()
    except (PySpyError, TargetGone, OSError) as error:
        if samplers[pid].target.lives():
            raise SamplingRefused("CannotAttach", f"process {pid}: {error}") from None
        samplers.pop(pid).close()
        return None
