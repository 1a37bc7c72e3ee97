"""The folder of a sandbox as a thing that is locked, cleaned and cleared of a crash's leftovers."""

import contextlib
import fcntl
import os
import shutil
from pathlib import Path

from sandbox.layout import OWN_ENTRIES, OWN_FILES, Layout, read_state
from sandbox.node.record import wait_cleared
from sandbox.process import end_strays


def clean(layout: Layout, *, keep_logs: bool) -> None:
    """Remove what the sandbox wrote into its folder, and the folder when nothing else is there."""
    wait_cleared(layout.directory)
    for entry in (*OWN_ENTRIES, *(() if keep_logs else ("logs",))):
        shutil.rmtree(layout.directory / entry, ignore_errors=True)
    for name in (*OWN_FILES, *(() if keep_logs else ("lock",))):
        (layout.directory / name).unlink(missing_ok=True)
    if not keep_logs:
        with contextlib.suppress(OSError):
            layout.directory.rmdir()


def end_leftovers(directory: Path) -> list[int]:
    """End what an earlier sandbox in this folder left running; returns the pids.

    Call it only with the folder's lock in hand.
    """
    state = read_state(directory)
    if state is None:
        return []
    recorded = [(c["pid"], c["identity"]) for c in state["components"] if c["pid"]]
    return end_strays(recorded)


def lock(layout: Layout) -> int | None:
    """The folder's lock, held until the descriptor closes; None when a live sandbox holds it."""
    descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
