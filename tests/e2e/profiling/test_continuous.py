"""Mode Continuous on a real node: by the webhook when pods are created, or by the template."""

import json
import socket

import pytest

TURN = "foretide.dev/profiling-until"


@pytest.fixture
def webhook(sandbox, operator, reconfigure):
    """The webhook of the running operator, in the namespace of the test."""
    with socket.socket() as probe:
        probe.bind((sandbox.host_address, 0))
        port = probe.getsockname()[1]
    address = f"{sandbox.host_address}:{port}"
    reconfigure(operator, webhook={"listen": address, "url": f"https://{address}"})
    return address


def sidecars(shop):
    return [state for (_, name), state in shop.samplers().items() if name.endswith("sidecar")]


def template(shop):
    return shop.namespace.get("deployment", "shop")["spec"]["template"]


def test_new_pods_get_a_sidecar_and_old_ones_are_left_alone(sandbox, shop, operator, webhook):
    shop.enforce("restricted")
    label = "foretide.dev/profiling=enabled"
    shop.namespace.kubectl("label", "namespace", shop.namespace.name, label)
    shop.deploy(replicas=1)
    before = shop.restarts()
    shop.profile(mode="Continuous", pods=1, rotateEvery="1h")
    found = shop.await_condition("Attached", "Unknown", "CreatedBefore")
    assert "allowRollout" in found["message"]
    kind = "mutatingwebhookconfigurations"
    shop.wait_for(lambda: "sidecar.profiling" in sandbox.kubectl("get", kind, "-o", "json"))
    plain = template(shop)
    shop.namespace.kubectl("scale", "deployment", "shop", "--replicas=3")
    shop.wait_for(lambda: sidecars(shop) == ["running", "running"])
    status = shop.wait_for(lambda: shop.status().get("profile") and shop.status())
    assert status["podsSummary"] == "1/3"
    assert sorted(it["state"] for it in status["pods"]) == ["Idle", "Profiling", "Waiting"]
    assert before.items() <= shop.restarts().items()
    assert template(shop) == plain
    shop.namespace.kubectl("delete", "prof", "shop")
    shop.wait_for(
        lambda: not any(TURN in it["metadata"].get("annotations", {}) for it in shop.pods())
    )
    shop.namespace.kubectl("scale", "deployment", "shop", "--replicas=4")
    shop.wait_for(lambda: len(shop.pods()) == 4)
    assert len(sidecars(shop)) == 2
    sandbox.kubectl("delete", "mutatingwebhookconfigurations", "--all")


def test_with_leave_the_template_is_changed_and_given_back(shop, operator):
    shop.deploy()
    plain = json.dumps(template(shop), sort_keys=True)
    shop.profile(mode="Continuous", allowRollout=True)
    shop.wait_for(lambda: sidecars(shop) == ["running"], within=90)
    shop.wait_for(lambda: shop.status().get("profile"), within=90)
    shop.namespace.kubectl("delete", "prof", "shop")
    shop.wait_for(lambda: json.dumps(template(shop), sort_keys=True) == plain)
    shop.wait_for(lambda: shop.samplers() == {}, within=90)


def test_a_template_is_given_back_though_no_operator_saw_the_profiler_go(shop, operator):
    shop.deploy()
    plain = json.dumps(template(shop), sort_keys=True)
    shop.profile(mode="Continuous", allowRollout=True)
    shop.wait_for(lambda: json.dumps(template(shop), sort_keys=True) != plain, within=60)
    operator.kill()
    shop.namespace.kubectl("delete", "prof", "shop")
    operator.start()
    shop.wait_for(lambda: json.dumps(template(shop), sort_keys=True) == plain, within=60)
