"""What the operator costs: N PredictiveScalers in Auto on the sandbox, at the default sync period.

    python benchmarks/reconcile.py --scalers 500 --json out/reconcile.json

Three phases, each measured from outside (CPU time and PSS of the processes) and from the
operator's own metrics: an empty operator as the baseline; all resources, while every one of them
gets its first forecasts (14 days by the minute) and for a while after; and at rest, demand
constant and the idle workers stopped.

By default an operator spends half a core on fits, so that 500 first fits take an hour. The
benchmark lets it take `--fit-cores`, by default all that there are: the decisions are then measured
under more load than in life. What the workers take in life is `fit_cores`, and never more than the
half core.

Fields of the JSON:
  cpu_ms_per_tick     main process' CPU per tick, once all forecasts are made
  loop_block_ms_p99   how late the event loop ran what was due, while fitting and after
  loop_block_ms_max   the worst of these
  tick_lag_s_p99      how late ticks began, while fitting and after
  cores               main process' CPU, in cores, once all forecasts are made
  fit_cores           workers' CPU for one fit of each resource, spread over the refit period
  fit_cores_first     the same while all first forecasts are made, at --fit-cores
  fit_cpu_s           CPU of one fit
  pss_mb              peak PSS of the process tree
  pss_rest_mb         PSS of the process tree at rest
  rest_cores          main process' CPU at rest, in cores; no worker runs then
  empty_cores, empty_pss_mb   an operator without resources, in the same run
"""

import argparse
import math
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kubernetes
import psutil
import yaml
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.telling import write_json  # noqa: E402
from foretide.operator.commands.progress import Bar  # noqa: E402
from sandbox import DemandSeries, Sandbox, SandboxSpec  # noqa: E402
from sandbox.process import tethered  # noqa: E402
from sandbox.progress import Told  # noqa: E402

DAY = 86_400.0
REFIT_SECONDS = 6 * 3_600.0
LOOP_MONITOR_SECONDS = 0.02
# The most that 500 resources may take.
BARS = {"tick_lag_s_p99": 5.0, "cores": 1.0, "fit_cores": 0.5, "pss_mb": 1_000.0}
MEGABYTE = 1e6


@dataclass
class Usage:
    """What a process tree has used so far. Workers that have ended stay counted."""

    main: psutil.Process
    peak: int = 0
    _workers: dict[int, float] = field(default_factory=dict)

    def sample(self) -> None:
        """Look at the tree now."""
        total = _pss(self.main)
        for child in self.main.children(recursive=True):
            try:
                times = child.cpu_times()
                self._workers[child.pid] = times.user + times.system
                total += _pss(child)
            except psutil.NoSuchProcess:
                continue
        self.peak = max(self.peak, total)
        self.pss = total

    pss: int = 0

    @property
    def main_cpu(self) -> float:
        """CPU seconds of the main process."""
        times = self.main.cpu_times()
        return float(times.user + times.system)

    @property
    def worker_cpu(self) -> float:
        """CPU seconds of all workers that there have been."""
        return sum(self._workers.values())


def _pss(process: psutil.Process) -> int:
    try:
        text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1]) * 1024  # type: ignore[index]
    except (OSError, TypeError):
        return 0


class Metrics:
    """The operator's own metrics at one time."""

    def __init__(self, port: int) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            self._text = answer.read().decode()

    def value(self, name: str) -> float:
        """The sum over labels."""
        found = re.findall(rf"^{name}(?:{{[^\n]*}})? (\S+)$", self._text, re.M)
        return sum(float(value) for value in found)

    def buckets(self, name: str) -> dict[float, float]:
        """Cumulative counts by upper bound."""
        found = re.findall(rf'^{name}_bucket{{le="([^"]+)"}} (\S+)$', self._text, re.M)
        return {float(bound): float(count) for bound, count in found}


def quantile(share: float, before: Metrics, after: Metrics, name: str) -> float:
    """A quantile of a histogram between two times, linear within its bucket."""
    old, new = before.buckets(name), after.buckets(name)
    counts = {bound: count - old.get(bound, 0.0) for bound, count in new.items()}
    wanted = share * counts[math.inf]
    lower_bound = lower_count = 0.0
    for bound, count in sorted(counts.items()):
        if count >= wanted:
            if math.isinf(bound):
                return lower_bound
            within = (wanted - lower_count) / max(count - lower_count, 1e-9)
            return lower_bound + (bound - lower_bound) * within
        lower_bound, lower_count = bound, count
    return lower_bound


def wave(seed: int) -> DemandSeries:
    """A fortnight of a daily wave with weekends and noise, at 5 minutes; unlike its neighbours."""
    rng = random.Random(seed)
    phase, size = rng.random(), rng.uniform(20, 60)
    times = [300.0 * i for i in range(15 * 288)]
    values = []
    for at in times:
        week = 0.7 if int(at // DAY) % 7 >= 5 else 1.0
        daily = 1 + 0.6 * math.sin(2 * math.pi * (at / DAY + phase))
        values.append(size * week * daily * rng.uniform(0.95, 1.05))
    return DemandSeries(
        times=times, values=values, labels={"app": f"app-{seed}"}, start_at=14 * DAY
    )


def manifests(scalers: int) -> list[dict[str, Any]]:
    """A Deployment and a PredictiveScaler for each series."""
    items = []
    for number in range(scalers):
        name = f"app-{number}"
        labels = {"app": name}
        items += [
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name},
                "spec": {
                    "replicas": 3,
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {"containers": [{"name": "app", "image": "app"}]},
                    },
                },
            },
            {
                "apiVersion": "foretide.dev/v1alpha1",
                "kind": "PredictiveScaler",
                "metadata": {"name": name},
                "spec": {
                    "scaleTargetRef": {"kind": "Deployment", "name": name},
                    "maxReplicas": 10,
                    "mode": "Auto",
                    "metrics": [{"query": f'sum(demand_rps{{app="{name}"}})', "perReplica": 15}],
                },
            },
        ]
    return items


class Run:
    """One operator with such a configuration on one sandbox."""

    def __init__(
        self, sandbox: Sandbox, folder: Path, console: Console, settings: Mapping[str, Any]
    ) -> None:
        self._console = console
        config, port_file = folder / "foretide.yaml", folder / "port"
        config.write_text(yaml.safe_dump(dict(settings)))
        command = [
            *(sys.executable, "-m", "foretide.operator.main", "operator"),
            *("--config", str(config), "--kubeconfig", str(sandbox.kubeconfig)),
            *("--listen", "127.0.0.1:0", "--port-file", str(port_file)),
            *("--loop-monitor", str(LOOP_MONITOR_SECONDS)),
        ]
        self._log = folder / "operator.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(tethered(command), stderr=log)
        self.await_(lambda: port_file.exists() and port_file.read_text().strip() != "", 30)
        self._port = int(port_file.read_text())
        self.usage = Usage(psutil.Process(self._process.pid))
        self.await_(lambda: self.metrics.value("foretide_leader") == 1, 30)

    @property
    def metrics(self) -> Metrics:
        """The operator's metrics now."""
        return Metrics(self._port)

    def await_(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait for a condition, sampling the tree meanwhile."""
        deadline = time.monotonic() + seconds
        while not condition():
            if self._process.poll() is not None or time.monotonic() > deadline:
                last = self._log.read_text(errors="replace")[-2_000:]
                raise SystemExit(f"the operator ended, or did not get there in time:\n{last}")
            if hasattr(self, "usage"):
                self.usage.sample()
            time.sleep(1)

    def observe(self, seconds: float, what: str) -> None:
        """Let it run for so long, sampling the tree."""
        self._console.print(f"{what}: {seconds:.0f} s")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.usage.sample()
            time.sleep(1)

    def stop(self) -> None:
        """SIGTERM."""
        self._process.terminate()
        self._process.wait(30)


def create_all(sandbox: Sandbox, scalers: int) -> None:
    """Create everything through the API; kubectl would take minutes for hundreds."""
    client = kubernetes.config.new_client_from_config(str(sandbox.kubeconfig))
    custom = kubernetes.client.CustomObjectsApi(client)
    apps: Any = kubernetes.client.AppsV1Api(client)
    for item in manifests(scalers):
        if item["kind"] == "Deployment":
            apps.create_namespaced_deployment("default", item)
        else:
            custom.create_namespaced_custom_object(
                "foretide.dev", "v1alpha1", "default", "predictivescalers", item
            )


def measure(sandbox: Sandbox, folder: Path, options: Any, console: Console) -> dict[str, float]:
    """All phases."""
    settings = {
        "sources": {"default": {"url": sandbox.prometheus_url}},
        "fitting": {"cores": options.fit_cores, "workers": math.ceil(options.fit_cores)},
    }
    run = Run(sandbox, folder, console, settings)
    usage = run.usage
    cpu, began = usage.main_cpu, time.monotonic()
    run.observe(options.window / 4, "empty operator")
    figures = {
        "empty_cores": (usage.main_cpu - cpu) / (time.monotonic() - began),
        "empty_pss_mb": usage.pss / MEGABYTE,
    }

    first, began = run.metrics, time.monotonic()
    worker_cpu = usage.worker_cpu
    create_all(sandbox, options.scalers)
    console.print(f"{options.scalers} resources created; their first forecasts are being made")
    with Bar(every=60.0) as tell:
        run.await_(lambda: _fitted(run, options.scalers, tell), 120 + 12 * options.scalers)
    usage.sample()
    fitting = time.monotonic() - began
    fit_cpu = usage.worker_cpu - worker_cpu
    figures["fit_cpu_s"] = fit_cpu / options.scalers
    figures["fit_cores"] = fit_cpu / REFIT_SECONDS
    figures["fit_cores_first"] = fit_cpu / fitting
    console.print(f"all fitted after {fitting:.0f} s")

    steady, cpu, began = run.metrics, usage.main_cpu, time.monotonic()
    run.observe(options.window, "demand moves")
    last = run.metrics
    ticks = last.value("foretide_tick_seconds_count") - steady.value("foretide_tick_seconds_count")
    spent = usage.main_cpu - cpu
    figures["cores"] = spent / (time.monotonic() - began)
    figures["cpu_ms_per_tick"] = 1000 * spent / ticks
    figures["loop_block_ms_p99"] = 1000 * quantile(0.99, first, last, "foretide_loop_block_seconds")
    figures["loop_block_ms_max"] = 1000 * last.value("foretide_loop_block_max_seconds")
    figures["tick_lag_s_p99"] = quantile(0.99, first, last, "foretide_tick_lag_seconds")
    figures["pss_mb"] = usage.peak / MEGABYTE

    sandbox.player.set(20.0)
    run.await_(lambda: not _workers(usage.main), 300)
    run.observe(30, "settling")
    cpu, began = usage.main_cpu, time.monotonic()
    writes = run.metrics.value("foretide_status_writes_total")
    run.observe(options.window, "at rest")
    figures["rest_cores"] = (usage.main_cpu - cpu) / (time.monotonic() - began)
    figures["rest_status_writes"] = run.metrics.value("foretide_status_writes_total") - writes
    usage.sample()
    figures["pss_rest_mb"] = usage.pss / MEGABYTE
    figures["errors"] = run.metrics.value("foretide_errors_total")
    run.stop()
    return figures


def _fitted(run: Run, scalers: int, tell: Bar) -> bool:
    """Whether all resources have had their first fit."""
    fits = int(run.metrics.value("foretide_fit_seconds_count"))
    tell(fits, scalers, f"first forecast {fits} of {scalers}")
    return fits >= scalers


def _workers(main: psutil.Process) -> list[int]:
    found = []
    for child in main.children(recursive=True):
        try:
            if "resource_tracker" not in " ".join(child.cmdline()):
                found.append(child.pid)
        except psutil.NoSuchProcess:
            continue
    return found


def main() -> int:
    """Run the benchmark; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scalers", type=int, default=100, help="default: %(default)s")
    parser.add_argument("--window", type=float, default=120, help="seconds of each measured phase")
    parser.add_argument(
        "--fit-cores",
        type=float,
        default=float(psutil.cpu_count() or 1),
        help="for the first fits; default: %(default)g",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    options = parser.parse_args()
    console = Console(highlight=False)
    spec = SandboxSpec(
        series=[wave(seed) for seed in range(options.scalers)],
        nodes=max(2, math.ceil(options.scalers * 10 / 100)),
        cpu_per_node="64",
        scrape_seconds=15.0,
    )
    with tempfile.TemporaryDirectory() as folder, Sandbox(spec, progress=Told()) as sandbox:
        sandbox.kubectl("apply", "-f", str(ROOT / "crds"))
        sandbox.kubectl("wait", "--for=condition=Established", "crd/predictivescalers.foretide.dev")
        figures = measure(sandbox, Path(folder), options, console)
    figures = {"scalers": options.scalers, **{k: round(v, 4) for k, v in figures.items()}}
    table = Table(title=f"{options.scalers} PredictiveScalers")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("bar", justify="right")
    for name, value in figures.items():
        table.add_row(name, f"{value:g}", f"≤ {BARS[name]:g}" if name in BARS else "")
    console.print(table)
    if options.json:
        write_json(figures, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
