"""The record of a node that runs: which process is its first, and who clears away after it."""

import json
import os
import signal
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.layout import write_private
from sandbox.process import is_alive, wait_until

CLEARED_SECONDS = 20.0


@dataclass(frozen=True)
class Record:
    """Pids on the host, each with what tells it from a later process of the same pid."""

    first: int
    first_identity: str
    caretaker: int
    caretaker_identity: str


def write_record(directory: Path, record: Record) -> None:
    folder = directory / "node"
    folder.mkdir(mode=0o700, exist_ok=True)
    write_private(folder / "record.json", json.dumps(asdict(record)))


def read_record(directory: Path) -> Record | None:
    """The record of the node that runs, or last ran, in a sandbox's folder."""
    try:
        return Record(**json.loads((directory / "node" / "record.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def wait_cleared(directory: Path) -> None:
    """Wait until nothing is left of the node in a folder, whose other processes have ended.

    Raises SandboxError when that takes too long: its files must not be removed under it.
    """
    record = read_record(directory)
    if record is None:
        return
    if is_alive(record.first, record.first_identity):
        with suppress(ProcessLookupError):
            os.kill(record.first, signal.SIGKILL)
    known = record.caretaker, record.caretaker_identity
    if not wait_until(lambda: not is_alive(*known), CLEARED_SECONDS):
        raise SandboxError(f"the node of {directory} does not end; process {known[0]} waits for it")
