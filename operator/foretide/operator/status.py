"""The status of a PredictiveScaler, built from a decision. Pure.

It is written when something that a person would notice has changed. `noticeable` says what that
is: replica counts, conditions, forecasts, changes. Demand moves at every tick; it is written along
with the rest, and by itself only when it has moved far.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from foretide.forecasting.behavior import Change
from foretide.forecasting.decision import (
    Decision,
    MetricAnswer,
    ScalingPolicy,
    Source,
    replicas_for,
)
from foretide.forecasting.explanation import explain
from foretide.forecasting.forecast import Forecast

from .api.fields import format_duration
from .cluster import Target
from .conditions import timestamp

Json = dict[str, Any]

# Demand that has moved by this factor, and not more often than this (seconds), is news by itself.
_FAR = 1.25
_REFRESH = 300.0


def decision_status(
    decision: Decision,
    policy: ScalingPolicy,
    zero_since: Mapping[str, float],
    *,
    now: float,
) -> Json:
    """`status.decision`."""
    return {
        "time": timestamp(now),
        "source": str(decision.source),
        "proposed": decision.proposed,
        "metric": None if decision.metric is None else decision.answers[decision.metric].name,
        "clampedBy": list(decision.clamped_by) or None,
        "message": explain(decision, policy),
        "metrics": [_metric(answer, zero_since.get(answer.name)) for answer in decision.answers],
    }


def forecast_status(
    forecasts: Iterable[Forecast | None], policy: ScalingPolicy, *, now: float
) -> list[Json] | None:
    """`status.forecasts`, None when there are none."""
    entries = []
    for forecast, metric in zip(forecasts, policy.metrics, strict=True):
        if forecast is None:
            continue
        peak = forecast.next_peak(now)
        entries.append(
            {
                "metric": metric.name,
                "model": forecast.model,
                "quantile": forecast.quantile,
                "fittedAt": timestamp(forecast.fitted_at),
                "validUntil": timestamp(forecast.valid_until),
                "history": format_duration(forecast.history_seconds),
                "points": forecast.history_points,
                "nextPeak": None
                if peak is None
                else {
                    "time": timestamp(peak[0]),
                    "demand": f"{peak[1]:.6g}",
                    "replicas": replicas_for(peak[1], metric.per_replica),
                },
            }
        )
    return entries or None


def replica_status(target: Target, decision: Decision, changes: Iterable[Change]) -> Json:
    """The counts and the changes in `status`."""
    made = [
        {"time": timestamp(change.at), "before": change.before, "after": change.after}
        for change in changes
    ]
    return {
        "currentReplicas": target.replicas,
        "desiredReplicas": decision.desired,
        "readyReplicas": target.ready,
        "unschedulableReplicas": target.unschedulable or None,
        "changes": made or None,
        **({"lastScaleTime": made[-1]["time"]} if made else {}),
    }


def noticeable(status: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a person would notice of a status, to compare with that of the last one written."""
    decision = status.get("decision") or {}
    return (
        status.get("observedGeneration"),
        status.get("currentReplicas"),
        status.get("desiredReplicas"),
        status.get("readyReplicas"),
        status.get("unschedulableReplicas"),
        status.get("lastScaleTime"),
        decision.get("source") in (Source.HELD, Source.DISABLED),
        tuple(
            (condition["type"], condition["status"], condition["reason"])
            for condition in status.get("conditions") or ()
        ),
        tuple(
            (forecast["metric"], forecast["fittedAt"]) for forecast in status.get("forecasts") or ()
        ),
    )


def moved_far(before: Mapping[str, Any], after: Mapping[str, Any], *, age: float) -> bool:
    """Whether demand has left what status says so far behind that it misleads.

    `age` is the time in seconds since status was last written.
    """
    if age < _REFRESH:
        return False
    old, new = _demands(before), _demands(after)
    return old.keys() != new.keys() or any(
        max(old[name], new[name]) > _FAR * min(old[name], new[name]) for name in new
    )


def _demands(status: Mapping[str, Any]) -> dict[str, float]:
    metrics = (status.get("decision") or {}).get("metrics") or ()
    return {metric["name"]: float(metric["demand"]) for metric in metrics if metric.get("demand")}


def _metric(answer: MetricAnswer, zero_since: float | None) -> Json:
    problems = [
        problem.message for problem in (answer.unavailable, answer.untrusted) if problem is not None
    ]
    return {
        "name": answer.name,
        "demand": _figure(answer.demand),
        "reactive": answer.reactive,
        "peak": _figure(answer.peak),
        "predicted": answer.predicted,
        "message": "; ".join(problems)[:512] or None,
        "zeroSince": None if zero_since is None else timestamp(zero_since),
    }


def _figure(value: float | None) -> str | None:
    return None if value is None or not math.isfinite(value) else f"{value:.6g}"
