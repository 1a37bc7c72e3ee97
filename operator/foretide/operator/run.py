"""Running the operator: leader election around kopf, and a clean stop."""

import asyncio
import contextlib
import importlib
import logging
import os
import signal
import socket
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kopf

from .assembly import assemble
from .census import Census
from .cluster import KubernetesCluster, load_client
from .configuration import follow_config_map, follow_file, read_config_map
from .databases.fleet import AdvisorFleet
from .databases.running import Databases
from .fitting import ProcessFitter
from .fleet import Fleet
from .forecasts import Forecasts
from .handlers import announce, build_registry, post_event
from .leadership import Leadership
from .profilers.running import Profiling
from .reconcile import Reconciler
from .rollups import RollupSender
from .settings import OperatorSettings, SettingsHolder, parse, read_file
from .sources import Sources
from .telemetry import Telemetry
from .web import WebServer

logger = logging.getLogger(__name__)

LEADERSHIP_LOST = 3


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to run. `listen_port` 0 takes a free port; namespaces empty means all of them."""

    config_file: Path | None = None
    config_map: tuple[str, str] | None = None
    kubeconfig: str | None = None
    namespaces: tuple[str, ...] = ()
    lease_namespace: str = "default"
    lease_name: str = "foretide-operator"
    elect: bool = True
    listen_host: str = "0.0.0.0"
    listen_port: int = 8080
    port_file: Path | None = None
    loop_monitor: float = 0.0


async def run(options: RunOptions) -> int:
    """Run until stopped by a signal (returns 0) or until leadership is lost (returns 3).

    Raises:
        ConfigurationError: the configuration is broken.
        ClusterError: there is no cluster to talk to.
        OSError: the port is taken.
    """
    initial = parse(read_file(options.config_file)) if options.config_file else OperatorSettings()
    client = load_client(options.kubeconfig)
    cluster = KubernetesCluster(client)
    if options.config_map is not None:
        # Before the first tick: none of it may be missed, the kill switch least of all.
        initial = parse(await read_config_map(cluster, *options.config_map))
    if not initial.sources:
        logger.warning(
            "The configuration names no Prometheus source: PredictiveScalers cannot decide. "
            "Profilers and DatabaseAdvisors need none."
        )
    settings = SettingsHolder(initial, options.config_file)
    telemetry = Telemetry()
    identity = f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"
    leadership = Leadership(
        KubernetesCluster(client, threads=1),  # renewals must not queue behind slow ticks
        namespace=options.lease_namespace,
        name=options.lease_name,
        identity=identity,
    )
    fitter = ProcessFitter(
        workers=initial.fitting.workers,
        timeout=initial.fitting.timeout,
        idle_timeout=initial.fitting.idle_timeout,
        cores=lambda: settings.current.fitting.cores,
    )
    rollups = RollupSender(lambda: settings.current.store)
    sources = Sources(settings)
    fleet = Fleet()

    def may_write() -> bool:
        return leadership.held or not options.elect

    assemble(
        Reconciler,
        fleet=fleet,
        cluster=cluster,
        sources=sources,
        forecasts=Forecasts(fitter, on_report=telemetry.observe_fit),
        settings=settings,
        telemetry=telemetry,
        rollups=rollups,
        post_event=post_event,
        may_write=may_write,
    )
    profiling = Profiling(
        cluster,
        settings,
        announce=announce,
        may_write=may_write,
        telemetry=telemetry,
        sources=sources.get,
        namespaces=options.namespaces,
    )
    databases = Databases(
        cluster,
        settings,
        announce=announce,
        may_write=may_write,
        telemetry=telemetry,
        namespaces=options.namespaces,
    )

    # The HTTP client loads this at its first request, which is too long to stand still for.
    await asyncio.to_thread(importlib.import_module, "anyio._backends._asyncio")
    ready = asyncio.Event()
    server = WebServer(telemetry, is_ready=lambda: ready.is_set() or leadership.is_standing_by)
    await server.start(options.listen_host, options.listen_port)
    if options.port_file is not None:
        options.port_file.write_text(f"{server.port}\n", encoding="utf-8")
    logger.info("Metrics and health on port %d.", server.port)
    following = _follow(options, cluster, settings, (fleet, databases.fleet))
    always = (_monitor_loop(telemetry, options.loop_monitor), *following, profiling.serve())
    background = [asyncio.create_task(it) for it in always]
    try:
        if options.elect and not await _until_signal(leadership.acquire()):
            return 0
        telemetry.leader.set(1)
        census = Census(
            cluster,
            fleet,
            options.namespaces,
            telemetry,
            may_write=lambda: may_write() and not settings.current.kill_switch,
        )
        leading = (
            rollups.run(),
            profiling.run(),
            databases.run(),
            census.keep(),
            census.stand_in(),
        )
        background += [asyncio.create_task(work) for work in leading]
        registry = build_registry(fleet, profiling.fleet, databases.fleet)
        return await _lead(options, registry, leadership, ready)
    finally:
        telemetry.leader.set(0)
        for task in background:
            task.cancel()
        fitter.close()
        databases.close()
        if options.elect:
            await leadership.release()
        await asyncio.gather(rollups.aclose(), profiling.aclose())
        await sources.aclose()
        await server.stop()
        cluster.close()


def _follow(
    options: RunOptions,
    cluster: KubernetesCluster,
    settings: SettingsHolder,
    fleets: tuple[Fleet, AdvisorFleet],
) -> list[Coroutine[Any, Any, None]]:
    """What follows the configuration; the fleets are woken when it has changed."""

    def wake_all() -> None:
        for fleet in fleets:
            fleet.wake_all()

    following: list[Coroutine[Any, Any, None]] = []
    if options.config_file is not None:
        following.append(follow_file(settings, wake_all))
    if options.config_map is not None:
        following.append(follow_config_map(cluster, settings, wake_all, *options.config_map))
    return following


async def _lead(
    options: RunOptions,
    registry: kopf.OperatorRegistry,
    leadership: Leadership,
    ready: asyncio.Event,
) -> int:
    stop = asyncio.Event()
    _set_login(registry, options.kubeconfig)
    tasks = await kopf.spawn_tasks(
        registry=registry,
        standalone=True,
        clusterwide=not options.namespaces,
        namespaces=options.namespaces,
        ready_flag=ready,
        stop_flag=stop,
    )
    operator = asyncio.create_task(kopf.run_tasks(tasks, ignored=_AllTasks()))
    keeper = asyncio.create_task(leadership.keep()) if options.elect else None
    await asyncio.wait(
        [task for task in (operator, keeper) if task], return_when=asyncio.FIRST_COMPLETED
    )
    lost = keeper is not None and keeper.done()
    if keeper is not None and not lost:
        keeper.cancel()
    stop.set()
    await operator
    return LEADERSHIP_LOST if lost else 0


class _AllTasks(frozenset["asyncio.Task[Any]"]):
    """What kopf must leave alone when it stops.

    `kopf.operator()` takes every task younger than itself for its own, waits 5 s for it and then
    cancels it: a connection that Prometheus keeps open to `/metrics` is such a task.
    """

    def __contains__(self, task: object) -> bool:
        return True


def _set_login(registry: kopf.OperatorRegistry, kubeconfig: str | None) -> None:
    """Let kopf use the same credentials as the rest."""

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        if kubeconfig is not None:
            os.environ["KUBECONFIG"] = kubeconfig
            return kopf.login_with_kubeconfig(**kwargs)
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


async def _until_signal(waiting: Coroutine[Any, Any, None]) -> bool:
    """Await something, but give up at SIGTERM or SIGINT. Whether it came to its end."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    task = asyncio.ensure_future(waiting)
    stopper = asyncio.ensure_future(stopped.wait())
    try:
        await asyncio.wait([task, stopper], return_when=asyncio.FIRST_COMPLETED)
        return task.done()
    finally:
        for pending in (task, stopper):
            pending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pending
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _monitor_loop(telemetry: Telemetry, period: float) -> None:
    """Measure how late the loop runs what is due; off (0) unless a benchmark asks for it."""
    loop = asyncio.get_running_loop()
    longest = 0.0
    while period > 0:
        due = loop.time() + period
        await asyncio.sleep(period)
        late = max(0.0, loop.time() - due)
        telemetry.loop_block.observe(late)
        longest = max(longest, late)
        telemetry.loop_block_max.set(longest)
