"""What the control plane of a sandbox does for workloads, with the real components.

Covered: versions, pods' way to readiness, pods that do not fit, the HPA on an external metric, and
components that are killed. Left out: what Kubernetes itself promises.
"""

from itertools import pairwise

import pytest
from kubernetes import client

from sandbox import SandboxError

pytestmark = pytest.mark.sandbox


def conditions(pod):
    return {condition.type: condition for condition in pod.status.conditions or []}


def test_api_is_ready_within_ten_seconds(sandbox):
    assert sandbox.api_ready_seconds < 10


def test_kubectl_shows_the_pinned_version_on_both_sides(sandbox):
    said = sandbox.kubectl("version")
    assert "Client Version: v1.35." in said
    assert "Server Version: v1.35." in said


def test_pods_become_ready_within_the_configured_delay(
    kube, sandbox, deployment, namespace, eventually
):
    core = client.CoreV1Api(kube)
    deployment(namespace, replicas=6)

    def all_ready():
        pods = core.list_namespaced_pod(namespace).items
        ready = [p for p in pods if "Ready" in conditions(p)]
        return len(ready) == 6 and ready

    for pod in eventually(all_ready):
        ready = conditions(pod)["Ready"]
        assert ready.status == "True"
        took = (ready.last_transition_time - pod.metadata.creation_timestamp).total_seconds()
        # Kubernetes' times are whole seconds.
        assert 1 <= took <= 2 + 1 + 2


def test_an_annotation_changes_the_delay_of_one_workload(
    kube, sandbox, deployment, namespace, eventually
):
    core = client.CoreV1Api(kube)
    deployment(namespace, "slow", annotations={"sandbox.foretide.dev/ready-after": "60s"})
    deployment(namespace, "quick", annotations={"sandbox.foretide.dev/ready-after": "100ms"})

    def phases():
        return {p.metadata.labels["app"]: p for p in core.list_namespaced_pod(namespace).items}

    quick = eventually(lambda: (p := phases()["quick"]).status.phase == "Running" and p)
    took = conditions(quick)["Ready"].last_transition_time - quick.metadata.creation_timestamp
    assert took.total_seconds() <= 1
    assert phases()["slow"].status.phase == "Pending"


def test_pods_that_do_not_fit_stay_unschedulable(kube, sandbox, deployment, namespace, eventually):
    core = client.CoreV1Api(kube)
    deployment(namespace, replicas=3, cpu="5")

    def unscheduled():
        pods = core.list_namespaced_pod(namespace).items
        return [
            p
            for p in pods
            if "PodScheduled" in conditions(p)
            and conditions(p)["PodScheduled"].reason == "Unschedulable"
        ]

    (pod,) = eventually(unscheduled)
    assert pod.status.phase == "Pending"
    assert "Insufficient cpu" in conditions(pod)["PodScheduled"].message


def test_the_real_hpa_follows_the_metric_and_freezes_without_it(
    kube, sandbox, deployment, namespace, playing, eventually
):
    deployment(namespace, replicas=1)
    apps, scaling = client.AppsV1Api(kube), client.AutoscalingV2Api(kube)
    playing.set(400)
    metric = {
        "metric": {"name": "demand"},
        "target": {"type": "AverageValue", "averageValue": "100"},
    }
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": 1,
        "maxReplicas": 10,
        "metrics": [{"type": "External", "external": metric}],
    }
    body = {"metadata": {"name": "web"}, "spec": spec}
    scaling.create_namespaced_horizontal_pod_autoscaler(namespace, body)

    def replicas():
        return apps.read_namespaced_deployment("web", namespace).spec.replicas

    def active():
        hpa = scaling.read_namespaced_horizontal_pod_autoscaler("web", namespace)
        found = [c for c in hpa.status.conditions or [] if c.type == "ScalingActive"]
        return found and found[0]

    eventually(lambda: replicas() == 4)
    playing.set(700)
    eventually(lambda: replicas() == 7)
    playing.set("absent")
    eventually(lambda: active().status == "False")
    assert active().reason == "FailedGetExternalMetric"
    assert replicas() == 7


def test_a_killed_component_stays_down_until_it_is_started_again(sandbox, kube, eventually):
    core = client.CoreV1Api(kube)
    core.create_namespaced_config_map("default", {"metadata": {"name": "kept"}})
    apiserver = sandbox.component("kube-apiserver")
    before = apiserver.pid
    apiserver.kill()
    assert apiserver.pid is None
    with pytest.raises(SandboxError, match="refused"):
        sandbox.kubectl("get", "nodes")
    apiserver.start()
    assert apiserver.pid not in (None, before)
    assert core.read_namespaced_config_map("kept", "default")


def test_killed_etcd_keeps_its_data(sandbox, kube, eventually):
    core = client.CoreV1Api(kube)
    core.create_namespaced_config_map("default", {"metadata": {"name": "kept-too"}})
    etcd = sandbox.component("etcd")
    etcd.kill()
    etcd.start()
    eventually(lambda: core.read_namespaced_config_map("kept-too", "default"))


def test_pod_ready_can_be_changed_while_it_runs(sandbox, kube, deployment, namespace, eventually):
    core = client.CoreV1Api(kube)
    sandbox.set_pod_ready(0.0)
    try:
        deployment(namespace)

        def ready():
            (pod,) = core.list_namespaced_pod(namespace).items
            return pod.status.phase == "Running" and pod

        pod = eventually(ready)
    finally:
        sandbox.set_pod_ready(2.0, 1.0)
    times = [pod.metadata.creation_timestamp, conditions(pod)["Ready"].last_transition_time]
    assert all((b - a).total_seconds() <= 1 for a, b in pairwise(times))


def test_an_unknown_component_is_named_in_the_error(sandbox):
    with pytest.raises(SandboxError, match="no component 'kubelet' in this sandbox, only etcd"):
        sandbox.component("kubelet")
