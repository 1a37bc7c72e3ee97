"""Images for a node's pods, made on this machine: of Python, of the sampler, and any on top of one.

Layers are kept under the user's cache, by a digest of all that went into them.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.node import pythons
from sandbox.node.archive import Image, Layer, LayerWriter, digest_of
from sandbox.node.packages import architecture
from sandbox.node.pythons import PREFIX, Interpreter
from sandbox.process import REPOSITORY

REGISTRY = "foretide.dev"
# Raised when the way in which layers are made changes.
FORMAT = "1"
UNUSED_SECONDS = 14 * 86_400.0

Content = Path | str | bytes


def python_image(wanted: str | None = None) -> Image:
    """`foretide.dev/python:VERSION`: a Python of this machine, with a shell and a few tools.

    `wanted` is "3.12" or "3.12.1"; by default it is that of the running interpreter. Raises
    SandboxError when this machine has no such Python.
    """
    interpreter = pythons.find(wanted)
    key = [interpreter.version, interpreter.executable, interpreter.stdlib]
    key.append(str(Path(interpreter.executable).stat().st_mtime_ns))
    layer = _layer("python", key, lambda writer: pythons.write_root(interpreter, writer))
    environment = [f"PATH={PREFIX}/bin:/usr/bin:/bin", f"PYTHON_VERSION={interpreter.version}"]
    config = {"Env": environment, "Cmd": ["python3"], "WorkingDir": "/"}
    tag = wanted or interpreter.minor
    return Image(f"{REGISTRY}/python:{tag}", architecture(), (layer,), config)


def image(
    name: str,
    base: Image,
    *,
    files: Mapping[str, Content] | None = None,
    packages: Sequence[str | Path] = (),
    environment: Mapping[str, str] | None = None,
    command: Sequence[str] | None = None,
    user: str | None = None,
    workdir: str | None = None,
) -> Image:
    """An image on top of another.

    `name` is "app" or "app:1"; without a tag it gets one of its content (never `latest`, for
    which a kubelet would look elsewhere). `files` maps a path in the image to a file or a folder
    here (a Path), or to the content itself; `packages` are requirements, best pinned, or paths
    of wheels, installed with pip for the base's Python. `command` replaces the base's; `user` is
    "UID" or "UID:GID". Raises SandboxError for a name or a file that cannot be, or where pip
    fails.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9._/-]*(:[A-Za-z0-9._-]+)?", name):
        raise SandboxError(f"{name!r} is not a name for an image: write it as app or app:1")
    if name.endswith(":latest"):
        raise SandboxError(f"{name}: choose a tag; a kubelet looks for `latest` in a registry")
    given = dict(files or {})
    layers = list(base.layers)
    if packages:
        layers.append(_packages(base, packages))
    if given:
        layers.append(_layer("files", _content_key(given), lambda w: _write_files(given, w)))
    config = dict(base.config)
    if environment:
        own = [f"{key}={value}" for key, value in environment.items()]
        kept = [e for e in config.get("Env", []) if e.partition("=")[0] not in environment]
        config["Env"] = [*kept, *own]
    given_too = {"User": user, "WorkingDir": workdir, "Cmd": command and list(command)}
    config |= {key: value for key, value in given_too.items() if value is not None}
    made = Image(name, base.architecture, tuple(layers), config)
    tag = "" if ":" in name else f":{hashlib.sha256(made.configuration()).hexdigest()[:12]}"
    return Image(f"{REGISTRY}/{name}{tag}", made.architecture, made.layers, made.config)


def sampler_image(base: Image) -> Image:
    """What Profilers put beside an application: as profiling/Dockerfile makes it, on another base.

    It has the name that an operator looks for where its configuration names none.
    """
    return image(
        f"sampler:{version('foretide')}",
        base,
        packages=["py-spy==0.4.3"],
        files={"/app/foretide/profiling": REPOSITORY / "profiling" / "foretide" / "profiling"},
        environment={"PYTHONPATH": "/app"},
        user="65532:65532",
    )


def pause_image(program: Path, reference: str) -> Image:
    """The image whose process holds each pod's namespaces."""
    layer = _layer("pause", [digest_of(program)], lambda w: w.file("/pause", program, 0o755))
    config = {"Entrypoint": ["/pause"], "User": "65535:65535"}
    return Image(reference, architecture(), (layer,), config)


def _write_files(files: Mapping[str, Content], writer: LayerWriter) -> None:
    for path, content in files.items():
        if isinstance(content, Path):
            writer.tree(path, content)
        else:
            writer.text(path, content)


def _content_key(files: Mapping[str, Content]) -> list[str]:
    key = []
    for path, content in sorted(files.items()):
        if not isinstance(content, Path):
            data = content.encode() if isinstance(content, str) else content
            key.append(f"{path} {hashlib.sha256(data).hexdigest()}")
            continue
        if not content.exists():
            raise SandboxError(f"{content}, which an image should hold, is not there")
        for file in [content] if content.is_file() else sorted(content.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                inside = file.relative_to(content)
                key.append(f"{path} {inside} {os.access(file, os.X_OK)} {digest_of(file)}")
    return key


def _packages(base: Image, packages: Sequence[str | Path]) -> Layer:
    environment = dict(entry.split("=", 1) for entry in base.config.get("Env", []))
    if "PYTHON_VERSION" not in environment:
        raise SandboxError(f"{base.reference} has no Python that packages could be installed for")
    interpreter = pythons.find(environment["PYTHON_VERSION"])
    key = [interpreter.version, interpreter.executable]
    key += [f"{p} {digest_of(p)}" if isinstance(p, Path) else p for p in packages]

    def write(writer: LayerWriter) -> None:
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "packages"
            _install(interpreter, [str(package) for package in packages], target)
            _write_installed(interpreter, target, writer)

    return _layer("packages", key, write)


def _install(interpreter: Interpreter, packages: Sequence[str], target: Path) -> None:
    ways = [[interpreter.executable, "-m", "pip", "install"]]
    uv = shutil.which("uv", path=f"{os.environ.get('PATH', '')}:{REPOSITORY / '.uv/bin'}")
    if uv is not None:
        ways.append([uv, "pip", "install", "--python", interpreter.executable])
    said = ""
    for way in ways:
        command = [*way, "--quiet", f"--target={target}", *packages]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        said += done.stderr
    tail = "\n".join(said.splitlines()[-10:])
    raise SandboxError(f"cannot install {', '.join(packages)} for an image:\n{tail}")


def _write_installed(interpreter: Interpreter, target: Path, writer: LayerWriter) -> None:
    """What pip installed into a folder, with its programs where PATH finds them."""
    for path in sorted(target.rglob("*")):
        inside = path.relative_to(target)
        if not path.is_file() or "__pycache__" in inside.parts:
            continue
        if inside.parts[0] != "bin":
            place = f"{PREFIX}/lib/python{interpreter.minor}/site-packages/{inside}"
            writer.file(place, path)
            continue
        content = path.read_bytes()
        first, newline, rest = content.partition(b"\n")
        if first.startswith(b"#!") and b"python" in first:
            program = f"#!{PREFIX}/bin/python{interpreter.minor}"
            content = program.encode() + newline + rest
        writer.text(f"{PREFIX}/{inside}", content, 0o755)


def _layer(kind: str, key: Sequence[str], write: Callable[[LayerWriter], None]) -> Layer:
    """The layer of these contents, from the cache or made anew."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = base / "foretide" / "layers"
    cache.mkdir(parents=True, exist_ok=True)
    _prune(cache)
    name = hashlib.sha256("\0".join([FORMAT, kind, *key]).encode()).hexdigest()[:16]
    for known in cache.glob(f"{kind}-{name}.*.tar"):
        os.utime(known)
        return Layer(str(known), known.suffixes[-2].removeprefix("."))
    descriptor, temporary = tempfile.mkstemp(prefix=f".{kind}-", dir=cache)
    try:
        with os.fdopen(descriptor, "wb") as output:
            writer = LayerWriter(output)
            write(writer)
            writer.close()
        digest = digest_of(Path(temporary))
        target = cache / f"{kind}-{name}.{digest}.tar"
        Path(temporary).replace(target)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return Layer(str(target), digest)


def _prune(cache: Path) -> None:
    """Remove what nobody has used for long, and what a killed process left half-made."""
    oldest = time.time() - UNUSED_SECONDS
    for path in cache.iterdir():
        try:
            if path.stat().st_mtime < oldest:
                path.unlink()
        except FileNotFoundError:
            continue
