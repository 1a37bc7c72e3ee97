"""The status of a PredictiveScaler, built from what a tick has found. Pure.

It is written when something that a person would notice has changed. `noticeable` says what that
is: replica counts, conditions, forecasts, changes. Demand moves at every tick; it is written along
with the rest, and by itself only when it has moved far. Sums that only grow (what has been spent,
what would have been) are written hourly at least.

What is not there is given as None, as a merge patch leaves alone what it does not name.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from foretide.forecasting.behavior import Change
from foretide.forecasting.decision import NO_LIMIT, Decision, MetricAnswer, Source
from foretide.forecasting.explanation import explain
from foretide.forecasting.slo import SloStep

from .api.fields import ApiModel
from .api.guards import CostGuardStatus
from .api.lead_time import LeadTimeStatus
from .api.shadow import ShadowStatus
from .api.slo import SloStatus
from .api.status import Trust
from .cluster import Target
from .conditions import timestamp
from .limits import MOST_CHANGES
from .report import EventsReport, MetricReport, TickReport
from .status_forecasts import figure, forecasts_status, without_none

Json = dict[str, Any]

# Demand that has moved by this factor, and not more often than this (seconds), is news by itself.
_FAR = 1.25
_REFRESH = 300.0
_HOURLY = 3_600.0
# A lead time that has changed by less is the same to people (seconds).
_LEAD_STEP = 30.0
# With ten metrics, each of which has something to complain of, status stays below 32 kB.
_LONGEST_MESSAGE = 400
_LONGEST_METRIC_MESSAGE = 140
_LONGEST_EVENT = 120


def build_status(report: TickReport) -> Json:
    """All of a status but `observedGeneration` and the conditions."""
    return {
        **_replicas(report.target, report.decision),
        **_changes(report.changes, report.floor_changes),
        "decision": _decision(report),
        "forecasts": forecasts_status(report.metrics, report.policy.metrics, now=report.now),
        "leadTime": None
        if report.lead is None
        else _dump(LeadTimeStatus.of(report.lead.lead, report.lead.seconds, report.lead.history)),
        "events": None if report.events is None else _events(report.events),
        "costGuard": _cost_guard(report),
        "slo": _slo(report),
        "shadow": None
        if report.shadow is None
        else _dump(ShadowStatus.of(report.shadow, report.now)),
    }


def noticeable(status: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a person would notice of a status, to compare with that of the last one written."""
    decision = status.get("decision") or {}
    lead = status.get("leadTime") or {}
    slo = status.get("slo") or {}
    events = status.get("events") or {}
    return (
        status.get("observedGeneration"),
        status.get("currentReplicas"),
        status.get("desiredReplicas"),
        status.get("readyReplicas"),
        status.get("unschedulableReplicas"),
        status.get("lastScaleTime"),
        (status.get("floorChanges") or [{}])[-1].get("time"),
        decision.get("source") in (Source.HELD, Source.DISABLED),
        tuple(
            (condition["type"], condition["status"], condition["reason"])
            for condition in status.get("conditions") or ()
        ),
        tuple(
            (
                forecast["metric"],
                forecast.get("fittedAt"),
                (forecast.get("lookahead") or {}).get("fittedAt"),
            )
            for forecast in status.get("forecasts") or ()
        ),
        (lead.get("source"), lead.get("scaleUps"), round(lead.get("seconds", 0) / _LEAD_STEP)),
        tuple((event["name"], event["start"]) for event in events.get("ahead") or ()),
        (status.get("costGuard") or {}).get("exhausted"),
        # What a restart must not forget, or replicas would be taken away that were just given back.
        (slo.get("pausedUntil"), tuple(step["time"] for step in slo.get("steps") or ())),
    )


def moved_far(before: Mapping[str, Any], after: Mapping[str, Any], *, age: float) -> bool:
    """Whether figures have left what status says so far behind that it misleads.

    `age` is the time in seconds since status was last written.
    """
    if age < _REFRESH:
        return False
    if age >= _HOURLY and _sums(before) != _sums(after):
        return True
    old, new = _demands(before), _demands(after)
    return old.keys() != new.keys() or any(
        max(old[name], new[name]) > _FAR * min(old[name], new[name]) for name in new
    )


def _sums(status: Mapping[str, Any]) -> tuple[Any, ...]:
    metrics = (status.get("decision") or {}).get("metrics") or ()
    return (
        (status.get("shadow") or {}).get("hours"),
        (status.get("costGuard") or {}).get("hours"),
        [metric.get("harmMinutes") for metric in metrics],
    )


def _demands(status: Mapping[str, Any]) -> dict[str, float]:
    metrics = (status.get("decision") or {}).get("metrics") or ()
    return {metric["name"]: float(metric["demand"]) for metric in metrics if metric.get("demand")}


def _replicas(target: Target, decision: Decision) -> Json:
    return {
        "currentReplicas": target.replicas,
        "desiredReplicas": decision.desired,
        "readyReplicas": target.ready,
        "unschedulableReplicas": target.unschedulable or None,
    }


def _changes(changes: Sequence[Change], moves: Sequence[Change]) -> Json:
    """Both kinds of changes: together no more than the hourly limit can count."""
    made = _listed(changes[max(0, len(changes) + len(moves) - MOST_CHANGES) :])
    return {
        "changes": made or None,
        "floorChanges": _listed(moves) or None,
        **({"lastScaleTime": made[-1]["time"]} if made else {}),
    }


def _listed(changes: Sequence[Change]) -> list[Json]:
    return [
        {"time": timestamp(change.at), "before": change.before, "after": change.after}
        for change in changes
    ]


def _decision(report: TickReport) -> Json:
    decision = report.decision
    message = explain(decision, report.policy, events=report.event_names)
    return {
        "time": timestamp(report.now),
        "source": str(decision.source),
        "proposed": decision.proposed,
        "hpa": decision.hpa,
        "metric": None if decision.metric is None else decision.answers[decision.metric].name,
        "clampedBy": list(decision.clamped_by) or None,
        "message": message[:_LONGEST_MESSAGE],
        "metrics": [
            _metric(answer, known)
            for answer, known in zip(decision.answers, report.metrics, strict=True)
        ],
    }


def _metric(answer: MetricAnswer, known: MetricReport) -> Json:
    problems = (answer.unavailable, answer.untrusted, answer.hold)
    message = "; ".join(problem.message for problem in problems if problem is not None)
    trust = known.trust
    return without_none(
        {
            "name": answer.name,
            "demand": figure(answer.demand),
            "reactive": answer.reactive,
            "hpa": answer.hpa,
            "peak": figure(answer.peak),
            "quantile": None if answer.quantile is None else round(answer.quantile, 5),
            "predicted": answer.predicted,
            "event": answer.event,
            "derivative": answer.derivative,
            "trust": None if trust is None else str(Trust.LOST if trust.lost else Trust.HELD),
            "harmMinutes": None if trust is None else f"{trust.harm:.1f}",
            "missedMinutes": None if trust is None else f"{trust.missed:.1f}",
            "message": message[:_LONGEST_METRIC_MESSAGE] or None,
            "zeroSince": _time(known.zero_since),
            "dropSince": _time(known.drop_since),
        }
    )


def _events(events: EventsReport) -> Json:
    return {
        "ahead": [
            {
                "name": event.name[:_LONGEST_EVENT],
                "start": timestamp(event.start),
                "end": timestamp(event.end),
                "expected": event.expected[:_LONGEST_EVENT],
            }
            for event in events.ahead
        ]
        or None,
        "problems": [problem[:_LONGEST_EVENT] for problem in events.problems] or None,
    }


def _cost_guard(report: TickReport) -> Json | None:
    if report.policy.cost == NO_LIMIT:
        return None
    spending, guarded = report.memory.spending, report.decision.guard
    return _dump(
        CostGuardStatus(
            spent_pod_hours=f"{spending.spent(report.now):.2f}",
            exhausted=spending.exhausted,
            free_at=None if guarded is None else _time(guarded.until),
            hours=spending.figures() or None,
        )
    )


def _slo(report: TickReport) -> Json | None:
    if report.policy.slo is None:
        return None
    step = report.decision.slo or SloStep(report.decision.desired, report.memory.slo)
    return _dump(SloStatus.of(report.slo_value, step))


def _dump(model: ApiModel) -> Json:
    return model.model_dump(by_alias=True, mode="json")


def _time(at: float | None) -> str | None:
    return None if at is None else timestamp(at)
