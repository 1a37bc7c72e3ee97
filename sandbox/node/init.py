"""The first process of a node, in fresh namespaces: it arranges the mounts and buries orphans.

Nothing that runs on the node may leave a trace on the host: what it writes outside the sandbox's
folder goes to memory (/run, /var), and the host's kernel settings are read-only, those of its own
network apart.
"""

import contextlib
import ctypes
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil

from sandbox.node import NODE_NAME
from sandbox.node.packages import path

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 0x1, 0x2, 0x4, 0x8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE, MS_SHARED = 0x20, 0x1000, 0x4000, 0x40000, 0x100000

# What stays out of memory, in the sandbox's folder under these names. The places are the usual
# ones: a socket's path must be short, and the sandbox's folder may lie deep.
KEPT = {
    "kubelet": "/var/lib/kubelet",
    "logs": "/var/log/pods",
}
IMAGES = "/var/lib/containerd"
# With so much to spare, images are in memory, too: to remove them from a busy disk takes seconds.
SPARE_BYTES = 4 << 30

# https://github.com/kubernetes/kubernetes/blob/v1.35.4/pkg/kubelet/cm/container_manager_linux.go
KUBELET_WANTS = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2). Raises OSError."""
    arguments = [text.encode() or None for text in (source, target, kind)]
    if _libc.mount(*arguments, ctypes.c_ulong(flags), options.encode() or None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mounting {kind or source} at {target}: {os.strerror(number)}")


def arrange(directory: Path) -> None:
    """The node's view of the file system; only this mount namespace changes."""
    # Still reachable when /run or /var, where it may lie, have been covered.
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    mount("none", "/", flags=MS_REC | MS_SHARED)
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    _protect_kernel_settings()
    upper, work = Path("/run/var/upper"), Path("/run/var/work")
    for folder in (upper, work):
        folder.mkdir(parents=True)
    options = f"lowerdir=/var,upperdir={upper},workdir={work}"
    mount("overlay", "/var", "overlay", 0, options)
    for covered in (Path("/run"), Path("/var")):
        if directory.is_relative_to(covered):
            directory.mkdir(parents=True, exist_ok=True)
            mount(f"/proc/self/fd/{descriptor}", str(directory), flags=MS_BIND)
    spare = psutil.virtual_memory().available >= SPARE_BYTES
    if spare:
        Path(IMAGES).mkdir(parents=True, exist_ok=True)
        mount("tmpfs", IMAGES, "tmpfs", options="mode=700")
    for name, place in (KEPT if spare else {**KEPT, "containerd": IMAGES}).items():
        source = directory / "node" / name
        source.mkdir(mode=0o755, parents=True, exist_ok=True)
        Path(place).mkdir(mode=0o755, parents=True, exist_ok=True)
        mount(str(source), place, flags=MS_BIND)
        # What is mounted below must not appear in the sandbox's folder, too.
        mount("none", place, flags=MS_PRIVATE)
        mount("none", place, flags=MS_SHARED)
    os.close(descriptor)


def _protect_kernel_settings() -> None:
    # The kubelet would change how the host answers to panics and a lack of memory, for good. It is
    # shown what it wants to see, as it ends when it cannot write.
    mount("/proc/sys", "/proc/sys", flags=MS_BIND)
    for setting, wanted in KUBELET_WANTS.items():
        shown = Path("/run/kernel-settings", setting)
        shown.parent.mkdir(parents=True, exist_ok=True)
        shown.write_text(f"{wanted}\n")
        mount(str(shown), f"/proc/sys/{setting}", flags=MS_BIND)
    mount("/proc/sys/net", "/proc/sys/net", flags=MS_BIND)
    mount("none", "/proc/sys", flags=MS_REMOUNT | MS_BIND | MS_RDONLY)


def main() -> None:
    os.environ["PATH"] = path()
    arrange(Path(sys.argv[1]))
    socket.sethostname(NODE_NAME)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    os.write(sys.stdout.fileno(), b"ready\n")
    while True:
        with contextlib.suppress(ChildProcessError):
            os.wait()
            continue
        # No child at present: one that loses its parent becomes ours.
        time.sleep(0.2)


if __name__ == "__main__":
    main()
