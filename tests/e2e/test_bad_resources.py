"""Resources that cannot work are refused at admission or end in a condition."""

import pytest


def metric(**changes):
    return {"query": "vector(1)", "perReplica": 10, **changes}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"minReplicas": 9, "maxReplicas": 3}, "minReplicas must not be greater"),
        ({"maxReplicas": 0}, "maxReplicas"),
        ({"mode": "auto"}, "mode"),
        ({"metrics": []}, "metrics"),
        ({"metrics": [metric(perReplica=-5)]}, "perReplica"),
        ({"metrics": [metric(perReplica="0")]}, "perReplica"),
        ({"metrics": [metric(perReplica="-1k")]}, "perReplica"),
        ({"metrics": [metric(perReplica="many")]}, "perReplica"),
        ({"metrics": [metric(query="x" * 10_000)]}, "query"),
        ({"metrics": [metric(query="  ")]}, "query"),
        ({"metrics": [metric(targetUtilization=0)]}, "targetUtilization"),
        ({"metrics": [metric(targetUtilization=7)]}, "targetUtilization"),
        ({"metrics": [metric(staleAfter="soon")]}, "staleAfter"),
        ({"forecast": {"quantile": 2}}, "quantile"),
        ({"behavior": {"scaleUp": {"policies": []}}}, "policies"),
        ({"scaleTargetRef": {"kind": "Deployment", "name": ""}}, "name"),
        ({"scaleTargetRef": {"kind": "Deployment", "name": "../../victim/deployments/x"}}, "name"),
        ({"scaleTargetRef": {"kind": "Deployment", "name": ".."}}, "name"),
        ({"metrics": [metric(name="two\nlines")]}, "name"),
    ],
)
def test_admission_refuses(spec, said, namespace, refused):
    with pytest.raises(refused, match=said):
        namespace.scaler("shop", "vector(1)", **spec)


CONDITIONS = [
    ({"metric": {"query": "sum(rate("}}, "MetricsAvailable", "QueryInvalid"),
    ({"metric": {"source": "elsewhere"}}, "MetricsAvailable", "SourceUnknown"),
    ({"metric": {"query": "-vector(1)"}}, "MetricsAvailable", "NegativeDemand"),
    ({"metric": {"query": '"text"'}}, "MetricsAvailable", "NotAVector"),
    ({"scaleTargetRef": {"kind": "Deployment", "name": "other"}}, "Ready", "TargetNotFound"),
    ({"scaleTargetRef": {"kind": "Nothing", "name": "x"}}, "Ready", "TargetKindUnknown"),
    (
        {"scaleTargetRef": {"apiVersion": "v1", "kind": "Pod", "name": "x"}},
        "Ready",
        "TargetNotScalable",
    ),
    ({"forecast": {"timeZone": "Mars/Olympus"}}, "Ready", "InvalidSpec"),
    ({"forecast": {"minHistory": "30d"}}, "Ready", "InvalidSpec"),
]


def test_a_condition_says_what_admission_cannot_know(namespace, operator):
    for number, (spec, _, _) in enumerate(CONDITIONS):
        namespace.deployment(f"shop-{number}", 2)
        namespace.scaler(f"shop-{number}", "vector(1)", **spec)
    for number, (_, kind, reason) in enumerate(CONDITIONS):
        namespace.await_condition(f"shop-{number}", kind, "False", reason)
    operator.await_ticks(2 * len(CONDITIONS))
    for number in range(len(CONDITIONS)):
        assert namespace.replicas(f"shop-{number}") == 2
    # The operator is well, and mended resources are picked up.
    namespace.kubectl("delete", "pscaler", "--all")
    for number in range(len(CONDITIONS)):
        namespace.scaler(f"shop-{number}", "vector(70)")
    for number in range(len(CONDITIONS)):
        # 10 with headroom, 7 once a forecast is there: a constant is easy to forecast.
        namespace.await_replicas(f"shop-{number}", lambda replicas: replicas in (7, 10))
