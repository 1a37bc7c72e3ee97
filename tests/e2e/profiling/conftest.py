"""A sandbox with a real node, and applications on it that are profiled."""

import json
import time
from pathlib import Path

import kubernetes
import pytest
import yaml

from sandbox.errors import SandboxError
from sandbox.handle import Sandbox
from sandbox.node.images import python_image, sampler_image
from sandbox.node.packages import why_not
from sandbox.spec import SandboxSpec

ROOT = Path(__file__).parents[3]
PROGRAMS = Path(__file__).parent / "programs"
USER = 12_345


def pytest_collection_modifyitems(items):
    reason = why_not()
    if reason is None:
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=f"no real node: {reason}"))


@pytest.fixture(scope="session")
def python():
    return python_image()


@pytest.fixture(scope="session")
def sampler(python):
    return sampler_image(python)


# For each file: it ends before the next sandbox, without a node, is up.
@pytest.fixture(scope="module")
def sandbox(tmp_path_factory, python, sampler):
    spec = SandboxSpec(
        directory=tmp_path_factory.mktemp("node"),
        node=True,
        prometheus=False,
        images=[python, sampler],
    )
    with Sandbox(spec) as sandbox:
        sandbox.kubectl("apply", "-f", str(ROOT / "crds"))
        for kind in ("profilers", "predictivescalers"):
            _await_kind(sandbox, kind)
        yield sandbox


def _await_kind(sandbox, kind):
    deadline = time.monotonic() + 60
    while True:
        try:
            return sandbox.kubectl("get", f"{kind}.foretide.dev", "--all-namespaces")
        except SandboxError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@pytest.fixture(scope="module")
def api(sandbox):
    return kubernetes.config.new_client_from_config(str(sandbox.kubeconfig))


RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
    "runAsNonRoot": True,
}


class Shop:
    """What a test does with an application and its Profiler, in its own namespace."""

    def __init__(self, namespace, python, wait_for):
        self.namespace, self.python, self.wait_for = namespace, python, wait_for

    def enforce(self, level):
        label = f"pod-security.kubernetes.io/enforce={level}"
        self.namespace.kubectl("label", "namespace", self.namespace.name, label)

    def deploy(self, program="busy.py", *, name="shop", replicas=1, security=None, pod=None):
        """An application of one Python program, as a user of its own unless told otherwise."""
        own = {**RESTRICTED, "runAsUser": USER, "runAsGroup": USER}
        source = (PROGRAMS / program).read_text(encoding="utf-8")  # joined to a Path, a Path stays
        container = {
            "name": "app",
            "image": self.python.reference,
            "command": ["python3", "-c", source],
            "securityContext": own if security is None else security,
        }
        labels = {"app": name}
        self.namespace.apply(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {
                            "terminationGracePeriodSeconds": 0,
                            "containers": [container],
                            **(pod or {}),
                        },
                    },
                },
            }
        )
        self.wait_for(lambda: self.namespace.ready(name) == replicas, within=90)

    def profile(self, name="shop", **spec):
        target = {"targetRef": {"kind": "Deployment", "name": "shop"}}
        if "selector" in spec:
            target = {}
        self.namespace.apply(
            {
                "apiVersion": "foretide.dev/v1alpha1",
                "kind": "Profiler",
                "metadata": {"name": name},
                "spec": {"duration": "10s", **target, **spec},
            }
        )

    def status(self, name="shop"):
        return self.namespace.get("prof", name).get("status", {})

    def condition(self, kind, name="shop"):
        found = [it for it in self.status(name).get("conditions", []) if it["type"] == kind]
        return found[0] if found else {"status": None, "reason": None, "message": ""}

    def await_condition(self, kind, status, reason, name="shop", *, within=90):
        def holds():
            found = self.condition(kind, name)
            return (found["status"], found["reason"]) == (status, reason) and found

        return self.wait_for(
            holds, within=within, what=lambda: json.dumps(self.status(name), indent=1)
        )

    def await_done(self, name="shop", *, within=120):
        self.await_condition("Ready", "True", "Done", name, within=within)
        return self.status(name)

    def pods(self, name="shop"):
        listed = json.loads(
            self.namespace.kubectl("get", "pods", "-l", f"app={name}", "-o", "json")
        )
        return [it for it in listed["items"] if "deletionTimestamp" not in it["metadata"]]

    def restarts(self):
        """How often containers of the application were started anew, and which pods there are."""
        return {
            pod["metadata"]["uid"]: sum(
                it["restartCount"] for it in pod["status"]["containerStatuses"]
            )
            for pod in self.pods()
        }

    def samplers(self):
        """Of Foretide's containers in the pods, how each stands."""
        states = {}
        for pod in self.pods():
            for kind in ("ephemeralContainerStatuses", "initContainerStatuses"):
                for it in pod["status"].get(kind) or ():
                    states[pod["metadata"]["name"], it["name"]] = next(iter(it["state"]))
        return states


@pytest.fixture
def shop(namespace, python, wait_for):
    return Shop(namespace, python, wait_for)


@pytest.fixture
def operator(make_operator, sampler):
    running = make_operator()
    configure(running, sampler)
    running.start()
    yield running
    assert "Traceback" not in running.log.read_text(), running.log.read_text()


def configure(operator, sampler, **profiling):
    document = {"profiling": {"image": sampler.reference, **profiling}}
    operator.config.write_text(yaml.safe_dump(document))


@pytest.fixture
def reconfigure(sampler):
    return lambda operator, **profiling: configure(operator, sampler, **profiling)
