"""Starting, watching and ending the components of one sandbox.

Everything here runs on one thread: the kernel ends a component when the *thread* that started it
dies, and a fork is only safe where no other thread holds a lock.
"""

import asyncio
import signal
import ssl
import subprocess
import time
from collections.abc import Callable
from typing import Any

import httpx

from sandbox.bootstrap import bootstrap, wait_usable
from sandbox.components import commands
from sandbox.errors import SandboxError
from sandbox.layout import Layout, write_private
from sandbox.pki import kubeconfig
from sandbox.plan import Command, Plan
from sandbox.process import clean_environment, identity, memory_bytes, signal_group, spawn

READY_TIMEOUT = 60.0
GRACE = 1.0
LOG_LINES = 15


class AddressInUse(SandboxError):
    """Another program took a port between its choice and its use: choose again."""


class Running:
    """One component: its command, its process, and whether it is meant to run."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.process: subprocess.Popen[bytes] | None = None
        self.identity: str | None = None
        self.ready = asyncio.Event()
        self.state = "waiting"

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def describe(self) -> dict[str, Any]:
        state = self.state
        if state in ("starting", "ready") and not self.alive():
            state = "done" if self.command.health is None else "exited"
        pid = self.process.pid if self.process is not None and self.alive() else None
        return {
            "name": self.command.name,
            "state": state,
            "pid": pid,
            "identity": self.identity if pid else None,
            "exit_code": None if self.process is None else self.process.poll(),
            "memory_bytes": memory_bytes(pid) if pid else None,
        }


class Supervisor:
    """One attempt to run a sandbox on one choice of ports."""

    def __init__(self, plan: Plan, tell: Callable[..., None]) -> None:
        self._plan = plan
        self._tell = tell
        self._environment = clean_environment(plan.layout.directory)
        self.running = {c.name: Running(c) for c in commands(plan)}
        self._client = httpx.AsyncClient(
            verify=_tls(plan.layout), trust_env=False, timeout=httpx.Timeout(5.0)
        )

    async def up(self) -> None:
        """Start everything, as much at once as the dependencies allow."""
        write_private(
            self._plan.layout.kubeconfig,
            kubeconfig(self._plan.layout.pki, "admin", self._plan.api_url),
        )
        try:
            async with asyncio.TaskGroup() as group:
                for running in self.running.values():
                    group.create_task(self._start_in_turn(running))
                group.create_task(self._make_usable())
        except* SandboxError as errors:
            raise _first(errors) from None

    async def start(self, name: str) -> None:
        """Start one component again, with the same ports and data, and wait until it is ready."""
        running = self.running[name]
        if running.alive():
            raise SandboxError(f"{name} runs already")
        await self._start(running)

    async def stop(self, name: str, *, kill: bool) -> None:
        """End one component, at once or politely, and wait until it is gone."""
        running = self.running[name]
        running.state = "killed" if kill else "stopped"
        running.ready.clear()
        await self._end([running], grace=0.0 if kill else 10.0)

    async def down(self) -> None:
        """End all components together; none outlives this call."""
        await self._end(list(self.running.values()), grace=GRACE)
        await self._client.aclose()

    async def _start_in_turn(self, running: Running) -> None:
        for name in running.command.after:
            await self.running[name].ready.wait()
        await self._start(running)

    async def _make_usable(self) -> None:
        await self.running["kube-apiserver"].ready.wait()
        self._tell("api-ready", api_url=self._plan.api_url)
        await bootstrap(self._plan, self._client)
        for name in ("kube-controller-manager", "kwok", "external-metrics", "images", "kube-proxy"):
            if name in self.running:
                await self.running[name].ready.wait()
        await wait_usable(self._plan, self._client, timeout=READY_TIMEOUT)

    async def _start(self, running: Running) -> None:
        command = running.command
        began = time.monotonic()
        self._tell("start", name=command.name)
        log = self._plan.layout.log(command.name)
        offset = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            running.process = spawn(
                command.argv,
                cwd=self._plan.layout.directory,
                environment=self._environment,
                output=output,
            )
        running.identity = identity(running.process.pid)
        running.state = "starting"
        self._tell("changed")
        await self._wait_ready(running, offset)
        running.state = "ready"
        running.ready.set()
        self._tell("ready", name=command.name, seconds=time.monotonic() - began)

    async def _wait_ready(self, running: Running, log_offset: int) -> None:
        deadline = time.monotonic() + READY_TIMEOUT
        process = running.process
        assert process is not None
        while not await self._is_ready(running):
            code = process.poll()
            if code is not None and (code != 0 or running.command.health is not None):
                raise self._failure(running, f"ended with code {code}", log_offset)
            if time.monotonic() > deadline:
                raise self._failure(running, f"not ready after {READY_TIMEOUT:.0f} s", log_offset)
            await asyncio.sleep(0.03)

    async def _is_ready(self, running: Running) -> bool:
        if running.command.health is None:
            return running.process is not None and running.process.poll() == 0
        # A foreign server may answer on our port, if ours could not take it: ours must be alive.
        try:
            response = await self._client.get(running.command.health)
        except httpx.HTTPError:
            return False
        return response.status_code == httpx.codes.OK and running.alive()

    def _failure(self, running: Running, what: str, log_offset: int) -> SandboxError:
        name = running.command.name
        with self._plan.layout.log(name).open("rb") as file:
            file.seek(log_offset)
            text = file.read().decode(errors="replace")
        lines = text.splitlines()
        if len(lines) > LOG_LINES:
            # Some complain first and then explain all their flags.
            lines = [*lines[:3], "...", *lines[3 - LOG_LINES :]]
        tail = "\n".join(f"  {line}" for line in lines)
        kind = AddressInUse if "address already in use" in text.lower() else SandboxError
        return kind(f"{name} {what}; its log:\n{tail}")

    async def _end(self, chosen: list[Running], *, grace: float) -> None:
        alive = [r.process for r in chosen if r.process is not None and r.alive()]
        if grace:
            for process in alive:
                signal_group(process, signal.SIGTERM)
            await self._wait_gone(alive, grace)
        for process in alive:
            signal_group(process, signal.SIGKILL)
        await self._wait_gone(alive, READY_TIMEOUT)
        self._tell("changed")

    async def _wait_gone(self, processes: list[subprocess.Popen[bytes]], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while any(process.poll() is None for process in processes):
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(0.02)


def _tls(layout: Layout) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(layout.pki / "ca.crt"))
    context.load_cert_chain(layout.pki / "admin.crt", layout.pki / "admin.key")
    return context


def _first(errors: BaseExceptionGroup[SandboxError]) -> SandboxError:
    """The error to show. A port that was taken explains what failed because of it."""
    leaves: list[SandboxError] = []
    for error in errors.exceptions:
        leaves += [_first(error)] if isinstance(error, BaseExceptionGroup) else [error]
    return next((e for e in leaves if isinstance(e, AddressInUse)), leaves[0])
