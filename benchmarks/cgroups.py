"""A control group for a program of the benchmark: a CPU quota, a limit of memory. v1 or v2.

Needs root, and controllers that are mounted for writing; `available` says what is missing.
"""

import errno
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PERIOD = 100_000  # us


@dataclass(frozen=True)
class Limits:
    """What a program may use: cores (a quota of CPU time), bytes of memory; None: all there is."""

    cores: float | None = None
    memory: int | None = None


def _folders(limits: Limits) -> dict[str, Path]:
    """Where a group would be made, by controller; of v2 one folder for all."""
    wanted = [
        name
        for name, limit in (("cpu", limits.cores), ("memory", limits.memory))
        if limit is not None
    ]
    if (ROOT / "cgroup.controllers").exists():
        return dict.fromkeys(wanted, ROOT)
    return {name: ROOT / name for name in wanted}


def available(limits: Limits) -> str:
    """Why such a group cannot be made here, or nothing."""
    for controller, folder in _folders(limits).items():
        control = folder / "cgroup.subtree_control"
        if not folder.is_dir():
            return f"no cgroup controller {controller} under {ROOT}"
        if not os.access(folder, os.W_OK):
            return f"{folder} cannot be written: run as root"
        if control.exists() and controller not in control.read_text().split():
            return f"{control} does not offer {controller}"
    return ""


@contextmanager
def group(limits: Limits) -> Iterator[list[Path]]:
    """A group of its own; yields the files that a process must write its PID into to join it."""
    name = f"foretide-bench-{uuid.uuid4().hex[:12]}"
    made: list[Path] = []
    try:
        for controller, parent in _folders(limits).items():
            folder = parent / name
            if folder not in made:
                folder.mkdir()
                made.append(folder)
            _limit(folder, controller, limits)
        yield [folder / "cgroup.procs" for folder in made]
    finally:
        for folder in made:
            _remove(folder)


def _limit(folder: Path, controller: str, limits: Limits) -> None:
    unified = (folder / "cgroup.controllers").exists()
    if controller == "cpu":
        assert limits.cores is not None
        quota = int(limits.cores * PERIOD)
        if unified:
            (folder / "cpu.max").write_text(f"{quota} {PERIOD}")
        else:
            (folder / "cpu.cfs_period_us").write_text(str(PERIOD))
            (folder / "cpu.cfs_quota_us").write_text(str(quota))
    else:
        file = "memory.max" if unified else "memory.limit_in_bytes"
        (folder / file).write_text(str(limits.memory))


def _remove(folder: Path, patience: float = 5.0) -> None:
    """Processes that have been ended leave a group a moment later."""
    until = time.monotonic() + patience
    while True:
        try:
            folder.rmdir()
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > until:
                with suppress(OSError):
                    os.write(2, f"cannot remove {folder}: {error}\n".encode())
                return
            time.sleep(0.05)
