"""A real node: its pods run, are reached and reach others, and Pod Security is enforced on them.

Covered with a real containerd and kubelet, where `why_not` gives no reason against them. Left out:
an end in disorder (test_node_lifecycle).
"""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
from kubernetes import client, config

from sandbox import Sandbox, SandboxSpec
from sandbox.node import NODE_NAME
from sandbox.node.images import image, python_image
from sandbox.node.packages import why_not
from sandbox.ports import free_ports
from sandbox.process import python_path

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(why_not() is not None, reason=f"no real node: {why_not()}"),
]

USER = 12_345
SERVER = """
import http.server, sys
print("serving", flush=True)
class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")
http.server.HTTPServer(("", 8080), Hello).serve_forever()
"""
BUSY = """
def in_the_hot_loop():
    total = 0
    while True:
        total += sum(range(1000))
in_the_hot_loop()
"""
GET = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=10).read().decode())"


@pytest.fixture(scope="module")
def python():
    return python_image()


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory, python):
    spec = SandboxSpec(
        directory=tmp_path_factory.mktemp("node"), node=True, prometheus=False, images=[python]
    )
    with Sandbox(spec) as up:
        yield up


@pytest.fixture(scope="module")
def kube(sandbox):
    return config.new_client_from_config(str(sandbox.kubeconfig))


@pytest.fixture
def core(kube):
    return client.CoreV1Api(kube)


@pytest.fixture
def run(core, namespace, python, eventually):
    """Creates a pod of one Python program and waits until it is ready; returns its name."""

    def create(name, program, labels=None, reference=python.reference, security=None, **spec):
        container = {"name": "main", "image": reference, "command": ["python3", "-c", program]}
        if security:
            container["securityContext"] = security
        body = {
            "metadata": {"name": name, "labels": labels or {}},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, **spec},
        }
        core.create_namespaced_pod(namespace, body)

        def ready():
            status = core.read_namespaced_pod(name, namespace).status
            return any(c.type == "Ready" and c.status == "True" for c in status.conditions)

        eventually(ready)
        return name

    return create


def in_pod(sandbox, namespace, pod, *command):
    return sandbox.kubectl("exec", f"--namespace={namespace}", pod, "--", *command)


def restricted(user):
    return {
        "runAsUser": user,
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_the_node_is_there_in_the_place_of_the_fake_ones(core):
    (node,) = core.list_node().items
    assert node.metadata.name == NODE_NAME
    assert node.status.node_info.container_runtime_version.startswith("containerd://")
    assert not node.spec.taints


def test_a_pod_runs_and_is_reached_by_exec_and_logs(sandbox, namespace, run):
    pod = run("web", SERVER)
    shown = in_pod(sandbox, namespace, pod, "python3", "-c", "import ssl, sqlite3; print(6 * 7)")
    assert shown == "42\n"
    assert in_pod(sandbox, namespace, pod, "sh", "-c", "exec cat /etc/hostname") == "web\n"
    assert sandbox.kubectl("logs", f"--namespace={namespace}", pod) == "serving\n"


def test_a_service_leads_to_its_pods_from_pods_and_from_the_host(
    sandbox, core, namespace, run, eventually
):
    run("web", SERVER, labels={"app": "web"})
    caller = run("caller", "import time; time.sleep(600)")
    body = {
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    address = core.create_namespaced_service(namespace, body).spec.cluster_ip
    ask = ("python3", "-c", GET, f"http://{address}")
    assert eventually(lambda: in_pod(sandbox, namespace, caller, *ask)) == "hello\n"
    # Of a Service in whose only pod the question was put: it must come back to it.
    assert in_pod(sandbox, namespace, "web", *ask) == "hello\n"
    assert httpx.get(f"http://{address}", trust_env=False, timeout=10).text == "hello"


def test_a_pod_reaches_the_api_server_as_its_service_account(sandbox, namespace, run):
    pod = run("caller", "import time; time.sleep(600)")
    program = """
import json, os, ssl, urllib.request
folder = "/var/run/secrets/kubernetes.io/serviceaccount/"
url = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}/apis/authentication.k8s.io/v1/selfsubjectreviews"
request = urllib.request.Request(url, method="POST", data=b'{"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}')
request.add_header("Authorization", "Bearer " + open(folder + "token").read())
request.add_header("Content-Type", "application/json")
with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=folder + "ca.crt")) as answer:
    print(json.load(answer)["status"]["userInfo"]["username"])
"""  # noqa: E501
    said = in_pod(sandbox, namespace, pod, "python3", "-c", program)
    assert said == f"system:serviceaccount:{namespace}:default\n"


def test_a_server_of_the_host_is_reached_from_pods(sandbox, namespace, run):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"from the host")

        def log_message(self, *arguments):
            pass

    pod = run("caller", "import time; time.sleep(600)")
    with HTTPServer((sandbox.host_address, 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://{sandbox.host_address}:{server.server_port}"
        assert in_pod(sandbox, namespace, pod, "python3", "-c", GET, url) == "from the host\n"
        server.shutdown()


def test_an_image_is_made_and_loaded_while_the_sandbox_runs(sandbox, namespace, run, python):
    made = image(
        "greeter",
        python,
        files={
            "/app/greeting.py": "print('good', 'day', flush=True)\nimport time; time.sleep(600)"
        },
        environment={"PYTHONPATH": "/app"},
        user=str(USER),
        workdir="/app",
    )
    sandbox.load_image(made)
    pod = run("greeter", "import greeting", reference=made.reference)
    assert sandbox.kubectl("logs", f"--namespace={namespace}", pod) == "good day\n"
    assert in_pod(sandbox, namespace, pod, "id", "-u") == f"{USER}\n"


def test_pod_security_is_enforced_and_py_spy_sees_a_neighbour_of_its_own_user_only(
    sandbox, core, namespace, run, python, eventually
):
    enforce = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    core.patch_namespace(namespace, enforce)
    with pytest.raises(client.ApiException, match="violates PodSecurity"):
        run("root", BUSY)
    pod = run("busy", BUSY, security=restricted(USER))
    profiler = image("py-spy", python, packages=["py-spy==0.4.3"])
    sandbox.load_image(profiler)

    def dump(name, user):
        """What py-spy says in an ephemeral container: its exit code and its output."""
        container = {
            "name": name,
            "image": profiler.reference,
            "command": ["py-spy", "dump", "--json", "--pid", "1"],
            "targetContainerName": "main",
            "securityContext": restricted(user),
        }
        patch = {"spec": {"ephemeralContainers": [container]}}
        core.patch_namespaced_pod_ephemeralcontainers(pod, namespace, patch)

        def ended():
            statuses = core.read_namespaced_pod(pod, namespace).status
            found = [s for s in statuses.ephemeral_container_statuses or [] if s.name == name]
            return found and found[0].state.terminated

        code = eventually(ended).exit_code
        return code, sandbox.kubectl("logs", f"--namespace={namespace}", pod, f"--container={name}")

    code, said = dump("same-user", USER)
    assert code == 0, said
    frames = [frame["name"] for thread in json.loads(said) for frame in thread["frames"]]
    assert "in_the_hot_loop" in frames
    code, said = dump("other-user", USER + 1)
    assert code != 0
    assert "permission denied" in said.lower()
    (status,) = core.read_namespaced_pod(pod, namespace).status.container_statuses
    assert status.restart_count == 0


def test_a_pod_outlives_its_kubelet(sandbox, core, namespace, run, eventually):
    pod = run("web", SERVER)
    status = core.read_namespaced_pod(pod, namespace).status
    before, address = status.container_statuses[0].container_id, status.pod_ip

    def hello():
        return httpx.get(f"http://{address}:8080", trust_env=False, timeout=10).text == "hello"

    assert eventually(hello)  # a pod is ready once it runs: its program may not listen yet
    kubelet = sandbox.component("kubelet")
    kubelet.kill()
    try:
        assert hello()
    finally:
        kubelet.start()  # other tests need it
    assert eventually(lambda: in_pod(sandbox, namespace, pod, "id", "-u")) == "0\n"
    after = core.read_namespaced_pod(pod, namespace).status.container_statuses[0]
    assert (after.container_id, after.restart_count) == (before, 0)


def test_addresses_that_another_node_has_are_refused(sandbox, tmp_path):
    number = sandbox.host_address.split(".")[1]
    (port,) = free_ports(1)
    done = subprocess.run(
        [sys.executable, "-m", "sandbox.node.machine", str(tmp_path), number, str(port)],
        env={**os.environ, "PYTHONPATH": python_path()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    # These words make the supervisor choose others.
    assert "address already in use" in done.stdout
    assert sandbox.kubectl("get", "--raw", f"/api/v1/nodes/{NODE_NAME}/proxy/healthz") == "ok"
