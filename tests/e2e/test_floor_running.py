"""The running operator beside a real HPA, whose minimum it moves and gives back."""

import json

import pytest

RISING = 'sum(demand_rps{app="rising"})'
AHEAD = {"leadTime": "2h", "learnLeadTime": False, "history": "4d"}


@pytest.fixture
def shop(namespace):
    """A Deployment of two replicas and its HPA, which nobody measures: it keeps to its bounds."""
    target = {"type": "Utilization", "averageUtilization": 70}
    namespace.deployment("shop", 2)
    namespace.apply(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "shop"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
                "minReplicas": 2,
                "maxReplicas": 30,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            },
        }
    )
    return namespace


@pytest.fixture
def minimum(shop):
    return lambda: shop.get("hpa", "shop")["spec"]["minReplicas"]


@pytest.fixture
def held(shop, operator, minimum, wait_for):
    """A minimum that is held up by a forecast; the HPA has followed."""
    shop.scaler("shop", RISING, actuation="HPAFloor", forecast=AHEAD)
    wait_for(
        lambda: minimum() >= 14, within=180, what=lambda: json.dumps(shop.status("shop"), indent=1)
    )
    shop.await_replicas("shop", lambda replicas: replicas >= 14)
    return shop


def test_an_hpa_follows_what_is_foreseen(held, operator, minimum, wait_for):
    held.await_condition("shop", "ScalingActive", "True", "FloorHeld")
    held.await_condition("shop", "Conflict", "False")
    held.await_event("FloorHeld")
    assert not held.events("ScaledUp")  # that is the HPA's own
    # The minimum moves with the forecast, and the HPA follows at its own pace.
    wait_for(lambda: held.replicas("shop") == minimum())


def test_it_gets_its_minimum_back_when_the_resource_pauses(held, minimum, wait_for):
    held.scaler("shop", RISING, actuation="HPAFloor", forecast=AHEAD, mode="Paused")
    wait_for(lambda: minimum() == 2)
    held.scaler("shop", RISING, actuation="HPAFloor", forecast=AHEAD)
    wait_for(lambda: minimum() >= 14)


def test_it_gets_its_minimum_back_when_the_resource_is_deleted(held, minimum, wait_for):
    held.kubectl("delete", "pscaler", "shop")
    wait_for(lambda: minimum() == 2)


def test_an_operator_that_starts_gives_back_what_was_left_behind(
    held, operator, make_operator, minimum, wait_for
):
    operator.kill()
    held.kubectl("delete", "pscaler", "shop")
    assert minimum() >= 14
    make_operator().start()
    wait_for(lambda: minimum() == 2)
