"""A Python interpreter of this machine as the file system of an image: no download, no registry.

Taken along are the interpreter, its standard library, the shared libraries that both need, and a
shell with a few tools. What only a developer's machine needs (tests, IDLE, Tk) stays behind.
"""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.node.archive import LayerWriter

PREFIX = "/usr/local"
TOOLS = ("sh", "cat", "env", "false", "head", "id", "ls", "mkdir", "rm", "sleep", "tail", "true")
LEFT_OUT = {
    "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "msilib",
    "pydoc_data", "site-packages", "dist-packages",
}  # fmt: skip
LEFT_OUT_MODULES = re.compile(r"_tkinter\.|_test|_ctypes_test|xxlimited")
ASK = """
import json, sys, sysconfig
paths = sysconfig.get_paths()
print(json.dumps({
    "version": "%d.%d.%d" % sys.version_info[:3],
    "executable": sys.executable,
    "stdlib": paths["stdlib"],
    "platstdlib": paths["platstdlib"],
}))
"""
ACCOUNTS = """root:x:0:0:root:/root:/bin/sh
app:x:1000:1000:app:/home/app:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
"""
GROUPS = "root:x:0:\napp:x:1000:\nnogroup:x:65534:\n"


@dataclass(frozen=True)
class Interpreter:
    """A CPython of this machine. `version` has three parts."""

    version: str
    executable: str
    stdlib: str
    platstdlib: str

    @property
    def minor(self) -> str:
        return ".".join(self.version.split(".")[:2])


def find(version: str | None) -> Interpreter:
    """The newest interpreter of a version ("3.12" or "3.12.1"), or by default the running one's.

    Looked for on PATH and among pyenv's. Raises SandboxError when there is none.
    """
    wanted = version or ".".join(map(str, sys.version_info[:3]))
    if not re.fullmatch(r"3\.\d+(\.\d+)?", wanted):
        raise SandboxError(f"{wanted!r} is not a version of Python: write it as 3.12 or 3.12.1")
    found = [known for path in _candidates(wanted) if (known := _ask(path)) is not None]
    fitting = [i for i in found if f"{i.version}.".startswith(f"{wanted}.")]
    if not fitting:
        raise SandboxError(
            f"no Python {wanted} on PATH or among pyenv's: install it, for `pyenv install {wanted}`"
        )
    return max(fitting, key=lambda i: [int(part) for part in i.version.split(".")])


def _candidates(wanted: str) -> Iterator[str]:
    minor = ".".join(wanted.split(".")[:2])
    if minor == f"{sys.version_info[0]}.{sys.version_info[1]}":
        # Not the virtual environment's, whose library lies elsewhere.
        yield getattr(sys, "_base_executable", sys.executable)
    on_path = shutil.which(f"python{minor}")
    if on_path:
        yield on_path
    pyenv = os.environ.get("PYENV_ROOT") or str(Path.home() / ".pyenv")
    yield from glob.glob(f"{pyenv}/versions/{minor}.*/bin/python{minor}")


def _ask(path: str) -> Interpreter | None:
    # A shim of pyenv is on PATH also where no version stands behind it.
    try:
        done = subprocess.run(
            [path, "-I", "-S", "-c", ASK], capture_output=True, text=True, check=True, timeout=30
        )
        return Interpreter(**json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError, TypeError):
        return None


def write_root(interpreter: Interpreter, layer: LayerWriter) -> None:
    """Write a file system with the interpreter at /usr/local/bin/python3 into a layer."""
    _write_system(layer)
    program = f"{PREFIX}/bin/python{interpreter.minor}"
    layer.file(program, Path(interpreter.executable).resolve(), 0o755)
    for name in ("python", "python3"):
        layer.link(f"{PREFIX}/bin/{name}", f"python{interpreter.minor}")
    library = f"{PREFIX}/lib/python{interpreter.minor}"
    needing = [Path(interpreter.executable).resolve()]
    for folder in dict.fromkeys((interpreter.stdlib, interpreter.platstdlib)):
        for source in library_files(Path(folder), interpreter.minor):
            layer.file(f"{library}/{source.relative_to(folder)}", source)
            if source.suffix == ".so":
                needing.append(source)
    layer.folder(f"{library}/site-packages")
    for tool in TOOLS:
        path = shutil.which(tool)
        if path is not None:
            layer.file(f"/bin/{tool}", Path(path).resolve(), 0o755)
            needing.append(Path(path).resolve())
    for path in shared_libraries(needing):
        layer.file(path, Path(path).resolve(), 0o755)


def _write_system(layer: LayerWriter) -> None:
    layer.folder("/tmp", 0o1777)
    for folder in ("/proc", "/sys", "/dev", "/run", "/var", "/home/app"):
        layer.folder(folder)
    layer.text("/etc/passwd", ACCOUNTS)
    layer.text("/etc/group", GROUPS)
    layer.text("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")


def library_files(folder: Path, minor: str) -> Iterator[Path]:
    """What an application may import of a standard library, with what Python compiled of it."""
    compiled = f".cpython-{minor.replace('.', '')}.pyc"
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if f not in LEFT_OUT and not f.startswith("config-"))
        for name in sorted(files):
            if LEFT_OUT_MODULES.match(name) or name.endswith((".a", ".exe", ".whl")):
                continue
            if not name.endswith(".pyc") or name.endswith(compiled):
                yield Path(root, name)


def shared_libraries(programs: Iterable[Path]) -> list[str]:
    """The paths, as the loader names them, of all libraries that the programs load."""
    done = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=False)
    return libraries_of(done.stdout)


def libraries_of(text: str) -> list[str]:
    """The paths in what `ldd` prints."""
    return sorted(set(re.findall(r"(?:=>\s+|^\s+)(/\S+) \(0x", text, re.M)))
