"""A real PostgreSQL that lives as long as a `with` block: for tests, benchmarks and the sandbox."""

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.errors import SandboxError
from sandbox.ports import free_ports
from sandbox.postgres_binaries import Programs
from sandbox.process import PR_SET_PDEATHSIG, wait_until

USER = "foretide"


@dataclass(frozen=True)
class Postgres:
    """A server that runs. `socket` is the folder of its Unix socket, `port` that of 127.0.0.1,
    where it listens only if asked to; `log` is the file that it writes to, `pid` the postmaster's.
    """

    socket: Path
    port: int
    log: Path
    pid: int

    def url(self, database: str = "postgres", user: str = USER) -> str:
        """How to connect through its socket. Nobody needs a password."""
        return f"postgresql://{user}@/{database}?host={self.socket}&port={self.port}"


@contextmanager
def running(
    programs: Programs,
    settings: Mapping[str, str] | None = None,
    *,
    listening: bool = False,
    in_memory: bool = True,
) -> Iterator[Postgres]:
    """A server with an empty cluster, which is gone afterwards; its superuser is `USER`.

    `settings` are those of postgresql.conf. `listening`: on a free port of 127.0.0.1, too.
    PostgreSQL refuses to run as root: then it runs as `nobody`.

    Raises:
        SandboxError: it does not start; the text has what it said.
    """
    temporary: dict[str, Any] = {"prefix": "foretide-pg-", "ignore_cleanup_errors": True}
    with (
        tempfile.TemporaryDirectory(**temporary) as folder,
        tempfile.TemporaryDirectory(**temporary, dir=_memory() if in_memory else None) as kept,
    ):
        home, data = Path(folder), Path(kept) / "data"
        data.mkdir(mode=0o700)
        own: dict[str, Any] = {"cwd": "/", "env": {"PATH": os.defpath, "LC_ALL": "C"}}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            home.chmod(0o755)
            data.parent.chmod(0o755)
            os.chown(data, nobody.pw_uid, nobody.pw_gid)
            own |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            programs = _reachable(programs, home)
        port = free_ports(1)[0]
        chosen = {
            "listen_addresses": "127.0.0.1" if listening else "",
            "port": str(port),
            "unix_socket_directories": str(data),
            # Its own durability is not what is tested here.
            "fsync": "off",
            "shared_buffers": "16MB",
            **(settings or {}),
        }
        log = home / "log"
        server = _start(programs, data, chosen, log, own)
        try:
            ready = data / "postmaster.pid"
            if not wait_until(
                lambda: (
                    server.poll() is not None or (ready.exists() and "ready" in ready.read_text())
                ),
                30,
            ) or (server.poll() is not None):
                raise SandboxError(f"PostgreSQL did not start:\n{_end_of(log)}")
            yield Postgres(data, port, log, server.pid)
        finally:
            # At once: what it would write on the way out goes with the folder.
            server.send_signal(signal.SIGQUIT)
            server.wait(60)


def _start(
    programs: Programs, data: Path, settings: Mapping[str, str], log: Path, own: dict[str, Any]
) -> subprocess.Popen[bytes]:
    initdb: list[Path | str] = [programs.bin / "initdb", "-D", data]
    initdb += ["-U", USER, "-A", "trust", "-E", "UTF8"]
    initdb += ["--locale=C", "--no-sync"]
    serve: list[Path | str] = [programs.bin / "postgres", "-D", data]
    for name, value in settings.items():
        serve += ["-c", f"{name}={value}"]
    with log.open("wb") as output:
        streams: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": output,
            "stderr": output,
        }
        if subprocess.run(initdb, check=False, **streams, **own).returncode != 0:
            raise SandboxError(f"initdb failed:\n{_end_of(log)}")
        return subprocess.Popen(
            serve, preexec_fn=_die_with(os.getpid()), start_new_session=True, **streams, **own
        )


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])


def _memory() -> Path | None:
    """A folder in memory, if it has room: on a disk, a thousand files take seconds to delete."""
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**28
    return memory if roomy else None


def _reachable(programs: Programs, home: Path) -> Programs:
    """The programs where everybody can read them: copied into `home` if they are not."""
    if all(
        folder.stat().st_mode & 0o005 == 0o005 for folder in (programs.bin, *programs.bin.parents)
    ):
        return programs
    root = home / "site"
    for part in programs.parts:
        if (programs.root / part).exists():
            shutil.copytree(programs.root / part, root / part, symlinks=True)
    return Programs(root / programs.bin.relative_to(programs.root), root, programs.parts)


def _die_with(parent: int) -> Callable[[], None]:
    """For a child: PostgreSQL is shut down when its parent is killed (Linux)."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def prepare() -> None:
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGQUIT))
            if os.getppid() != parent:
                os._exit(1)

    return prepare
