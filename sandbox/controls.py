"""The controls of a sandbox that runs: its components, its player, and how they are reached."""

import json
import socket
from collections.abc import Mapping
from typing import Any

import httpx

from sandbox.errors import SandboxError

# Starting a component may take the supervisor a minute before it gives up.
ANSWER_TIMEOUT = 120.0


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
        ask(self._state, "kill", name=self.name)

    def stop(self) -> None:
        """SIGTERM (SIGKILL after 10 s), and wait until it is gone."""
        ask(self._state, "stop", name=self.name)

    def start(self) -> None:
        """Start it again with the same ports and data; returns when it is ready."""
        ask(self._state, "start", name=self.name)

    def restart(self) -> None:
        if self.running:
            self.stop()
        self.start()

    def _described(self) -> dict[str, Any]:
        components = ask(self._state, "state")["components"]
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


def ask(state: Mapping[str, Any], operation: str, **details: Any) -> dict[str, Any]:
    """Ask the supervisor; returns its record after the operation."""
    if not state:
        raise SandboxError("the sandbox is not up")
    message = {"token": state["token"], "operation": operation, **details}
    try:
        with socket.create_connection(
            ("127.0.0.1", state["port"]), timeout=ANSWER_TIMEOUT
        ) as connection:
            connection.sendall(json.dumps(message).encode() + b"\n")
            with connection.makefile("rb") as file:
                answer = json.loads(file.readline())
    except (OSError, ValueError) as error:
        raise SandboxError(f"the sandbox does not answer: {error}") from error
    if "error" in answer:
        raise SandboxError(answer["error"])
    return dict(answer["state"])
