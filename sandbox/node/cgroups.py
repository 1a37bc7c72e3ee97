"""The cgroup under which all pods of a node are: made in every hierarchy, and removed again."""

import contextlib
import time
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
# What the kubelet wants of a cgroup v2; on v1 each is a hierarchy of its own.
CONTROLLERS = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")


def hierarchies(root: Path = CGROUPS) -> list[Path]:
    """The roots of all hierarchies: one with cgroup v2, one for each controller with v1.

    On v1 a symbolic link (`cpu` to `cpu,cpuacct`) is the same hierarchy as what it points to.
    """
    if (root / "cgroup.controllers").exists():
        return [root]
    return sorted({path.resolve() for path in root.glob("*") if (path / "cgroup.procs").exists()})


def make(name: str, root: Path = CGROUPS) -> None:
    """Create the cgroup everywhere. Raises OSError where that is not allowed."""
    for hierarchy in hierarchies(root):
        folder = hierarchy / name
        folder.mkdir(exist_ok=True)
        for group in (hierarchy, folder):
            _delegate(group)
        # A fresh cpuset has no processor and no memory, and could hold no process.
        for setting in ("cpuset.cpus", "cpuset.mems"):
            above, own = hierarchy / setting, folder / setting
            if above.exists() and own.exists() and not own.read_text().strip():
                own.write_text(above.read_text())


def _delegate(group: Path) -> None:
    """Let a cgroup of v2 give its controllers to those below it."""
    control = group / "cgroup.subtree_control"
    if not control.exists():
        return
    present = (group / "cgroup.controllers").read_text().split()
    for controller in CONTROLLERS:
        if controller in present:
            # One that cannot be given (by real-time processes, say) must not keep the others.
            with contextlib.suppress(OSError):
                control.write_text(f"+{controller}")


def remove(name: str, root: Path = CGROUPS, *, timeout: float = 10.0) -> bool:
    """Remove the cgroup with all below it; returns whether it is gone everywhere.

    The kernel lets go of a cgroup some time after the last process in it has died.
    """
    deadline = time.monotonic() + timeout
    left = [hierarchy / name for hierarchy in hierarchies(root)]
    while left := [folder for folder in left if not _removed(folder)]:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _removed(folder: Path) -> bool:
    # A cgroup's files go with it: only folders need removing, the innermost first.
    below = [path for path in folder.rglob("*") if path.is_dir()] if folder.exists() else []
    for path in (*sorted(below, reverse=True), folder):
        with contextlib.suppress(OSError):
            path.rmdir()
    return not folder.exists()
