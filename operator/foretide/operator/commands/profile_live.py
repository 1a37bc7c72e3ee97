"""`foretide profile record` and `top`: a running process."""

import argparse
import os
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from .profile_files import tell_what_next
from .profile_running import running
from .profile_sampling import (
    budget_of,
    check_pid,
    children_of,
    rounds_of_pid,
    tell_of_children,
    windows_of_pid,
)
from .telling import Refused
from .writing import check_writable, write_or_keep

if TYPE_CHECKING:
    from foretide.profiling.window import Window

_CLEAR = "\033[H\033[2J"


@running
def record(options: argparse.Namespace) -> int:
    """Sample into a file."""
    from foretide.profiling.files import format_of, write_profile

    path = options.output or Path(f"profile-{options.pid}.ftp")
    kind = format_of(path)
    if kind is None:
        raise Refused(f"{path}: give it an end that says its format, such as .ftp")
    check_writable(path)
    windows = windows_of_pid(
        options.pid, seconds=options.seconds, rate=options.rate, children=options.children
    )
    write_or_keep(path, write_profile(windows, kind))
    samples = sum(one.count for window in windows for one in window.samples)
    processes = len({one.pid for one in windows})
    told = f"{sum(one.seconds for one in windows):.0f} s"
    told += f" of {processes} processes together" if processes > 1 else ""
    print(f"{path}: {told}, {samples} samples")
    tell_what_next(path, windows)
    return 0


@running
def top(options: argparse.Namespace) -> int:
    """Show where the time goes, until Ctrl-C."""
    from foretide.profiling.sampler import PySpyError
    from foretide.profiling.sampler.several import NothingToSample

    pid, every, children = options.pid, options.every, options.children
    if not 0.5 <= every <= 60 or not every <= options.last <= 3600:
        raise Refused("--every wants 0.5 to 60 seconds, and --last from that to 3600")
    if options.count is not None and options.count < 1:
        raise Refused("--count must be 1 at least")
    budget = budget_of(options.rate, every)
    check_pid(pid)
    if children:
        budget = budget_of(options.rate, every, 1 + len(children_of(pid)))
    else:
        tell_of_children(pid)
    kept: deque[tuple[Window, ...]] = deque(maxlen=max(1, round(options.last / every)))
    shown = 0
    print(f"foretide: sampling process {pid}, Ctrl-C ends it", file=sys.stderr)
    try:
        for windows in rounds_of_pid(pid, every, budget, children=children):
            kept.append(windows)
            view = _view(tuple(kept), options.by)
            print(f"{_CLEAR if sys.stdout.isatty() else ''}{view}", flush=True)
            shown += 1
            if options.count is not None and shown >= options.count:
                return 0
    except KeyboardInterrupt:
        return 0
    except (PySpyError, NothingToSample) as error:
        raise Refused(f"process {pid} could not be sampled: {error}") from None
    if not shown:
        raise Refused(f"process {pid} ended before there was anything to show")
    print(f"foretide: process {pid} has ended", file=sys.stderr)
    return 0


def _view(rounds: "tuple[tuple[Window, ...], ...]", by: str) -> str:
    from foretide.profiling.hotspots import By, hotspots
    from foretide.profiling.profile import merge
    from foretide.profiling.report import clean, ranking

    newest = rounds[-1]
    lines, columns = _size()
    windows = [window for windows in rounds for window in windows]
    seconds = sum(max(window.seconds for window in windows) for windows in rounds)
    profile = merge(windows)
    # A list that may change is more use than none: each view is one of many.
    found = hotspots(windows, By(by), limit=max(3, (lines - 8) // 2), least=0)
    others = "" if len(newest) == 1 else f" and {len(newest) - 1} more"
    threads = sum(len(window.threads) for window in newest)
    rate = sum(window.rate for window in newest) / len(newest)
    head = (
        f"{time.strftime('%H:%M:%S')}  {clean(newest[0].command)}  "
        f"(process {newest[0].pid}{others})\n"
        f"the last {seconds:.0f} s: {(profile.cpu + profile.native_cpu_seconds) / seconds:.2f} "
        f"cores, {threads} thread{'s' if threads != 1 else ''}, {rate:.1f} Hz"
    )
    text = f"{head}\n\n{ranking(found, profile)}"
    if not sys.stdout.isatty():
        return f"{text}\n"
    return "\n".join(line[:columns] for line in text.splitlines()[: lines - 1])


def _size() -> tuple[int, int]:
    """Lines and columns of the terminal."""
    try:
        size = os.get_terminal_size()
    except OSError:
        return 40, 120
    return size.lines, size.columns
