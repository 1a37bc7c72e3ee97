"""What a node needs of the machine: Linux, root, and programs from the distribution's packages."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.progress import Progress

# Where Debian's package and everybody else put the plugins of CNI.
CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
CNI_PLUGINS = ("ptp", "host-local", "loopback")
# Which package of Debian and Ubuntu has each program.
PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}
CNI_PACKAGE = "containernetworking-plugins"
# A plain user's PATH may lack these.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Which = Callable[[str], str | None]


def path() -> str:
    """The PATH of everything that runs on the node."""
    return f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"


def which(program: str) -> str | None:
    return shutil.which(program, path=path())


def why_not() -> str | None:
    """Why there can be no real node on this machine, or None when there can be one."""
    return reason(sys.platform, os.geteuid(), missing(which, cni_folder()), which)


def reason(system: str, user: int, lacking: list[str], find: Which) -> str | None:
    """As `why_not`, of a machine that the arguments describe."""
    if system != "linux":
        return f"a real node needs Linux, this is {system}"
    if user != 0:
        return "a real node needs root: run this as root, or without the node"
    if lacking and find("apt-get") is None:
        return (
            "a real node needs programs that are not here, and there is no apt-get to install "
            f"them: install what Debian's {', '.join(lacking)} hold"
        )
    return None


def missing(find: Which, cni: Path | None) -> list[str]:
    """The packages, sorted, of which a program is not here."""
    lacking = {package for program, package in PACKAGES.items() if find(program) is None}
    return sorted(lacking if cni else lacking | {CNI_PACKAGE})


def cni_folder() -> Path | None:
    """The folder that holds the plugins of CNI, or None when none holds them all."""
    for folder in CNI_FOLDERS:
        if all(os.access(folder / name, os.X_OK) for name in CNI_PLUGINS):
            return folder
    return None


def ensure_packages(progress: Progress) -> None:
    """Install what is missing with apt-get. Raises SandboxError with the reason of `why_not`."""
    problem = why_not()
    if problem:
        raise SandboxError(problem)
    lacking = missing(which, cni_folder())
    if not lacking:
        return
    with progress.step(f"installing {', '.join(lacking)}"):
        install = ["apt-get", "install", "--yes", "--no-install-recommends", *lacking]
        failed = _apt(install)
        if failed and _apt(["apt-get", "update"]) is None:
            failed = _apt(install)
    still = missing(which, cni_folder())
    if still:
        raise SandboxError(
            f"{' '.join(install)} did not bring {', '.join(still)}"
            + (f":\n{failed}" if failed else "")
        )


def _apt(command: list[str]) -> str | None:
    """Run apt-get without questions; returns the end of what it said when it failed."""
    environment = {
        **os.environ,
        "PATH": path(),
        "DEBIAN_FRONTEND": "noninteractive",
        # The packages' own services would run beside the node's: none is started.
        "RUNLEVEL": "1",
    }
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


def machine() -> str:
    """The architecture as images name it: "amd64" or "arm64"."""
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    return names.get(platform.machine(), platform.machine())
