"""The run itself: a sandbox, two twins, an operator and a clock."""

import contextlib
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sandbox.demo.live import View
from sandbox.demo.report import Planned, Sample, Twin
from sandbox.demo.scenario import LIVE, TARGET_UTILIZATION, Scenario
from sandbox.errors import SandboxError
from sandbox.handle import Sandbox
from sandbox.process import REPOSITORY, identity, tethered, wait_until
from sandbox.progress import Progress
from sandbox.spec import DemandSeries, SandboxSpec

POD_READY = 70.0
POD_READY_AT_MOST = 75.0
LEAD_TIME = "2m"
SCRAPE = 5.0
# From the sandbox's start to the first decision of both twins; the trace begins so much earlier.
SET_UP = 20.0
QUERY = "sum(demand)"
NAMES = ("shop", "shop-hpa")


@dataclass(frozen=True, slots=True)
class Operator:
    """A running operator process and where it answers."""

    process: "subprocess.Popen[bytes]"
    port: int

    def forecast_peak(self) -> float | None:
        """The forecast's upper quantile over the lead time, from the operator's own metrics."""
        url = f"http://127.0.0.1:{self.port}/metrics"
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(url, timeout=2) as answer:
                text = answer.read().decode()
            return peak_in(text)
        return None


def peak_in(metrics: str) -> float | None:
    """The forecast's peak in the operator's metrics, None while there is none (which is NaN)."""
    found = re.search(r"^foretide_forecast_peak\{[^\n]*\} (\S+)$", metrics, re.M)
    peak = float(found[1]) if found else math.nan
    return None if math.isnan(peak) else peak


def spec_for(scenario: Scenario, folder: Path) -> SandboxSpec:
    """The sandbox that plays a scenario."""
    trace = scenario.trace
    series = DemandSeries(
        name="demand",
        times=trace.times,
        values=trace.values,
        start_at=scenario.start_at - SET_UP,
    )
    return SandboxSpec(
        directory=folder,
        series=[series],
        scrape_seconds=SCRAPE,
        external_metrics={"demand": QUERY},
        # The first pods are there from the start; only those that are added later are slow.
        pod_ready_seconds=0.5,
    )


def prepare(sandbox: Sandbox, scenario: Scenario) -> None:
    """Create the CRD and both Deployments, with what HPA would hold at this demand."""
    sandbox.kubectl("apply", "-f", str(REPOSITORY / "crds"))
    for name in NAMES:
        sandbox.kubectl(
            "create", "deployment", name, "--image=demo", f"--replicas={scenario.replicas}"
        )
    for name in NAMES:
        sandbox.kubectl("rollout", "status", f"deployment/{name}", "--timeout=60s")
    sandbox.set_pod_ready(POD_READY, POD_READY_AT_MOST - POD_READY)


def manifests(scenario: Scenario) -> list[dict[str, Any]]:
    """The PredictiveScaler and its twin, the HPA."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment"}
    average = scenario.per_replica * TARGET_UTILIZATION
    return [
        {
            "apiVersion": "foretide.dev/v1alpha1",
            "kind": "PredictiveScaler",
            "metadata": {"name": NAMES[0], "namespace": "default"},
            "spec": {
                "scaleTargetRef": {**target, "name": NAMES[0]},
                "minReplicas": 2,
                "maxReplicas": 100,
                "mode": "Auto",
                "metrics": [
                    {
                        "name": "demand",
                        "query": QUERY,
                        "perReplica": f"{scenario.per_replica:.10g}",
                        "targetUtilization": TARGET_UTILIZATION,
                    }
                ],
                "forecast": {"leadTime": LEAD_TIME},
            },
        },
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": NAMES[1], "namespace": "default"},
            "spec": {
                "scaleTargetRef": {**target, "name": NAMES[1]},
                "minReplicas": 2,
                "maxReplicas": 100,
                "metrics": [
                    {
                        "type": "External",
                        "external": {
                            "metric": {"name": "demand"},
                            "target": {"type": "AverageValue", "averageValue": _quantity(average)},
                        },
                    }
                ],
            },
        },
    ]


@contextlib.contextmanager
def running_operator(sandbox: Sandbox, *, stays: bool) -> Iterator[Operator]:
    """Run the operator; unless it stays, it ends with the block or with this process."""
    folder = sandbox.directory
    config, port_file = folder / "foretide.yaml", folder / "operator.port"
    config.write_text(yaml.safe_dump({"sources": {"default": {"url": sandbox.prometheus_url}}}))
    port_file.unlink(missing_ok=True)
    command = [
        *(sys.executable, "-m", "foretide.operator.main", "operator", "--config", str(config)),
        *("--kubeconfig", str(sandbox.kubeconfig), "--listen", "127.0.0.1:0"),
        *("--port-file", str(port_file), "--log-format", "text"),
    ]
    with (folder / "operator.log").open("wb") as log:
        process = subprocess.Popen(
            command if stays else tethered(command), stderr=log, start_new_session=True
        )
    (folder / "operator.pid").write_text(f"{process.pid} {identity(process.pid)}")
    try:
        if not wait_until(lambda: port_file.exists() or process.poll() is not None, 20):
            raise SandboxError("the operator did not start within 20 s")
        if process.poll() is not None:
            raise SandboxError(f"the operator ended: {(folder / 'operator.log').read_text()}")
        wait_until(lambda: bool(port_file.read_text().strip()), 5)
        yield Operator(process, int(port_file.read_text()))
    except BaseException:
        end_operator(folder)
        raise
    if not stays:
        end_operator(folder)


def end_operator(folder: Path) -> None:
    """End the operator that a demo has left running, if it still is that very process."""
    try:
        pid_text, _, known = (folder / "operator.pid").read_text().partition(" ")
    except OSError:
        return
    pid = int(pid_text)
    if identity(pid) == known:
        os.kill(pid, signal.SIGTERM)
        if not wait_until(lambda: identity(pid) != known, 10):
            os.kill(pid, signal.SIGKILL)
    (folder / "operator.pid").unlink(missing_ok=True)


def start_both(sandbox: Sandbox, scenario: Scenario) -> float:
    """Wait for the scenario's first second, then let both scalers loose. Returns the time."""
    begin = sandbox.started + SET_UP
    time.sleep(max(0.0, begin - time.time()))
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests(scenario)})
    command = sandbox.kubectl_command("apply", "-f", "-")
    done = subprocess.run(command, input=document, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SandboxError(f"kubectl apply: {done.stderr.strip()}")
    return time.time()


def watch(
    sandbox: Sandbox, scenario: Scenario, operator: Operator, view: View, *, began: float
) -> list[Sample]:
    """Follow both twins twice a second until the window is over.

    Demand is the trace's, at the very time of the sample: what users ask for, not what a scrape
    has seen of it.
    """
    slipped = began - (sandbox.started + SET_UP)
    samples: list[Sample] = []
    with _api(sandbox) as get:
        while not samples or samples[-1].at < LIVE:
            moment = time.time() - began
            twins = [get(f"/apis/apps/v1/namespaces/default/deployments/{n}") for n in NAMES]
            scaler = get(
                "/apis/foretide.dev/v1alpha1/namespaces/default/predictivescalers/" + NAMES[0]
            )
            decision = scaler.get("status", {}).get("decision") or {}
            samples.append(
                Sample(
                    at=round(moment, 2),
                    demand=scenario.demand_at(moment + slipped),
                    replicas=(_replicas(twins[0]), _replicas(twins[1])),
                    ready=(_ready(twins[0]), _ready(twins[1])),
                    peak=operator.forecast_peak(),
                    why=str(decision.get("message", "")),
                )
            )
            view.show(samples)
            if operator.process.poll() is not None:
                raise SandboxError(f"the operator ended: see {sandbox.directory}/operator.log")
            time.sleep(max(0.0, 0.5 - (time.time() - began - moment)))
    return samples


def planned(sandbox: Sandbox) -> Planned | None:
    """What the operator's plan would have come to on the history, by its own status."""
    with _api(sandbox) as get:
        scaler = get("/apis/foretide.dev/v1alpha1/namespaces/default/predictivescalers/" + NAMES[0])
    return planned_in(scaler.get("status", {}))


def planned_in(status: dict[str, Any]) -> Planned | None:
    """The same, from a PredictiveScaler's status; None where it has no plan."""
    for forecast in status.get("forecasts") or []:
        ahead = forecast.get("lookahead") or {}
        ours, theirs = ahead.get("expected"), ahead.get("hpa")
        if ours and theirs:
            return Planned(
                Twin(float(ours["replicas"]), float(theirs["replicas"])),
                Twin(float(ours["lackingPercent"]), float(theirs["lackingPercent"])),
            )
    return None


@contextlib.contextmanager
def _api(sandbox: Sandbox) -> Iterator[Any]:
    import kubernetes

    client = kubernetes.config.new_client_from_config(str(sandbox.kubeconfig))

    def get(path: str) -> Any:
        response = client.call_api("GET", client.configuration.host + path, {})
        return json.loads(response.read())

    with client:
        yield get


def _replicas(deployment: dict[str, Any]) -> int:
    return int(deployment["spec"]["replicas"])


def _ready(deployment: dict[str, Any]) -> int:
    return int(deployment.get("status", {}).get("readyReplicas") or 0)


def _quantity(value: float) -> str:
    return f"{value * 1000:.0f}m"


def say_how_to_look_around(sandbox: Sandbox, operator: Operator, progress: Progress) -> None:
    """After `--keep`."""
    progress.say(
        f"""
Everything stays up. To look around:
  export KUBECONFIG={sandbox.kubeconfig}
  .venv/bin/python -m sandbox kubectl --name demo -- describe pscaler shop   (or any kubectl)
  Prometheus' API: {sandbox.prometheus_url}/api/v1/query?query=demand
  the operator's metrics: http://127.0.0.1:{operator.port}/metrics
  its log: {sandbox.directory}/operator.log
To end it: make demo-down"""
    )
