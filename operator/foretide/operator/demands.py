"""Demand now, of every type of metric: what is asked of whom, and what the answers come to."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from foretide.forecasting.backlog import NO_ARRIVALS, backlog_demand, drain_rate
from foretide.forecasting.behavior import Behavior
from foretide.forecasting.decision import MetricPolicy
from foretide.forecasting.demand import Demand, Reading, Unavailable, Undecided
from foretide.forecasting.resource_demand import (
    ResourceDemand,
    ResourceTarget,
    hpa_replicas,
    resource_demand,
)

from .api.metrics import MetricSpec, MetricType
from .api.predictivescaler import ScaleTargetRef
from .api.slo import SloSpec
from .cluster import Target
from .resource_metrics import ResourceMetrics, default_history_query
from .sources import Sources
from .telemetry import Telemetry

# Doubts a reading that may be an outage.
Doubt = Callable[[Demand], Demand]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one metric measures now.

    `demand` is what is decided on. `flow` is the part of it that is forecast, and `waiting` what
    comes on top of any forecast of it (in demand). `resource` is given for a `Resource` metric.
    """

    demand: Demand
    flow: Demand
    waiting: float = 0.0
    resource: ResourceDemand | None = None


@dataclass(frozen=True, slots=True)
class Demands:
    """Asks Prometheus and the API of resource metrics."""

    sources: Sources
    resources: ResourceMetrics
    telemetry: Telemetry

    async def measure(
        self, metric: MetricSpec, target: Target, behavior: Behavior, doubt: Doubt, now: float
    ) -> Measured:
        """Demand of one metric; every failure is an `Unavailable` in it."""
        if metric.type is MetricType.RESOURCE:
            found = await self._resource(metric, target, behavior, now)
        elif metric.type is MetricType.BACKLOG:
            found = await self._backlog(metric, doubt, now)
        else:
            answer = await self._ask(metric.query or "", metric.source, metric.stale_after, now)
            demand = doubt(answer)
            found = Measured(demand, demand)
        if isinstance(found.demand, Unavailable):
            self.telemetry.errors.labels(found.demand.reason).inc()
        return found

    async def slo(self, slo: SloSpec | None, now: float) -> float | None:
        """The SLO's reading, None where it cannot be had."""
        if slo is None:
            return None
        answer = await self._ask(slo.query, slo.source, slo.stale_after, now)
        if isinstance(answer, Unavailable):
            self.telemetry.errors.labels(answer.reason).inc()
            return None
        return answer.value

    async def _backlog(self, metric: MetricSpec, doubt: Doubt, now: float) -> Measured:
        within = metric.drain_within or 1.0
        backlog = self._ask(metric.query or "", metric.source, metric.stale_after, now)
        if metric.arrival_query is None:
            waiting = await backlog
            nothing = Unavailable(NO_ARRIVALS.reason, NO_ARRIVALS.message)
            return Measured(backlog_demand(waiting, None, within), nothing)
        waiting, arrivals = await asyncio.gather(
            backlog, self._ask(metric.arrival_query, metric.source, metric.stale_after, now)
        )
        # An empty queue is good news; only arrivals that stop all at once are to be doubted.
        arrivals = doubt(arrivals)
        demand = backlog_demand(waiting, arrivals, within)
        return Measured(demand, arrivals, drain_rate(waiting, within))

    async def _resource(
        self, metric: MetricSpec, target: Target, behavior: Behavior, now: float
    ) -> Measured:
        assert metric.resource is not None
        sample = await self.resources.sample(
            target.namespace, target.selector, metric.resource, metric.container
        )
        if isinstance(sample, Unavailable):
            return Measured(sample, sample)
        found = resource_demand(
            sample,
            ResourceTarget(
                metric.resource, metric.target_utilization, metric.per_replica, metric.stale_after
            ),
            replicas=target.replicas,
            now=now,
            tolerance=behavior.down.tolerance,
        )
        if isinstance(found, Unavailable):
            return Measured(found, found)
        reading = Reading(found.total, found.at)
        return Measured(reading, reading, resource=found)

    async def _ask(self, query: str, source: str, stale_after: float, now: float) -> Demand:
        client = await self.sources.get(source)
        if client is None:
            return Unavailable("SourceUnknown", unknown_source(source))
        began = time.perf_counter()
        answer = await client.demand_now(query, now=now, stale_after=stale_after)
        self.telemetry.query_seconds.labels("now").observe(time.perf_counter() - began)
        return answer


def weigh(
    found: ResourceDemand, metric: MetricPolicy, behavior: Behavior, *, current: int, planned: bool
) -> tuple[Reading, Undecided | None]:
    """Demand of a resource as HPA weighs it: up by the pods with a figure, down by all of them.

    `planned` says that a forecast replaces the headroom. Where pods without a figure may use what
    the replicas carry, the second value says that nothing is to be taken away.
    """

    def answer(demand: float) -> int:
        return metric.replicas_for(demand)

    up = answer(found.total) if planned else hpa_replicas(found, behavior, current=current)
    if up > current:
        return Reading(found.total, found.at), None
    down = answer(found.cautious if planned else found.cautious / metric.target_utilization)
    if down < current:
        return Reading(max(found.total, found.cautious), found.at), None
    lacking = found.missing + found.unready
    if not lacking:
        return Reading(found.total, found.at), None
    why = f"{lacking} pods have no figure yet: nothing is taken away until they do"
    return Reading(found.total, found.at), Undecided("PodsWithoutFigure", why)


def history_query(metric: MetricSpec, namespace: str, ref: ScaleTargetRef) -> str | Undecided:
    """What a forecast is made of, or why none is made."""
    if metric.type is MetricType.BACKLOG:
        return NO_ARRIVALS if metric.arrival_query is None else metric.arrival_query
    if metric.query is not None:
        return metric.query
    assert metric.resource is not None
    return default_history_query(namespace, ref, metric.resource, metric.container)


def unknown_source(source: str) -> str:
    """What is said of a source that the administrator has not declared."""
    return f"the operator's configuration has no Prometheus source named {source!r}"
