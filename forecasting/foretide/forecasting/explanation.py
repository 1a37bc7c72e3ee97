"""A decision in one sentence, for people."""

import math
from collections.abc import Iterable

from .answers import MetricAnswer, MetricPolicy
from .decision import Decision, ScalingPolicy, Source
from .guards import BY_BUDGET, BY_REPLICAS
from .slo import SloPhase

_CLAMPS = {
    "ScaleUpStabilized": "held by the stabilisation window for scaling up",
    "ScaleDownStabilized": "held by the stabilisation window for scaling down",
    "ScaleUpLimit": "limited by the rate policy for scaling up",
    "ScaleDownLimit": "limited by the rate policy for scaling down",
    "TooManyReplicas": "limited by maxReplicas",
    "TooFewReplicas": "raised to minReplicas",
    BY_BUDGET: "limited by the cost guard",
    BY_REPLICAS: "limited by the cost guard",
    SloPhase.STEPPED: "scaling in step by step for the SLO",
    SloPhase.OBSERVING: "held for the SLO",
    SloPhase.WORSE: "held for the SLO",
    SloPhase.UNKNOWN: "held for the SLO",
    SloPhase.TAKEN_BACK: "raised for the SLO",
    SloPhase.PAUSED: "held for the SLO",
}


def explain(decision: Decision, policy: ScalingPolicy, *, events: Iterable[str] = ()) -> str:
    """Why this replica count: the signal, its figures, and what changed the answer afterwards.

    `policy` is the one that decided, `events` are the names of those within the lead time.
    """
    if decision.source is Source.DISABLED:
        return "the target is scaled to 0, so scaling is off until somebody gives it replicas"
    if decision.metric is None:
        missing = "; ".join(
            f"{answer.name}: {answer.unavailable.message}"
            for answer in decision.answers
            if answer.unavailable
        )
        return f"held at {decision.desired}: demand is unknown ({missing})"
    answer, metric = decision.answers[decision.metric], policy.metrics[decision.metric]
    asked = decision.proposed if answer.wanted is None else answer.wanted
    signal = _signal(decision.source, answer, metric, policy.lead_time, tuple(events))
    sentence = f"{asked} by {answer.name}: {signal}{_kept(answer, decision.current)}"
    clamps = ", ".join(_clamp(clamp, decision) for clamp in decision.clamped_by)
    return f"{sentence}; {decision.desired} as {clamps}" if clamps else sentence


def _signal(
    source: Source,
    answer: MetricAnswer,
    metric: MetricPolicy,
    lead_time: float,
    events: tuple[str, ...],
) -> str:
    now = "unknown" if answer.demand is None else f"{answer.demand:.4g}"
    carried = _carried(metric)
    if source is Source.AWAITED:
        return f"as it was, until the first forecast after a restart (demand now {now})"
    if source is Source.FORECAST:
        quantile = "" if answer.quantile is None else f"{answer.quantile:.4g} quantile, "
        if answer.surprised:
            quantile = "demand has just outgrown its forecast, "
        return (
            f"up to {answer.peak:.4g} within {lead_time:.0f} s{carried} "
            f"({quantile}demand now {now})"
        )
    if source is Source.EVENT:
        named = ", ".join(events) or "an event"
        return f"{named} within {lead_time:.0f} s (demand now {now}{_without(answer)})"
    if source is Source.DERIVATIVE:
        return (
            f"demand {now} is growing fast, which makes {answer.derivative} replicas in "
            f"{lead_time:.0f} s (it needs {answer.reactive} now{_without(answer)})"
        )
    if source is Source.HEADROOM:
        why = "no forecast"
        if answer.untrusted is not None:
            why = f"no forecast: {answer.untrusted.message}"
        return f"demand {now}{carried} at {metric.target_utilization:.0%} ({why})"
    peak = "" if answer.peak is None else f" (forecast {answer.peak:.4g})"
    return f"demand {now}{carried}{peak}"


def _carried(metric: MetricPolicy) -> str:
    if metric.curve is not None:
        return " by the load curve"
    # What pods request may not be known yet.
    return f" ÷ {metric.per_replica:g} per replica" if math.isfinite(metric.per_replica) else ""


def _without(answer: MetricAnswer) -> str:
    """What would be asked for without this signal."""
    if answer.predicted is not None:
        return f"; {answer.predicted} by the forecast"
    return "" if answer.hpa is None else f"; {answer.hpa} as HPA would"


def _kept(answer: MetricAnswer, current: int) -> str:
    """Why the metric asks for another count than its largest signal does."""
    signals = (answer.reactive, answer.predicted, answer.event, answer.derivative)
    needed = max((count for count in signals if count is not None), default=0)
    if answer.wanted is None or answer.wanted <= needed:
        return ""
    if answer.hold is not None and answer.wanted == current:
        return f", and none are taken away: {answer.hold.message}"
    if answer.predicted is None:
        return ""  # headroom, or a wait: the sentence says so itself
    if answer.wanted == current:
        return f", which is {needed}: too little less to change replicas for"
    return f", which is {needed}, and some more so that it lasts"


def _clamp(clamp: str, decision: Decision) -> str:
    """What a clamp did, with the figures of the guard or the gate where it is theirs."""
    said = _CLAMPS.get(clamp, clamp)
    if decision.guard is not None and clamp == decision.guard.by:
        return f"{said} ({decision.guard.message})"
    if decision.slo is not None and clamp == decision.slo.phase and decision.slo.message:
        return f"{said} ({decision.slo.message})"
    return said
