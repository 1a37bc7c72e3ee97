"""The scaling decision: from what was observed to a replica count and the reasons for it.

Pure: no clock, no I/O, no settings from elsewhere. The operator and every replay call `decide`.

The steps, in order (docs/architecture.md has the picture):

1. Each metric gives an answer (`answers.py`): forecast, event and derivative above the reactive
   floor, or HPA's answer where no forecast may be trusted.
2. The largest answer counts. Where a metric cannot be had, replicas do not fall.
3. The cost guard limits what is added to HPA's answer. What an outage, a sudden drop of demand or
   an awaited forecast holds stays.
4. HPA's `behavior`, the SLO gate on the way down, then minimum and maximum.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .answers import (
    MetricAnswer,
    MetricObservation,
    MetricPolicy,
    Source,
    answer_metric,
    replicas_for,
)
from .behavior import Behavior, Change, Recommendation, limit_rate, stabilize
from .demand import Awaited
from .guards import CostPolicy, Guarded, Spending, baseline, guard
from .slo import SloGate, SloPolicy, SloState, SloStep

__all__ = [
    "Decision",
    "Memory",
    "MetricAnswer",
    "MetricObservation",
    "MetricPolicy",
    "Observation",
    "ScalingPolicy",
    "Source",
    "decide",
    "replicas_for",
]

NO_LIMIT = CostPolicy()
_NOTHING_SPENT = Spending()
_NO_STEPS = SloState()


@dataclass(frozen=True, slots=True)
class ScalingPolicy:
    """What the user asked for. `lead_time` is in seconds, from a patch to a ready pod."""

    min_replicas: int
    max_replicas: int
    metrics: tuple[MetricPolicy, ...]
    lead_time: float
    behavior: Behavior = Behavior()
    cost: CostPolicy = NO_LIMIT
    slo: SloPolicy | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """The world at one tick.

    `replicas` is the target's desired count (`scale.spec.replicas`), `slo` the reading of the SLO
    query (None when there is none). `lead_time` is the one in force, when it is known better than
    the policy says.
    """

    replicas: int
    metrics: tuple[MetricObservation, ...]
    slo: float | None = None
    lead_time: float | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What earlier ticks left behind.

    Recommendations before stabilisation, changes made, what the forecast has cost beyond HPA, and
    the steps down whose effect on the SLO is being watched.
    """

    recommendations: tuple[Recommendation, ...] = ()
    changes: tuple[Change, ...] = ()
    spending: Spending = _NOTHING_SPENT
    slo: SloState = _NO_STEPS

    @classmethod
    def starting_at(cls, replicas: int, now: float, changes: Sequence[Change] = ()) -> "Memory":
        """Memory of a fresh start, in which the replicas that run now are a recommendation.

        Like HPA: a controller that has just been started must not scale down at once only
        because it has forgotten why the replicas are there.
        """
        return cls((Recommendation(now, replicas),), tuple(changes))

    def known_at(self, now: float, changes: Sequence[Change]) -> "Memory":
        """Memory with these changes, and without what a clock that was set back puts ahead."""
        return replace(
            self,
            recommendations=tuple(past for past in self.recommendations if past.at <= now),
            changes=tuple(change for change in changes if change.at <= now),
        )

    def after(self, decision: "Decision", behavior: Behavior, now: float) -> "Memory":
        """Memory with this decision's recommendation in it, and what is too old left out."""
        horizon = now - behavior.longest_memory
        recent = tuple(
            past for past in self.recommendations if past.at > min(horizon, now - past.patience)
        )
        made = Recommendation(
            now, decision.proposed, foreseen=decision.foreseen, patience=decision.patience
        )
        return Memory(
            recommendations=(*recent, made),
            changes=self.changes,
            spending=decision.spending or self.spending,
            slo=decision.slo.state if decision.slo else self.slo,
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer and its derivation.

    `proposed` is the largest answer before clamps, `desired` what is left of it after them.
    `clamped_by` names the clamps that changed it, in order. `metric` is the index of the answer
    that counted, None when all are held. `floor` is what demand needs without any headroom, `hpa`
    what an HPA at the target utilisation would say, `guard` and `slo` what these two did to it.
    """

    desired: int
    proposed: int
    current: int
    source: Source
    answers: tuple[MetricAnswer, ...]
    metric: int | None = None
    clamped_by: tuple[str, ...] = ()
    floor: int = 0
    hpa: int | None = None
    guard: Guarded | None = None
    slo: SloStep | None = None
    spending: Spending | None = None

    @property
    def foreseen(self) -> bool:
        """Whether what is proposed was foreseen, and nothing else would ask without a forecast."""
        if self.metric is None or not self.answers[self.metric].foreseen:
            return False
        return all(answer.predicted is not None for answer in self.answers)

    @property
    def patience(self) -> float:
        """For how long (seconds) what is proposed counts, where it was foreseen."""
        return 0.0 if self.metric is None else self.answers[self.metric].patience

    @property
    def held(self) -> bool:
        """Whether a metric that could not be had keeps the replicas from falling."""
        return _outage(self.answers)


def decide(
    observation: Observation, policy: ScalingPolicy, memory: Memory, *, now: float
) -> Decision:
    """Decide the replica count at `now` (Unix seconds).

    Raises:
        ValueError: observation and policy do not speak of the same number of metrics.
    """
    current = observation.replicas
    lead_time = policy.lead_time if observation.lead_time is None else observation.lead_time
    answers = tuple(
        answer_metric(seen, metric, policy.behavior, lead_time=lead_time, current=current, now=now)
        for seen, metric in zip(observation.metrics, policy.metrics, strict=True)
    )
    if current == 0:
        # HPA's convention: zero replicas are somebody's decision to switch the workload off.
        return Decision(0, 0, 0, Source.DISABLED, answers)
    proposed, source, metric = _largest(answers, current)
    hpa = max((answer.hpa for answer in answers if answer.hpa is not None), default=None)
    without = _without_forecast(hpa, answers, current, policy, memory)
    guarded, spending = _guarded(proposed, without, _kept(answers, current), policy, memory, now)
    if guarded is not None:
        proposed = guarded.replicas
    stable = stabilize(
        proposed,
        current=current,
        recent=memory.recommendations,
        behavior=policy.behavior,
        now=now,
    )
    gate = _gated(stable.replicas, hpa, observation, policy, memory, now)
    limited = limit_rate(
        stable.replicas if gate is None else gate.allowed,
        current=current,
        changes=memory.changes,
        behavior=policy.behavior,
        min_replicas=policy.min_replicas,
        max_replicas=policy.max_replicas,
        now=now,
    )
    by_gate = gate.phase.value if gate is not None and gate.allowed != stable.replicas else None
    clamps = (guarded.by if guarded else None, stable.by, by_gate, limited.by)
    if spending is not None:
        # HPA has its maximum: what it would not have run saves nothing.
        runs = min(without, policy.max_replicas)
        spending = spending.after(desired=limited.replicas, hpa=runs, now=now)
    return Decision(
        desired=limited.replicas,
        proposed=proposed,
        current=current,
        source=source,
        answers=answers,
        metric=metric,
        clamped_by=tuple(by for by in clamps if by),
        floor=max((answer.reactive or 0 for answer in answers), default=0),
        hpa=hpa,
        guard=guarded,
        slo=gate,
        spending=spending,
    )


def _outage(answers: Sequence[MetricAnswer]) -> bool:
    return any(answer.unavailable for answer in answers)


def _kept(answers: Sequence[MetricAnswer], current: int) -> int:
    """The replicas that must stay, as less demand is not why fewer are asked for; 0 for none."""
    waits = any(
        answer.hold is not None or isinstance(answer.untrusted, Awaited) for answer in answers
    )
    return current if waits or _outage(answers) else 0


def _without_forecast(
    hpa: int | None,
    answers: Sequence[MetricAnswer],
    current: int,
    policy: ScalingPolicy,
    memory: Memory,
) -> int:
    """What HPA would ask for, an outage and its minimum included."""
    found = baseline(hpa, outage=_outage(answers), current=current, spending=memory.spending)
    return max(found, policy.min_replicas)


def _guarded(
    proposed: int, hpa: int, keep: int, policy: ScalingPolicy, memory: Memory, now: float
) -> tuple[Guarded | None, Spending | None]:
    if policy.cost == NO_LIMIT:
        return None, None
    return guard(
        proposed, hpa=hpa, keep=keep, policy=policy.cost, spending=memory.spending, now=now
    )


def _gated(
    proposed: int,
    hpa: int | None,
    observation: Observation,
    policy: ScalingPolicy,
    memory: Memory,
    now: float,
) -> SloStep | None:
    if policy.slo is None:
        return None
    return SloGate(policy.slo).step(
        observation.slo, proposed, observation.replicas, now, memory.slo, hpa=hpa
    )


def _largest(answers: tuple[MetricAnswer, ...], current: int) -> tuple[int, Source, int | None]:
    asking = [
        (answer.wanted, -index) for index, answer in enumerate(answers) if answer.wanted is not None
    ]
    proposed, position = max(asking, default=(current, 0))
    if any(answer.unavailable for answer in answers) and proposed <= current:
        return current, Source.HELD, None
    return proposed, answers[-position].source, -position
