"""Starting processes that cannot outlive their parent, and ending only what was started here."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

PR_SET_PDEATHSIG = 1
REPOSITORY = Path(__file__).parents[1]


def identity(pid: int) -> str | None:
    """What tells this process from a later one with the same pid; None when there is none.

    Zombies count as gone: they run no code and hold no port.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        if sys.platform == "linux":
            return f"{_boot_id()}:{_start_ticks(pid)}"
        return repr(process.create_time())
    except (psutil.NoSuchProcess, psutil.AccessDenied, OSError, ValueError):
        return None


def is_alive(pid: int, known: str) -> bool:
    """Whether the process that was recorded as `pid` with identity `known` still runs."""
    return identity(pid) == known


def end_strays(recorded: Iterable[tuple[int, str]], *, timeout: float = 5.0) -> list[int]:
    """SIGKILL those recorded processes that still run, and wait until they are gone.

    Returns their pids. A pid that belongs to another process by now is left alone.
    """
    strays = [(pid, known) for pid, known in recorded if is_alive(pid, known)]
    for pid, _ in strays:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(is_alive(pid, known) for pid, known in strays), timeout)
    return [pid for pid, _ in strays]


def wait_until(condition: Callable[[], bool], timeout: float, *, interval: float = 0.02) -> bool:
    """Poll `condition` for at most `timeout` seconds; returns whether it became true."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)
    return True


def spawn(
    arguments: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    output: IO[bytes],
) -> subprocess.Popen[bytes]:
    """Start a process in its own group that the kernel kills when this process dies (Linux).

    The kernel's promise is tied to the thread that calls this: call it from the main thread.
    Elsewhere than on Linux an orphan stays until the sandbox's folder is next looked at.
    """
    return subprocess.Popen(
        list(arguments),
        cwd=cwd,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_die_with_parent(os.getpid()),
    )


def tethered(arguments: Sequence[str]) -> list[str]:
    """A command line that runs `arguments` and dies with the thread that starts it (Linux).

    As `spawn`, for callers that have threads: there a fork must run no Python before its exec.
    """
    if sys.platform != "linux":
        return list(arguments)
    code = (
        "import ctypes, os, sys;"
        f"ctypes.CDLL(None).prctl({PR_SET_PDEATHSIG}, {int(signal.SIGKILL)});"
        "os.getppid() == int(sys.argv[1]) or sys.exit(1);"
        "os.execvp(sys.argv[2], sys.argv[2:])"
    )
    return [sys.executable, "-I", "-S", "-c", code, str(os.getpid()), *arguments]


def signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a process that `spawn` started, and to what it started itself."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)


def python_path() -> str:
    """The PYTHONPATH with which another interpreter finds this package."""
    return os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))


def clean_environment(directory: Path) -> dict[str, str]:
    """An environment in which no setting of the user reaches a component.

    etcd takes ETCD_* for flags, clients take KUBECONFIG and proxies; HOME keeps them from writing
    into the user's.
    """
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
    return {
        **kept,
        "HOME": str(directory / "tmp"),
        "TMPDIR": str(directory / "tmp"),
        "PYTHONPATH": python_path(),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def memory_bytes(pid: int) -> int | None:
    """Resident memory of a process and its children, or None when it is gone."""
    try:
        total = int(psutil.Process(pid).memory_info().rss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    # Some run what they are for as a child. The kernel's list costs less than a look at everything.
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += int(psutil.Process(int(child)).memory_info().rss)
    return total


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _start_ticks(pid: int) -> str:
    # The command's name may hold spaces and brackets: count from the last bracket.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def _die_with_parent(parent: int) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    # Loaded before the fork: between fork and exec only the call itself is safe.
    prctl = ctypes.CDLL(None).prctl

    def demand() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return demand
