"""One tick of one PredictiveScaler: observe, decide, act, tell."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from foretide.forecasting.decision import Decision, Memory, decide
from foretide.forecasting.explanation import explain
from foretide.forecasting.shadow import Tick

from . import limits, verdict
from .acting import Acted, Actor
from .api.predictivescaler import Actuation, Mode
from .cluster import Cluster, ClusterError, Target, TargetMissing
from .conditions import Condition
from .observing import Observer, Seen
from .report import TickReport
from .reporting import Reporter, ScalerGone
from .scaler import Scaler
from .status import build_status
from .telemetry import Telemetry

__all__ = ["Reconciler", "ScalerGone"]


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Everything a tick needs."""

    cluster: Cluster
    observer: Observer
    actor: Actor
    reporter: Reporter
    telemetry: Telemetry
    clock: Callable[[], float] = time.time

    async def tick(self, scaler: Scaler) -> None:
        """Decide once and act on it. Every expected failure ends in a condition.

        Raises:
            ScalerGone: there is nothing to look after any more.
        """
        now = self.clock()
        if not holds_floor(scaler):
            await self.actor.release(scaler)
        spec = scaler.spec
        if spec is None or scaler.policy is None:
            await self._rest(scaler, verdict.without_decision("InvalidSpec", scaler.invalid), now)
            return
        if spec.mode is Mode.PAUSED:
            await self._rest(scaler, verdict.paused(), now)
            return
        try:
            target = await self.cluster.read_target(scaler.namespace, spec.scale_target_ref)
        except ClusterError as error:
            self.telemetry.errors.labels(error.reason).inc()
            if isinstance(error, TargetMissing):
                scaler.memory = None
            found = verdict.without_decision(error.reason, error.message)
            await self._rest(scaler, found, now)
            return
        scaler.first_tick_at = scaler.first_tick_at or now
        seen = await self.observer.observe(scaler, spec, target, now)
        if seen is None:
            return  # changed meanwhile: a tick for the new one is due already
        decision = _decide(scaler, seen, target, now)
        acted = await self.actor.act(scaler, seen.policy, target, decision)
        if acted.change is not None:
            memory = seen.policy.behavior.longest_memory
            scaler.changes = limits.remember(scaler.changes, acted.change, memory=memory)
        if acted.moved is not None:
            scaler.floor_changes = limits.remember(scaler.floor_changes, acted.moved)
        self.reporter.announce(
            scaler,
            decision,
            acted,
            lambda: explain(decision, seen.policy, events=seen.event_names),
        )
        self.reporter.measure(scaler, acted.target, decision, seen, now)
        report = _report(scaler, seen, decision, acted, now)
        store = self.observer.rollups.state()
        self.telemetry.observe_store(store)
        circumstances = replace(
            acted.circumstances, events=seen.events, store=store, metrics=seen.reports
        )
        await self.reporter.report(
            scaler,
            build_status(report),
            verdict.of_decision(decision, acted.target, circumstances),
            now,
        )

    async def _rest(self, scaler: Scaler, found: list[Condition], now: float) -> None:
        """Decide nothing, and tell why."""
        self.reporter.measure_nothing(scaler)
        await self.reporter.report(scaler, {}, found, now)

    def forget(self, scaler: Scaler) -> None:
        """The resource is gone: nothing is kept of it."""
        self.observer.forget(scaler)
        self.telemetry.forget(scaler.namespace, scaler.name)


def holds_floor(scaler: Scaler) -> bool:
    """Whether the resource may hold another autoscaler's minimum up."""
    spec = scaler.spec
    return spec is not None and spec.mode is Mode.AUTO and spec.actuation is Actuation.HPA_FLOOR


def _decide(scaler: Scaler, seen: Seen, target: Target, now: float) -> Decision:
    """The decision; what later ticks must know of it is remembered."""
    before = scaler.memory or scaler.start(target.replicas, now)
    memory = before.known_at(now, scaler.changes)
    decision = decide(seen.observation, seen.policy, memory, now=now)
    scaler.memory = memory.after(decision, seen.policy.behavior, now)
    if scaler.mode is Mode.RECOMMEND:
        scaler.shadow = scaler.shadow.after(
            Tick(
                at=now,
                recommended=decision.desired,
                asked=target.replicas,
                ready=target.ready,
                needed=decision.floor or None,
                lead_time=seen.policy.lead_time,
            )
        )
    return decision


def _report(scaler: Scaler, seen: Seen, decision: Decision, acted: Acted, now: float) -> TickReport:
    return TickReport(
        now=now,
        target=acted.target,
        policy=seen.policy,
        decision=decision,
        memory=scaler.memory or Memory(),
        metrics=seen.reports,
        changes=scaler.changes,
        floor_changes=[past for past in scaler.floor_changes if past.at > now - limits.HOUR],
        lead=seen.lead,
        events=seen.events,
        event_names=seen.event_names,
        slo_value=seen.observation.slo,
        shadow=scaler.shadow if scaler.mode is Mode.RECOMMEND else None,
    )
