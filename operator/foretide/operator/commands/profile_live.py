"""`foretide profile record` and `top`: a running process."""

import argparse
import os
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from .profile_running import running
from .profile_sampling import check_pid, live_budget, windows_of_pid
from .telling import Refused

if TYPE_CHECKING:
    from foretide.profiling.window import Window

_CLEAR = "\033[H\033[2J"


@running
def record(options: argparse.Namespace) -> int:
    """Sample into a file."""
    from foretide.profiling.files import Format, format_of, write_profile
    from foretide.profiling.hotspots import LEAST_SAMPLES

    from .profile_files import check_writable, write

    path = options.output or Path(f"profile-{options.pid}.ftp")
    kind = format_of(path)
    if kind is None:
        raise Refused(f"{path}: give it an end that says its format, such as .ftp")
    check_writable(path)
    windows = windows_of_pid(
        options.pid, seconds=options.seconds, rate=options.rate, children=options.children
    )
    write(path, write_profile(windows, kind))
    samples = sum(one.count for window in windows for one in window.samples)
    print(f"{path}: {sum(one.seconds for one in windows):.0f} s, {samples} samples")
    if samples < LEAST_SAMPLES:
        print("That is little: record for longer, or under load.")
    if kind is Format.FORETIDE:
        print(f"What next: foretide profile report {path}")
    return 0


@running
def top(options: argparse.Namespace) -> int:
    """Show where the time goes, until Ctrl-C."""
    from foretide.profiling.sampler import sample

    if not 0.5 <= options.every <= 60 or options.last < options.every:
        raise Refused("--every wants 0.5 to 60 seconds, and --last no less than that")
    check_pid(options.pid)
    kept: deque[Window] = deque(maxlen=max(1, round(options.last / options.every)))
    shown = 0
    budget = live_budget(options.rate, options.every)
    windows = sample(options.pid, seconds=options.every, budget=budget)
    print(f"foretide: sampling process {options.pid}, Ctrl-C ends it", file=sys.stderr)
    try:
        for window in windows:
            kept.append(window)
            view = _view(tuple(kept), options.by)
            print(f"{_CLEAR if sys.stdout.isatty() else ''}{view}", flush=True)
            shown += 1
            if options.count is not None and shown >= options.count:
                return 0
    except KeyboardInterrupt:
        return 0
    if not shown:
        raise Refused(f"process {options.pid} ended")
    print(f"foretide: process {options.pid} has ended", file=sys.stderr)
    return 0


def _view(windows: "tuple[Window, ...]", by: str) -> str:
    from foretide.profiling.hotspots import By, hotspots
    from foretide.profiling.profile import merge
    from foretide.profiling.report import clean, ranking

    newest = windows[-1]
    lines, columns = _size()
    seconds = sum(window.seconds for window in windows)
    profile = merge(windows)
    found = hotspots(windows, By(by), limit=max(3, (lines - 8) // 2))
    head = (
        f"{time.strftime('%H:%M:%S')}  {clean(newest.command)}  (process {newest.pid})\n"
        f"the last {seconds:.0f} s: {(profile.cpu + profile.native_cpu_seconds) / seconds:.2f} "
        f"cores, {len(newest.threads)} threads, {newest.rate:.1f} Hz"
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
