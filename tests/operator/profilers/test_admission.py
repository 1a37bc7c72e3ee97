"""The webhook: which pods get a sidecar, what it looks like, and that no pod is ever refused."""

import base64
import copy
import json

import pytest

from foretide.operator.profilers import containers
from foretide.operator.profilers.admission import Injection, answer

APP = {"securityContext": {"runAsUser": 1000, "runAsGroup": 1000}}


@pytest.fixture
def injection(order):
    return Injection(
        profiler="prof",
        namespace="shop",
        selector={"app": "shop"},
        container=None,
        allow_ptrace=False,
        order=order,
        users={},
    )


def review(pod, namespace="shop"):
    pod = copy.deepcopy(pod)
    del pod["status"], pod["metadata"]["uid"], pod["metadata"]["namespace"]
    return {"request": {"uid": "u1", "namespace": namespace, "object": pod}}


def applied(pod, response):
    """The pod after the JSON patch (RFC 6902, `add` only)."""
    pod = copy.deepcopy(pod)
    for step in json.loads(base64.b64decode(response["patch"])):
        assert step["op"] == "add"
        *path, last = [
            part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:]
        ]
        place = pod
        for part in path:
            place = place[part]
        if last == "-":
            place.append(step["value"])
        else:
            place[last] = step["value"]
    return pod


def respond(pod, *injections, namespace="shop"):
    asked = review(pod, namespace)
    found = answer(asked, injections)
    response = found.review["response"]
    assert response["uid"] == "u1"
    assert response["allowed"] is True
    return found, response, asked["request"]["object"]


def test_a_pod_of_the_selector_gets_a_native_sidecar(make_pod, injection):
    found, response, pod = respond(make_pod(container=APP), injection)
    spec = applied(pod, response)["spec"]
    sidecar = spec["initContainers"][-1]
    assert found.profiler == "prof"
    assert spec["shareProcessNamespace"] is True
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar["securityContext"] == {
        "runAsUser": 1000,
        "runAsGroup": 1000,
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert spec["volumes"] == [containers.orders_volume()]
    assert spec["containers"] == pod["spec"]["containers"]


def test_what_the_pod_has_already_stays(make_pod, injection):
    pod = make_pod(
        container=APP,
        spec={"initContainers": [{"name": "migrate"}], "volumes": [{"name": "data"}]},
        meta={"annotations": {"a": "b"}},
    )
    _, response, asked = respond(pod, injection)
    after = applied(asked, response)
    assert [it["name"] for it in after["spec"]["initContainers"]] == [
        "migrate",
        "foretide-profiler-sidecar",
    ]
    assert after["spec"]["volumes"][0] == {"name": "data"}
    assert after["metadata"]["annotations"] == {"a": "b", "foretide.dev/profiler": "prof"}


def test_a_sidecar_is_not_throttled_and_leaves_the_pod_its_class(make_pod, injection):
    limits = {"limits": {"cpu": "1", "memory": "1Gi"}}
    _, response, pod = respond(make_pod(container=APP), injection)
    assert "cpu" not in applied(pod, response)["spec"]["initContainers"][0]["resources"]["limits"]
    _, response, pod = respond(make_pod(container={**APP, "resources": limits}), injection)
    resources = applied(pod, response)["spec"]["initContainers"][0]["resources"]
    assert resources["limits"] == resources["requests"]


@pytest.mark.parametrize("namespace", ["other", "shop"])
def test_other_pods_are_left_alone(make_pod, injection, namespace):
    labels = {"app": "other"} if namespace == "shop" else {"app": "shop"}
    _, response, _ = respond(
        make_pod(container=APP, meta={"labels": labels}), injection, namespace=namespace
    )
    assert response == {"uid": "u1", "allowed": True}


def test_a_pod_that_has_the_sidecar_by_its_template_gets_no_second(make_pod, injection):
    _, response, pod = respond(make_pod(container=APP), injection)
    _, again, _ = respond(
        {**applied(pod, response), "status": {}}
        | {"metadata": {**pod["metadata"], "uid": "x", "namespace": "shop"}},
        injection,
    )
    assert "patch" not in again


def test_what_keeps_the_sidecar_out_is_a_warning_and_no_refusal(make_pod, injection):
    found, response, _ = respond(make_pod(), injection)
    assert "patch" not in response
    assert "runAsUser" in found.refusal.remedy
    assert response["warnings"][0].startswith("foretide: not profiled by prof: container app runs")


def test_a_pod_that_does_not_share_its_processes_says_so(make_pod, injection):
    pod = make_pod(container=APP, spec={"shareProcessNamespace": False})
    found, response, _ = respond(pod, injection)
    assert found.refusal.reason == "ProcessesNotShared"
    assert "patch" not in response
