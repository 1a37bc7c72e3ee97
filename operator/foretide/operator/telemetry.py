"""The operator's own Prometheus metrics."""

import math
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from foretide.forecasting.worker import FitReport

from .rollups import StoreState

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_FINE = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2, 5)
_RESOURCE = ("namespace", "name")


class Telemetry:
    """All metrics, on a registry of their own, so that several operators fit in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        GCCollector(self.registry)
        PlatformCollector(self.registry)
        ProcessCollector(registry=self.registry)
        self.decisions = Counter(
            "foretide_decisions",
            "Decisions made, by the signal that they came from.",
            (*_RESOURCE, "source"),
            registry=self.registry,
        )
        self.replicas = Gauge(
            "foretide_replicas",
            "Replicas, by where the figure comes from.",
            (*_RESOURCE, "source"),
            registry=self.registry,
        )
        self.demand = Gauge(
            "foretide_demand",
            "Demand now, in the unit of the user's query.",
            (*_RESOURCE, "metric"),
            registry=self.registry,
        )
        self.forecast_error = Gauge(
            "foretide_forecast_error_ratio",
            "Error of the forecast's median against demand, as a share of demand (WAPE), lately.",
            (*_RESOURCE, "metric"),
            registry=self.registry,
        )
        self.forecast_peak = Gauge(
            "foretide_forecast_peak",
            "Upper quantile of demand over the lead time, as forecast, in the query's unit.",
            (*_RESOURCE, "metric"),
            registry=self.registry,
        )
        self.forecast_trusted = Gauge(
            "foretide_forecast_trusted",
            "1 where the forecast acts, 0 where there is one that may not.",
            (*_RESOURCE, "metric"),
            registry=self.registry,
        )
        self.lead_time = Gauge(
            "foretide_lead_time_seconds",
            "The lead time in force: how long replicas take to become ready.",
            _RESOURCE,
            registry=self.registry,
        )
        self.changes = Counter(
            "foretide_replica_changes",
            "Changes that were made, of replicas or of the minimum of the target's autoscaler.",
            (*_RESOURCE, "direction"),
            registry=self.registry,
        )
        self.errors = Counter(
            "foretide_errors",
            "What went wrong, by reason.",
            ("reason",),
            registry=self.registry,
        )
        self.fit_seconds = Histogram(
            "foretide_fit_seconds",
            "Time that a worker took to fit and predict.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.fit_cpu = Counter(
            "foretide_fit_cpu_seconds",
            "CPU time that workers have used for fits.",
            registry=self.registry,
        )
        self.fit_failures = Counter(
            "foretide_fit_failures",
            "What fits could not make or use, by part and reason.",
            ("part", "reason"),
            registry=self.registry,
        )
        self.query_seconds = Histogram(
            "foretide_query_seconds",
            "Time that Prometheus took to answer: demand now, or history.",
            ("kind",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.ticks = Histogram(
            "foretide_tick_seconds",
            "Time that one tick of one resource took.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.tick_lag = Histogram(
            "foretide_tick_lag_seconds",
            "How much later than planned a tick ended its wait.",
            buckets=_FINE,
            registry=self.registry,
        )
        self.loop_block = Histogram(
            "foretide_loop_block_seconds",
            "How long the event loop was kept from running what was due.",
            buckets=_FINE,
            registry=self.registry,
        )
        self.loop_block_max = Gauge(
            "foretide_loop_block_max_seconds",
            "The longest time that the event loop was kept from running what was due.",
            registry=self.registry,
        )
        self.resources = Gauge(
            "foretide_predictivescalers",
            "PredictiveScalers that this operator looks after.",
            registry=self.registry,
        )
        self.leader = Gauge(
            "foretide_leader", "1 where this operator is the leader.", registry=self.registry
        )
        self.status_writes = Counter(
            "foretide_status_writes", "Patches of status.", registry=self.registry
        )
        self.rollups_waiting = Gauge(
            "foretide_rollups_waiting",
            "Roll-ups of demand that wait to be sent to the store.",
            registry=self.registry,
        )
        self.rollups_lost = Counter(
            "foretide_rollups_lost",
            "Roll-ups that did not reach the store: dropped after a day's wait, or refused by it.",
            ("outcome",),
            registry=self.registry,
        )
        self._lost = dict.fromkeys(("dropped", "refused"), 0)
        for outcome in self._lost:
            self.rollups_lost.labels(outcome)  # a rate wants a first value
        self.profilers = Gauge(
            "foretide_profilers",
            "Profilers that this operator looks after.",
            registry=self.registry,
        )
        self.profiled_pods = Gauge(
            "foretide_profiled_pods",
            "Pods of a Profiler, by how it stands with them.",
            (*_RESOURCE, "state"),
            registry=self.registry,
        )
        self.profiling_stopped = Gauge(
            "foretide_profiling_stopped_ratio",
            "Share of time that the costliest profiled process stood still for the sampler.",
            _RESOURCE,
            registry=self.registry,
        )
        self.profiles_waiting = Gauge(
            "foretide_profiles_waiting",
            "Minutes of processes' profiles that wait to be sent.",
            ("destination",),
            registry=self.registry,
        )
        self.profiles_lost = Counter(
            "foretide_profiles_lost",
            "Minutes of processes' profiles that did not arrive: dropped after a wait, or refused.",
            ("destination", "outcome"),
            registry=self.registry,
        )
        self._profiles_lost: dict[tuple[str, str], int] = {}
        self.databases = Gauge(
            "foretide_databaseadvisors",
            "DatabaseAdvisors that this operator looks after.",
            registry=self.registry,
        )
        self.database_reachable = Gauge(
            "foretide_database_reachable",
            "1 where the database could be looked at, 0 where it could not.",
            _RESOURCE,
            registry=self.registry,
        )
        self.database_findings = Gauge(
            "foretide_database_findings",
            "Findings about a database, by their kind.",
            (*_RESOURCE, "kind"),
            registry=self.registry,
        )
        self.database_saving = Gauge(
            "foretide_database_saving_ratio",
            "Share of the workload's time that all advised indexes would save.",
            _RESOURCE,
            registry=self.registry,
        )
        self.database_looks = Histogram(
            "foretide_database_look_seconds",
            "Time that one look at a database took.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.database_advice = Histogram(
            "foretide_database_advice_seconds",
            "Time that an advice took to be made, the wait for its turn included.",
            buckets=(*_SECONDS, 300, 600, 1_800),
            registry=self.registry,
        )

    def observe_fit(self, report: FitReport) -> None:
        """Take over what a fit has cost, and what it could not make or use."""
        self.query_seconds.labels("history").observe(report.query_seconds)
        self.fit_cpu.inc(report.cpu_seconds)
        if report.fit_seconds > 0:
            self.fit_seconds.observe(report.fit_seconds)
        troubles = {
            "forecast": report.failure,
            "events": report.unlearned,
            "store": report.store_trouble,
        }
        for part, trouble in troubles.items():
            if trouble is not None:
                self.fit_failures.labels(part, trouble.reason).inc()

    def observe_store(self, state: StoreState) -> None:
        """Take over how sending roll-ups goes; what the state has summed up only grows."""
        self.rollups_waiting.set(state.waiting)
        for outcome, total in (("dropped", state.dropped), ("refused", state.refused)):
            self.rollups_lost.labels(outcome).inc(max(0, total - self._lost[outcome]))
            self._lost[outcome] = total

    def observe_profiler(
        self, namespace: str, name: str, states: Mapping[str, int], stopped: float
    ) -> None:
        """Take over how it stands with a Profiler's pods; `stopped` NaN where it is not known."""
        self.profiled_pods.remove_by_labels({"namespace": namespace, "name": name})
        for state, count in states.items():
            self.profiled_pods.labels(namespace, name, state).set(count)
        self.profiling_stopped.labels(namespace, name).set(stopped)

    def forget_profiler(self, namespace: str, name: str) -> None:
        """Drop the series of a Profiler that is gone."""
        for gauge in (self.profiled_pods, self.profiling_stopped):
            gauge.remove_by_labels({"namespace": namespace, "name": name})

    def observe_database(
        self,
        namespace: str,
        name: str,
        *,
        reachable: bool | None,
        findings: Mapping[str, int],
        saving: float,
    ) -> None:
        """Take over what is known of a database; `reachable` None while nobody has looked, `saving`
        NaN where it is not known.
        """
        known = math.nan if reachable is None else float(reachable)
        self.database_reachable.labels(namespace, name).set(known)
        for kind, count in findings.items():
            self.database_findings.labels(namespace, name, kind).set(count)
        self.database_saving.labels(namespace, name).set(saving)

    def forget_database(self, namespace: str, name: str) -> None:
        """Drop the series of a DatabaseAdvisor that is gone."""
        for gauge in (self.database_reachable, self.database_findings, self.database_saving):
            gauge.remove_by_labels({"namespace": namespace, "name": name})

    def observe_profiles(self, destination: str, state: StoreState) -> None:
        """Take over how sending profiles goes; what the state has summed up only grows."""
        self.profiles_waiting.labels(destination).set(state.waiting)
        for outcome, total in (("dropped", state.dropped), ("refused", state.refused)):
            before = self._profiles_lost.get((destination, outcome), 0)
            self.profiles_lost.labels(destination, outcome).inc(max(0, total - before))
            self._profiles_lost[destination, outcome] = total

    def forget(self, namespace: str, name: str) -> None:
        """Drop the series of a resource that is gone."""
        self.blank(namespace, name)
        for counter in (self.decisions, self.changes):
            counter.remove_by_labels({"namespace": namespace, "name": name})

    def blank(self, namespace: str, name: str) -> None:
        """Drop what was measured of a resource that nothing is known of now; counts stay."""
        for gauge in (self.replicas, self.lead_time, *self._of_metrics):
            gauge.remove_by_labels({"namespace": namespace, "name": name})

    def forget_metric(self, namespace: str, name: str, metric: str) -> None:
        """Drop the series of a metric that the resource does not have any more."""
        for gauge in self._of_metrics:
            gauge.remove(namespace, name, metric)

    @property
    def _of_metrics(self) -> tuple[Gauge, ...]:
        return self.demand, self.forecast_error, self.forecast_peak, self.forecast_trusted
