"""Sampling a local process for a command: whether it can be done, and doing it."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .progress import Clock
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
        told = str(refusal).rstrip(".")
        raise Refused(told if str(pid) in refusal.message else f"process {pid}: {told}")


def budget_of(rate: float, seconds: float = WINDOW_SECONDS, processes: int = 1) -> "Budget":
    """The usual budget at another rate, for each of so many processes.

    Windows of `seconds` that are shorter than usual get as many more cores as they cost by their
    number. What a process may be stopped for stays as it is.

    Raises:
        Refused: no sampler could do that.
    """
    from foretide.profiling.sampler import Budget

    if not 0.5 <= rate <= 1000:
        raise Refused("--rate must be between 0.5 and 1000 Hz")
    usual = Budget(rate=rate)
    more = _EACH_WINDOW * max(0.0, 1 / seconds - 1 / WINDOW_SECONDS)
    return replace(usual, cores=processes * (usual.cores + more))


def windows_of_pid(
    pid: int, *, seconds: float, rate: float, children: bool = False
) -> "tuple[Window, ...]":
    """Windows of a process, and of its Python children if asked. Ctrl-C or SIGTERM ends it early.

    Raises:
        Refused: it cannot be sampled, or was not there for long enough.
    """
    from foretide.profiling.sampler import PySpyError
    from foretide.profiling.sampler.several import NothingToSample

    if not 1 <= seconds <= _LONGEST:
        raise Refused("--seconds must be between 1 and 86400")
    number = max(1, round(seconds / WINDOW_SECONDS))
    length = seconds / number
    budget = budget_of(rate, length)
    check_pid(pid)
    if children:
        budget = budget_of(rate, length, 1 + len(children_of(pid)))
    else:
        tell_of_children(pid)
    taken: list[Window] = []
    seen: set[int] = set()
    done = 0.0
    ended = True  # unless it is we who end it
    label = f"sampling process {pid}{' and children' if children else ''}, Ctrl-C ends it"
    try:
        with _interrupted(), Clock(seconds, label) as clock:
            clock(done, length)
            rounds = rounds_of_pid(pid, length, budget, number=number, children=children, seen=seen)
            for windows in rounds:
                taken += windows
                done += max(window.seconds for window in windows)
                clock(done, done + length)
    except KeyboardInterrupt:
        if not taken:
            raise
        ended = False
    except (PySpyError, NothingToSample, OSError) as error:
        if not taken:
            raise Refused(f"process {pid} could not be sampled: {error}") from None
        _say(f"the sampling ended early: {error}")
        ended = False
    if not taken:
        raise Refused(
            f"process {pid} ended before a whole second of it was seen: "
            "give it more to do, and record that"
        )
    if ended and done < seconds - 0.5:
        _say(f"process {pid} has ended: {done:.0f} s of it are kept")
    if missed := len(seen - {window.pid for window in taken}):
        _say(
            f"{missed} of its children ended too soon to be sampled, and others may have come and "
            "gone: what they did is not in it"
        )
    return tuple(taken)


@contextlib.contextmanager
def _interrupted() -> Iterator[None]:
    """Take what else would end us, such as `timeout`, for Ctrl-C: what was seen is kept."""
    deadly = (signal.SIGTERM, signal.SIGHUP)
    taken = [one for one in deadly if signal.getsignal(one) is signal.SIG_DFL]
    for one in taken:
        signal.signal(one, signal.default_int_handler)
    try:
        yield
    finally:
        for one in taken:
            signal.signal(one, signal.SIG_DFL)


def rounds_of_pid(
    pid: int,
    seconds: float,
    budget: "Budget",
    *,
    number: int | None = None,
    children: bool = False,
    seen: set[int] | None = None,
) -> "Iterator[tuple[Window, ...]]":
    """Windows of `seconds` of a process, with those of its Python children if asked, until it ends.

    `seen`: takes up all processes that were to be sampled with it.

    Raises:
        PySpyError, NothingToSample, FileNotFoundError: it cannot be sampled.
    """
    from foretide.profiling.sampler import sample
    from foretide.profiling.sampler.find import lives
    from foretide.profiling.sampler.several import NothingToSample, sample_all

    if not children:
        for window in sample(pid, seconds=seconds, windows=number, budget=budget):
            yield (window,)
        return

    def choose(_: int) -> list[int]:
        chosen = [pid, *children_of(pid)] if lives(pid) else []
        if seen is not None:
            seen.update(chosen)
        return chosen

    try:
        yield from sample_all(choose, seconds=seconds, rounds=number, budget=budget)
    except NothingToSample:
        if lives(pid):
            raise


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


def children_of(pid: int) -> list[int]:
    """Python processes that descend from it."""
    from foretide.profiling.sampler.find import family, python_processes

    return [one.pid for one in python_processes() if one.pid != pid and pid in family(one.pid)]


def tell_of_children(pid: int) -> None:
    others = len(children_of(pid))
    if others:
        _say(
            f"process {pid} has {others} Python child{'ren' if others > 1 else ''}, such "
            f"as a server's workers: --children samples {'them' if others > 1 else 'it'}, too"
        )


def _say(text: str) -> None:
    print(f"foretide: {text}", file=sys.stderr)
