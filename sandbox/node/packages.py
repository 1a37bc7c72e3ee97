"""What a node needs of the machine: Linux, root, and programs from the distribution's packages."""

import os
import platform
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox import apt
from sandbox.errors import SandboxError
from sandbox.node.cgroups import CGROUPS, hierarchies

if TYPE_CHECKING:
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
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}
CNI_PACKAGE = "containernetworking-plugins"
# Of the kernel's numbers (capabilities(7)) those without which there are no namespaces and cables.
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}
# A plain user's PATH may lack these.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Which = Callable[[str], str | None]


def path() -> str:
    """The PATH of everything that runs on the node."""
    return f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"


def which(program: str) -> str | None:
    return shutil.which(program, path=path())


@dataclass(frozen=True)
class Machine:
    """What decides whether there can be a real node: `capabilities` is a bit mask of the kernel."""

    system: str
    user: int
    capabilities: int
    cgroups_writable: bool
    missing: tuple[str, ...]
    apt: bool


def why_not() -> str | None:
    """Why there can be no real node on this machine, or None when there can be one."""
    return reason(_this_machine())


def reason(machine: Machine) -> str | None:
    """As `why_not`, of any machine."""
    if machine.system != "linux":
        return f"a real node needs Linux, this is {machine.system}"
    if machine.user != 0:
        return "a real node needs root: run this as root, or without the node"
    lacking = [name for name, bit in CAPABILITIES.items() if not machine.capabilities >> bit & 1]
    if lacking:
        return (
            f"a real node needs {' and '.join(lacking)}, which root does not have here: in a "
            "container, run it privileged"
        )
    if not machine.cgroups_writable:
        return f"a real node needs cgroups of its own, but {CGROUPS} cannot be written"
    if machine.missing and not machine.apt:
        return (
            "a real node needs programs that are not here, and there is no apt-get to install "
            f"them: install what Debian's {', '.join(machine.missing)} hold"
        )
    return None


def _this_machine() -> Machine:
    if sys.platform != "linux":
        return Machine(sys.platform, os.geteuid(), 0, False, (), False)
    found = re.search(r"^CapEff:\s*(\w+)", Path("/proc/self/status").read_text(), re.M)
    roots = hierarchies()
    return Machine(
        sys.platform,
        os.geteuid(),
        int(found[1], 16) if found else 0,
        bool(roots) and all(os.access(root, os.W_OK) for root in roots),
        tuple(missing(which, cni_folder())),
        which("apt-get") is not None,
    )


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


def ensure_packages(progress: "Progress") -> None:
    """Install what is missing with apt-get. Raises SandboxError with the reason of `why_not`.

    Debian starts the service of containerd with its package. It and the node do not meet.
    """
    problem = why_not()
    if problem:
        raise SandboxError(problem)
    lacking = missing(which, cni_folder())
    if not lacking:
        return
    with progress.step(f"installing {', '.join(lacking)}"):
        failed = apt.install(lacking, path())
    still = missing(which, cni_folder())
    if still:
        raise SandboxError(
            f"apt-get did not bring {', '.join(still)}" + (f":\n{failed}" if failed else "")
        )


def architecture() -> str:
    """The architecture as images name it: "amd64" or "arm64"."""
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    return names.get(platform.machine(), platform.machine())
