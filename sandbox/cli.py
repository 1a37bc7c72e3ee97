"""The command line: `python -m sandbox up|down|status|kubectl|player|logs|binaries`."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from sandbox.binaries import ensure_binaries
from sandbox.errors import SandboxError
from sandbox.handle import Sandbox
from sandbox.launch import bring_down
from sandbox.layout import Layout, named_directory, read_state, state_root
from sandbox.modes import parse_mode
from sandbox.node.images import python_image, sampler_image
from sandbox.progress import Told
from sandbox.spec import DemandSeries, SandboxSpec, load_spec
from sandbox.traces import PACKAGED, load_trace, zone

DESCRIPTION = "A disposable Kubernetes with Prometheus on this machine, without Docker."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    given = parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = given.command
    try:
        return command(given)
    except SandboxError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("sandbox: interrupted; nothing is left running by this command", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader, `head` perhaps, has seen enough. Python would complain while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def parser() -> argparse.ArgumentParser:
    """The arguments of all commands."""
    top = argparse.ArgumentParser(prog="python -m sandbox", description=DESCRIPTION)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    place = argparse.ArgumentParser(add_help=False)
    where = place.add_mutually_exclusive_group()
    where.add_argument("--name", default="default", help="which sandbox (default: %(default)s)")
    where.add_argument("--directory", type=Path, help="its state folder, instead of a name")

    _up_arguments(commands.add_parser("up", parents=[place], help="start a sandbox"))
    down = commands.add_parser("down", parents=[place], help="end a sandbox, remove its state")
    down.add_argument("--all", action="store_true", help="all named sandboxes")
    down.set_defaults(command=_down)
    status = commands.add_parser("status", parents=[place], help="show what runs")
    status.add_argument("--json", action="store_true", help="for programs")
    status.set_defaults(command=_status)
    kubectl = commands.add_parser("kubectl", parents=[place], help="run the pinned kubectl")
    kubectl.add_argument("arguments", nargs=argparse.REMAINDER, metavar="-- ARGUMENTS")
    kubectl.set_defaults(command=_kubectl)
    player = commands.add_parser("player", parents=[place], help="make the metrics go wrong")
    player.add_argument("mode", help="play, nan, absent, zero, stale or a number")
    player.add_argument("--series", help="one series, as PromQL writes it (default: all)")
    player.set_defaults(command=_player)
    logs = commands.add_parser("logs", parents=[place], help="print a component's log")
    logs.add_argument("component")
    logs.set_defaults(command=_logs)
    binaries = commands.add_parser("binaries", help="find or build all binaries")
    binaries.add_argument("--node", action="store_true", help="those of a real node, too")
    binaries.set_defaults(command=_binaries)
    return top


def _up_arguments(up: argparse.ArgumentParser) -> None:
    default = SandboxSpec()
    names = ", ".join(PACKAGED)
    add = up.add_argument
    add("--trace", help=f"demand to play: a CSV file (time, value) or one of {names}")
    add("--column", help="the trace's column of values, by name or number from 1")
    add("--time-column", help="its column of times, likewise")
    add("--time-zone", type=zone, default="UTC", help="of times that name none (%(default)s)")
    add("--metric", default="demand_rps", help="the series' name (default: %(default)s)")
    add("--scale", type=float, default=1.0, help="multiply the trace's values")
    add("--start-at", type=float, help="trace second that is now (default: a day before its end)")
    add("--speed", type=float, default=1.0, help="trace seconds per second")
    add("--nodes", type=int, default=default.nodes, help="how many (default: %(default)s)")
    add("--pods-per-node", type=int, default=default.pods_per_node, help="(%(default)s)")
    add("--cpu-per-node", default=default.cpu_per_node, help="a quantity (%(default)s)")
    add("--memory-per-node", default=default.memory_per_node, help="a quantity (%(default)s)")
    add("--pod-ready", type=float, default=60.0, help="seconds until a pod is ready (60)")
    add("--pod-ready-jitter", type=float, default=10.0, help="at most so many more (10)")
    add("--scrape", type=float, default=default.scrape_seconds, help="scrape interval, seconds")
    add("--hpa-sync", type=float, default=default.hpa_sync_seconds, help="HPA's period, seconds")
    add(
        "--external-metric",
        action="append",
        default=[],
        metavar="NAME=QUERY",
        help="serve a PromQL query to HPAs as an external metric (may be repeated)",
    )
    add(
        "--node",
        action="store_true",
        help="one real node in place of KWOK's (Linux, as root); its pods can use "
        "foretide.dev/python and, for Profilers, foretide.dev/sampler",
    )
    add("--no-prometheus", action="store_true")
    add("--no-scheduler", action="store_true")
    add("--foreground", action="store_true", help="stay until Ctrl-C, then take it down")
    up.set_defaults(command=_up)


def _up(given: argparse.Namespace) -> int:
    directory = _directory(given)
    state = read_state(directory)
    if state is not None:
        try:
            running = Sandbox.attach(directory)
        except SandboxError:
            Told().say("an earlier sandbox ended without `down`: its leftovers are removed")
        else:
            print(f"sandbox: is up already in {directory}")
            _explain(running, given)
            return 0
    with Sandbox(_spec(given, directory), progress=Told()) as sandbox:
        _explain(sandbox, given)
        if given.foreground:
            sandbox.wait()
        else:
            sandbox.detach()
    return 0


def _spec(given: argparse.Namespace, directory: Path) -> SandboxSpec:
    metrics = {}
    for text in given.external_metric:
        name, equals, query = text.partition("=")
        if not equals or not name or not query:
            raise SandboxError(f"--external-metric {text!r} is not NAME=QUERY")
        metrics[name] = query
    series = []
    if given.trace:
        trace = load_trace(
            given.trace, column=given.column, time_column=given.time_column, zone=given.time_zone
        )
        for note in trace.notes:
            print(f"Note: {note}", file=sys.stderr)
        values = [value * given.scale for value in trace.values]
        series.append(
            DemandSeries(
                name=given.metric, times=trace.times, values=values, start_at=given.start_at
            )
        )
    base = python_image() if given.node else None
    return SandboxSpec(
        directory=directory,
        nodes=given.nodes,
        pods_per_node=given.pods_per_node,
        cpu_per_node=given.cpu_per_node,
        memory_per_node=given.memory_per_node,
        pod_ready_seconds=given.pod_ready,
        pod_ready_jitter_seconds=given.pod_ready_jitter,
        scrape_seconds=given.scrape,
        hpa_sync_seconds=given.hpa_sync,
        speed=given.speed,
        prometheus=not given.no_prometheus,
        scheduler=not given.no_scheduler,
        node=given.node,
        images=[base, sampler_image(base)] if base else [],
        series=series,
        external_metrics=metrics,
    )


def _explain(sandbox: Sandbox, given: argparse.Namespace) -> None:
    if given.directory:
        name = f" --directory {given.directory}"
    else:
        name = "" if given.name == "default" else f" --name {given.name}"
    print(
        usage(
            name,
            kubeconfig=sandbox.kubeconfig,
            prometheus=sandbox.state.get("prometheus_url") or "none",
            api=sandbox.api_url,
        )
    )
    images = [image.reference for image in load_spec(sandbox.directory).images]
    if images:
        print(f"Images for its node's pods: {', '.join(images)}")


def usage(name: str, *, kubeconfig: Path, prometheus: str, api: str) -> str:
    """How to use a sandbox that is up; `name` is the option that names it, empty for the usual."""
    run = ".venv/bin/python -m sandbox"
    return f"""
The sandbox is up. To use it:
  export KUBECONFIG={kubeconfig}
  {run} kubectl{name} -- get nodes     (kubectl of the same version)
  Prometheus: {prometheus}
  API server: {api}
It stays until: {f"{run} down{name}" if name else "make sandbox-down"}"""


def _down(given: argparse.Namespace) -> int:
    directories = [_directory(given)]
    if given.all:
        directories = sorted(path for path in state_root().glob("*") if path.is_dir())
    for directory in directories:
        ended = bring_down(directory)
        print(f"sandbox: {directory} {'is down now' if ended else 'was not up'}")
    return 0


def _status(given: argparse.Namespace) -> int:
    directory = _directory(given)
    try:
        state = Sandbox.attach(directory).state
    except SandboxError as error:
        if given.json:
            print(json.dumps({"up": False, "directory": str(directory)}))
        else:
            print(f"sandbox: {error}")
        return 3
    state.pop("token")
    if given.json:
        print(json.dumps({"up": True, **state}, indent=1))
        return 0
    console = Console(highlight=False)
    console.print(_table(state))
    for label in ("kubeconfig", "api_url", "prometheus_url", "player_url"):
        console.print(f"{label}: {state.get(label) or 'none'}", soft_wrap=True)
    return 0


def _table(state: dict[str, Any]) -> Table:
    table = Table("component", "state", "pid", "memory")
    total = 0
    for component in state["components"]:
        memory = component["memory_bytes"] or 0
        total += memory
        shown = f"{memory / 2**20:.0f} MiB" if memory else ""
        table.add_row(component["name"], component["state"], str(component["pid"] or ""), shown)
    table.caption = f"{total / 2**20:.0f} MiB in all, as each process counts it"
    return table


def _kubectl(given: argparse.Namespace) -> int:
    arguments = given.arguments
    if arguments[:1] == ["--"]:
        arguments = arguments[1:]
    command = Sandbox.attach(_directory(given)).kubectl_command(*arguments)
    sys.stdout.flush()
    os.execv(command[0], command)


def _player(given: argparse.Namespace) -> int:
    player = Sandbox.attach(_directory(given)).player
    player.set(parse_mode(given.mode), series=given.series)
    for series, mode in player.modes.items():
        print(f"{series}: {mode}")
    return 0


def _logs(given: argparse.Namespace) -> int:
    log = Layout(_directory(given)).log(given.component)
    if not log.is_file():
        known = ", ".join(sorted(path.stem for path in log.parent.glob("*.log"))) or "none"
        raise SandboxError(f"no log of {given.component!r} among {known}")
    with log.open(errors="replace") as file:
        sys.stdout.writelines(file)
    return 0


def _binaries(given: argparse.Namespace) -> int:
    for binary in ensure_binaries(Told(), node=given.node).values():
        print(f"{binary.tool.name} {binary.tool.version} ({binary.origin}): {binary.path}")
    return 0


def _directory(given: argparse.Namespace) -> Path:
    chosen: Path | None = given.directory
    return chosen.absolute() if chosen is not None else named_directory(given.name)
