"""The sandbox as its users hold it: up, down, and the controls in between."""

import contextlib
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sandbox.binaries import ensure_binaries
from sandbox.controls import Component, Player, ask
from sandbox.errors import SandboxError
from sandbox.launch import DOWN_TIMEOUT, bring_down, launch, prepare
from sandbox.layout import Layout, read_state, write_private
from sandbox.node.archive import Image
from sandbox.node.load import load
from sandbox.node.packages import ensure_packages
from sandbox.process import is_alive
from sandbox.progress import Progress, Silent, Told
from sandbox.spec import SandboxSpec, save_spec

__all__ = ["Sandbox", "bring_down"]


class Sandbox:
    """One sandbox. As a context manager it is up inside the block and gone after it.

    It also goes down when this process ends in any way, unless `detach` was called.
    Everything raises SandboxError with a text for people.
    """

    def __init__(self, spec: SandboxSpec | None = None, *, progress: Progress | None = None):
        self._spec = spec or SandboxSpec()
        self._builds = progress
        self._progress = progress or Silent()
        self._daemon: subprocess.Popen[bytes] | None = None
        self._stays = False
        self._state: dict[str, Any] = {}
        directory = self._spec.directory
        self._directory = None if directory is None else directory.absolute()
        self.api_ready_seconds = 0.0
        self.up_seconds = 0.0

    @classmethod
    def attach(cls, directory: Path) -> Self:
        """A handle on a sandbox that runs already; it stays up when this process ends."""
        sandbox = cls(SandboxSpec(directory=directory))
        sandbox._state = _live_state(sandbox.directory)
        sandbox._stays = True
        return sandbox

    def __enter__(self) -> Self:
        return self if self._state else self.up()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._stays:
            self.down()

    def up(self) -> Self:
        """Start everything and wait until it is usable: nodes ready, Prometheus answering."""
        if self._state:
            raise SandboxError("is up already")
        if self._spec.node:
            ensure_packages(self._builds or Told())
        binaries = ensure_binaries(self._builds, node=self._spec.node)
        if self._spec.directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="foretide-sandbox-"))
        layout = Layout(self.directory)
        descriptor = prepare(self.directory)
        began = time.monotonic()
        try:
            save_spec(self._spec, self.directory)
            paths = {name: str(binary.path) for name, binary in binaries.items()}
            write_private(layout.directory / "binaries.json", json.dumps(paths))
            keep_logs = self._spec.directory is not None
            self._daemon = launch(layout, descriptor, keep_logs=keep_logs)
        finally:
            os.close(descriptor)
        try:
            self._follow(began)
        except BaseException:
            self.down()
            raise
        return self

    def down(self) -> None:
        """End everything and remove the state. Does nothing when it is down already.

        The logs stay where the spec names a directory.
        """
        self._state = {}
        if self._daemon is None:
            if self._directory is not None:
                bring_down(self._directory, keep_logs=self._spec.directory is not None)
            return
        daemon, self._daemon = self._daemon, None
        for pipe in (daemon.stdin, daemon.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            daemon.wait(DOWN_TIMEOUT)
        except BaseException as error:
            # Too slow, or a second Ctrl-C: its death takes the components along.
            daemon.kill()
            daemon.wait()
            bring_down(self.directory)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return
        if daemon.returncode < 0:
            bring_down(self.directory)

    def detach(self) -> None:
        """Let the sandbox stay up when this process, or the `with` block, ends."""
        self._stays = True
        if self._daemon is not None and self._daemon.stdin is not None:
            self._daemon.stdin.write(b"detach\n")
            self._daemon.stdin.close()
            self._daemon = None

    def wait(self) -> None:
        """Wait until the sandbox is taken down, by another process perhaps."""
        if self._daemon is not None:
            self._daemon.wait()

    @property
    def directory(self) -> Path:
        """The folder with all state; a temporary one is known once the sandbox is up."""
        if self._directory is None:
            raise SandboxError("the sandbox is not up")
        return self._directory

    @property
    def state(self) -> dict[str, Any]:
        """The supervisor's fresh record: `pid`, `ports`, `components` with pids and memory."""
        return ask(self._state, "state")

    @property
    def kubeconfig(self) -> Path:
        return Path(self._known("kubeconfig"))

    @property
    def api_url(self) -> str:
        return self._known("api_url")

    @property
    def prometheus_url(self) -> str:
        return self._url("prometheus_url")

    @property
    def player_url(self) -> str:
        return self._url("player_url")

    @property
    def started(self) -> float:
        """The wall clock (Unix seconds) at which each series showed its origin."""
        return float(self._known("started"))

    @property
    def host_address(self) -> str:
        """An address of this machine that pods on the real node reach: for webhooks, say."""
        if self._state and self._state.get("host_address") is None:
            raise SandboxError("this sandbox runs without a real node")
        return self._known("host_address")

    def load_image(self, image: Image) -> None:
        """Make an image of `sandbox.node.images` known to the real node."""
        load(self.directory, [image])

    @property
    def player(self) -> "Player":
        return Player(self.player_url)

    def component(self, name: str) -> "Component":
        """One of "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok",
        "prometheus", "player", "external-metrics", "node", "containerd", "kubelet",
        "kube-proxy"."""
        names = [c["name"] for c in self._state.get("components", []) if c["state"] != "done"]
        if name not in names:
            raise SandboxError(f"no component {name!r} in this sandbox, only {', '.join(names)}")
        return Component(name, self._state)

    def set_pod_ready(self, seconds: float, jitter: float = 0.0) -> None:
        """Change how long pods take to become ready (seconds, as in the spec).

        KWOK is restarted for it: pods that are still waiting begin to wait anew.
        """
        if seconds < 0 or jitter < 0:
            raise SandboxError("seconds and jitter must not be negative")
        ask(self._state, "pod-ready", seconds=seconds, jitter=jitter)

    def kubectl(self, *arguments: str) -> str:
        """Run the pinned kubectl; returns its standard output. Raises SandboxError on failure."""
        done = subprocess.run(
            self.kubectl_command(*arguments), capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise SandboxError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def kubectl_command(self, *arguments: str) -> list[str]:
        """The command line of the pinned kubectl with this sandbox's kubeconfig."""
        binaries = json.loads((self.directory / "binaries.json").read_text())
        return [binaries["kubectl"], f"--kubeconfig={self.kubeconfig}", *arguments]

    def _url(self, key: str) -> str:
        if self._state and self._state.get(key) is None:
            raise SandboxError("this sandbox runs without Prometheus")
        return self._known(key)

    def _known(self, key: str) -> str:
        if not self._state:
            raise SandboxError("the sandbox is not up")
        return str(self._state[key])

    def _follow(self, began: float) -> None:
        assert self._daemon is not None
        assert self._daemon.stdout is not None
        with self._progress.step("starting the sandbox"):
            for event in map(json.loads, self._daemon.stdout):
                match event["event"]:
                    case "ready":
                        self._progress.say(f"  {event['name']} ready in {event['seconds']:.1f} s")
                    case "api-ready":
                        self.api_ready_seconds = time.monotonic() - began
                    case "up":
                        self._state = event["state"]
                        self.up_seconds = time.monotonic() - began
                        return
                    case "failed":
                        raise SandboxError(f"{self.directory}: {event['message']}")
        log = Layout(self.directory).log("supervisor")
        said = log.read_text(errors="replace").splitlines()[-15:] if log.exists() else []
        raise SandboxError("\n".join(["the supervisor ended during the start", *said]))


def _live_state(directory: Path) -> dict[str, Any]:
    state = read_state(directory)
    if state is None or not is_alive(state["pid"], state["identity"]):
        raise SandboxError(f"{directory}: no sandbox is up here")
    return ask(state, "state")
