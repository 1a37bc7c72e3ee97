"""From autoscalers to PredictiveScalers and back.

What leaves here is held against the API's own models; that the API server takes it too is shown in
tests/e2e/test_adopt.py.
"""

import json

import pytest

from foretide.operator.api.forecast import ForecastSpec
from foretide.operator.api.metrics import MetricSpec
from foretide.operator.api.predictivescaler import BehaviorSpec
from foretide.operator.hpa_adopt import ADOPTED_FROM, Wishes, adopt
from foretide.operator.hpa_back import give_back
from foretide.operator.hpa_floor import Kind
from foretide.operator.hpa_metrics import CannotAdopt

QUERY = 'sum(rate(http_requests_total{app="shop"}[2m]))'
RULES = {
    "scaleUp": {
        "stabilizationWindowSeconds": 30,
        "selectPolicy": "Min",
        "policies": [{"type": "Pods", "value": 4, "periodSeconds": 60}],
        "tolerance": "50m",
    },
    "scaleDown": {"stabilizationWindowSeconds": 600, "policies": None},
}


def hpa(*metrics, **spec):
    reference = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "shop"}
    bounds = {"minReplicas": 2, "maxReplicas": 30}
    return {
        "metadata": {"name": "shop-hpa", "namespace": "web", "uid": "u", "resourceVersion": "1"},
        "spec": {"scaleTargetRef": reference, **bounds, "metrics": list(metrics), **spec},
    }


def scaled_object(*triggers, **spec):
    spec = {"scaleTargetRef": {"name": "shop"}, "triggers": list(triggers), **spec}
    return {"metadata": {"name": "shop-keda", "namespace": "web"}, "spec": spec}


def external(name="requests", **target):
    target = target or {"type": "AverageValue", "averageValue": "70"}
    return {"type": "External", "external": {"metric": {"name": name}, "target": target}}


def cpu(name="cpu", kind="Resource", **target):
    target = target or {"type": "Utilization", "averageUtilization": 65}
    extra = {"container": "app"} if kind == "ContainerResource" else {}
    return {"type": kind, kind[0].lower() + kind[1:]: {"name": name, **extra, "target": target}}


def prometheus(**fields):
    given = {"serverAddress": "http://u:secret@prom:9090", "query": QUERY, "threshold": "70"}
    return {"type": "prometheus", "metadata": given, **fields}


def from_hpa(*metrics, wishes=None, **spec):
    return adopt(hpa(*metrics, **spec), Kind.HPA, wishes or Wishes())


def from_keda(*triggers, wishes=None, **spec):
    return adopt(scaled_object(*triggers, **spec), Kind.SCALED_OBJECT, wishes or Wishes())


def only_metric(adopted):
    (entry,) = adopted.manifest["spec"]["metrics"]
    MetricSpec.model_validate(entry)
    return entry


def problems(make, *arguments, **options):
    with pytest.raises(CannotAdopt) as raised:
        make(*arguments, **options)
    return raised.value.problems


def test_an_hpa_by_utilisation_is_carried_over_as_it_is():
    manifest = from_hpa(cpu(), behavior=RULES).manifest
    assert manifest["kind"] == "PredictiveScaler"
    assert (manifest["metadata"]["name"], manifest["metadata"]["namespace"]) == ("shop-hpa", "web")
    assert manifest["spec"] == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "shop"},
        "minReplicas": 2,
        "maxReplicas": 30,
        "mode": "Recommend",
        "metrics": [
            {"name": "cpu", "type": "Resource", "resource": "cpu", "targetUtilization": 0.65}
        ],
        "forecast": {"leadTime": "3m"},
        "behavior": {
            "scaleUp": {**RULES["scaleUp"], "tolerance": 0.05},
            "scaleDown": {"stabilizationWindowSeconds": 600},
        },
    }
    BehaviorSpec.model_validate(manifest["spec"]["behavior"])


@pytest.mark.parametrize(
    ("metric", "entry"),
    [
        (
            cpu("memory", averageValue="700Mi"),
            {"resource": "memory", "perReplica": "1048576000", "targetUtilization": 0.7},
        ),
        (
            cpu(kind="ContainerResource", averageUtilization=150),
            {"resource": "cpu", "container": "app", "targetUtilization": 1.5},
        ),
    ],
)
def test_other_resource_targets(metric, entry):
    found = only_metric(from_hpa(metric))
    assert {**entry, "type": "Resource", "name": found["name"]} == found


def test_a_metric_without_a_query_is_asked_for():
    (problem,) = problems(from_hpa, external())
    assert "--metric requests='PROMQL'" in problem
    assert "--per-replica" not in problem
    assert "--skip requests" in problem


def test_every_missing_query_is_told_at_once():
    pods = {
        "type": "Pods",
        "pods": {"metric": {"name": "conns"}, "target": {"averageValue": "9"}},
    }
    thing = {
        "type": "Object",
        "object": {
            "describedObject": {"kind": "Ingress", "name": "x"},
            "metric": {"name": "hits"},
            "target": {"type": "Value", "value": "1k"},
        },
    }
    found = problems(from_hpa, external(), pods, thing, cpu("hugepages"))
    names = [problem.split(" ")[0] for problem in found]
    assert names == ["requests", "conns", "hits", "hugepages"]
    assert "--per-replica hits=QUANTITY" in found[2]


def test_the_target_for_each_pod_is_a_share_of_the_safe_load():
    adopted = from_hpa(external(), wishes=Wishes(queries={"requests": QUERY}))
    assert only_metric(adopted) == {
        "name": "requests",
        "type": "Prometheus",
        "query": QUERY,
        "source": "default",
        "perReplica": "100",
        "targetUtilization": 0.7,
    }
    note, _ = adopted.notes
    assert "70 for each pod is taken for 70% of what a pod carries" in note


def test_a_safe_load_that_is_known_needs_no_assumption():
    wishes = Wishes(
        queries={"requests": QUERY},
        per_replica={"requests": 0.25},
        target_utilization=0.5,
        lead_time="90s",
    )
    adopted = from_hpa(external(), wishes=wishes)
    entry = only_metric(adopted)
    assert (entry["perReplica"], entry["targetUtilization"]) == ("0.25", 0.5)
    assert adopted.notes == ()


def test_the_lead_time_is_in_the_manifest_and_a_guess_is_told():
    adopted = from_hpa(cpu())
    forecast = adopted.manifest["spec"]["forecast"]
    assert ForecastSpec.model_validate(forecast) == ForecastSpec()
    (note,) = adopted.notes
    assert "--lead-time DURATION" in note
    adopted = from_hpa(cpu(), wishes=Wishes(lead_time="90s"))
    assert adopted.manifest["spec"]["forecast"] == {"leadTime": "90s"}
    assert adopted.notes == ()


def test_a_target_for_the_whole_needs_to_be_told_what_a_replica_carries():
    metric = external(type="Value", value="100")
    (problem,) = problems(from_hpa, metric, wishes=Wishes(queries={"requests": QUERY}))
    assert "give --per-replica requests=QUANTITY" in problem
    known = Wishes(queries={"requests": QUERY}, per_replica={"requests": 9})
    assert only_metric(from_hpa(metric, wishes=known))["perReplica"] == "9"


def test_a_metric_can_be_left_out_but_not_all_of_them():
    skip = Wishes(skip=frozenset({"requests"}), lead_time="90s")
    adopted = from_hpa(cpu(), external(), wishes=skip)
    assert only_metric(adopted)["name"] == "cpu"
    assert adopted.notes == ("requests is left out, as you asked",)
    (problem,) = problems(from_hpa, external(), wishes=skip)
    assert "no metric that is left" in problem


def test_a_name_that_no_metric_has_is_a_mistake():
    (problem,) = problems(from_hpa, cpu(), wishes=Wishes(queries={"request": QUERY}))
    assert problem == "HorizontalPodAutoscaler shop-hpa has no metric request; it has: cpu"


def test_metrics_of_one_name_are_told_apart():
    wishes = Wishes(queries={"requests": QUERY, "requests-2": f"{QUERY} * 2"})
    metrics = from_hpa(external(), external(), wishes=wishes).manifest["spec"]["metrics"]
    assert [metric["name"] for metric in metrics] == ["requests", "requests-2"]
    assert metrics[1]["query"].endswith("* 2")


def test_a_prometheus_trigger_brings_its_query_along():
    adopted = from_keda(prometheus())
    entry = only_metric(adopted)
    assert (entry["name"], entry["query"], entry["perReplica"]) == ("s0-prometheus", QUERY, "100")
    spec = adopted.manifest["spec"]
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"}
    assert spec["scaleTargetRef"] == target
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 100)
    assert any("actuation HPAFloor" in note for note in adopted.notes)


def test_the_address_that_keda_asks_is_told_without_its_password():
    adopted = from_keda(prometheus(), minReplicaCount=1)
    assert any("Prometheus at prom:" in note for note in adopted.notes)
    assert "secret" not in json.dumps(adopted.manifest) + " ".join(adopted.notes)


@pytest.mark.parametrize(
    ("trigger", "entry"),
    [
        (
            {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "60"}},
            {"resource": "cpu", "targetUtilization": 0.6},
        ),
        (
            {"type": "cpu", "metadata": {"type": "Utilization", "value": "60"}},
            {"resource": "cpu", "targetUtilization": 0.6},
        ),
        (
            {
                "type": "memory",
                "name": "heap",
                "metricType": "AverageValue",
                "metadata": {"value": "700Mi", "containerName": "app"},
            },
            {"resource": "memory", "container": "app", "perReplica": "1048576000"},
        ),
    ],
)
def test_triggers_of_cpu_and_memory(trigger, entry):
    assert entry.items() <= only_metric(from_keda(trigger)).items()


def test_other_triggers_are_told_and_a_schedule_is_no_metric():
    triggers = [
        {"type": "rabbitmq", "metadata": {"queueName": "orders", "host": "amqp://u:secret@mq"}},
        {"type": "cron", "name": "night", "metadata": {"start": "0 20 * * *"}},
        prometheus(metricType="Value"),
    ]
    found = problems(from_keda, *triggers)
    assert found[0].startswith("s0-rabbitmq (rabbitmq)")
    assert "recurring event" in found[1]
    assert "--skip night" in found[1]
    assert "--per-replica s2-prometheus=QUANTITY" in found[2]
    assert "secret" not in " ".join(found)


def test_what_keda_has_and_foretide_has_not_is_told():
    adopted = from_keda(
        prometheus(),
        minReplicaCount=2,
        fallback={"failureThreshold": 3, "replicas": 6},
        advanced={
            "scalingModifiers": {"formula": "a + b"},
            "horizontalPodAutoscalerConfig": {"behavior": RULES},
        },
    )
    said = " ".join(adopted.notes)
    assert "formula is not carried over" in said
    assert "fallback is not needed" in said
    assert adopted.manifest["spec"]["behavior"]["scaleUp"]["selectPolicy"] == "Min"


def test_a_figure_that_cannot_be_read_is_named():
    assert "'lots'" in problems(from_hpa, external(averageValue="lots"))[0]


def created(adopted):
    """The manifest as the API server would give it back."""
    return json.loads(json.dumps(adopted.manifest))


def test_there_and_back_again():
    selector = {"matchLabels": {"queue": "orders"}}
    metric = external(averageValue="33")
    metric["external"]["metric"]["selector"] = selector
    before = hpa(cpu(), metric, cpu(kind="ContainerResource"), behavior=RULES)
    wishes = Wishes(name="other", queries={"requests": QUERY})
    back = give_back(created(adopt(before, Kind.HPA, wishes)))
    after = back.manifest
    assert back.notes == ()
    assert (after["apiVersion"], after["kind"]) == ("autoscaling/v2", "HorizontalPodAutoscaler")
    assert after["metadata"] == {"name": "shop-hpa", "namespace": "web"}
    for field in ("scaleTargetRef", "minReplicas", "maxReplicas"):
        assert after["spec"][field] == before["spec"][field]
    assert after["spec"]["metrics"][0] == cpu()
    source = after["spec"]["metrics"][1]["external"]
    assert source["metric"] == {"name": "requests", "selector": selector}
    assert source["target"] == {"type": "AverageValue", "averageValue": "33"}
    assert after["spec"]["metrics"][2] == cpu(kind="ContainerResource")
    assert after["spec"]["behavior"]["scaleUp"] == {**RULES["scaleUp"], "tolerance": "0.05"}


@pytest.mark.parametrize("value", ["33", "100", "1", "7", "123456789", "0.001", "3500m", "90Mi"])
def test_targets_survive_the_way_there_and_back(value):
    wishes = Wishes(queries={"requests": QUERY})
    there = created(from_hpa(external(averageValue=value), wishes=wishes))
    (metric,) = give_back(there).manifest["spec"]["metrics"]
    expected = {"3500m": "3.5", "90Mi": "94371840"}.get(value, value)
    assert metric["external"]["target"]["averageValue"] == expected


def scaler(*metrics, **annotations):
    return {
        "metadata": {"name": "shop", "namespace": "web", "annotations": annotations},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
            "minReplicas": 3,
            "maxReplicas": 9,
            "metrics": list(metrics),
            "behavior": {"scaleUp": {}, "scaleDown": {"tolerance": 0.2}},
        },
    }


def test_a_query_of_a_scaler_that_was_not_adopted_needs_an_adapter():
    back = give_back(scaler({"query": QUERY, "perReplica": "500m", "targetUtilization": 0.5}))
    (metric,) = back.manifest["spec"]["metrics"]
    assert metric["external"] == {
        "metric": {"name": "demand-0"},
        "target": {"type": "AverageValue", "averageValue": "0.25"},
    }
    assert back.manifest["spec"]["behavior"] == {"scaleDown": {"tolerance": "0.2"}}
    assert "adapter has to serve the external metric demand-0" in back.notes[0]


def test_a_value_target_comes_back_as_it_was():
    metric = external(type="Value", value="100")
    known = Wishes(queries={"requests": QUERY}, per_replica={"requests": 9})
    (after,) = give_back(created(from_hpa(metric, wishes=known))).manifest["spec"]["metrics"]
    assert after == metric


def test_with_keda_the_queries_come_along():
    resource = {"name": "cpu", "type": "Resource", "resource": "cpu", "targetUtilization": 0.6}
    query = {"name": "load", "query": QUERY, "perReplica": 100}
    back = give_back(scaler(query, resource), prometheus="http://prom:9090")
    assert back.manifest["kind"] == "ScaledObject"
    spec = back.manifest["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (3, 9)
    assert spec["triggers"] == [
        {
            "type": "prometheus",
            "name": "load",
            "metadata": {
                "serverAddress": "http://prom:9090",
                "query": QUERY,
                "threshold": "70",
            },
        },
        {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "60"}},
    ]
    assert spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    again = adopt(back.manifest, Kind.SCALED_OBJECT, Wishes()).manifest["spec"]
    assert [metric["name"] for metric in again["metrics"]] == ["load", "s1-cpu"]
    assert again["metrics"][0]["perReplica"] == "100"


def test_what_no_hpa_can_do_is_refused():
    backlog = {"name": "queue", "type": "Backlog", "query": QUERY, "drainWithin": "5m"}
    curve = {"query": QUERY, "loadCurve": [{"replicas": 1, "load": 9}]}
    found = problems(give_back, scaler(backlog, curve))
    assert found[0].startswith("queue: a backlog")
    assert found[1].startswith("demand-1: a load curve")


@pytest.mark.parametrize(
    "noted",
    [
        "no json",
        "[]",
        '{"kind":"HorizontalPodAutoscaler","metrics":[]}',
        '{"metrics":{"load":{"type":"External"}}}',
        '{"metrics":{"load":{"type":"External","external":{"target":"x"}}}}',
        '{"metrics":{"load":7}}',
    ],
)
def test_a_note_that_cannot_be_read_counts_as_none(noted):
    metric = {"name": "load", "query": QUERY, "perReplica": "10"}
    back = give_back(scaler(metric, **{ADOPTED_FROM: noted}))
    assert back.manifest["metadata"]["name"] == "shop"
    assert back.manifest["spec"]["metrics"][0]["external"]["metric"] == {"name": "load"}
