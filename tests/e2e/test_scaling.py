"""Scaling a real Deployment on a real API server by a real Prometheus."""

import json
import math


def test_demand_that_will_rise_is_scaled_for_before_it_comes(namespace, operator, wait_for):
    namespace.deployment("shop", 2)
    namespace.scaler(
        "shop",
        'sum(demand_rps{app="rising"})',
        forecast={
            "leadTime": "4h",
            "learnLeadTime": False,
            "refitEvery": "1h",
            "horizon": "6h",
            "history": "4d",
        },
    )
    namespace.await_condition("shop", "ForecastAvailable", "True", within=180)
    # The wave rises from 100 to 169 within the four hours and never above 180; 10 are carried by a
    # replica. HPA would have 15, and the calmest plan keeps 30 % more than is foreseen.
    namespace.await_replicas("shop", lambda replicas: 17 <= replicas <= 24)
    status = wait_for(
        lambda: (status := namespace.status("shop")).get("readyReplicas", 0) >= 17 and status
    )
    assert status["decision"]["source"] == "Forecast"
    figures = status["decision"]["metrics"][0]
    assert figures["predicted"] > figures["reactive"]
    namespace.await_event("ScaledUp")


def test_a_forecast_that_falls_lets_replicas_go(namespace, operator, wave_now):
    namespace.deployment("shop", 30)
    # HPA would ask for 20 at this target; 100 are to be carried when the sandbox starts, and ever
    # less from then on.
    namespace.scaler(
        "shop",
        'sum(demand_rps{app="falling"})',
        metric={"targetUtilization": 0.5},
        forecast={"quantile": 0.9},
    )
    namespace.await_condition("shop", "ForecastAvailable", "True", within=180)
    namespace.await_replicas(
        "shop", lambda replicas: math.ceil(wave_now("falling") / 10) <= replicas <= 15
    )


def test_reactive_life_of_a_workload_without_history(namespace, operator, demand):
    """Create, scale up, hold, scale down."""
    namespace.deployment("shop", 2)
    demand.set(70)
    namespace.scaler("shop", demand.query)
    namespace.await_replicas("shop", 10)  # 70 ÷ 10 at 70 %
    namespace.await_condition("shop", "ForecastAvailable", "False", within=180)
    namespace.await_condition("shop", "ScalingActive", "True")
    with namespace.history("shop") as record:
        operator.await_ticks(5)
    assert set(record.seen) == {10}
    demand.set(21)
    namespace.await_replicas("shop", 3)
    namespace.await_event("ScaledDown")


def test_nothing_is_written_while_nothing_changes(namespace, operator, demand, wait_for):
    namespace.deployment("shop", 2)
    demand.set(70)
    namespace.scaler("shop", demand.query)
    wait_for(lambda: namespace.status("shop").get("readyReplicas") == 10)
    # The first fit has been.
    namespace.await_condition("shop", "ForecastAvailable", "False", within=180)
    operator.await_ticks(2)
    version = namespace.get("pscaler", "shop")["metadata"]["resourceVersion"]
    operator.await_ticks(8)
    assert namespace.get("pscaler", "shop")["metadata"]["resourceVersion"] == version


def test_recommend_and_paused_change_nothing(namespace, operator, demand, wait_for):
    namespace.deployment("shop", 2)
    demand.set(70)
    with namespace.history("shop") as record:
        namespace.scaler("shop", demand.query, mode="Recommend")
        wait_for(lambda: namespace.status("shop").get("desiredReplicas") == 10)
        namespace.await_condition("shop", "ScalingActive", "False", "Recommend")
        namespace.scaler("shop", demand.query, mode="Paused")
        namespace.await_condition("shop", "ScalingActive", "False", "Paused")
        operator.await_ticks(4)
    assert set(record.seen) == {2}


def test_a_statefulset_is_scaled_too(namespace, operator, demand, wait_for):
    labels = {"app": "db"}
    namespace.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "db"},
            "spec": {
                "replicas": 1,
                "serviceName": "db",
                "podManagementPolicy": "Parallel",
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "db", "image": "example.invalid/db:1"}]},
                },
            },
        }
    )
    demand.set(21)
    namespace.scaler("db", demand.query, scaleTargetRef={"kind": "StatefulSet", "name": "db"})
    wait_for(lambda: namespace.get("statefulset", "db")["spec"]["replicas"] == 3)


def test_a_rollout_of_the_target_is_no_reason_to_scale(namespace, operator, demand, wait_for):
    namespace.deployment("shop", 10)
    demand.set(70)
    namespace.scaler("shop", demand.query)
    wait_for(lambda: namespace.status("shop").get("readyReplicas") == 10)
    with namespace.history("shop") as record:
        namespace.kubectl("set", "image", "deployment/shop", "app=example.invalid/app:2")
        namespace.kubectl("rollout", "status", "deployment/shop", "--timeout=180s")
        operator.await_ticks(2)
    assert set(record.seen) == {10}


def test_pods_that_no_node_has_room_for_are_reported_and_add_no_more(
    namespace, operator, demand, wait_for
):
    namespace.deployment("shop", 2, resources={"requests": {"cpu": "9"}})
    demand.set(70)  # 10 replicas of 9 CPUs do not fit on two nodes of 16
    namespace.scaler("shop", demand.query)
    namespace.await_condition("shop", "ScalingLimited", "True", "NoRoomOnNodes")
    # The two that fit may become ready after the eight were found to have no room.
    wait_for(
        lambda: (
            (status := namespace.status("shop")).get("unschedulableReplicas") == 8
            and status.get("readyReplicas") == 2
        ),
        what=lambda: json.dumps(namespace.status("shop")),
    )
    operator.await_ticks(4)
    assert namespace.replicas("shop") == 10


def test_a_target_that_is_deleted_and_comes_back(namespace, operator, demand):
    namespace.deployment("shop", 2)
    demand.set(70)
    namespace.scaler("shop", demand.query)
    namespace.await_replicas("shop", 10)
    namespace.kubectl("delete", "deployment", "shop")
    namespace.await_condition("shop", "Ready", "False", "TargetNotFound")
    namespace.deployment("shop", 2)
    namespace.await_replicas("shop", 10)
    namespace.await_condition("shop", "Ready", "True")
    # No finalizer holds the resource back.
    namespace.kubectl("delete", "pscaler", "shop", "--timeout=30s")


def test_the_kill_switch_acts_at_once_and_only_while_it_is_on(namespace, operator, demand):
    namespace.deployment("shop", 2)
    demand.set(70)
    operator.configure(killSwitch=True)
    namespace.scaler("shop", demand.query)
    namespace.await_condition("shop", "ScalingActive", "False", "KillSwitch")
    assert namespace.replicas("shop") == 2
    operator.configure(killSwitch=False)
    namespace.await_replicas("shop", 10)
