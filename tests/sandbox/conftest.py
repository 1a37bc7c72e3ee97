"""Shared code of the sandbox's tests: one real sandbox for all that can share it."""

import os
import time

import httpx
import pytest
from kubernetes import client, config

from sandbox import DemandSeries, Sandbox, SandboxSpec
from sandbox.process import is_alive

DAY = 86_400.0
READY, JITTER = 2.0, 1.0


@pytest.fixture(scope="session")
def eventually():
    """Polls until a callable gives something true, and returns that; exceptions count as no.

    A machine may be several times slower than usual: what passes never waits for so long.
    """

    def wait(condition, timeout=60.0, interval=0.1):
        deadline = time.monotonic() + timeout
        while True:
            error = None
            try:
                answer = condition()
            except Exception as raised:
                answer, error = None, raised
            if answer:
                return answer
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout:.0f} s, last {answer!r}") from error
            time.sleep(interval)

    return wait


@pytest.fixture(scope="session")
def demand():
    """Three days of a slow saw-tooth, a sample each minute, the last day still to be played."""
    times = [60.0 * k for k in range(3 * 1440)]
    return DemandSeries(times=times, values=[100.0 + k % 1440 for k in range(len(times))])


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory, demand):
    """A whole sandbox with everything in it."""
    spec = SandboxSpec(
        directory=tmp_path_factory.mktemp("sandbox"),
        nodes=2,
        cpu_per_node="8",
        pod_ready_seconds=READY,
        pod_ready_jitter_seconds=JITTER,
        scrape_seconds=0.5,
        hpa_sync_seconds=1.0,
        series=[
            demand,
            DemandSeries(
                name="other_rps", labels={"path": "/a"}, times=demand.times, values=demand.values
            ),
        ],
        external_metrics={"demand": "sum(demand_rps)", "nothing": "no_such_metric"},
    )
    with Sandbox(spec) as up:
        yield up


@pytest.fixture(scope="session")
def kube(sandbox):
    """An API client of the official Python library for the shared sandbox."""
    return config.new_client_from_config(str(sandbox.kubeconfig))


@pytest.fixture
def namespace(kube, request):
    """A namespace of the test's own, deleted after it."""
    core = client.CoreV1Api(kube)
    name = "t-" + request.node.name.replace("_", "-").lower()[:50].rstrip("-")
    core.create_namespace({"metadata": {"name": name}})
    yield name
    core.delete_namespace(name)


@pytest.fixture
def ask(sandbox):
    """An instant query to the real Prometheus; returns {frozenset of labels: value}."""

    def query(text):
        with httpx.Client(trust_env=False, timeout=20) as http:
            answer = http.get(f"{sandbox.prometheus_url}/api/v1/query", params={"query": text})
        rows = answer.raise_for_status().json()["data"]["result"]
        return [float(row["value"][1]) for row in rows]

    return query


@pytest.fixture
def playing(sandbox):
    """The player, which plays the trace again after the test."""
    yield sandbox.player
    sandbox.player.set("play")


@pytest.fixture
def deployment(kube):
    """Creates a Deployment of KWOK pods."""

    def create(namespace, name="web", replicas=1, cpu="100m", annotations=None):
        labels = {"app": name}
        container = {
            "name": "main",
            "image": "example.invalid/none",
            "resources": {"requests": {"cpu": cpu}},
        }
        body = {
            "metadata": {"name": name},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels, "annotations": annotations or {}},
                    "spec": {"containers": [container]},
                },
            },
        }
        return client.AppsV1Api(kube).create_namespaced_deployment(namespace, body)

    return create


@pytest.fixture(scope="session")
def processes():
    """All processes of a sandbox's record as (pid, identity), the supervisor among them."""

    def list_them(state):
        found = [(c["pid"], c["identity"]) for c in state["components"] if c["pid"]]
        return [(state["pid"], state["identity"]), *found]

    return list_them


@pytest.fixture(scope="session")
def all_gone(eventually):
    """Asserts that no process of a list is left."""

    def check(recorded, timeout=60.0):
        assert recorded
        eventually(lambda: not any(is_alive(pid, known) for pid, known in recorded), timeout)

    return check


@pytest.fixture
def child_environment(tmp_path):
    """An environment for `python -m sandbox` whose state is the test's own."""
    return {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
