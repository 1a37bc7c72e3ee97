"""The simulator's HPA against the real one, in kube-controller-manager.

Ten HPAs run at once, each on a metric and on a target of its own. The metrics come from an adapter
that is the test's: its answer to the k-th question is what the k-th sync of that HPA saw, so no
clocks need to be compared. Before it answers, it reads what the sync before has made of the target.
Afterwards the simulator gets the same answers at the same times, and goes its own way: its replicas
are its own, not those that the real HPA had.

The adapter also sets the pace. It answers on a grid whose multiples keep away from the seconds in
which windows and policies are given, so that a machine that is busy for a moment changes nothing.
How late each change came is measured: where one came too late, that recording says nothing of what
the HPA has reckoned, and is made once more.

Left out: HPAs of several metrics, and of CPU and memory, which the simulator does not have.
"""

import contextlib
import json
import math
import random
import ssl
import threading
import time
from base64 import b64encode
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import httpx
import pytest

from foretide.forecasting.behavior import Behavior, PolicyType, RatePolicy, Rules, Select
from foretide.forecasting.simulation.hpa import HpaPolicy, Target
from sandbox import Sandbox, SandboxSpec
from sandbox.adapter import GROUP, ROOT, respond

pytestmark = pytest.mark.sandbox

# Seconds. The HPA takes the time of a change after it has written it: windows and periods are so
# far from all multiples of the pace that changes which are late by the margin count all the same.
# The period is a little shorter than the pace, and a sync is at the next point of the grid.
PACE, PERIOD, MARGIN = 1.2, 1.0, 0.39
CLUSTER_WINDOW = 8
SYNCS = 62
FARMS = "/apis/example.org/v1/namespaces/default/farms"
HPAS = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
START, LOW, HIGH, READY = 6, 2, 40, 7
# Thousandths, the unit in which Kubernetes reckons.
PER_POD = 70_000
NOTHING = 503, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 503}


def policy(kind, value, period):
    return RatePolicy(PolicyType(kind), value, period)


DEFAULT = Behavior()
FREE = (policy("Percent", 1900, 2),)


def behavior(up=DEFAULT.up, down=DEFAULT.down):
    return Behavior(up, down)


@dataclass
class Case:
    """One HPA, what each of its syncs saw (time, metric, pods), and the replicas after each.

    `due` is the last point of the grid; at most `late` seconds after it a change was followed.
    """

    name: str
    behavior: Behavior | None
    target: Target = Target.AVERAGE_VALUE
    seen: list = field(default_factory=list)
    replicas: list = field(default_factory=list)
    due: float = 0.0
    late: float = 0.0

    @property
    def limit(self):
        """The target in thousandths."""
        return PER_POD if self.target is Target.AVERAGE_VALUE else 10 * PER_POD

    def simulated(self, **options):
        """The HPA of the simulator."""
        key = "target_value" if self.target is Target.VALUE else "target_average_value"
        given = {"behavior": self.behavior, key: self.limit, **options}
        return HpaPolicy(
            **given, min_replicas=LOW, max_replicas=HIGH, down_stabilization=CLUSTER_WINDOW
        )


def cases():
    always = (policy("Percent", 100, 2),)
    return [
        Case("plain", None),
        Case("plain-again", None),
        Case("defaults", behavior(down=Rules(CLUSTER_WINDOW, DEFAULT.down.policies))),
        Case(
            "pods",
            behavior(Rules(0, (policy("Pods", 2, 4),)), Rules(0, (policy("Pods", 1, 3),))),
        ),
        Case(
            "smallest",
            behavior(
                Rules(0, (policy("Percent", 50, 3), policy("Pods", 5, 8)), Select.MIN),
                Rules(2, (policy("Percent", 20, 4), policy("Pods", 3, 2)), Select.MIN),
            ),
        ),
        Case("windows", behavior(Rules(3, FREE), Rules(8, always))),
        Case("disabled", behavior(Rules(2, FREE), Rules(0, always, Select.DISABLED))),
        Case("tolerant", behavior(Rules(0, FREE, tolerance=0.05), Rules(2, always, tolerance=0.3))),
        Case(
            "forgetful",
            behavior(Rules(0, (policy("Pods", 3, 2),)), Rules(0, (policy("Percent", 30, 8),))),
        ),
        Case("value", behavior(Rules(0, FREE), Rules(3, always)), Target.VALUE),
    ]


def manifest(case):
    """The HPA as users write it."""

    def rules(given):
        return {
            "stabilizationWindowSeconds": int(given.stabilization),
            "selectPolicy": str(given.select),
            "policies": [
                {"type": str(p.type), "value": p.value, "periodSeconds": int(p.period)}
                for p in given.policies
            ],
            "tolerance": f"{given.tolerance:g}",
        }

    key = "value" if case.target is Target.VALUE else "averageValue"
    spec = {
        "scaleTargetRef": {"apiVersion": "example.org/v1", "kind": "Farm", "name": case.name},
        "minReplicas": LOW,
        "maxReplicas": HIGH,
        "metrics": [
            {
                "type": "External",
                "external": {
                    "metric": {"name": case.name},
                    "target": {"type": str(case.target), key: f"{case.limit}m"},
                },
            }
        ],
    }
    if case.behavior is not None:
        spec["behavior"] = {
            "scaleUp": rules(case.behavior.up),
            "scaleDown": rules(case.behavior.down),
        }
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": case.name},
        "spec": spec,
    }


def script(seed):
    """What the metric does at each sync: a share of what the replicas of the moment should carry
    ("edge"), an amount of demand in replicas ("demand"), or no answer (None)."""
    chance = random.Random(seed)
    level, moves, kinds = float(START), [], []
    while len(moves) < SYNCS:
        if not kinds:
            kinds = ["rise", "fall", "spike", "edge", "missing", "leap", "edge", "calm", "missing"]
            chance.shuffle(kinds)
        match kinds.pop():
            case "edge":  # at the tolerance's limits, and a thousandth beyond
                shares = [1.1, 1.101, 0.9, 0.899, 1.05, 0.95, 1.0499, 0.701]
                moves += [("edge", share) for share in chance.sample(shares, 6)]
            case "missing":
                moves += [None] * chance.randint(1, 3)
            case "spike":
                moves += [("demand", chance.uniform(15, 60))] * chance.randint(1, 2)
            case "calm":  # for longer than any window
                level = chance.uniform(0, 3)
                moves += [("demand", level)] * 10
            case kind:
                level = level * chance.uniform(2, 4) if kind == "leap" else max(level, 1.0)
                slope = {"rise": 1.15, "fall": 0.8, "leap": 1.0}[kind]
                for _ in range(6):
                    level = min(level * slope * chance.uniform(0.97, 1.03), 55.0)
                    moves.append(("demand", level))
    return moves[:SYNCS]


class Adapter:
    """Serves `external.metrics.k8s.io`; asked for a metric, it notes the HPA's last sync first."""

    def __init__(self, sandbox, recorded):
        self._cases = {case.name: (case, script(case.name)) for case in recorded}
        self.stop = threading.Event()
        pki = sandbox.directory / "pki"
        trust = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        trust.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        # Patient: an answer that is given up would be missing in the recording.
        self.api = httpx.Client(base_url=sandbox.api_url, verify=trust, trust_env=False, timeout=60)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(pki / "server.crt", pki / "server.key")
        self._server.socket = tls.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self.stop.set()
        self._server.shutdown()
        self._server.server_close()

    def done(self):
        return all(len(case.replicas) >= SYNCS for case, _ in self._cases.values())

    def answer(self, path):
        """The status and body for one question."""
        name = path.partition("?")[0].rpartition("/")[2]
        if name not in self._cases or not path.startswith(f"{ROOT}/namespaces/"):
            return respond(path, dict.fromkeys(self._cases, ""), None)
        case, moves = self._cases[name]
        if case.seen and time.time() - case.seen[-1][0] < PERIOD / 2:
            # A sync that has waited for longer than the period, as it came late, is followed by the
            # next one at once: it may have counted the pods before the target has followed.
            # Without a metric it does and remembers nothing.
            return NOTHING
        farm = self.api.get(f"{FARMS}/{name}").raise_for_status().json()
        if case.seen and len(case.replicas) < SYNCS:
            case.replicas.append(farm["spec"]["replicas"])
        move = moves[len(case.seen)] if len(case.seen) < SYNCS else None
        value = None if move is None else self._value(case, move, farm["spec"]["replicas"])
        self._keep_pace(case)
        if len(case.seen) < SYNCS:
            case.seen.append((time.time(), value, farm["status"]["replicas"]))
        if value is None:
            return NOTHING
        item = {
            "metricName": name,
            "metricLabels": {},
            "timestamp": "2026-01-01T00:00:00Z",
            "value": f"{value}m",
        }
        kind = {"kind": "ExternalMetricValueList", "apiVersion": f"{GROUP}/v1beta1"}
        return 200, {**kind, "metadata": {}, "items": [item]}

    @staticmethod
    def _value(case, move, replicas):
        what, amount = move
        if case.target is Target.VALUE:  # a value is not shared by the replicas
            share = amount if what == "edge" else amount / READY
            return round(case.limit * share)
        return round(case.limit * amount * (replicas if what == "edge" else 1))

    def _keep_pace(self, case):
        """Wait for the next point of the grid, which begins with the first sync."""
        case.due = time.time()
        if case.seen:
            first = case.seen[0][0]
            case.due = first + math.ceil((case.due - first) / PACE) * PACE
            self.stop.wait(case.due - time.time())

    def _handler(self):
        adapter = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                status, body = adapter.answer(self.path)
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                """Ten HPAs ask every second."""

        return Handler


def farms():
    """A kind that can be scaled, and has no pods that would cost the machine anything."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "farms.example.org"},
        "spec": {
            "group": "example.org",
            "scope": "Namespaced",
            "names": {"kind": "Farm", "plural": "farms", "singular": "farm"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": anything},
                    "subresources": {"scale": scale},
                }
            ],
        },
    }


def farm(name, replicas):
    status = {"replicas": replicas, "selector": f"farm={name}"}
    return {
        "apiVersion": "example.org/v1",
        "kind": "Farm",
        "metadata": {"name": name},
        "spec": {"replicas": replicas},
        "status": status,
    }


def registration(sandbox, port):
    """The Service and the APIService that lead the HPAs to the adapter."""
    name, space = "external-metrics", "kube-system"
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": space},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    }
    api_service = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"v1beta1.{GROUP}"},
        "spec": {
            "group": GROUP,
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "caBundle": b64encode((sandbox.directory / "pki" / "ca.crt").read_bytes()).decode(),
            "service": {"name": name, "namespace": space, "port": port},
        },
    }
    return [service, api_service]


def pod(number):
    container = {"name": "app", "image": "example.invalid/none"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"value-{number}", "labels": {"farm": "value"}},
        "spec": {"containers": [container]},
    }


def run_ready_pods(api):
    """Pods that are ready, for the HPA that counts them; no node is needed to say so."""
    pods = "/api/v1/namespaces/default/pods"
    ready = {
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }
    kind = {"Content-Type": "application/merge-patch+json"}
    for number in range(READY):
        api.post(pods, json=pod(number)).raise_for_status()
        path = f"{pods}/value-{number}/status"
        api.patch(path, content=json.dumps(ready), headers=kind).raise_for_status()


def follow(api, stop, known):
    """Let the farms have as many pods as they ask for, as their controller would."""
    named = {case.name: case for case in known}
    kind = {"Content-Type": "application/merge-patch+json"}
    # The sandbox ends before its watch does.
    with (
        contextlib.suppress(httpx.HTTPError),
        api.stream("GET", FARMS, params={"watch": "1"}, timeout=300) as watch,
    ):
        for line in watch.iter_lines():
            found = json.loads(line)["object"]
            wanted = found["spec"]["replicas"]
            if found["status"]["replicas"] != wanted and not stop.is_set():
                patch = json.dumps({"status": {"replicas": wanted}})
                case = named[found["metadata"]["name"]]
                due = case.due
                api.patch(f"{FARMS}/{case.name}", content=patch, headers=kind).raise_for_status()
                case.late = max(case.late, time.time() - due)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, eventually):
    """The cases, each with what the real HPA saw and did."""
    for attempt in (1, 2):
        known = record(tmp_path_factory.mktemp("parity"), eventually)
        latest = max(known, key=lambda case: case.late)
        print(f"\n  recording {attempt}: changes at most {latest.late:.2f} s late ({latest.name})")
        if latest.late <= MARGIN:
            break
    return known


def record(directory, eventually):
    """One recording of all cases, with a control plane of its own."""
    spec = SandboxSpec(
        directory=directory,
        scheduler=False,
        kwok=False,
        prometheus=False,
        hpa_sync_seconds=PERIOD,
        extra_args={
            "kube-controller-manager": (
                "--concurrent-horizontal-pod-autoscaler-syncs=20",
                f"--horizontal-pod-autoscaler-downscale-stabilization={CLUSTER_WINDOW}s",
            )
        },
    )
    known = cases()
    with Sandbox(spec) as sandbox:
        adapter = Adapter(sandbox, known)
        prepare(sandbox, adapter, known, eventually)
        follower = threading.Thread(
            target=follow, args=(adapter.api, adapter.stop, known), daemon=True
        )
        follower.start()
        for case in known:
            create(adapter, HPAS, manifest(case))
        try:
            # A machine that is too slow for the pace makes a sync at each second or third point.
            eventually(adapter.done, timeout=SYNCS * PACE * 6)
        finally:
            adapter.close()
    return known


def create(adapter, path, body):
    adapter.api.post(path, json=body).raise_for_status()


def prepare(sandbox, adapter, known, eventually):
    """All that the HPAs need to be there."""
    service, api_service = registration(sandbox, adapter.port)
    create(adapter, "/api/v1/namespaces/kube-system/services", service)
    create(adapter, "/apis/apiregistration.k8s.io/v1/apiservices", api_service)
    create(adapter, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", farms())
    eventually(lambda: adapter.api.get(ROOT).is_success)
    eventually(lambda: adapter.api.get(FARMS).is_success)
    # It looks for new kinds twice a minute only.
    manager = sandbox.component("kube-controller-manager")
    manager.kill()
    manager.start()
    run_ready_pods(adapter.api)
    for case in known:
        create(adapter, FARMS, farm(case.name, START))


def replay(case, simulated):
    """The replicas after each sync in the simulator, which goes on from its own."""
    replicas, course = START, []
    for at, value, pods in case.seen:
        replicas = simulated.step(value, replicas, at, pods=pods, ready=READY)
        course.append(replicas)
    return course


def agreement(pairs):
    return sum(ours == theirs for ours, theirs in pairs) / len(pairs)


def test_windows_and_periods_keep_away_from_the_multiples_of_the_pace():
    behaviors = [case.behavior for case in cases() if case.behavior is not None]
    rules = [rules for it in behaviors for rules in (it.up, it.down)]
    periods = {policy.period for each in rules for policy in each.policies}
    for seconds in {CLUSTER_WINDOW, *periods, *(each.stabilization for each in rules)} - {0}:
        assert abs(seconds - PACE * round(seconds / PACE)) >= MARGIN, seconds


def test_the_simulated_hpa_agrees_with_the_real_one(recorded, capsys):
    every = []
    with capsys.disabled():
        print()
        for case in recorded:
            pairs = list(zip(replay(case, case.simulated()), case.replicas, strict=True))
            every += pairs
            odd = [place for place, (ours, theirs) in enumerate(pairs) if ours != theirs]
            print(f"  {case.name:12} {agreement(pairs):7.2%} of {len(pairs)} syncs {odd or ''}")
        print(f"  {'all':12} {agreement(every):7.2%} of {len(every)} syncs")
    assert len(every) == SYNCS * len(recorded)
    assert agreement(every) >= 0.99


def test_the_recording_holds_what_it_is_for(recorded):
    total = 0
    for case in recorded:
        changes = [after - before for before, after in pairwise(case.replicas)]
        total += sum(change != 0 for change in changes)
        assert sum(change > 0 for change in changes) >= 2, case.name
        assert sum(change < 0 for change in changes) >= (0 if case.name == "disabled" else 2)
        assert sum(value is None for _, value, _ in case.seen) >= 2, case.name
    assert total > 100


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("plain", {"behavior": behavior(down=Rules(CLUSTER_WINDOW, DEFAULT.down.policies))}),
        ("defaults", {"behavior": None}),
        ("defaults", {"tolerance": 0.09}),
        ("pods", {"behavior": DEFAULT}),
        ("smallest", {"behavior": DEFAULT}),
        ("windows", {"behavior": behavior(Rules(2, FREE), Rules(6, FREE))}),
        ("tolerant", {"tolerance": 0.1}),
    ],
)
def test_another_hpa_would_not_agree(recorded, name, wrong):
    """The recording can tell HPAs apart: it is no agreement about nothing."""
    (case,) = (case for case in recorded if case.name == name)
    course = replay(case, case.simulated(**wrong))
    assert agreement(list(zip(course, case.replicas, strict=True))) < 0.99
