"""The process that owns a sandbox: it starts the components, and they end with it.

It is started by `sandbox.handle` in a session of its own and tells over standard output, a JSON
object per line, how the start goes. Standard input is the caller's hand: when it closes, because
the caller left or was killed, the sandbox goes down. "detach" on it makes the sandbox stay.
Others reach it on a loopback port, with the token from the folder's record.
"""

import asyncio
import contextlib
import json
import os
import random
import secrets
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.components import write_configs, write_stages
from sandbox.errors import SandboxError
from sandbox.folder import clean
from sandbox.layout import Layout, write_private
from sandbox.node.addresses import choose, in_use
from sandbox.node.record import wait_cleared
from sandbox.pki import write_pki
from sandbox.plan import PORT_NAMES, Plan
from sandbox.ports import free_ports
from sandbox.process import identity, is_alive
from sandbox.spec import SandboxSpec, load_spec
from sandbox.supervisor import AddressInUse, Supervisor

ATTEMPTS = 3
CALLER_CHECK = 1.0


class Daemon:
    """The life of one sandbox: up, requests, down."""

    def __init__(self, layout: Layout, caller: tuple[int, str] | None, *, keep_logs: bool) -> None:
        self._layout = layout
        self._caller = caller
        self._keep_logs = keep_logs
        self._token = secrets.token_urlsafe(24)
        self._port = 0
        self._supervisor: Supervisor | None = None
        self._plan: Plan | None = None
        self._leaving = asyncio.Event()
        self._told = True

    async def run(self, spec: SandboxSpec, binaries: Mapping[str, str]) -> int:
        """Run until the caller leaves, "down" is asked for or a signal comes."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._leaving.set)
        loop.add_reader(sys.stdin.fileno(), self._hear_caller)
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        watch = asyncio.create_task(self._watch_caller())
        try:
            return await self._live(spec, binaries)
        finally:
            watch.cancel()
            server.close()

    async def _live(self, spec: SandboxSpec, binaries: Mapping[str, str]) -> int:
        starting = asyncio.create_task(self._up(spec, binaries))
        leaving = asyncio.create_task(self._leaving.wait())
        failed = False
        try:
            await asyncio.wait({starting, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                await starting
                self._tell("up", state=self._state())
                self._told = False
                await leaving
            return 0
        except Exception as error:
            failed = True
            if not isinstance(error, SandboxError):
                traceback.print_exc()
            self._tell("failed", message=str(error) or repr(error))
            return 1
        finally:
            starting.cancel()
            leaving.cancel()
            await asyncio.wait({starting})
            if self._supervisor is not None:
                await self._supervisor.down()
            clean(self._layout, keep_logs=self._keep_logs or failed)

    async def _up(self, spec: SandboxSpec, binaries: Mapping[str, str]) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            ports = dict(zip(PORT_NAMES, free_ports(len(PORT_NAMES)), strict=True))
            node = choose(in_use(), random.Random()) if spec.node else None
            self._plan = Plan(spec, self._layout, binaries, ports, time.time(), node)
            write_pki(self._layout.pki, node)
            write_configs(self._plan)
            self._supervisor = Supervisor(self._plan, self._tell)
            try:
                await self._supervisor.up()
                return
            except AddressInUse:
                if attempt == ATTEMPTS:
                    raise
                await self._supervisor.down()
                wait_cleared(self._layout.directory)
                for entry in ("etcd", "prometheus", "node"):
                    shutil.rmtree(self._layout.directory / entry, ignore_errors=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
            request = json.loads(await reader.readline())
            answer = await self._answer(request)
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if not secrets.compare_digest(str(request.get("token")), self._token):
            return {"error": "wrong token"}
        try:
            await self._obey(request)
        except SandboxError as error:
            return {"error": str(error)}
        except Exception as error:
            traceback.print_exc()
            return {"error": repr(error)}
        return {"state": self._state()}

    async def _obey(self, request: dict[str, Any]) -> None:
        operation, name = request.get("operation"), request.get("name")
        if operation == "down":
            self._leaving.set()
            return
        if operation == "state":
            return
        if self._supervisor is None or self._plan is None:
            raise SandboxError("the sandbox is still being prepared")
        if operation == "pod-ready":
            await self._set_pod_ready(request["seconds"], request["jitter"])
            return
        if name not in self._supervisor.running:
            raise SandboxError(f"no component {name!r} in this sandbox")
        if self._supervisor.running[name].command.health is None:
            raise SandboxError(f"{name} is a job of the start, not a component")
        match operation:
            case "start":
                await self._supervisor.start(name)
            case "stop" | "kill":
                await self._supervisor.stop(name, kill=operation == "kill")
            case _:
                raise SandboxError(f"unknown operation {operation!r}")

    async def _set_pod_ready(self, seconds: float, jitter: float) -> None:
        assert self._supervisor is not None
        if "kwok" not in self._supervisor.running:
            raise SandboxError("this sandbox runs without kwok")
        write_stages(self._layout, seconds, jitter)
        await self._supervisor.stop("kwok", kill=True)
        await self._supervisor.start("kwok")

    def _state(self) -> dict[str, Any]:
        plan, supervisor = self._plan, self._supervisor
        state: dict[str, Any] = {
            "pid": os.getpid(),
            "identity": identity(os.getpid()),
            "port": self._port,
            "token": self._token,
            "directory": str(self._layout.directory),
            "components": [],
        }
        if plan is not None and supervisor is not None:
            state |= {
                "kubeconfig": str(self._layout.kubeconfig),
                "api_url": plan.api_url,
                "prometheus_url": plan.url("prometheus") if plan.spec.prometheus else None,
                "player_url": plan.url("player") if plan.spec.prometheus else None,
                "host_address": plan.node.host if plan.node else None,
                "started": plan.started,
                "ports": dict(plan.ports),
                "components": [r.describe() for r in supervisor.running.values()],
            }
        return state

    def _tell(self, event: str, **details: Any) -> None:
        write_private(self._layout.state, json.dumps(self._state(), indent=1))
        if self._told and event != "changed":
            with contextlib.suppress(OSError):
                os.write(sys.stdout.fileno(), _line({"event": event, **details}))

    def _hear_caller(self) -> None:
        said = os.read(sys.stdin.fileno(), 4096)
        if b"detach" in said or not said:
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        if b"detach" in said:
            self._caller = None
        elif not said:
            self._leaving.set()

    async def _watch_caller(self) -> None:
        # A process that the caller forked holds its end of the pipe open after the caller's death.
        while not self._leaving.is_set():
            if self._caller is not None and not is_alive(*self._caller):
                self._leaving.set()
            await asyncio.sleep(CALLER_CHECK)


def main() -> int:
    layout = Layout(Path(sys.argv[1]))
    caller, keep_logs = int(sys.argv[2]), sys.argv[3] == "keep-logs"
    # The folder's lock, which the caller took for us: it is ours as long as we live.
    os.set_inheritable(int(sys.argv[4]), False)
    for folder in ("tmp", "logs"):
        (layout.directory / folder).mkdir(exist_ok=True)
    spec = load_spec(layout.directory)
    binaries = json.loads((layout.directory / "binaries.json").read_text())
    known = identity(caller)
    if known is None:
        return 1
    daemon = Daemon(layout, (caller, known), keep_logs=keep_logs)
    return asyncio.run(daemon.run(spec, binaries))


def _line(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode() + b"\n"


if __name__ == "__main__":
    sys.exit(main())
