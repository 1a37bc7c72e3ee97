"""Kubernetes' Horizontal Pod Autoscaler, one sync at a time, without a cluster.

Source: Kubernetes 1.35, pkg/controller/podautoscaler (reconcileAutoscaler and what it calls,
GetExternalPerPodMetricReplicas, GetExternalMetricReplicas). A test in the sandbox holds this
against the real controller (tests/sandbox/test_hpa_parity.py).

Left out: several metrics in one HPA, utilisation of CPU and memory, scaling to and from zero.
"""

import math
from collections import deque
from enum import StrEnum

from ..behavior import Behavior, Change, Recommendation, limit_rate, stabilize

# Seconds; the defaults of kube-controller-manager and of a ScaledObject.
SYNC_PERIOD = 15.0
KEDA_POLLING_INTERVAL = 30.0
TOLERANCE = 0.1
DOWN_STABILIZATION = 300.0

_MOST_REPLICAS = 2**31 - 1


class Target(StrEnum):
    """What a target of an external metric is held against."""

    AVERAGE_VALUE = "AverageValue"
    VALUE = "Value"


class HpaPolicy:
    """An HPA with one external metric. It remembers, so each workload needs its own.

    `target` is in the metric's unit: per pod for `AverageValue`, of the whole for `Value`.

    `behavior` None is an HPA whose manifest has no `behavior`, as most are, and as KEDA makes
    them. This is not the same as one that spells out the defaults: such an HPA goes up to the
    highest recommendation of the last five minutes, at most to the double of what there is or
    to 4 at each sync.

    `tolerance` is a share of 1; by default that of `behavior`, else 0.1.

    `poll_interval` (seconds) is for KEDA with `useCachedMetrics`: the metric is read no more often
    than that, and what was read last is served in between. By default KEDA asks the source anew
    for each sync of the HPA; its `pollingInterval` then matters only for leaving zero replicas.

    `down_stabilization` (seconds) is the cluster's window for an HPA without `behavior`.
    """

    def __init__(
        self,
        target_average_value: float | None = None,
        *,
        min_replicas: int,
        max_replicas: int,
        behavior: Behavior | None = None,
        tolerance: float | None = None,
        target_value: float | None = None,
        poll_interval: float = 0.0,
        down_stabilization: float = DOWN_STABILIZATION,
    ) -> None:
        """Raises ValueError when the target or the bounds make no sense."""
        if (target_average_value is None) == (target_value is None):
            raise ValueError("give target_average_value or target_value")
        target = target_value if target_average_value is None else target_average_value
        if target is None or not 0 < target < math.inf:
            raise ValueError(f"the target must be more than 0, not {target}")
        if not 1 <= min_replicas <= max_replicas:
            raise ValueError(f"min_replicas {min_replicas} is not within 1…{max_replicas}")
        self.target = target
        self.target_type = Target.VALUE if target_average_value is None else Target.AVERAGE_VALUE
        self.min_replicas, self.max_replicas = min_replicas, max_replicas
        self.behavior = behavior
        down, up = (
            (behavior.down.tolerance, behavior.up.tolerance)
            if behavior and tolerance is None
            else (TOLERANCE if tolerance is None else tolerance,) * 2
        )
        self._steady = (1.0 - down, 1.0 + up)
        self._poll_interval = poll_interval
        self._polled: tuple[float, float | None] | None = None
        self._recent = _Recent(
            down=behavior.down.stabilization if behavior else down_stabilization,
            up=behavior.up.stabilization if behavior else 0.0,
        )
        self._started = False
        self._ups: list[Change] = []
        self._downs: list[Change] = []

    @classmethod
    def keda(
        cls,
        threshold: float,
        *,
        min_replicas: int,
        max_replicas: int,
        behavior: Behavior | None = None,
        cached: bool = False,
    ) -> "HpaPolicy":
        """The HPA that KEDA makes of a trigger with this threshold, with KEDA's defaults.

        `cached` is the trigger's `useCachedMetrics`, with the default polling interval.
        """
        return cls(
            threshold,
            min_replicas=min_replicas,
            max_replicas=max_replicas,
            behavior=behavior,
            poll_interval=KEDA_POLLING_INTERVAL if cached else 0.0,
        )

    def step(
        self,
        metric: float | None,
        current: int,
        now: float,
        *,
        pods: int | None = None,
        ready: int | None = None,
    ) -> int:
        """One sync at `now` (seconds): the replica count that the HPA sets, `current` for none.

        `metric` is what the source says now, None (or not a number) when it says nothing.
        `current` is the count that is asked for (`scale.spec.replicas`), `pods` how many exist
        and `ready` how many of them are ready; both are `current` where they are not given.
        Each change is taken for made.
        """
        if not self._started:
            # Like the controller after its start: what runs now is a recommendation.
            self._recent.add(Recommendation(now, current), now)
            self._started = True
        if current == 0:
            return 0  # autoscaling is disabled
        if current > self.max_replicas:
            desired = self.max_replicas
        elif current < self.min_replicas:
            desired = self.min_replicas
        else:
            metric = self._poll(metric, now)
            if metric is None:
                return current
            proposed = self._propose(metric, current, pods, ready)
            desired = self._normalize(proposed, current, now)
        if desired != current and self.behavior is not None:
            self._remember(Change(now, current, desired), self.behavior)
        return desired

    def _poll(self, metric: float | None, now: float) -> float | None:
        if metric is not None and not math.isfinite(metric):
            metric = None
        if self._poll_interval <= 0:
            return metric
        if self._polled is None or now - self._polled[0] >= self._poll_interval:
            self._polled = (now, metric)
        return self._polled[1]

    def _propose(self, metric: float, current: int, pods: int | None, ready: int | None) -> int:
        """The replicas that the metric asks for, `current` (or `pods`) within the tolerance."""
        lowest, highest = self._steady
        if self.target_type is Target.VALUE:
            ratio = metric / self.target
            if lowest <= ratio <= highest:
                return current
            wanted = ratio * (current if ready is None else ready)
        else:
            pods = current if pods is None else pods
            if pods and lowest <= metric / (self.target * pods) <= highest:
                return pods
            wanted = metric / self.target
        return math.ceil(wanted) if wanted < _MOST_REPLICAS else _MOST_REPLICAS

    def _normalize(self, proposed: int, current: int, now: float) -> int:
        recent = self._recent.within(now)
        self._recent.add(Recommendation(now, proposed), now)
        if self.behavior is None:
            return _without_behavior(
                max(proposed, *(past.replicas for past in recent)) if recent else proposed,
                current=current,
                min_replicas=self.min_replicas,
                max_replicas=self.max_replicas,
            )
        stable = stabilize(
            proposed, current=current, recent=recent, behavior=self.behavior, now=now
        ).replicas
        if stable == current:
            return current  # it is within the bounds, and no rate policy has anything to say
        return limit_rate(
            stable,
            current=current,
            changes=(*self._ups, *self._downs),
            behavior=self.behavior,
            min_replicas=self.min_replicas,
            max_replicas=self.max_replicas,
            now=now,
        ).replicas

    def _remember(self, change: Change, behavior: Behavior) -> None:
        """Keep a change, in the place of one that is older than its direction's policies look back.

        The other direction's policies may look back further: the controller forgets too early
        then, and so do we (storeScaleEvent).
        """
        events, rules = (
            (self._ups, behavior.up) if change.delta > 0 else (self._downs, behavior.down)
        )
        period = max((policy.period for policy in rules.policies), default=0.0)
        outdated = [place for place, old in enumerate(events) if old.at < change.at - period]
        if outdated:
            events[outdated[-1]] = change
        else:
            events.append(change)


class _Recent:
    """The recommendations that can still be the highest or the lowest of their window.

    A recommendation that a later one surpasses is never looked at again, so a handful is left of
    the many that a window holds.
    """

    __slots__ = ("_down", "_highest", "_lowest", "_up")

    def __init__(self, *, down: float, up: float) -> None:
        self._down, self._up = down, up
        self._highest: deque[Recommendation] = deque()
        self._lowest: deque[Recommendation] = deque()

    def add(self, new: Recommendation, now: float) -> None:
        """Remember one, and forget what it makes irrelevant."""
        replicas = new.replicas
        if self._down > 0:
            highest = self._highest
            while highest and highest[-1].replicas <= replicas:
                highest.pop()
            highest.append(new)
        if self._up > 0:
            lowest = self._lowest
            while lowest and lowest[-1].replicas >= replicas:
                lowest.pop()
            lowest.append(new)

    def within(self, now: float) -> tuple[Recommendation, ...]:
        """Those of either window. One of exactly the window's age is outside.

        The real controller's syncs are a little more than their period apart, so that it never
        meets that case; a simulation with an even step always does.
        """
        _drop(self._highest, now - self._down)
        _drop(self._lowest, now - self._up)
        return (*self._highest, *self._lowest)


def _drop(known: deque[Recommendation], horizon: float) -> None:
    while known and known[0].at <= horizon:
        known.popleft()


def _without_behavior(desired: int, *, current: int, min_replicas: int, max_replicas: int) -> int:
    """Source: convertDesiredReplicasWithRules. `desired` is stabilised already."""
    return max(min_replicas, min(desired, max_replicas, max(2 * current, 4)))
