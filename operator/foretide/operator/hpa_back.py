"""From a PredictiveScaler back to an HPA, or to KEDA's ScaledObject. Pure."""

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from .hpa_adopt import ADOPTED_FROM, Adopted
from .hpa_floor import Kind
from .hpa_metrics import Body, CannotAdopt, number, part_name, plain


def give_back(scaler: Body, *, name: str = "", prometheus: str = "") -> Adopted:
    """The HPA that does what this PredictiveScaler does without a forecast.

    One that was adopted from an HPA gets that HPA's metrics, with today's targets. With the address
    of a `prometheus` it is a ScaledObject, whose triggers carry the queries along.

    Raises:
        CannotAdopt: no HPA can scale by such a metric.
    """
    spec, origin = scaler["spec"], _origin(scaler)
    kind = Kind.SCALED_OBJECT if prometheus else Kind.HPA
    named = [
        (metric.get("name") or f"demand-{place}", metric)
        for place, metric in enumerate(spec["metrics"])
    ]
    if problems := [problem for called, metric in named if (problem := _problem(called, metric))]:
        raise CannotAdopt(problems)
    least, most = kind.fields
    bounds = {least: spec.get("minReplicas", 1), most: spec["maxReplicas"]}
    behavior, notes = _behavior(spec), []
    if kind is Kind.HPA:
        former = _former_metrics(origin)
        body: dict[str, Any] = {
            "metrics": [_metric(called, metric, former.get(called)) for called, metric in named]
        }
        if behavior:
            body["behavior"] = behavior
        notes = [
            f"{called}: an HPA cannot ask Prometheus; an adapter has to serve the external metric "
            f"{called} for: {metric['query']} (or give --keda URL, for a ScaledObject)"
            for called, metric in named
            if not metric.get("resource") and called not in former
        ]
    else:
        body = {"triggers": [_trigger(called, metric, prometheus) for called, metric in named]}
        if behavior:
            body["advanced"] = {"horizontalPodAutoscalerConfig": {"behavior": behavior}}
    former_name = str(origin.get("name", "")) if origin.get("kind") == kind else ""
    manifest = {
        "apiVersion": kind.resource[0],
        "kind": str(kind),
        "metadata": {
            "name": name or former_name or scaler["metadata"]["name"],
            "namespace": scaler["metadata"]["namespace"],
        },
        "spec": {"scaleTargetRef": dict(spec["scaleTargetRef"]), **bounds, **body},
    }
    return Adopted(manifest, tuple(notes))


def _problem(called: str, metric: Body) -> str | None:
    """Why no HPA can scale by a metric."""
    if metric.get("type") == "Backlog":
        return f"{called}: a backlog has no counterpart in an HPA"
    if metric.get("loadCurve"):
        return f"{called}: a load curve has no counterpart in an HPA; give perReplica instead"
    return None


def _origin(scaler: Body) -> Mapping[str, Any]:
    """What adopting has noted; what cannot be read counts as nothing."""
    annotations = scaler["metadata"].get("annotations") or {}
    with contextlib.suppress(ValueError):
        noted = json.loads(annotations.get(ADOPTED_FROM) or "{}")
        if isinstance(noted, dict):
            return noted
    return {}


def _former_metrics(origin: Mapping[str, Any]) -> dict[str, Body]:
    """The HPA's metrics by the names that they have now."""
    noted, found = origin.get("metrics"), {}
    for called, entry in (noted if isinstance(noted, dict) else {}).items():
        with contextlib.suppress(KeyError, TypeError, ValueError):
            dict(entry[part_name(entry)]["target"])
            found[called] = entry
    return found


def _planned(metric: Body) -> str:
    """The load that is planned for each pod, in thousandths at the finest."""
    share = metric.get("targetUtilization", 0.7)
    return plain(round(number(metric["perReplica"]) * share, 3))


def _resource(metric: Body) -> dict[str, Any]:
    source: dict[str, Any] = {"name": metric["resource"], "target": _resource_target(metric)}
    if container := metric.get("container"):
        source["container"] = container
        return {"type": "ContainerResource", "containerResource": source}
    return {"type": "Resource", "resource": source}


def _resource_target(metric: Body) -> dict[str, Any]:
    if metric.get("perReplica") is not None:
        return {"type": "AverageValue", "averageValue": _planned(metric)}
    used = round(metric.get("targetUtilization", 0.7) * 100)
    return {"type": "Utilization", "averageUtilization": used}


def _metric(called: str, metric: Body, former: Body | None) -> dict[str, Any]:
    if metric.get("resource"):
        return _resource(metric)
    average = {"type": "AverageValue", "averageValue": _planned(metric)}
    if former is None:
        external = {"metric": {"name": called}, "target": average}
        return {"type": "External", "external": external}
    key = part_name(former)
    target = average if "averageValue" in former[key]["target"] else former[key]["target"]
    return {"type": former["type"], key: {**former[key], "target": target}}


def _trigger(name: str, metric: Body, prometheus: str) -> dict[str, Any]:
    if metric.get("type") != "Resource":
        given = {"serverAddress": prometheus, "query": metric["query"]}
        return {
            "type": "prometheus",
            "name": name,
            "metadata": {**given, "threshold": _planned(metric)},
        }
    target = _resource_target(metric)
    value = target.get("averageUtilization", target.get("averageValue"))
    given = {"value": str(value)}
    if container := metric.get("container"):
        given["containerName"] = container
    return {"type": metric["resource"], "metricType": target["type"], "metadata": given}


def _behavior(spec: Body) -> dict[str, Any]:
    """As in HPA v2, where a tolerance is a quantity."""
    rules: dict[str, Any] = {}
    for direction, given in (spec.get("behavior") or {}).items():
        kept = {key: value for key, value in given.items() if value is not None}
        if "tolerance" in kept:
            kept["tolerance"] = plain(kept["tolerance"])
        if kept:
            rules[direction] = kept
    return rules
