"""From a spec to the policy that decides. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from foretide.forecasting.behavior import Behavior
from foretide.forecasting.decision import MetricPolicy, ScalingPolicy
from foretide.forecasting.promql import longest_range

from .api.metrics import MetricSpec, MetricType
from .api.predictivescaler import PredictiveScalerSpec


@dataclass(frozen=True, slots=True)
class SafeLoad:
    """What a pod's requests say of a `Resource` metric: see `resource_demand`.

    `per_replica` is in cores or bytes, `target_utilization` a share of it (0-1].
    """

    per_replica: float
    target_utilization: float


def to_policy(spec: PredictiveScalerSpec) -> ScalingPolicy:
    """What the decision needs of a spec.

    What a pod requests is not known here: see `with_safe_loads`.
    """
    return ScalingPolicy(
        min_replicas=spec.min_replicas,
        max_replicas=spec.max_replicas,
        lead_time=spec.forecast.lead_time,
        behavior=_behavior(spec),
        metrics=tuple(map(_metric, spec.metric_names, spec.metrics)),
        cost=spec.cost_guard.policy(),
        slo=None if spec.slo is None else spec.slo.policy(),
    )


def with_safe_loads(policy: ScalingPolicy, loads: Mapping[str, SafeLoad]) -> ScalingPolicy:
    """The policy with what the pods request in it, by the names of the metrics."""
    if not loads:
        return policy
    metrics = tuple(
        replace(
            metric,
            per_replica=loads[metric.name].per_replica,
            target_utilization=loads[metric.name].target_utilization,
        )
        if metric.name in loads
        else metric
        for metric in policy.metrics
    )
    return replace(policy, metrics=metrics)


def _metric(name: str, metric: MetricSpec) -> MetricPolicy:
    target = metric.target_utilization
    if metric.load_curve is not None and (curve := metric.curve) is not None:
        return MetricPolicy(name, curve.per_replica, target, curve)
    # Until the requests are known a replica carries whatever comes: the metric asks for nothing.
    per_replica = math.inf if metric.per_replica is None else metric.per_replica
    # HPA allows to plan for more than a request; what is planned for is safe then.
    return MetricPolicy(name, per_replica * max(1.0, target), min(1.0, target))


def _behavior(spec: PredictiveScalerSpec) -> Behavior:
    """The behavior that was asked for, with a longer look back for scaling down where needed.

    So that a metric that dies is not taken for less demand.
    """
    fading = max(longest_range(query) for metric in spec.metrics for query in _asked(metric))
    return spec.behavior.rules().outlasting(fading)


def _asked(metric: MetricSpec) -> tuple[str, ...]:
    """The queries that say what demand is now; a `Resource` only has one for its history."""
    if metric.type is MetricType.RESOURCE:
        return ("",)
    return metric.query or "", metric.arrival_query or ""
