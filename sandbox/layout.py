"""Where things lie in a sandbox's folder, and the record of what runs there."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.errors import SandboxError

# What a sandbox may remove from its folder: nothing else there is touched.
OWN_ENTRIES = ("series", "pki", "config", "etcd", "prometheus", "tmp", "node")
OWN_FILES = ("spec.json", "binaries.json", "state.json", "kubeconfig", "modes.json", "history.om")


@dataclass(frozen=True)
class Layout:
    """Paths inside one sandbox's folder."""

    directory: Path

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "kubeconfig"

    @property
    def state(self) -> Path:
        return self.directory / "state.json"

    @property
    def lock(self) -> Path:
        return self.directory / "lock"

    @property
    def pki(self) -> Path:
        return self.directory / "pki"

    @property
    def config(self) -> Path:
        return self.directory / "config"

    @property
    def logs(self) -> Path:
        return self.directory / "logs"

    def log(self, component: str) -> Path:
        return self.logs / f"{component}.log"


def read_state(directory: Path) -> dict[str, Any] | None:
    """The supervisor's record, or None when there is none (or only half of one)."""
    try:
        state: dict[str, Any] = json.loads(Layout(directory).state.read_text())
    except (OSError, ValueError):
        return None
    return state


def write_private(path: Path, text: str) -> None:
    """Replace `path` in one step, readable by the owner only: it may hold keys or a token."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)


def state_root() -> Path:
    """The folder of all named sandboxes of this user."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "foretide" / "sandbox"


def named_directory(name: str) -> Path:
    """The folder of one named sandbox. Raises SandboxError for a name that is not a file name."""
    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}", name):
        raise SandboxError(f"{name!r} is not a name for a sandbox: use letters, digits, - _ .")
    return state_root() / name
