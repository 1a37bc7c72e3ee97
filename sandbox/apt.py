"""Debian's packages, installed without questions."""

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

# Tests side by side install different things: one after the other, or apt-get refuses.
_LOCK = Path(tempfile.gettempdir()) / "foretide-apt.lock"


def install(packages: Sequence[str], path: str | None = None) -> str | None:
    """Install packages with apt-get, and with newer lists if it has to.

    `path` is the PATH that it gets. Returns the end of what it said when it failed, after which
    some may be there all the same.
    """
    wanted = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        failed = _run(wanted, path)
        if failed and _run(["apt-get", "update"], path) is None:
            failed = _run(wanted, path)
    return failed


def _run(command: Sequence[str], path: str | None) -> str | None:
    # At this level the servers of packages are not started.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    if path is not None:
        environment["PATH"] = path
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode == 0:
        return None
    return "\n".join((done.stdout + done.stderr).splitlines()[-10:])
