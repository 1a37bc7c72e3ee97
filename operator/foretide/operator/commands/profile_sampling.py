"""Sampling a local process for a command: whether it can be done, and doing it."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .progress import Bar
from .telling import Refused

if TYPE_CHECKING:
    from foretide.profiling.profile import Profile
    from foretide.profiling.sampler import Budget
    from foretide.profiling.window import Window

# What a window lasts; a shorter recording is one window.
WINDOW_SECONDS = 10.0
# CPU seconds that each window costs before its first sample: py-spy is started for it, and read.
_EACH_WINDOW = 0.05
_LONGEST = 24 * 3600.0


def check_pid(pid: int) -> None:
    """See that the process can be sampled.

    Raises:
        Refused: it cannot be, with the reason and what would help.
    """
    from foretide.profiling.sampler.probes import can_attach

    refusal = can_attach(pid) if pid > 0 else None
    if pid <= 0:
        raise Refused(f"{pid} is no PID")
    if refusal is not None:
        raise Refused(str(refusal).rstrip("."))


def budget_of(rate: float) -> "Budget":
    """The usual budget, at another rate.

    Raises:
        Refused: no sampler could do that.
    """
    from foretide.profiling.sampler import Budget

    if not 0.5 <= rate <= 1000:
        raise Refused("--rate must be between 0.5 and 1000 Hz")
    return Budget(rate=rate)


def live_budget(rate: float, seconds: float) -> "Budget":
    """The usual one, with as many more cores as short windows of `seconds` cost by their number.

    What the process may be stopped for stays as it is.

    Raises:
        Refused: no sampler could do that.
    """
    usual = budget_of(rate)
    return replace(usual, cores=usual.cores + _EACH_WINDOW / seconds)


def windows_of_pid(
    pid: int, *, seconds: float, rate: float, children: bool = False
) -> "tuple[Window, ...]":
    """Windows of a process, and of its Python children if asked. Ctrl-C ends it early.

    Raises:
        Refused: it cannot be sampled, or was not there for long enough.
    """
    from foretide.profiling.sampler import PySpyError
    from foretide.profiling.sampler.several import NothingToSample

    if not 1 <= seconds <= _LONGEST:
        raise Refused("--seconds must be between 1 and 86400")
    check_pid(pid)
    others = _children_of(pid)
    if others and not children:
        print(
            f"foretide: process {pid} has {len(others)} Python children, such as a server's "
            "workers: --children samples them, too",
            file=sys.stderr,
        )
    number = max(1, round(seconds / WINDOW_SECONDS))
    taken: list[Window] = []
    try:
        with Bar() as bar:
            label = f"sampling process {pid}, Ctrl-C ends it early"
            bar(0, number, label)
            for window in _stream(pid, seconds / number, number, rate, children):
                taken.append(window)
                rounds = len({one.started_at // (seconds / number) for one in taken})
                bar(min(number, rounds), number, label)
    except KeyboardInterrupt:
        if not taken:
            raise
    except (PySpyError, NothingToSample, FileNotFoundError) as error:
        if not taken:
            raise Refused(f"process {pid} could not be sampled: {error}") from None
        print(f"foretide: the sampling ended early: {error}", file=sys.stderr)
    if not taken:
        raise Refused(
            f"process {pid} ended before a whole second of it was seen: "
            "give it more to do, and record that"
        )
    return tuple(taken)


def open_source(
    source: str, *, seconds: float, rate: float, children: bool
) -> "Profile | tuple[Window, ...]":
    """What a FILE holds, or what a PID does.

    Raises:
        Refused: there is no such process, or it cannot be sampled.
        BadProfile: the file cannot be read.
    """
    from foretide.profiling.files import read_file

    path = Path(source)
    if source.isdecimal() and not path.exists():
        return windows_of_pid(int(source), seconds=seconds, rate=rate, children=children)
    return read_file(path)


def _stream(
    pid: int, seconds: float, number: int, rate: float, children: bool
) -> "Iterator[Window]":
    from foretide.profiling.sampler import sample
    from foretide.profiling.sampler.several import sample_all

    budget = budget_of(rate)
    if not children:
        return sample(pid, seconds=seconds, windows=number, budget=budget)
    return sample_all(
        lambda _: [pid, *_children_of(pid)], seconds=seconds, rounds=number, budget=budget
    )


def _children_of(pid: int) -> list[int]:
    """Python processes that descend from it."""
    from foretide.profiling.sampler.find import family, python_processes

    return [one.pid for one in python_processes() if one.pid != pid and pid in family(one.pid)]
