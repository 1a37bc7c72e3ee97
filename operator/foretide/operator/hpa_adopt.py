"""From an HPA, or KEDA's ScaledObject, to a PredictiveScaler in mode Recommend. Pure.

What the autoscaler says is carried over as it is; what it does not say is asked for. An HPA knows a
metric by a name that some adapter serves, and Foretide asks Prometheus itself, so that a query has
to come from somebody.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .api.crds import GROUP, VERSION
from .hpa_floor import Kind
from .hpa_metrics import (
    Body,
    CannotAdopt,
    ScaledBy,
    metric_name,
    metrics_of,
    number,
    plain,
    unlike,
)

# What a PredictiveScaler was made from, for the way back.
ADOPTED_FROM = "foretide.dev/adopted-from"

# No autoscaler says how long pods take to start, and it is what a forecast needs to know: the
# default is spelled out, so that it is seen.
_LEAD_TIME = "3m"
_GUESSED = (
    f"forecast.leadTime is {_LEAD_TIME}, which is a guess: say how long new pods take to become "
    "ready with --lead-time DURATION. It holds until enough starts have been measured"
)

_RULE_FIELDS = ("stabilizationWindowSeconds", "selectPolicy", "policies", "tolerance")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user says beside the autoscaler.

    `queries` and `per_replica` are by the autoscaler's name of the metric, as is `skip`.
    `target_utilization` is the share of a replica's safe load for which the autoscaler's target is
    taken, `lead_time` how long new pods take to become ready (a duration; None is not known).
    """

    name: str = ""
    source: str = "default"
    target_utilization: float = 0.7
    lead_time: str | None = None
    queries: Mapping[str, str] = field(default_factory=dict)
    per_replica: Mapping[str, float] = field(default_factory=dict)
    skip: frozenset[str] = frozenset()

    @property
    def named(self) -> set[str]:
        """All metrics that they speak of."""
        return {*self.queries, *self.per_replica, *self.skip}


@dataclass(frozen=True, slots=True)
class Adopted:
    """A manifest to be created, and what the user should know of it."""

    manifest: Body
    notes: tuple[str, ...] = ()


def adopt(body: Body, kind: Kind, wishes: Wishes) -> Adopted:
    """The PredictiveScaler that stands beside this HPA or ScaledObject and changes nothing.

    Raises:
        CannotAdopt: a metric cannot be carried over without more from the user.
    """
    spec, meta = body["spec"], body["metadata"]
    metrics = metrics_of(kind, spec)
    entries = _entries(f"{kind} {meta['name']}", metrics, wishes)
    origin: dict[str, Any] = {"kind": str(kind), "name": meta["name"]}
    if kind is Kind.HPA:  # a trigger may hold credentials, and KEDA's object stays anyway
        origin["metrics"] = {entry["name"]: metric.spec for metric, entry in entries}
    manifest = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "PredictiveScaler",
        "metadata": {
            "name": wishes.name or meta["name"],
            "namespace": meta["namespace"],
            "annotations": {ADOPTED_FROM: json.dumps(origin, separators=(",", ":"))},
        },
        "spec": {
            "scaleTargetRef": _target(spec),
            "minReplicas": max(_minimum(spec, kind), 1),
            "maxReplicas": spec.get(kind.fields[1], 100),
            "mode": "Recommend",
            "metrics": [entry for _, entry in entries],
            "forecast": {"leadTime": wishes.lead_time or _LEAD_TIME},
            **({"behavior": behavior} if (behavior := _behavior(spec, kind)) else {}),
        },
    }
    skipped = [f"{name} is left out, as you asked" for name in sorted(wishes.skip)]
    assumed = [_assumed(metric, wishes) for metric, entry in entries if "query" in entry]
    guessed = () if wishes.lead_time else (_GUESSED,)
    return Adopted(
        manifest, (*skipped, *filter(None, assumed), *guessed, *_not_carried(spec, kind))
    )


def _entries(
    whose: str, metrics: list[ScaledBy], wishes: Wishes
) -> list[tuple[ScaledBy, dict[str, Any]]]:
    """The metrics with their entries in `spec.metrics`."""
    entries: dict[str, tuple[ScaledBy, dict[str, Any]]] = {}
    problems = []
    for metric in metrics:
        if metric.name in wishes.skip:
            continue
        entry = _resource_entry(metric, wishes) or _query_entry(metric, wishes)
        if isinstance(entry, str):
            problems.append(entry)
            continue
        name = unlike(metric_name(metric.name), entries)
        entries[name] = (metric, {"name": name, **entry})
    names = [metric.name for metric in metrics]
    if unknown := sorted(wishes.named - set(names)):
        has = ", ".join(names) or "none"
        problems.append(f"{whose} has no metric {', '.join(unknown)}; it has: {has}")
    if not entries and not problems:
        problems.append(f"{whose} has no metric that is left to scale by")
    if problems:
        raise CannotAdopt(problems)
    return list(entries.values())


def _resource_entry(metric: ScaledBy, wishes: Wishes) -> dict[str, Any] | None:
    """The entry for a resource, None for any other metric."""
    if metric.resource is None:
        return None
    entry: dict[str, Any] = {"type": "Resource", "resource": metric.resource}
    if metric.container:
        entry["container"] = metric.container
    if metric.utilization is not None:
        return {**entry, "targetUtilization": metric.utilization}
    share = wishes.target_utilization
    per_replica = wishes.per_replica.get(metric.name, (metric.average or 0.0) / share)
    return {**entry, "perReplica": plain(per_replica), "targetUtilization": share}


def _query_entry(metric: ScaledBy, wishes: Wishes) -> dict[str, Any] | str:
    """The entry for a PromQL query, or what is missing for it."""
    name = metric.name
    if metric.kind == "cron":
        return (
            f"{name} is a schedule and no metric: declare it as a recurring event of the "
            f"PredictiveScaler, and leave it out here with --skip {name}"
        )
    query = wishes.queries.get(name, metric.query)
    per_replica = wishes.per_replica.get(name)
    if per_replica is None and metric.average is not None:
        per_replica = metric.average / wishes.target_utilization
    more = "" if per_replica is not None else f"--per-replica {name}=QUANTITY"
    if query is None:
        wanted = f"--metric {name}='PROMQL' {more}".strip()
        return (
            f"{name} ({metric.kind}) comes from a place that Foretide does not ask: give {wanted}, "
            f"or leave it out with --skip {name}"
        )
    if per_replica is None:
        return (
            f"{name} ({metric.kind}) has a target for the whole, which does not say what a replica "
            f"carries: give {more}"
        )
    return {
        "type": "Prometheus",
        "query": query,
        "source": wishes.source,
        "perReplica": plain(per_replica),
        "targetUtilization": wishes.target_utilization,
    }


def _assumed(metric: ScaledBy, wishes: Wishes) -> str | None:
    average, share = metric.average, wishes.target_utilization
    if average is None or metric.name in wishes.per_replica:
        return None
    return (
        f"{metric.name}: the target of {plain(average)} for each pod is taken for {share:.0%} of "
        f"what a pod carries safely, which makes perReplica {plain(average / share)}; if you know "
        f"better, say so with --per-replica {metric.name}=QUANTITY"
    )


def _not_carried(spec: Body, kind: Kind) -> list[str]:
    """What has no counterpart."""
    notes = []
    if _minimum(spec, kind) < 1:
        notes.append(
            "Foretide keeps one replica at least: to go on scaling to zero, keep the "
            f"{kind} and use actuation HPAFloor"
        )
    if (spec.get("advanced") or {}).get("scalingModifiers"):
        notes.append(
            "scalingModifiers: the formula is not carried over; here the metric that asks for the "
            "most replicas counts"
        )
    if spec.get("fallback"):
        notes.append("fallback is not needed: without a metric Foretide never takes replicas away")
    for trigger in spec.get("triggers") or ():
        address = urlsplit(str((trigger.get("metadata") or {}).get("serverAddress") or ""))
        if address.hostname:  # and no more of it: an address may hold a password
            notes.append(
                f"KEDA asks the Prometheus at {address.hostname}: the operator's source has to be "
                "the same one"
            )
    return list(dict.fromkeys(notes))


def _minimum(spec: Body, kind: Kind) -> int:
    return int(spec.get(kind.fields[0], 1 if kind is Kind.HPA else 0))


def _behavior(spec: Body, kind: Kind) -> dict[str, Any]:
    if kind is Kind.SCALED_OBJECT:
        spec = (spec.get("advanced") or {}).get("horizontalPodAutoscalerConfig") or {}
    rules: dict[str, Any] = {}
    for direction, given in (spec.get("behavior") or {}).items():
        kept = {key: given[key] for key in _RULE_FIELDS if (given or {}).get(key) is not None}
        if "tolerance" in kept:
            kept["tolerance"] = number(kept["tolerance"])
        if kept:
            rules[direction] = kept
    return rules


def _target(spec: Body) -> dict[str, str]:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment"} | dict(spec["scaleTargetRef"])
    return {key: str(reference[key]) for key in ("apiVersion", "kind", "name")}
