"""The scaling decision: from what was observed to a replica count and the reasons for it.

Pure: no clock, no I/O, no settings from elsewhere. The operator and every replay call `decide`.

The steps, in order (docs/architecture.md has the picture):

1. Each metric gives an answer. Reactive demand ÷ safe load is the floor of every answer. With a
   usable forecast the answer is the larger of that floor and the forecast's peak over the lead
   time; without one it is what HPA would say at `target_utilization`.
2. The largest answer counts. Where a metric cannot be had, replicas do not fall.
3. HPA's `behavior`, then minimum and maximum.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from .behavior import Behavior, Change, Recommendation, limit_rate, stabilize
from .demand import Awaited, Demand, Unavailable, Undecided
from .forecast import Forecast

MOST_REPLICAS = 2**31 - 1


class Source(StrEnum):
    """Which signal the proposed replica count comes from."""

    REACTIVE = "Reactive"
    FORECAST = "Forecast"
    HEADROOM = "Headroom"
    HELD = "Held"
    AWAITED = "Awaited"
    DISABLED = "Disabled"


@dataclass(frozen=True, slots=True)
class MetricPolicy:
    """How demand of one metric becomes replicas.

    `per_replica` is the load that one replica carries safely, in the metric's unit.
    `target_utilization` (0-1] is the share of it that is planned for while no forecast is usable.
    """

    name: str
    per_replica: float
    target_utilization: float = 0.7


@dataclass(frozen=True, slots=True)
class ScalingPolicy:
    """What the user asked for. `lead_time` is in seconds, from a patch to a ready pod."""

    min_replicas: int
    max_replicas: int
    metrics: tuple[MetricPolicy, ...]
    lead_time: float
    behavior: Behavior = Behavior()


@dataclass(frozen=True, slots=True)
class MetricObservation:
    """What is known about one metric, in the order of `ScalingPolicy.metrics`."""

    demand: Demand
    forecast: Forecast | Undecided


@dataclass(frozen=True, slots=True)
class Observation:
    """The world at one tick. `replicas` is the target's desired count (`scale.spec.replicas`)."""

    replicas: int
    metrics: tuple[MetricObservation, ...]


@dataclass(frozen=True, slots=True)
class Memory:
    """What earlier ticks left behind: recommendations before stabilisation, and changes made."""

    recommendations: tuple[Recommendation, ...] = ()
    changes: tuple[Change, ...] = ()

    @classmethod
    def starting_at(cls, replicas: int, now: float, changes: Sequence[Change] = ()) -> "Memory":
        """Memory of a fresh start, in which the replicas that run now are a recommendation.

        Like HPA: a controller that has just been started must not scale down at once only
        because it has forgotten why the replicas are there.
        """
        return cls((Recommendation(now, replicas),), tuple(changes))

    def known_at(self, now: float, changes: Sequence[Change]) -> "Memory":
        """Memory with these changes, and without what a clock that was set back puts ahead."""
        return Memory(
            tuple(past for past in self.recommendations if past.at <= now),
            tuple(change for change in changes if change.at <= now),
        )

    def after(self, decision: "Decision", behavior: Behavior, now: float) -> "Memory":
        """Memory with this decision's recommendation in it, and what is too old left out."""
        horizon = now - behavior.longest_memory
        recent = tuple(past for past in self.recommendations if past.at > horizon)
        return Memory((*recent, Recommendation(now, decision.proposed)), self.changes)


@dataclass(frozen=True, slots=True)
class MetricAnswer:
    """What one metric asks for, and the figures that it comes from.

    `reactive` is demand ÷ safe load, rounded up; `predicted` the same for the forecast's peak
    `peak`; both None where there is no such figure. `wanted` is None when the metric says nothing.
    """

    name: str
    wanted: int | None
    source: Source
    demand: float | None = None
    reactive: int | None = None
    peak: float | None = None
    predicted: int | None = None
    unavailable: Unavailable | None = None
    untrusted: Undecided | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer and its derivation.

    `proposed` is the largest answer before clamps, `desired` what is left of it after them.
    `clamped_by` names the clamps that changed it, in order. `metric` is the index of the answer
    that counted, None when all are held.
    """

    desired: int
    proposed: int
    current: int
    source: Source
    answers: tuple[MetricAnswer, ...]
    metric: int | None = None
    clamped_by: tuple[str, ...] = ()
    floor: int = 0

    @property
    def held(self) -> bool:
        """Whether a metric that could not be had keeps the replicas from falling."""
        return any(answer.unavailable for answer in self.answers)


def decide(
    observation: Observation, policy: ScalingPolicy, memory: Memory, *, now: float
) -> Decision:
    """Decide the replica count at `now` (Unix seconds).

    Raises:
        ValueError: observation and policy do not speak of the same number of metrics.
    """
    current = observation.replicas
    answers = tuple(
        answer_metric(seen, metric, policy, current=current, now=now)
        for seen, metric in zip(observation.metrics, policy.metrics, strict=True)
    )
    if current == 0:
        # HPA's convention: zero replicas are somebody's decision to switch the workload off.
        return Decision(0, 0, 0, Source.DISABLED, answers)
    proposed, source, metric = _largest(answers, current)
    stable = stabilize(
        proposed,
        current=current,
        recent=memory.recommendations,
        behavior=policy.behavior,
        now=now,
    )
    limited = limit_rate(
        stable.replicas,
        current=current,
        changes=memory.changes,
        behavior=policy.behavior,
        min_replicas=policy.min_replicas,
        max_replicas=policy.max_replicas,
        now=now,
    )
    return Decision(
        desired=limited.replicas,
        proposed=proposed,
        current=current,
        source=source,
        answers=answers,
        metric=metric,
        clamped_by=tuple(by for by in (stable.by, limited.by) if by),
        floor=max((answer.reactive or 0 for answer in answers), default=0),
    )


def answer_metric(
    seen: MetricObservation,
    metric: MetricPolicy,
    policy: ScalingPolicy,
    *,
    current: int,
    now: float,
) -> MetricAnswer:
    """What one metric alone asks for."""
    forecast = usable(seen.forecast, now=now, lead_time=policy.lead_time)
    untrusted = forecast if isinstance(forecast, Undecided) else None
    peak = predicted = None
    if isinstance(forecast, Forecast):
        peak = forecast.upper_peak(now, now + policy.lead_time)
        predicted = replicas_for(peak, metric.per_replica)

    if isinstance(seen.demand, Unavailable):
        # A forecast may still raise the replicas of a workload whose metric is down.
        return MetricAnswer(
            name=metric.name,
            wanted=predicted,
            source=Source.HELD if predicted is None else Source.FORECAST,
            peak=peak,
            predicted=predicted,
            unavailable=seen.demand,
            untrusted=untrusted,
        )
    demand = seen.demand.value
    reactive = replicas_for(demand, metric.per_replica)
    if isinstance(untrusted, Awaited):
        asked = reactive
        if untrusted.overdue:
            asked = max(asked, like_hpa(demand, metric, policy.behavior, current=current))
        wanted = max(current, asked)
        rising = Source.HEADROOM if asked > reactive else Source.REACTIVE
        source = rising if asked > current else Source.AWAITED
    elif predicted is None:
        wanted, source = like_hpa(demand, metric, policy.behavior, current=current), Source.HEADROOM
        if wanted < reactive:
            wanted, source = reactive, Source.REACTIVE
    elif predicted > reactive:
        wanted, source = predicted, Source.FORECAST
    else:
        wanted, source = reactive, Source.REACTIVE
    return MetricAnswer(
        name=metric.name,
        wanted=tolerate_down(wanted, policy.behavior, current=current),
        source=source,
        demand=demand,
        reactive=reactive,
        peak=peak,
        predicted=predicted,
        untrusted=untrusted,
    )


def usable(forecast: Forecast | Undecided, *, now: float, lead_time: float) -> Forecast | Undecided:
    """The forecast, if it may be acted on at `now`; otherwise why not."""
    if isinstance(forecast, Undecided):
        return forecast
    if now > forecast.valid_until:
        return Undecided(
            "Stale", f"the forecast ran out {(now - forecast.valid_until) / 60:.0f} min ago"
        )
    if not forecast.covers(now, now + lead_time):
        return Undecided("HorizonTooShort", "the forecast does not reach over the lead time")
    if math.isnan(forecast.upper_peak(now, now + lead_time)):
        return Undecided("NotFinite", "the forecast is not a number over the lead time")
    return forecast


def replicas_for(demand: float, per_replica: float) -> int:
    """The smallest number of replicas that carries `demand`.

    A relative error of 1e-9 is forgiven: 0.3 ÷ 0.1 is 3 replicas, not 4. No answer is larger
    than Kubernetes can count.
    """
    wanted = demand / per_replica * (1 - 1e-9)
    return max(0, math.ceil(wanted)) if wanted < MOST_REPLICAS else MOST_REPLICAS


def like_hpa(demand: float, metric: MetricPolicy, behavior: Behavior, *, current: int) -> int:
    """HPA's answer for an `AverageValue` target of safe load × target utilisation.

    Source: GetExternalPerPodMetricReplicas in Kubernetes 1.35. Within the tolerance of the
    target the replicas stay as they are.
    """
    target = metric.per_replica * metric.target_utilization
    if current > 0:
        ratio = demand / (target * current)
        if 1 - behavior.down.tolerance <= ratio <= 1 + behavior.up.tolerance:
            return current
    return replicas_for(demand, target)


def tolerate_down(wanted: int, behavior: Behavior, *, current: int) -> int:
    """Leave the replicas alone where fewer would do, but only by the tolerance.

    The tolerance never holds back a forecast or the reactive floor on the way up: those have no
    headroom that could be eaten into.
    """
    small = current * (1 - behavior.down.tolerance) <= wanted < current
    return current if small else wanted


def _largest(answers: tuple[MetricAnswer, ...], current: int) -> tuple[int, Source, int | None]:
    asking = [
        (answer.wanted, -index) for index, answer in enumerate(answers) if answer.wanted is not None
    ]
    proposed, position = max(asking, default=(current, 0))
    if any(answer.unavailable for answer in answers) and proposed <= current:
        return current, Source.HELD, None
    return proposed, answers[-position].source, -position
