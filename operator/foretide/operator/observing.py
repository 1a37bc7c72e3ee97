"""The world at one tick: demand, forecasts, events, growth, the SLO and the lead time."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from foretide.forecasting.decision import Observation, ScalingPolicy
from foretide.forecasting.demand import Demand, Reading, doubt_sudden_zero
from foretide.forecasting.events.model import EventCalendar
from foretide.forecasting.lead_time import LeadTimeSource, effective, learn
from foretide.forecasting.promql import longest_range

from .api.metrics import MetricSpec
from .api.predictivescaler import PredictiveScalerSpec
from .asking import Need, need_of, remembered, request_of, stored_metric
from .calendars import Calendars, CalendarView
from .cluster import Target
from .demands import Demands, Measured
from .forecasts import Forecasts, Slot
from .looking import Glance, look, note
from .policies import SafeLoad
from .readiness import observe
from .report import AHEAD, EventsReport, LeadReport, MetricReport, events_report
from .rollups import RollupSender, series_key
from .scaler import Scaler
from .settings import SettingsHolder

_LONGEST_LAG = 60.0
_NO_EVENTS = CalendarView(EventCalendar())


@dataclass(frozen=True, slots=True)
class Seen:
    """What was observed, as the decision takes it and as status tells it.

    `policy` is the one in force, with the lead time and the safe loads as they are known now. The
    slots and the reports have the order of its metrics.
    """

    observation: Observation
    policy: ScalingPolicy
    slots: tuple[Slot, ...]
    reports: tuple[MetricReport, ...]
    lead: LeadReport | None
    events: EventsReport | None
    event_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Observer:
    """All that is looked at. What has to be remembered of it goes into the `Scaler`."""

    demands: Demands
    forecasts: Forecasts
    calendars: Calendars
    settings: SettingsHolder
    rollups: RollupSender
    clock: Callable[[], float] = time.time

    async def observe(
        self, scaler: Scaler, spec: PredictiveScalerSpec, target: Target, now: float
    ) -> Seen | None:
        """The world at `now`; None where the resource has changed meanwhile."""
        measured, slo, view = await asyncio.gather(
            self._measure(scaler, spec, target, now),
            self.demands.slo(spec.slo, now),
            self._calendar(scaler, spec, target, now),
        )
        if scaler.spec is not spec:
            return None
        lead, seconds = self._lead_time(scaler, spec, target, now)
        policy = scaler.policy_now(seconds)
        assert policy is not None
        window = self._window(lead, seconds)
        slots = tuple(
            self._refresh(scaler, spec, position, policy, found, view.calendar, window, now)
            for position, found in enumerate(measured)
        )
        looked = [
            look(Glance(scaler, spec, metric, policy, found, slot, now), view.calendar, target)
            for metric, found, slot in zip(policy.metrics, measured, slots, strict=True)
        ]
        observed = tuple(observation for observation, _ in looked)
        names = dict.fromkeys(name for seen in observed for name in seen.event.names)
        effects = [slot.effects for slot in slots]
        return Seen(
            observation=Observation(target.replicas, observed, slo, seconds),
            policy=policy,
            slots=slots,
            reports=tuple(report for _, report in looked),
            lead=lead,
            events=events_report(view, effects, now) if spec.signals.events else None,
            event_names=tuple(names),
        )

    def forget(self, scaler: Scaler) -> None:
        """The resource is gone."""
        self.forecasts.forget(scaler.uid)
        self.calendars.forget(scaler.uid)

    async def _measure(
        self, scaler: Scaler, spec: PredictiveScalerSpec, target: Target, now: float
    ) -> list[Measured]:
        """Demand of each metric."""
        policy = scaler.policy
        assert policy is not None

        async def one(position: int, metric: MetricSpec, name: str) -> Measured:
            def doubt(answer: Demand) -> Demand:
                demand, since = doubt_sudden_zero(
                    answer,
                    zero_since=scaler.zero_since.get(name),
                    known=self.forecasts.slot(scaler.uid, position).zeros,
                    grace=spec.sudden_zero_grace,
                    now=now,
                )
                note(scaler.zero_since, name, since)
                return demand

            found = await self.demands.measure(metric, target, policy.behavior, doubt, now)
            if (pods := found.resource) is not None:
                scaler.safe_loads[name] = SafeLoad(pods.per_replica, pods.target_utilization)
            return found

        named = zip(spec.metrics, policy.metrics, strict=True)
        return await asyncio.gather(
            *(one(position, metric, its.name) for position, (metric, its) in enumerate(named))
        )

    async def _calendar(
        self, scaler: Scaler, spec: PredictiveScalerSpec, target: Target, now: float
    ) -> CalendarView:
        if not spec.signals.events:
            return _NO_EVENTS
        return await self.calendars.view(
            scaler.uid,
            target,
            spec.events,
            time_zone=spec.forecast.time_zone,
            now=now,
            past=remembered(spec, self.settings.current),
            ahead=max(AHEAD, spec.forecast.horizon),
        )

    def _lead_time(
        self, scaler: Scaler, spec: PredictiveScalerSpec, target: Target, now: float
    ) -> tuple[LeadReport | None, float]:
        """The lead time in force, in seconds, and what it comes from where it is learned."""
        declared = spec.forecast.lead_time
        if not spec.forecast.learn_lead_time:
            return None, declared
        starts, scaler.pod_watch = observe(target.pods, scaler.pod_watch, now)
        if starts:
            scaler.start_history = scaler.start_history.after(starts, now)
        if starts or scaler.lead_time is None:
            scaler.lead_time = learn(scaler.start_history, declared)
        seconds = effective(
            scaler.lead_time,
            unschedulable_now=target.unschedulable,
            nodes_short_recently=scaler.start_history.nodes_short(now),
            sync_period=self.settings.current.sync_period,
            metric_lag=metric_lag(spec),
        )
        return LeadReport(scaler.lead_time, seconds, scaler.start_history), seconds

    def _window(self, lead: LeadReport | None, seconds: float) -> float:
        """How far ahead is to be looked, in seconds: until the next decision's pods are ready."""
        learned = lead is not None and lead.lead.source is LeadTimeSource.LEARNED
        return seconds if learned else seconds + self.settings.current.sync_period

    def _refresh(
        self,
        scaler: Scaler,
        spec: PredictiveScalerSpec,
        position: int,
        policy: ScalingPolicy,
        measured: Measured,
        calendar: EventCalendar,
        window: float,
        now: float,
    ) -> Slot:
        """The forecasts of a metric; a fit is started if one is due."""
        metric, its = spec.metrics[position], policy.metrics[position]
        slot = self.forecasts.slot(scaler.uid, position)
        source = self.demands.sources.settings(metric.source)
        need = need_of(scaler, metric, its, policy, source, calendar, window)
        if not isinstance(need, Need):
            if slot.empty:
                slot.horizon = slot.lookahead = need
            slot.hindrance = need
            return slot
        slot.hindrance = None
        if isinstance(flow := measured.flow, Reading):
            key = series_key(
                scaler.namespace, scaler.name, its.name, source=metric.source, query=need.query
            )
            self.rollups.observe(key, flow.at, flow.value)
        return self.forecasts.refresh(
            scaler.uid,
            position,
            lambda: request_of(
                spec,
                need,
                now=self.clock(),
                stored=stored_metric(self.settings.current, scaler, its.name, metric, need.query),
                keep=slot.fits == 0,
            ),
            now=now,
            refit_every=spec.forecast.refit_every,
            window=window if spec.signals.time_series and spec.forecast.looks_ahead else None,
            name=f"{scaler.namespace}/{scaler.name} {its.name}",
        )


def metric_lag(spec: PredictiveScalerSpec) -> float:
    """How late demand is seen, in seconds: a rate over two minutes is that of a minute ago."""
    queries = (query for metric in spec.metrics for query in (metric.query, metric.arrival_query))
    longest = max((longest_range(query) for query in queries if query), default=0.0)
    return min(_LONGEST_LAG, longest / 2)
