"""HPA's `behavior`: stabilisation windows and rate policies, with the meaning they have there.

Source: Kubernetes 1.35, pkg/controller/podautoscaler/horizontal.go
(stabilizeRecommendationWithBehaviors, convertDesiredReplicasWithBehaviorRate). Pure functions over
what the caller remembers, so that the same code serves the operator and a replay of history.

One thing HPA cannot know: whether a recommendation was foreseen. HPA's five minutes before scaling
down protect from what it does not see coming. Whoever has seen what comes over the lead time would
only pay for them, so a recommendation that a forecast made holds for `foreseen` seconds.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

# Seconds: scrapes and ticks do not fall on the end of a query's range.
_FADING_MARGIN = 60.0


class PolicyType(StrEnum):
    """What a rate policy counts in."""

    PODS = "Pods"
    PERCENT = "Percent"


class Select(StrEnum):
    """Which of several policies holds."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


@dataclass(frozen=True, slots=True)
class RatePolicy:
    """At most `value` pods (or percent of the replicas) within `period` seconds."""

    type: PolicyType
    value: int
    period: float


@dataclass(frozen=True, slots=True)
class Rules:
    """One direction. `stabilization` is in seconds, `tolerance` a share of 1.

    `foreseen` is the window (seconds) of recommendations that a forecast made; None: the same.
    """

    stabilization: float
    policies: tuple[RatePolicy, ...]
    select: Select = Select.MAX
    tolerance: float = 0.1
    foreseen: float | None = None

    def window(self, *, foreseen: bool, patience: float = 0.0) -> float:
        """For how long a recommendation counts, in seconds.

        One that a forecast made counts for the `patience` of its plan at least. A window that a
        user has set is what it is.
        """
        if foreseen and self.foreseen is not None:
            return max(self.foreseen, patience)
        return self.stabilization


@dataclass(frozen=True, slots=True)
class Behavior:
    """Both directions, with HPA's defaults."""

    up: Rules = Rules(
        stabilization=0,
        policies=(
            RatePolicy(PolicyType.PERCENT, 100, 15),
            RatePolicy(PolicyType.PODS, 4, 15),
        ),
    )
    down: Rules = Rules(
        stabilization=300,
        policies=(RatePolicy(PolicyType.PERCENT, 100, 15),),
        foreseen=0,
    )

    def outlasting(self, query_range: float) -> "Behavior":
        """With a look back for scaling down that a dying metric does not outlive.

        While its series die, a query such as rate(…[5m]) falls for five minutes (`query_range`,
        in seconds) before it answers nothing. That must not be taken for less demand.
        """
        if query_range <= 0:
            return self
        least = query_range + _FADING_MARGIN
        foreseen = None if self.down.foreseen is None else max(self.down.foreseen, least)
        down = replace(
            self.down, stabilization=max(self.down.stabilization, least), foreseen=foreseen
        )
        return replace(self, down=down)

    @property
    def longest_memory(self) -> float:
        """For how many seconds changes and recommendations must be remembered."""
        windows = [self.up.stabilization, self.down.stabilization]
        periods = [policy.period for rules in (self.up, self.down) for policy in rules.policies]
        return max([*windows, *periods], default=0)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What was recommended at a time, before stabilisation, and whether a forecast did so.

    `patience` (seconds) is that of the forecast's plan.
    """

    at: float
    replicas: int
    foreseen: bool = False
    patience: float = 0.0


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the replicas that was made at a time."""

    at: float
    before: int
    after: int

    @property
    def delta(self) -> int:
        """Replicas added (positive) or removed (negative)."""
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Limited:
    """A replica count, and the clamp that changed it (None when none did)."""

    replicas: int
    by: str | None = None


def stabilize(
    desired: int,
    *,
    current: int,
    recent: Iterable[Recommendation],
    behavior: Behavior,
    now: float,
) -> Limited:
    """Follow the lowest recent recommendation on the way up, the highest on the way down."""
    lowest = highest = desired
    for past in recent:
        if past.at > now - behavior.up.window(foreseen=past.foreseen):
            lowest = min(lowest, past.replicas)
        if past.at > now - behavior.down.window(foreseen=past.foreseen, patience=past.patience):
            highest = max(highest, past.replicas)
    stable = min(max(current, lowest), highest)
    if stable == desired:
        return Limited(stable)
    return Limited(stable, "ScaleUpStabilized" if desired >= current else "ScaleDownStabilized")


def limit_rate(
    desired: int,
    *,
    current: int,
    changes: Iterable[Change],
    behavior: Behavior,
    min_replicas: int,
    max_replicas: int,
    now: float,
) -> Limited:
    """Apply the rate policies, then min and max; the result is always within min and max."""
    # Like HPA: a count outside the bounds is brought back at once, whatever the policies say.
    if current > max_replicas:
        return Limited(max_replicas, "TooManyReplicas")
    if current < min_replicas:
        return Limited(min_replicas, "TooFewReplicas")
    known = tuple(changes)
    if desired > current:
        limit = max(current, _rate_limit(behavior.up, current, known, now, up=True))
        if desired > min(limit, max_replicas):
            return (
                Limited(max_replicas, "TooManyReplicas")
                if max_replicas <= limit
                else Limited(limit, "ScaleUpLimit")
            )
    elif desired < current:
        limit = min(current, _rate_limit(behavior.down, current, known, now, up=False))
        if desired < max(limit, min_replicas):
            return (
                Limited(min_replicas, "TooFewReplicas")
                if min_replicas >= limit
                else Limited(limit, "ScaleDownLimit")
            )
    return Limited(desired)


def _rate_limit(
    rules: Rules, current: int, changes: tuple[Change, ...], now: float, *, up: bool
) -> int:
    if rules.select is Select.DISABLED or not rules.policies:
        return current
    proposals = [
        _proposal(policy, _replicas_at_start(policy, current, changes, now), up=up)
        for policy in rules.policies
    ]
    # "Max" means the policy that allows the largest change, in either direction.
    largest: Callable[[list[int]], int] = max if up else min
    smallest: Callable[[list[int]], int] = min if up else max
    return smallest(proposals) if rules.select is Select.MIN else largest(proposals)


def _replicas_at_start(
    policy: RatePolicy, current: int, changes: tuple[Change, ...], now: float
) -> int:
    return current - sum(change.delta for change in changes if change.at > now - policy.period)


def _proposal(policy: RatePolicy, at_start: int, *, up: bool) -> int:
    if policy.type is PolicyType.PODS:
        return at_start + policy.value if up else at_start - policy.value
    share = policy.value / 100
    # Rounded up on the way up, so that a small share of few replicas still lets them grow.
    return math.ceil(at_start * (1 + share)) if up else int(at_start * (1 - share))
