"""Mode Once on a real node: attached without a restart, under `restricted`, or refused with why."""

import subprocess
import sys
import time

import pytest

SHOP = {"kind": "Deployment", "name": "shop"}


def test_a_restricted_pod_has_its_flame_graph_within_seconds_and_is_not_restarted(
    shop, operator, tmp_path
):
    shop.enforce("restricted")
    shop.deploy()
    before = shop.restarts()
    began = time.monotonic()
    shop.profile(duration="30s")
    shop.wait_for(lambda: shop.status().get("profile"), within=60)
    graph = flame_graph(shop, tmp_path)
    took = time.monotonic() - began
    status = shop.await_done()
    assert "heavy" in graph
    assert took <= 15, took
    assert shop.restarts() == before == {next(iter(before)): 0}
    assert status["pods"][0]["route"] == "EphemeralContainer"
    assert status["bound"]["kind"]
    assert status["podsSummary"] == "1/1"


def flame_graph(shop, folder):
    """As a user makes one of what has come so far, by the pod's log alone."""
    (pod,) = shop.pods()
    log, graph = folder / "shop.log", folder / "flame.html"
    name = pod["metadata"]["name"]
    log.write_text(shop.namespace.kubectl("logs", name, "-c", "foretide-profiler-1"))
    command = (sys.executable, "-m", "foretide.operator.main", "profile", "flame")
    subprocess.run([*command, str(log), "-o", str(graph)], check=True)
    return graph.read_text()


def test_another_run_uses_the_same_container_and_detaching_leaves_no_process(shop, operator):
    shop.deploy()
    shop.profile()
    first = shop.await_done()
    shop.profile(run="again")
    shop.wait_for(lambda: shop.status().get("runKey") != first["runKey"])
    second = shop.await_done()
    assert second["profile"]["start"] > first["profile"]["start"]
    assert list(shop.samplers().values()) == ["running"]
    shop.namespace.kubectl("delete", "prof", "shop")
    shop.wait_for(lambda: list(shop.samplers().values()) == ["terminated"])
    assert list(shop.restarts().values()) == [0]


def test_a_restarted_operator_finds_the_run_again(shop, operator):
    shop.deploy()
    shop.profile(duration="20s")
    shop.wait_for(lambda: shop.status().get("profile"))
    operator.kill()
    operator.start()
    status = shop.await_done()
    assert status["pods"][0]["windows"] >= 2
    assert len(shop.samplers()) == 1


def test_a_user_that_only_the_image_knows_is_found_out(shop, operator):
    shop.deploy(security={})  # the image's user is root
    shop.profile()
    status = shop.await_done()
    assert status["users"] == {shop.python.reference: "0:0"}
    assert list(shop.samplers().values()) == ["terminated", "running"]


def test_two_of_five_pods_are_profiled(shop, operator):
    shop.deploy(replicas=5)
    shop.profile(pods=2)
    status = shop.await_done()
    assert (status["podsMatched"], status["podsProfiled"]) == (5, 2)
    assert len(shop.samplers()) == 2


def test_what_cannot_be_profiled_says_why_and_what_to_do(shop, operator):
    shop.deploy(security={"runAsUser": 0, "privileged": True})
    shop.profile()
    found = shop.await_condition("Attached", "False", "MoreCapabilities")
    assert "privileged" in found["message"]
    assert "SysPtrace" in found["message"]
    shop.profile(capability="SysPtrace")
    assert shop.await_done()["podsProfiled"] == 1


def test_what_admission_forbids_is_quoted(shop, operator):
    # Root from before the namespace became restricted: its sampler would have to be root too.
    shop.deploy(security={"runAsUser": 0})
    shop.enforce("restricted")
    shop.profile()
    found = shop.await_condition("Attached", "False", "PolicyForbids")
    assert 'violates PodSecurity "restricted' in found["message"]
    assert "runAsUser" in found["message"]
    assert shop.samplers() == {}


def test_a_pod_is_profiled_from_the_command_line_without_an_operator(
    sandbox, shop, sampler, tmp_path
):
    shop.deploy()
    (pod,) = shop.pods()
    output = tmp_path / "shop.ftp"
    command = [
        *(sys.executable, "-m", "foretide.operator.main", "profile", "pod"),
        *(pod["metadata"]["name"], "-n", shop.namespace.name, "--seconds", "10"),
        *("--kubeconfig", str(sandbox.kubeconfig), "--image", sampler.reference, "-o", str(output)),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Profiling" in done.stderr
    assert "samples" in done.stdout
    assert output.stat().st_size > 0
    refused = subprocess.run([*command, "-c", "other"], capture_output=True, text=True)
    assert refused.returncode == 2
    assert "no container other. It has app" in refused.stderr


def test_what_is_no_python_is_told(shop, operator):
    shop.namespace.apply(sleeper(shop.python.reference))
    shop.wait_for(lambda: shop.pods("sleeper")[0]["status"]["phase"] == "Running")
    shop.profile(selector={"matchLabels": {"app": "sleeper"}})
    found = shop.await_condition("Attached", "False", "NotPython")
    assert "Python" in found["message"]


def sleeper(reference):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "sleeper", "labels": {"app": "sleeper"}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsUser": 1000, "runAsGroup": 1000},
            "containers": [
                {"name": "app", "image": reference, "command": ["sh", "-c", "sleep 600; true"]}
            ],
        },
    }


def test_an_annotation_is_enough_and_taking_it_away_ends_it(shop, operator):
    shop.deploy()
    annotate = ("annotate", "deployment", "shop")
    wanted = ("foretide.dev/profile=once", "foretide.dev/profile-duration=10s")
    shop.namespace.kubectl(*annotate, *wanted)
    shop.await_done("deployment.shop")
    shop.namespace.kubectl(*annotate, "foretide.dev/profile-")
    shop.wait_for(lambda: not shop.namespace.get("prof", "deployment.shop"))
    shop.wait_for(lambda: list(shop.samplers().values()) == ["terminated"])


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"selector": {"matchLabels": {"a": "b"}}, "targetRef": SHOP}, "exactly one of targetRef"),
        ({}, "exactly one of targetRef and selector"),
        ({"targetRef": SHOP, "allowRollout": True}, "allowRollout needs mode Continuous"),
        ({"targetRef": SHOP, "baseline": {"start": "2026-03-01T00:00:00Z"}}, "start and end"),
        ({"targetRef": SHOP, "image": "other:1"}, "unknown field"),
    ],
)
def test_the_api_server_itself_refuses_what_cannot_be(namespace, refused, spec, told):
    document = {
        "apiVersion": "foretide.dev/v1alpha1",
        "kind": "Profiler",
        "metadata": {"name": "wrong"},
        "spec": spec,
    }
    with pytest.raises(refused, match=told):
        namespace.apply(document)
