"""Which processes the resident samples, and their windows as lines. Standard library only."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .resident import FIRST_WINDOW, Order, SamplingRefused
from .sampler import Budget, PySpyError, Sampler, TargetGone, to_packed_line
from .sampler.gate import GateUnavailable

# Forked workers are alike; each one more costs as much as the first.
MOST_PROCESSES = 3
_LOOK_AGAIN = 1.0
_PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the application; `ticks` of CPU say how busy it has been."""

    pid: int
    ticks: int
    python: bool


def sampling(order: Order, interrupt: threading.Event) -> Iterator[str]:
    """Sample the busiest Python processes until the order is done or the event is set.

    Raises:
        SamplingRefused: there is none, or it cannot be looked into.
    """
    ends = None if order.seconds is None else time.monotonic() + order.seconds
    labels = {**order.labels, "run": order.run}
    budget = Budget(rate=order.rate)
    samplers: dict[int, Sampler] = {}
    length = min(FIRST_WINDOW, order.window)
    try:
        while not interrupt.is_set() and (ends is None or time.monotonic() < ends - 1.0):
            pids = _wait_for_python(order.container_id, interrupt)
            for gone in samplers.keys() - set(pids):
                samplers.pop(gone).close()
            for pid in set(pids) - samplers.keys():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # just ended
                    samplers[pid] = _sampler(pid, budget, labels)
            left = length if ends is None else min(length, ends - time.monotonic())
            for sampler in samplers.values():
                sampler.seconds = max(1.0, left)
            yield from _windows(samplers, interrupt)
            length = order.window
    finally:
        for sampler in samplers.values():
            sampler.close()


def _sampler(pid: int, budget: Budget, labels: dict[str, str]) -> Sampler:
    try:
        return Sampler(pid, budget=budget, labels=labels)
    except PermissionError as error:
        raise SamplingRefused("NotPermitted", f"process {pid}: {error}") from None


def _windows(samplers: dict[int, Sampler], interrupt: threading.Event) -> Iterator[str]:
    """One window of each, all at the same time; one whose process has ended is left out."""
    running: dict[int, Sampler] = {}
    for pid, sampler in list(samplers.items()):
        try:
            sampler.begin()
            running[pid] = sampler
        except (TargetGone, FileNotFoundError, ProcessLookupError):
            samplers.pop(pid).close()
        except (PySpyError, GateUnavailable, PermissionError) as error:
            raise SamplingRefused("CannotAttach", str(error)) from None
    while running:
        due = min(sampler.due for sampler in running.values())
        if interrupt.wait(max(0.0, due - time.monotonic())):
            return
        for pid, sampler in list(running.items()):
            if sampler.step():
                continue
            del running[pid]
            try:
                yield to_packed_line(sampler.finish())
            except TargetGone:
                samplers.pop(pid).close()
            except PySpyError as error:
                raise SamplingRefused("CannotAttach", str(error)) from None


def _wait_for_python(container_id: str, interrupt: threading.Event) -> list[int]:
    """The busiest Python processes; an application that is just starting is waited for."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        found = processes(container_id)
        busiest = sorted((it for it in found if it.python), key=lambda it: -it.ticks)
        if busiest:
            return [it.pid for it in busiest[:MOST_PROCESSES]]
        if time.monotonic() > deadline or interrupt.wait(_LOOK_AGAIN):
            break
    if not found:
        raise SamplingRefused("NoProcess", "no process of the application is to be seen")
    raise SamplingRefused(
        "NotPython", f"none of the {len(found)} processes is Python, or none can be looked into"
    )


def processes(container_id: str = "", root: Path = Path("/proc")) -> list[Process]:
    """The processes that are not the sampler's own: those of one container, if it is known.

    Where no process says whose it is (a namespace may hide that), all of them.
    """
    own = _cgroup(root, "self")
    seen = []
    for name in sorted(int(it.name) for it in root.iterdir() if it.name.isdigit()):
        group = _cgroup(root, str(name))
        if group is None or (group == own and own) or _is_ours(root, name):
            continue
        if (process := _look(root, name)) is not None:
            seen.append((group, process))
    named = [process for group, process in seen if container_id and container_id in group]
    return named or [process for _, process in seen]


def _look(root: Path, pid: int) -> Process | None:
    try:
        stat = (root / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    if fields[0] in ("Z", "X"):
        return None
    return Process(pid, int(fields[11]) + int(fields[12]), _is_python(root, pid))


def _is_python(root: Path, pid: int) -> bool:
    """Whether an interpreter's image is mapped: its own, or libpython in another program."""
    try:
        if "python" in os.path.basename(os.readlink(root / str(pid) / "exe")):
            return True
        maps = (root / str(pid) / "maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "/libpython" in maps


def _is_ours(root: Path, pid: int) -> bool:
    try:
        command = (root / str(pid) / "cmdline").read_bytes()
    except OSError:
        return True
    return b"foretide.profiling.resident" in command or b"py-spy" in command.split(b"\0")[0]


def _cgroup(root: Path, pid: str) -> str | None:
    try:
        return (root / pid / "cgroup").read_text(encoding="utf-8")
    except OSError:
        return None
