"""The binaries of the control plane and a real node: found at the pinned version, or built.

The versions are those in `toolchain/*/go.mod`, and nowhere else.
"""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.process import tethered
from sandbox.progress import Progress, Told

TOOLCHAIN = Path(__file__).parent / "toolchain"

NO_GO = """{name} {version} is not here, and Go, which would build it, is not on PATH.
Install Go {go} or later (https://go.dev/doc/install; Debian: apt install golang; macOS: brew \
install go)
or put {name} {version} on PATH or in the folder that KUBEBUILDER_ASSETS names."""

ARCHITECTURES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Tool:
    """One binary: which package of which module, and what decides how it is built.

    Without a `source`, whose version go.mod pins, the code is our own and lies beside go.mod.
    """

    name: str
    module: str
    source: str
    package: str
    tags: str = ""
    version_argument: str = "--version"

    @property
    def folder(self) -> Path:
        return TOOLCHAIN / self.module

    @property
    def pin(self) -> str:
        """The version in go.mod, as "v1.35.4"."""
        if not self.source:
            return "v0.0.0"
        text = (self.folder / "go.mod").read_text()
        found = re.search(rf"^\s*(?:require\s+)?{re.escape(self.source)} (v\S+)", text, re.M)
        if found is None:
            raise SandboxError(f"{self.folder / 'go.mod'}: no version of {self.source}")
        return found[1]

    @property
    def version(self) -> str:
        """The version that the binary reports, without the "v".

        Prometheus' Go module v0.316.0 is the release 3.16.0: Go reserves v2 and v3 for other paths.
        """
        if self.module == "prometheus":
            _, minor, patch = self.pin.split(".")
            return f"{int(minor) // 100}.{int(minor) % 100}.{patch}"
        return self.pin.removeprefix("v")

    @property
    def go(self) -> str:
        """The Go version that the module asks for at least."""
        found = re.search(r"^go (\S+)", (self.folder / "go.mod").read_text(), re.M)
        return found[1] if found else "1.25"

    @property
    def ldflags(self) -> str:
        """Without a version the API server calls itself v0.0.0-master, and clients fail on it."""
        if self.module == "prometheus":
            return f"-s -w -X github.com/prometheus/common/version.Version={self.version}"
        if self.module != "kubernetes":
            return "-s -w"
        major, minor, _ = self.version.split(".", 2)
        base = "k8s.io/component-base/version"
        settings = {
            f"{base}.gitVersion": self.pin,
            f"{base}.gitMajor": major,
            f"{base}.gitMinor": minor,
            "k8s.io/client-go/pkg/version.gitVersion": self.pin,
        }
        return " ".join(["-s -w", *(f"-X {k}={v}" for k, v in settings.items())])


def _kubernetes(name: str, version_argument: str = "--version") -> Tool:
    package = f"k8s.io/kubernetes/cmd/{name}"
    return Tool(name, "kubernetes", "k8s.io/kubernetes", package, version_argument=version_argument)


def _prometheus(name: str) -> Tool:
    source = "github.com/prometheus/prometheus"
    # Service discovery of the clouds is two thirds of what would be compiled; static and file
    # targets are not among what the tag removes.
    return Tool(name, "prometheus", source, f"{source}/cmd/{name}", tags="remove_all_sd")


TOOLS = (
    Tool("etcd", "etcd", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3"),
    _kubernetes("kube-apiserver"),
    _kubernetes("kube-controller-manager"),
    _kubernetes("kube-scheduler"),
    _kubernetes("kubectl", "version --client"),
    Tool("kwok", "kwok", "sigs.k8s.io/kwok", "sigs.k8s.io/kwok/cmd/kwok"),
    _prometheus("prometheus"),
    _prometheus("promtool"),
)
# What a real node needs beside them, and nobody else.
NODE_TOOLS = (
    _kubernetes("kubelet"),
    _kubernetes("kube-proxy"),
    Tool("pause", "pause", "", "."),
)


@dataclass(frozen=True)
class Binary:
    """A binary that is ready for use.

    `origin` is "KUBEBUILDER_ASSETS", "PATH", "cache" or "built".
    """

    tool: Tool
    path: Path
    origin: str


def ensure_binaries(progress: Progress | None = None, *, node: bool = False) -> dict[str, Binary]:
    """Find or build all binaries, in `TOOLS`' order, and with `node` those of a real node too.

    Raises SandboxError when one cannot be had.

    An interrupted build leaves nothing half-done, and Go goes on where it was. Only builds are
    told of, on standard error where `progress` says nothing else: they take minutes.
    """
    told = progress or Told()
    return {tool.name: ensure(tool, told) for tool in (*TOOLS, *(NODE_TOOLS if node else ()))}


def ensure(tool: Tool, progress: Progress) -> Binary:
    """Find or build one binary."""
    found = _installed(tool)
    if found is not None:
        return found
    target = cached_path(tool)
    if os.access(target, os.X_OK):
        return Binary(tool, target, "cache")
    if shutil.which("go") is None:
        # The highest that any of them wants: nobody should have to install Go twice.
        go = max((each.go for each in TOOLS), key=lambda text: [int(n) for n in text.split(".")])
        raise SandboxError(NO_GO.format(name=tool.name, version=tool.version, go=go))
    target.parent.mkdir(parents=True, exist_ok=True)
    with _lock(target.parent / "lock"):
        # Whoever held the lock before may have built it meanwhile.
        if os.access(target, os.X_OK):
            return Binary(tool, target, "cache")
        with progress.step(f"building {tool.name} {tool.version}"):
            _build(tool, target)
    return Binary(tool, target, "built")


def cached_path(tool: Tool) -> Path:
    """Where a built binary lies: the path names all that decides what the build gives."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    system = sys.platform
    machine = ARCHITECTURES.get(platform.machine(), platform.machine())
    decisive = [tool.package, tool.ldflags, tool.tags, system, machine]
    sources = [tool.folder / name for name in ("go.mod", "go.sum")] + sorted(
        tool.folder.glob("*.go")
    )
    decisive += [path.read_text() for path in sources if path.exists()]
    digest = hashlib.sha256("\0".join(decisive).encode()).hexdigest()[:12]
    folder = f"{tool.name}-{tool.version}-{system}-{machine}-{digest}"
    return Path(base) / "foretide" / "bin" / folder / tool.name


def _installed(tool: Tool) -> Binary | None:
    """A binary that the user provides, if it is exactly the pinned version."""
    if not tool.source:
        return None
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    for origin, folders in (("KUBEBUILDER_ASSETS", assets), ("PATH", None)):
        if origin == "KUBEBUILDER_ASSETS" and not assets:
            continue
        path = shutil.which(tool.name, path=folders)
        if path is not None and reported_version(path, tool) == tool.version:
            return Binary(tool, Path(path).absolute(), origin)
    return None


def reported_version(path: str, tool: Tool) -> str | None:
    """What version a binary says that it is, or None when it does not say."""
    try:
        done = subprocess.run(
            [path, *tool.version_argument.split()],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=15,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\bv?(\d+\.\d+\.\d+\S*?)[,\s]", f"{done.stdout}{done.stderr}\n")
    return found[1] if found else None


def _build(tool: Tool, target: Path) -> None:
    # We hold the lock: these are of builds that were killed.
    for abandoned in target.parent.glob(f".{tool.name}.*"):
        abandoned.unlink(missing_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{tool.name}.", dir=target.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        _go_build(tool, temporary)
        temporary.chmod(0o755)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _go_build(tool: Tool, output: Path) -> None:
    command = ["go", "build", "-mod=readonly", "-trimpath", "-ldflags", tool.ldflags]
    command += ["-tags", tool.tags] if tool.tags else []
    # A static binary needs no C compiler, and runs wherever the cache is mounted.
    environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
    for name in ("GOOS", "GOARCH"):
        environment.pop(name, None)
    process = subprocess.Popen(
        tethered([*command, "-o", str(output), tool.package]),
        cwd=tool.folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        said, _ = process.communicate()
    finally:
        # On Ctrl-C: the compilers that go started are in its group.
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode != 0:
        tail = "\n".join(said.splitlines()[-20:])
        raise SandboxError(f"go build of {tool.name} {tool.version} failed:\n{tail}")


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
