"""A decision in one sentence, for people."""

from .decision import Decision, MetricAnswer, ScalingPolicy, Source

_CLAMPS = {
    "ScaleUpStabilized": "held by the stabilisation window for scaling up",
    "ScaleDownStabilized": "held by the stabilisation window for scaling down",
    "ScaleUpLimit": "limited by the rate policy for scaling up",
    "ScaleDownLimit": "limited by the rate policy for scaling down",
    "TooManyReplicas": "limited by maxReplicas",
    "TooFewReplicas": "raised to minReplicas",
}


def explain(decision: Decision, policy: ScalingPolicy) -> str:
    """Why this replica count: the signal, its figures, and what changed the answer afterwards."""
    if decision.source is Source.DISABLED:
        return "the target is scaled to 0, so scaling is off until somebody gives it replicas"
    if decision.metric is None:
        missing = "; ".join(
            f"{answer.name}: {answer.unavailable.message}"
            for answer in decision.answers
            if answer.unavailable
        )
        return f"held at {decision.desired}: demand is unknown ({missing})"
    answer = decision.answers[decision.metric]
    per_replica = policy.metrics[decision.metric].per_replica
    utilization = policy.metrics[decision.metric].target_utilization
    sentence = f"{decision.proposed} by {answer.name}: " + _signal(
        decision, answer, per_replica, utilization, policy.lead_time
    )
    clamps = ", ".join(_CLAMPS.get(clamp, clamp) for clamp in decision.clamped_by)
    return f"{sentence}; {decision.desired} as {clamps}" if clamps else sentence


def _signal(
    decision: Decision,
    answer: MetricAnswer,
    per_replica: float,
    utilization: float,
    lead_time: float,
) -> str:
    demand = "unknown" if answer.demand is None else f"{answer.demand:.4g}"
    if decision.source is Source.AWAITED:
        return f"as it was, until the first forecast after a restart (demand now {demand})"
    if decision.source is Source.FORECAST:
        return (
            f"up to {answer.peak:.4g} within {lead_time:.0f} s ÷ {per_replica:g} per replica "
            f"(demand now {demand})"
        )
    if decision.source is Source.HEADROOM:
        why = answer.untrusted.message if answer.untrusted else "no forecast"
        return (
            f"demand {demand} ÷ {per_replica:g} per replica at {utilization:.0%} "
            f"(no forecast: {why})"
        )
    peak = "" if answer.peak is None else f" (forecast {answer.peak:.4g})"
    return f"demand {demand} ÷ {per_replica:g} per replica{peak}"
