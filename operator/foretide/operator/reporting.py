"""What people get to see: status, Events, the log and the operator's own metrics."""

import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from foretide.forecasting.behavior import Change
from foretide.forecasting.decision import Decision, MetricAnswer
from foretide.forecasting.demand import Reading

from . import conditions, verdict
from .acting import Acted
from .api.predictivescaler import Mode
from .cluster import Cluster, ClusterError, Target
from .conditions import Condition
from .hpa import Floor
from .observing import Seen
from .scaler import Scaler
from .status import moved_far, noticeable
from .telemetry import Telemetry

logger = logging.getLogger(__name__)

_LONGEST = 1_000  # an Event's message


class ScalerGone(Exception):
    """The resource itself does not exist any more."""


class EventSink(Protocol):
    """Where Kubernetes Events go."""

    def __call__(self, scaler: Scaler, *, kind: str, reason: str, message: str) -> None:
        """Post an Event of kind Normal or Warning on the resource."""
        ...


@dataclass(frozen=True, slots=True)
class Reporter:
    """Tells what a tick has found, but only what is news."""

    cluster: Cluster
    telemetry: Telemetry
    post_event: EventSink
    may_write: Callable[[], bool]

    def announce(
        self, scaler: Scaler, decision: Decision, acted: Acted, why: Callable[[], str]
    ) -> None:
        """Tell of a change that was made, or of a recommendation that has changed."""
        floor = acted.circumstances.floor
        if acted.change is not None:
            self._tell_change(scaler, acted.change, why())
        elif isinstance(floor, Floor) and floor.written:
            self._tell_floor(scaler, floor, acted.moved, why())
        elif scaler.mode is Mode.RECOMMEND and decision.desired != scaler.recommended:
            self._recommend(scaler, acted.target, decision, why)

    def _tell_change(self, scaler: Scaler, change: Change, why: str) -> None:
        up = self._count(scaler, change)
        message = f"{change.before} → {change.after} replicas: {why}"
        logger.info("%s/%s: %s", scaler.namespace, scaler.name, message)
        self.post_event(
            scaler,
            kind="Normal",
            reason="ScaledUp" if up else "ScaledDown",
            message=message[:_LONGEST],
        )

    def _count(self, scaler: Scaler, change: Change) -> bool:
        """Count a change; whether it goes up."""
        up = change.delta > 0
        where = (scaler.namespace, scaler.name)
        self.telemetry.changes.labels(*where, "up" if up else "down").inc()
        return up

    def _tell_floor(self, scaler: Scaler, floor: Floor, moved: Change | None, why: str) -> None:
        if moved is not None:
            self._count(scaler, moved)
        message = f"{floor.message}: {why}"
        logger.info("%s/%s: %s", scaler.namespace, scaler.name, message)
        self.post_event(
            scaler, kind="Normal", reason=f"Floor{floor.outcome}", message=message[:_LONGEST]
        )

    def _recommend(
        self, scaler: Scaler, target: Target, decision: Decision, why: Callable[[], str]
    ) -> None:
        if not self.may_write():
            return
        scaler.recommended = decision.desired
        if decision.desired != target.replicas:
            message = f"{target.replicas} → {decision.desired} replicas recommended: {why()}"
            self.post_event(scaler, kind="Normal", reason="Recommended", message=message[:_LONGEST])

    async def report(
        self, scaler: Scaler, figures: dict[str, Any], found: Iterable[Condition], now: float
    ) -> None:
        """Write status if it has changed noticeably, and post Events for conditions that have.

        Raises:
            ScalerGone: there is no such resource any more.
        """
        if not self.may_write():
            return
        current = list(found)
        self._tell_conditions(scaler, current)
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

    def _tell_conditions(self, scaler: Scaler, current: list[Condition]) -> None:
        told: set[str] = set()
        for condition in verdict.news(scaler.announced, current):
            if condition.message in told:  # several conditions may have one cause
                continue
            told.add(condition.message)
            kind = "Warning" if condition.is_bad else "Normal"
            self.post_event(
                scaler, kind=kind, reason=condition.reason, message=condition.message[:_LONGEST]
            )

    def measure(
        self, scaler: Scaler, target: Target, decision: Decision, seen: Seen, now: float
    ) -> None:
        """Set the operator's own metrics of a resource. What is not known is not a number."""
        where = (scaler.namespace, scaler.name)
        names = frozenset(answer.name for answer in decision.answers)
        for gone in scaler.measured - names:
            self.telemetry.forget_metric(*where, gone)
        scaler.measured = names
        self.telemetry.decisions.labels(*where, str(decision.source)).inc()
        self.telemetry.lead_time.labels(*where).set(seen.policy.lead_time)
        answers = decision.answers
        figures = {
            "current": target.replicas,
            "ready": target.ready,
            "desired": decision.desired,
            "reactive": decision.floor,
            "hpa": math.nan if decision.hpa is None else decision.hpa,
            "predicted": _most(answer.predicted for answer in answers),
            "event": _most(answer.event for answer in answers),
            "derivative": _most(answer.derivative for answer in answers),
        }
        for source, replicas in figures.items():
            self.telemetry.replicas.labels(*where, source).set(replicas)
        observed = seen.observation.metrics
        for answer, slot, metric in zip(answers, seen.slots, observed, strict=True):
            here = (*where, answer.name)
            peak = math.nan if answer.peak is None else answer.peak
            self.telemetry.forecast_peak.labels(*here).set(peak)
            self.telemetry.forecast_trusted.labels(*here).set(_trusted(answer))
            if not isinstance(metric.demand, Reading):
                self.telemetry.demand.labels(*here).set(math.nan)
                continue
            self.telemetry.demand.labels(*here).set(metric.demand.value)
            slot.score(metric.demand.value, now)
            error = math.nan if slot.error_ratio is None else slot.error_ratio
            self.telemetry.forecast_error.labels(*here).set(error)

    def measure_nothing(self, scaler: Scaler) -> None:
        """Nothing is known of the resource now, so the last figures must not go on being shown."""
        if scaler.measured:
            self.telemetry.blank(scaler.namespace, scaler.name)
            scaler.measured = frozenset()


def _trusted(answer: MetricAnswer) -> float:
    """As the condition ForecastTrusted: 1 (True), 0 (False), NaN (Unknown: there is none)."""
    if answer.untrusted is None:
        return 1.0
    return 0.0 if answer.untrusted.reason in verdict.NOT_TRUSTED else math.nan


def _most(figures: Iterable[int | None]) -> float:
    return max((figure for figure in figures if figure is not None), default=math.nan)
