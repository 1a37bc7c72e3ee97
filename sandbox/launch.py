"""Bringing up the process that owns a sandbox, and bringing it down from anywhere."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

from sandbox.controls import ask
from sandbox.errors import SandboxError
from sandbox.folder import clean, end_leftovers, lock
from sandbox.layout import Layout, read_state
from sandbox.process import is_alive, python_path, wait_until

DOWN_TIMEOUT = 15.0


def bring_down(directory: Path, *, keep_logs: bool = False) -> bool:
    """End the sandbox in a folder, also what a crash left there; returns whether one was up."""
    layout = Layout(directory)
    state = read_state(directory)
    was_up = state is not None and is_alive(state["pid"], state["identity"])
    if state is not None and was_up:
        _end_daemon(state)
    if state is None and not layout.lock.exists():
        return False
    descriptor = lock(layout)
    if descriptor is None:
        raise SandboxError(f"{directory}: another command is at work on this sandbox")
    try:
        end_leftovers(directory)
        clean(layout, keep_logs=keep_logs)
    finally:
        os.close(descriptor)
    return was_up


def _end_daemon(state: dict[str, Any]) -> None:
    with contextlib.suppress(SandboxError):
        ask(state, "down")
    if wait_until(lambda: not is_alive(state["pid"], state["identity"]), DOWN_TIMEOUT):
        return
    if is_alive(state["pid"], state["identity"]):
        os.kill(state["pid"], signal.SIGKILL)
        wait_until(lambda: not is_alive(state["pid"], state["identity"]), 5.0)


def prepare(directory: Path) -> int:
    """Make the folder clean and ours; returns the descriptor that holds its lock."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    layout = Layout(directory)
    descriptor = lock(layout)
    if descriptor is None:
        raise SandboxError(f"{directory}: is up already")
    end_leftovers(directory)
    clean(layout, keep_logs=True)
    layout.logs.mkdir(exist_ok=True)
    for old in layout.logs.glob("*.log"):
        old.unlink()
    return descriptor


def launch(layout: Layout, lock_descriptor: int, *, keep_logs: bool) -> subprocess.Popen[bytes]:
    """Start the owner of a prepared folder; its standard input is the caller's hand on it."""
    arguments = [str(layout.directory), str(os.getpid()), "keep-logs" if keep_logs else "no-logs"]
    errors: IO[bytes]
    with layout.log("supervisor").open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "sandbox.daemon", *arguments, str(lock_descriptor)],
            cwd=layout.directory,
            env={**os.environ, "PYTHONPATH": python_path()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            # The lock passes from hand to hand: between two commands nobody else can take it.
            pass_fds=[lock_descriptor],
        )
