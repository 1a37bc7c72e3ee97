"""One sandbox for all end-to-end tests; each test has its own namespace, series and operator.

The operator runs as a process of its own, as users run it, so that it can be killed.
"""

import json
import math
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
import zlib
from pathlib import Path

import kubernetes
import pytest
import yaml

from sandbox.errors import SandboxError
from sandbox.handle import Sandbox
from sandbox.spec import DemandSeries, SandboxSpec

ROOT = Path(__file__).parents[2]
DAY = 86_400.0
PHASES = {"rising": 0.0, "falling": 0.5}  # at the start demand rises, or falls, most steeply
SERIES = 40  # one for each test that sets demand by hand, and some to spare


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.sandbox)


def eventually(condition, *, within=60.0, what=None, every=0.2):
    """Wait until the condition returns something true, and return it.

    A machine may be several times slower than usual: what passes never waits for so long.
    """
    deadline = time.monotonic() + within
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            detail = what() if callable(what) else what
            raise AssertionError(f"not within {within} s: {detail or condition}")
        time.sleep(every)


def wave(phase, at):
    """A daily wave between 20 and 180, `at` seconds after it had the given phase."""
    return 100 + 80 * math.sin(2 * math.pi * (at / DAY + phase))


def daily(phase):
    """Five days of the wave."""
    times = [60.0 * minute for minute in range(5 * 1440)]
    return times, [wave(phase, at) for at in times]


def await_kind(sandbox, crd):
    """Wait until the kind of a CustomResourceDefinition is served, and kubectl knows of it.

    The condition Established comes before that, and `kubectl wait` fails on a definition that is so
    new that it has no conditions.
    """

    def served():
        try:
            return sandbox.kubectl("get", crd, "--all-namespaces") is not None
        except SandboxError:
            return False

    eventually(served, what=f"{crd} is not served")


@pytest.fixture(scope="session")
def sandbox():
    series = []
    for name, phase in PHASES.items():
        times, values = daily(phase)
        series.append(
            DemandSeries(times=times, values=values, labels={"app": name}, start_at=4 * DAY)
        )
    series += [  # no history: for tests in which demand is set by hand
        DemandSeries(
            times=[0.0, 60.0],
            values=[40.0, 40.0],
            labels={"app": f"manual-{number}"},
            start_at=0.0,
            history=False,
        )
        for number in range(SERIES)
    ]
    spec = SandboxSpec(
        pod_ready_seconds=1.0, scrape_seconds=1.0, hpa_sync_seconds=2.0, series=series
    )
    with Sandbox(spec) as sandbox:
        sandbox.kubectl("apply", "-f", str(ROOT / "crds"))
        await_kind(sandbox, "predictivescalers.foretide.dev")
        yield sandbox


@pytest.fixture(scope="session")
def api(sandbox):
    return kubernetes.config.new_client_from_config(str(sandbox.kubeconfig))


@pytest.fixture
def wave_now(sandbox):
    """Demand of "rising" or "falling" at this moment: a long run of tests moves both along."""
    return lambda name: wave(PHASES[name], time.time() - sandbox.started)


@pytest.fixture
def new_kind(sandbox):
    """Defines a kind, given its CustomResourceDefinition, and waits until it is served."""

    def define(namespace, document):
        namespace.apply(document)
        await_kind(sandbox, document["metadata"]["name"])

    return define


class Manual:
    """A series whose demand the test sets by hand."""

    def __init__(self, sandbox, number):
        self.app = f"manual-{number}"
        self.query = f'sum(demand_rps{{app="{self.app}"}})'
        self._sandbox = sandbox

    def set(self, mode):
        """Set a number (and wait until Prometheus has seen it) or a way of going wrong."""
        self._sandbox.player.set(mode, series=f'demand_rps{{app="{self.app}"}}')
        if not isinstance(mode, str):
            eventually(lambda: self.ask() == mode)

    def ask(self, query=None):
        """What Prometheus answers to a query now, by default to that of the series."""
        parameters = urllib.parse.urlencode({"query": query or self.query})
        with urllib.request.urlopen(
            f"{self._sandbox.prometheus_url}/api/v1/query?{parameters}", timeout=20
        ) as answer:
            result = json.load(answer)["data"]["result"]
        return float(result[0]["value"][1]) if result else None


@pytest.fixture(scope="session")
def _numbers():
    return iter(range(SERIES))


@pytest.fixture
def demand(sandbox, _numbers):
    return Manual(sandbox, next(_numbers))


class Namespace:
    """A test's own namespace, and what it does there."""

    def __init__(self, sandbox, api, name):
        self.sandbox, self.api, self.name = sandbox, api, name

    def kubectl(self, *arguments):
        return self.sandbox.kubectl("-n", self.name, *arguments)

    def apply(self, document):
        """Apply one object; returns kubectl's answer, raises SandboxError when refused."""
        done = subprocess.run(
            self.sandbox.kubectl_command("-n", self.name, "apply", "-f", "-"),
            input=json.dumps(document),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise Refused(done.stderr)
        return done.stdout

    def deployment(self, name, replicas, **pod_spec):
        labels = {"app": name}
        container = {"name": "app", "image": "example.invalid/app:1"}
        self.apply(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {"containers": [{**container, **pod_spec}]},
                    },
                },
            }
        )

    def scaler(self, target, query, **spec):
        """Create or change a PredictiveScaler on a Deployment of the same name."""
        metric = {"name": "load", "query": query, "perReplica": 10, "staleAfter": "10s"}
        metric |= spec.pop("metric", {})
        name = spec.pop("name", target)
        self.apply(
            {
                "apiVersion": "foretide.dev/v1alpha1",
                "kind": "PredictiveScaler",
                "metadata": {"name": name},
                "spec": {
                    "scaleTargetRef": {"kind": "Deployment", "name": target},
                    "maxReplicas": 40,
                    "mode": "Auto",
                    "metrics": [metric],
                    "behavior": {
                        "scaleUp": {
                            "policies": [{"type": "Pods", "value": 40, "periodSeconds": 1}]
                        },
                        "scaleDown": {"stabilizationWindowSeconds": 0},
                    },
                    **spec,
                },
            }
        )

    def get(self, kind, name):
        try:
            return json.loads(self.kubectl("get", kind, name, "-o", "json"))
        except Exception as error:
            if "NotFound" in str(error):
                return {}
            raise

    def status(self, name):
        return self.get("pscaler", name).get("status", {})

    def condition(self, name, kind):
        found = [c for c in self.status(name).get("conditions", []) if c["type"] == kind]
        return (found[0]["status"], found[0]["reason"]) if found else (None, None)

    def await_condition(self, name, kind, status, reason=None, *, within=60.0):
        """Wait for a condition; the reason may be one, several of which one will do, or any."""
        reasons = {reason} if isinstance(reason, str) else reason

        def holds():
            found = self.condition(name, kind)
            return found[0] == status and (reasons is None or found[1] in reasons)

        eventually(holds, within=within, what=lambda: json.dumps(self.status(name), indent=1))

    def replicas(self, name):
        return self.get("deployment", name).get("spec", {}).get("replicas")

    def ready(self, name):
        return self.get("deployment", name).get("status", {}).get("readyReplicas", 0)

    def await_replicas(self, name, wanted, *, within=60.0):
        accepts = wanted if callable(wanted) else lambda replicas: replicas == wanted
        return eventually(
            lambda: accepts(self.replicas(name)),
            within=within,
            what=lambda: f"{self.replicas(name)} replicas; {json.dumps(self.status(name))}",
        )

    def history(self, name, kind="Deployment"):
        """A running record of a target's desired replicas, from a watch."""
        return Record(self.api, self.name, name)

    def events(self, reason):
        items = json.loads(self.kubectl("get", "events", "-o", "json"))["items"]
        return [event["message"] for event in items if event["reason"] == reason]

    def await_event(self, reason):
        """Events are posted in the background: what they tell of may be seen before them."""
        eventually(lambda: self.events(reason), what=f"no Event {reason}")


class Refused(Exception):
    """The API server refused an object at admission."""


class Record:
    """Every replica count that a Deployment has asked for while the block ran."""

    def __init__(self, api, namespace, name):
        self.seen = []
        self._stop = threading.Event()
        self._api = kubernetes.client.AppsV1Api(api)
        self._where = (namespace, name)
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self):
        self._thread.start()
        eventually(lambda: self.seen)
        return self

    def __exit__(self, *_):
        self._stop.set()

    def _follow(self):
        namespace, name = self._where
        while not self._stop.is_set():
            watch = kubernetes.watch.Watch()
            try:
                for event in watch.stream(
                    self._api.list_namespaced_deployment,
                    namespace,
                    field_selector=f"metadata.name={name}",
                    timeout_seconds=5,
                ):
                    self.seen.append(event["object"].spec.replicas)
                    if self._stop.is_set():
                        return
            except Exception:  # the API server may be the one that is being restarted
                self._stop.wait(0.2)


@pytest.fixture
def namespace(sandbox, api, request):
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:40].strip("-")
    name = f"{name}-{zlib.crc32(request.node.name.encode()):08x}"
    sandbox.kubectl("create", "namespace", name)
    yield Namespace(sandbox, api, name)
    sandbox.kubectl("delete", "namespace", name, "--wait=false")


class Operator:
    """An operator process that looks after one namespace."""

    def __init__(self, sandbox, namespace, folder, *, elect=False, arguments=()):
        self.sandbox, self.namespace, self.folder = sandbox, namespace, folder
        self.config = folder / "foretide.yaml"
        self.log = folder / "operator.log"
        self._port_file = folder / "port"
        self._elect, self._arguments = elect, arguments
        self.process = None
        self.configure()

    def configure(self, **settings):
        document = {"sources": self._sources(), "syncPeriod": "1s", **settings}
        fresh = self.folder / "fresh"
        fresh.write_text(yaml.safe_dump(document))
        fresh.replace(self.config)

    def _sources(self):
        try:
            return {"default": {"url": self.sandbox.prometheus_url, "timeout": "5s"}}
        except SandboxError:  # this sandbox has none
            return {}

    def start(self):
        self._port_file.unlink(missing_ok=True)
        election = (
            ["--lease-namespace", self.namespace] if self._elect else ["--no-leader-election"]
        )
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "foretide.operator.main", "operator"),
                    *("--config", str(self.config), "--kubeconfig", str(self.sandbox.kubeconfig)),
                    *("--namespace", self.namespace, "--listen", "127.0.0.1:0"),
                    *("--port-file", str(self._port_file)),
                    *election,
                    *self._arguments,
                ],
                stderr=log,
            )
        eventually(lambda: self._answers("readyz"), what=lambda: self.log.read_text())
        return self

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM; returns the exit status and how many seconds it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60), time.monotonic() - began

    def metric(self, name):
        """The sum of a metric over its labels."""
        text = self._get("metrics")
        lines = re.findall(rf"^{name}(?:{{[^\n]*}})? (\S+)$", text, re.M)
        return sum(float(value) for value in lines)

    def await_ticks(self, count):
        """Wait for so many more ticks."""
        target = self.metric("foretide_tick_seconds_count") + count
        eventually(lambda: self.metric("foretide_tick_seconds_count") >= target)

    def _answers(self, path):
        if self.process.poll() is not None:
            raise AssertionError(self.log.read_text())
        try:
            self._get(path)
        except (OSError, ValueError):
            return False
        return True

    def _get(self, path):
        port = self._port_file.read_text().strip()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=20) as answer:
            return answer.read().decode()


@pytest.fixture
def make_operator(sandbox, namespace, tmp_path):
    made = []

    def make(**options):
        folder = tmp_path / f"operator-{len(made)}"
        folder.mkdir()
        made.append(Operator(sandbox, namespace.name, folder, **options))
        return made[-1]

    yield make
    for operator in made:
        if operator.process is not None and operator.process.poll() is None:
            operator.kill()


@pytest.fixture
def operator(make_operator):
    running = make_operator().start()
    yield running
    # Whatever a test did: no traceback may have reached the log.
    assert "Traceback" not in running.log.read_text(), running.log.read_text()


@pytest.fixture
def wait_for():
    return eventually


@pytest.fixture
def refused():
    return Refused
