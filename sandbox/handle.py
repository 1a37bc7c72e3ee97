"""The sandbox as its users hold it: up, down, and the controls in between."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import httpx

from sandbox.binaries import ensure_binaries
from sandbox.errors import SandboxError
from sandbox.folder import clean, end_leftovers, lock
from sandbox.layout import Layout, read_state, write_private
from sandbox.process import is_alive, python_path, wait_until
from sandbox.progress import Progress, Silent
from sandbox.spec import SandboxSpec, save_spec

DOWN_TIMEOUT = 15.0


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
        binaries = ensure_binaries(self._builds)
        if self._spec.directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="foretide-sandbox-"))
        layout = Layout(self.directory)
        descriptor = _prepare(self.directory)
        began = time.monotonic()
        try:
            save_spec(self._spec, self.directory)
            paths = {name: str(binary.path) for name, binary in binaries.items()}
            write_private(layout.directory / "binaries.json", json.dumps(paths))
            keep_logs = self._spec.directory is not None
            self._daemon = _launch(layout, descriptor, keep_logs=keep_logs)
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
        return _request(self._state, "state")

    @property
    def kubeconfig(self) -> Path:
        return Path(self._state["kubeconfig"])

    @property
    def api_url(self) -> str:
        return str(self._state["api_url"])

    @property
    def prometheus_url(self) -> str:
        return self._url("prometheus_url")

    @property
    def player_url(self) -> str:
        return self._url("player_url")

    @property
    def started(self) -> float:
        """The wall clock (Unix seconds) at which each series showed its origin."""
        return float(self._state["started"])

    @property
    def player(self) -> "Player":
        return Player(self.player_url)

    def component(self, name: str) -> "Component":
        """One of "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok",
        "prometheus", "player", "external-metrics"."""
        names = [component["name"] for component in self._state["components"]]
        if name not in names:
            raise SandboxError(f"no component {name!r} in this sandbox, only {', '.join(names)}")
        return Component(name, self._state)

    def set_pod_ready(self, seconds: float, jitter: float = 0.0) -> None:
        """Change how long pods take to become ready (seconds, as in the spec).

        KWOK is restarted for it: pods that are still waiting begin to wait anew.
        """
        if seconds < 0 or jitter < 0:
            raise SandboxError("seconds and jitter must not be negative")
        _request(self._state, "pod-ready", seconds=seconds, jitter=jitter)

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
        url = self._state.get(key)
        if url is None:
            raise SandboxError("this sandbox runs without Prometheus")
        return str(url)

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


class Component:
    """One process of a sandbox. What was killed or stopped stays down until `start`."""

    def __init__(self, name: str, state: Mapping[str, Any]) -> None:
        self.name = name
        self._state = state

    @property
    def pid(self) -> int | None:
        """The process id, or None while it does not run."""
        pid = self._described()["pid"]
        return None if pid is None else int(pid)

    @property
    def running(self) -> bool:
        return self.pid is not None

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        _request(self._state, "kill", name=self.name)

    def stop(self) -> None:
        """SIGTERM (SIGKILL after 10 s), and wait until it is gone."""
        _request(self._state, "stop", name=self.name)

    def start(self) -> None:
        """Start it again with the same ports and data; returns when it is ready."""
        _request(self._state, "start", name=self.name)

    def restart(self) -> None:
        if self.running:
            self.stop()
        self.start()

    def _described(self) -> dict[str, Any]:
        components = _request(self._state, "state")["components"]
        return next(dict(c) for c in components if c["name"] == self.name)


class Player:
    """The demand player: what it shows instead of the trace."""

    def __init__(self, url: str) -> None:
        self._url = url

    def set(self, mode: str | float, *, series: str | None = None) -> None:
        """Set the mode ("play", "nan", "absent", "zero", "stale" or a number) of one or all series.

        `series` is `DemandSeries.key`, the series as PromQL writes it. Prometheus sees the change
        at its next scrape.
        """
        self._exchange("POST", {"series": series, "mode": mode})

    @property
    def modes(self) -> dict[str, str | float]:
        """The mode of each series, by its key."""
        return self._exchange("GET", None)

    def _exchange(self, method: str, body: dict[str, Any] | None) -> dict[str, str | float]:
        with httpx.Client(trust_env=False, timeout=10) as client:
            response = client.request(method, f"{self._url}/modes", json=body)
        if response.is_error:
            raise SandboxError(response.text.strip())
        return dict(response.json())


def bring_down(directory: Path, *, keep_logs: bool = False) -> bool:
    """End the sandbox in a folder, also what a crash left there; returns whether one was up."""
    layout = Layout(directory)
    state = read_state(directory)
    was_up = state is not None and is_alive(state["pid"], state["identity"])
    if state is not None and was_up:
        _end_daemon(state)
    if state is None and not layout.lock.exists():
        return False
    descriptor = lock(layout)
    if descriptor is None:
        raise SandboxError(f"{directory}: another command is at work on this sandbox")
    try:
        end_leftovers(directory)
        clean(layout, keep_logs=keep_logs)
    finally:
        os.close(descriptor)
    return was_up


def _end_daemon(state: dict[str, Any]) -> None:
    with contextlib.suppress(SandboxError):
        _request(state, "down")
    if wait_until(lambda: not is_alive(state["pid"], state["identity"]), DOWN_TIMEOUT):
        return
    if is_alive(state["pid"], state["identity"]):
        os.kill(state["pid"], signal.SIGKILL)
        wait_until(lambda: not is_alive(state["pid"], state["identity"]), 5.0)


def _prepare(directory: Path) -> int:
    """Make the folder clean and ours; returns the descriptor that holds its lock."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    layout = Layout(directory)
    descriptor = lock(layout)
    if descriptor is None:
        raise SandboxError(f"{directory}: is up already")
    end_leftovers(directory)
    clean(layout, keep_logs=True)
    layout.logs.mkdir(exist_ok=True)
    for old in layout.logs.glob("*.log"):
        old.unlink()
    return descriptor


def _launch(layout: Layout, lock_descriptor: int, *, keep_logs: bool) -> subprocess.Popen[bytes]:
    arguments = [str(layout.directory), str(os.getpid()), "keep-logs" if keep_logs else "no-logs"]
    errors: IO[bytes]
    with layout.log("supervisor").open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "sandbox.daemon", *arguments, str(lock_descriptor)],
            cwd=layout.directory,
            env={**os.environ, "PYTHONPATH": python_path()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            # The lock passes from hand to hand: between two commands nobody else can take it.
            pass_fds=[lock_descriptor],
        )


def _live_state(directory: Path) -> dict[str, Any]:
    state = read_state(directory)
    if state is None or not is_alive(state["pid"], state["identity"]):
        raise SandboxError(f"{directory}: no sandbox is up here")
    return _request(state, "state")


def _request(state: Mapping[str, Any], operation: str, **details: Any) -> dict[str, Any]:
    """Ask the supervisor; returns its record after the operation."""
    if not state:
        raise SandboxError("the sandbox is not up")
    message = {"token": state["token"], "operation": operation, **details}
    try:
        with socket.create_connection(("127.0.0.1", state["port"]), timeout=120) as connection:
            connection.sendall(json.dumps(message).encode() + b"\n")
            with connection.makefile("rb") as file:
                answer = json.loads(file.readline())
    except (OSError, ValueError) as error:
        raise SandboxError(f"the sandbox does not answer: {error}") from error
    if "error" in answer:
        raise SandboxError(answer["error"])
    return dict(answer["state"])
