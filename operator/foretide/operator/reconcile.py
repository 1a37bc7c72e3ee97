"""One tick of one PredictiveScaler: observe, decide, apply."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from foretide.forecasting.behavior import Change
from foretide.forecasting.decision import (
    Decision,
    Memory,
    MetricObservation,
    Observation,
    ScalingPolicy,
    decide,
)
from foretide.forecasting.demand import (
    Awaited,
    Demand,
    Reading,
    Unavailable,
    Undecided,
    ZeroKnowledge,
    doubt_sudden_zero,
)
from foretide.forecasting.explanation import explain
from foretide.forecasting.forecast import Forecast
from foretide.forecasting.worker import FitRequest

from . import conditions, limits, verdict
from .api.predictivescaler import MetricSpec, Mode, PredictiveScalerSpec
from .cluster import Cluster, ClusterError, Target, TargetMissing, WriteConflict
from .conditions import Condition
from .forecasts import NOT_FITTED_YET, Forecasts, Slot
from .scaler import Scaler
from .settings import SettingsHolder
from .sources import Sources
from .status import (
    decision_status,
    forecast_status,
    moved_far,
    noticeable,
    replica_status,
)
from .telemetry import Telemetry
from .verdict import Circumstances

logger = logging.getLogger(__name__)

_CLOCK_SKEW = 60.0
# With many resources the first fits after a restart take minutes. What is not scaled by a forecast
# needs its headroom after so many seconds.
_PATIENCE = 120.0


class ScalerGone(Exception):
    """The resource itself does not exist any more."""


class EventSink(Protocol):
    """Where Kubernetes Events go."""

    def __call__(self, scaler: Scaler, *, kind: str, reason: str, message: str) -> None:
        """Post an Event of kind Normal or Warning on the resource."""
        ...


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Everything a tick needs. `may_write` says whether this process is the leader right now."""

    cluster: Cluster
    sources: Sources
    forecasts: Forecasts
    settings: SettingsHolder
    telemetry: Telemetry
    owner_of: Callable[[Scaler], str | None]
    post_event: EventSink
    may_write: Callable[[], bool]
    clock: Callable[[], float] = time.time

    async def tick(self, scaler: Scaler) -> None:
        """Decide once and act on it. Every expected failure ends in a condition.

        Raises:
            ScalerGone: there is nothing to look after any more.
        """
        now = self.clock()
        spec, policy = scaler.spec, scaler.policy
        if spec is None or policy is None:
            await self._report(
                scaler, {}, verdict.without_decision("InvalidSpec", scaler.invalid), now
            )
            return
        if spec.mode is Mode.PAUSED:
            await self._report(scaler, {}, verdict.paused(), now)
            return
        try:
            target = await self.cluster.read_target(scaler.namespace, spec.scale_target_ref)
        except ClusterError as error:
            self.telemetry.errors.labels(error.reason).inc()
            if isinstance(error, TargetMissing):
                scaler.memory = None
            found = verdict.without_decision(error.reason, error.message)
            await self._report(scaler, {}, found, now)
            return
        scaler.first_tick_at = scaler.first_tick_at or now
        slots = self._refresh_forecasts(scaler, spec, now)
        observed = await self._observe(scaler, spec, policy, slots, now)
        if scaler.spec is not spec:
            return  # changed meanwhile: a tick for the new one is due already
        if scaler.memory is None:
            # A change of tomorrow, from a hand-edited status, would count for ever.
            scaler.changes = tuple(past for past in scaler.changes if past.at <= now + _CLOCK_SKEW)
            scaler.memory = Memory.starting_at(target.replicas, now, scaler.changes)
        memory = scaler.memory.known_at(now, scaler.changes)
        decision = decide(Observation(target.replicas, observed), policy, memory, now=now)
        scaler.memory = memory.after(decision, policy.behavior, now)
        target, circumstances = await self._act(scaler, policy, target, decision)
        self._measure(scaler, target, decision, slots, observed, now)
        forecasts = [
            slot.forecast if isinstance(slot.forecast, Forecast) else None for slot in slots
        ]
        await self._report(
            scaler,
            {
                **replica_status(target, decision, scaler.changes),
                "decision": decision_status(decision, policy, scaler.zero_since, now=now),
                "forecasts": forecast_status(forecasts, policy, now=now),
            },
            verdict.of_decision(decision, target, circumstances),
            now,
        )

    def _refresh_forecasts(
        self, scaler: Scaler, spec: PredictiveScalerSpec, now: float
    ) -> list[Slot]:
        slots = []
        for position, metric in enumerate(spec.metrics):
            source = self.sources.settings(metric.source)
            if source is None:
                slots.append(Slot(Undecided("SourceUnknown", _unknown(metric.source))))
                continue
            request = FitRequest(
                source=source,
                query=metric.query,
                now=now,
                history=spec.forecast.history,
                step=spec.forecast.step,
                horizon=spec.forecast.horizon,
                quantile=spec.forecast.quantile,
                min_history=spec.forecast.min_history,
                time_zone=spec.forecast.time_zone,
            )
            slots.append(
                self.forecasts.refresh(
                    scaler.uid, position, request, refit_every=spec.forecast.refit_every
                )
            )
        return slots

    async def _observe(
        self,
        scaler: Scaler,
        spec: PredictiveScalerSpec,
        policy: ScalingPolicy,
        slots: list[Slot],
        now: float,
    ) -> tuple[MetricObservation, ...]:
        answers = await asyncio.gather(*(self._demand(metric, now) for metric in spec.metrics))
        observed = []
        for position, (answer, slot) in enumerate(zip(answers, slots, strict=True)):
            name = policy.metrics[position].name
            known = slot.forecast.zeros if isinstance(slot.forecast, Forecast) else ZeroKnowledge()
            demand, zero_since = doubt_sudden_zero(
                answer,
                zero_since=scaler.zero_since.get(name),
                known=known,
                grace=spec.sudden_zero_grace,
                now=now,
            )
            if zero_since is None:
                scaler.zero_since.pop(name, None)
            else:
                scaler.zero_since[name] = zero_since
            forecast = slot.forecast
            if forecast is NOT_FITTED_YET and scaler.forecast_was_available:
                forecast = Awaited(
                    NOT_FITTED_YET.reason,
                    NOT_FITTED_YET.message,
                    overdue=now - scaler.first_tick_at > _PATIENCE,
                )
            observed.append(MetricObservation(demand, forecast))
        return tuple(observed)

    async def _demand(self, metric: MetricSpec, now: float) -> Demand:
        source = await self.sources.get(metric.source)
        if source is None:
            return Unavailable("SourceUnknown", _unknown(metric.source))
        began = time.perf_counter()
        answer = await source.demand_now(metric.query, now=now, stale_after=metric.stale_after)
        self.telemetry.query_seconds.labels("now").observe(time.perf_counter() - began)
        if isinstance(answer, Unavailable):
            self.telemetry.errors.labels(answer.reason).inc()
        return answer

    async def _act(
        self, scaler: Scaler, policy: ScalingPolicy, target: Target, decision: Decision
    ) -> tuple[Target, Circumstances]:
        """Patch the replicas if all that may forbid it does not. Returns the target as it is."""
        now = self.clock()
        self.settings.poll()
        settings = self.settings.current
        circumstances = Circumstances(
            mode=scaler.mode,
            other_owner=self.owner_of(scaler),
            kill_switch=settings.kill_switch,
            over_limit=scaler.mode is Mode.AUTO
            and decision.desired != target.replicas
            and not limits.within_hourly_limit(
                decision, scaler.changes, settings.max_changes_per_hour, now=now
            ),
        )
        if (
            circumstances.mode is not Mode.AUTO
            or decision.desired == target.replicas
            or circumstances.other_owner
            or circumstances.kill_switch
            or circumstances.over_limit
            or not self.may_write()
        ):
            self._announce_recommendation(scaler, policy, target, decision)
            return target, circumstances
        try:
            changed = await self.cluster.set_replicas(
                target,
                decision.desired,
                lambda: self.may_write() and not self.settings.current.kill_switch,
            )
        except WriteConflict as error:
            # The next tick sees the new count and decides afresh.
            self.telemetry.errors.labels(error.reason).inc()
            logger.info("%s/%s: %s", scaler.namespace, scaler.name, error.message)
            return target, circumstances
        except ClusterError as error:
            self.telemetry.errors.labels(error.reason).inc()
            return target, replace(circumstances, failure=error.message)
        change = Change(now, target.replicas, decision.desired)
        self._remember_change(scaler, policy, change, decision)
        return changed, circumstances

    def _remember_change(
        self, scaler: Scaler, policy: ScalingPolicy, change: Change, decision: Decision
    ) -> None:
        scaler.changes = limits.remember(
            scaler.changes, change, memory=policy.behavior.longest_memory
        )
        direction = "up" if change.delta > 0 else "down"
        self.telemetry.changes.labels(scaler.namespace, scaler.name, direction).inc()
        why = explain(decision, policy)
        message = f"{change.before} → {change.after} replicas: {why}"
        logger.info("%s/%s: %s", scaler.namespace, scaler.name, message)
        self.post_event(
            scaler,
            kind="Normal",
            reason="ScaledUp" if change.delta > 0 else "ScaledDown",
            message=message,
        )

    def _announce_recommendation(
        self, scaler: Scaler, policy: ScalingPolicy, target: Target, decision: Decision
    ) -> None:
        if scaler.mode is not Mode.RECOMMEND or decision.desired == scaler.recommended:
            return
        if not self.may_write():
            return
        scaler.recommended = decision.desired
        if decision.desired != target.replicas:
            self.post_event(
                scaler,
                kind="Normal",
                reason="Recommended",
                message=f"{target.replicas} → {decision.desired} replicas recommended: "
                + explain(decision, policy),
            )

    async def _report(
        self, scaler: Scaler, figures: dict[str, Any], found: Iterable[Condition], now: float
    ) -> None:
        """Write status if it has changed noticeably, and post Events for conditions that have."""
        if not self.may_write():
            return
        current = list(found)
        told: set[str] = set()
        for condition in verdict.news(scaler.announced, current):
            if condition.message in told:  # several conditions may have one cause
                continue
            told.add(condition.message)
            kind = "Warning" if condition.is_bad else "Normal"
            self.post_event(
                scaler, kind=kind, reason=condition.reason, message=condition.message[:1000]
            )
        fresh = {
            **figures,
            "observedGeneration": scaler.generation,
            "conditions": conditions.merge(
                scaler.status.get("conditions") or (),
                current,
                generation=scaler.generation,
                now=now,
            ),
        }
        seen = noticeable(fresh)
        age = now - scaler.written_at
        if seen == scaler.noticed and not (figures and moved_far(scaler.status, fresh, age=age)):
            return
        # A merge patch leaves alone what it does not name: what is gone must be named as None.
        gone = {key: None for key in scaler.status if key not in fresh and key != "lastScaleTime"}
        if not figures:
            gone = {key: None for key in gone if key in ("decision", "forecasts")}
        try:
            await self.cluster.patch_status(
                scaler.namespace, scaler.name, {**gone, **fresh}, self.may_write
            )
        except ClusterError as error:
            if error.status == 404:
                raise ScalerGone from None
            self.telemetry.errors.labels(error.reason).inc()
            logger.warning(
                "%s/%s: status not written: %s", scaler.namespace, scaler.name, error.message
            )
            return
        self.telemetry.status_writes.inc()
        scaler.status = {**scaler.status, **fresh}
        for key in gone:
            scaler.status.pop(key, None)
        scaler.noticed, scaler.written_at = seen, now

    def _measure(
        self,
        scaler: Scaler,
        target: Target,
        decision: Decision,
        slots: list[Slot],
        observed: tuple[MetricObservation, ...],
        now: float,
    ) -> None:
        where = (scaler.namespace, scaler.name)
        self.telemetry.decisions.labels(*where, str(decision.source)).inc()
        answers = decision.answers
        predicted = [answer.predicted for answer in answers if answer.predicted is not None]
        figures = {
            "current": target.replicas,
            "ready": target.ready,
            "desired": decision.desired,
            "reactive": decision.floor,
            "predicted": max(predicted, default=math.nan),
        }
        for source, replicas in figures.items():
            self.telemetry.replicas.labels(*where, source).set(replicas)
        for answer, slot, seen in zip(answers, slots, observed, strict=True):
            # What is not known is not a number: the last value would look like news for ever.
            peak = math.nan if answer.peak is None else answer.peak
            self.telemetry.forecast_peak.labels(*where, answer.name).set(peak)
            if not isinstance(seen.demand, Reading):
                self.telemetry.demand.labels(*where, answer.name).set(math.nan)
                continue
            self.telemetry.demand.labels(*where, answer.name).set(seen.demand.value)
            slot.score(seen.demand.value, now)
            if slot.error_ratio is not None:
                self.telemetry.forecast_error.labels(*where, answer.name).set(slot.error_ratio)


def _unknown(source: str) -> str:
    return f"the operator's configuration has no Prometheus source named {source!r}"
