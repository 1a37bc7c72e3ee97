"""Kinds that are not Kubernetes' own: targets with a scale subresource, KEDA's owners."""

import json

SCHEMA = {
    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
}
SCALE = {
    "specReplicasPath": ".spec.size",
    "statusReplicasPath": ".status.size",
    "labelSelectorPath": ".status.selector",
}


def crd(group, kind, version="v1alpha1", **subresources):
    plural = f"{kind.lower()}s"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": SCHEMA,
                    "subresources": subresources,
                }
            ],
        },
    }


def test_any_kind_with_a_scale_subresource_is_scaled(
    namespace, operator, demand, new_kind, wait_for
):
    new_kind(namespace, crd("example.org", "Farm", scale=SCALE))
    namespace.apply(
        {
            "apiVersion": "example.org/v1alpha1",
            "kind": "Farm",
            "metadata": {"name": "farm"},
            "spec": {"size": 2},
        }
    )
    demand.set(70)
    reference = {"apiVersion": "example.org/v1alpha1", "kind": "Farm", "name": "farm"}
    namespace.scaler("farm", demand.query, scaleTargetRef=reference)
    wait_for(lambda: namespace.get("farm", "farm")["spec"]["size"] == 10)


def test_a_scaled_object_is_respected_although_keda_came_later(
    namespace, operator, demand, new_kind
):
    namespace.deployment("shop", 2)
    demand.set(70)
    namespace.scaler("shop", demand.query)
    namespace.await_replicas("shop", 10)
    new_kind(namespace, crd("keda.sh", "ScaledObject"))
    namespace.apply(
        {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": {"name": "queue"},
            "spec": {"scaleTargetRef": {"name": "shop"}},
        }
    )
    namespace.await_condition("shop", "Conflict", "True", "OtherOwner")
    assert "ScaledObject queue" in json.dumps(namespace.status("shop"))
    demand.set(140)
    operator.await_ticks(4)
    assert namespace.replicas("shop") == 10


def test_kubectl_shows_and_explains(namespace, operator, demand, sandbox, wait_for):
    namespace.deployment("shop", 2)
    demand.set(70)
    namespace.scaler("shop", demand.query)
    # A change that is refused, as somebody else writes at the same time, is made by the next tick.
    wait_for(lambda: namespace.status("shop").get("currentReplicas") == 10)
    namespace.await_condition("shop", "Ready", "True")
    header, row = namespace.kubectl("get", "pscaler").strip().splitlines()
    assert header.split() == [
        *("NAME", "TARGET", "MODE", "MIN", "MAX"),
        *("REPLICAS", "DESIRED", "SOURCE", "READY", "AGE"),
    ]
    assert row.split()[:9] == ["shop", "shop", "Auto", "1", "40", "10", "10", "Headroom", "True"]
    for field in ("spec.metrics.perReplica", "spec.forecast.leadTime", "status.decision"):
        explained = sandbox.kubectl("explain", f"pscaler.{field}")
        assert "DESCRIPTION" in explained
        assert "<empty>" not in explained
    assert "v1.35." in sandbox.kubectl("version").split("Server Version")[1]
