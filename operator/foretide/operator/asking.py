"""What a fit is asked for: from a resource, its lead time and its calendar to a request."""

import math
from dataclasses import dataclass

from foretide.forecasting.behavior import Behavior
from foretide.forecasting.decision import MetricPolicy, ScalingPolicy
from foretide.forecasting.demand import Undecided
from foretide.forecasting.events.model import EventCalendar
from foretide.forecasting.prometheus import PrometheusSource
from foretide.forecasting.worker import FitRequest, LookaheadNeed

from .api.metrics import MetricSpec
from .api.predictivescaler import PredictiveScalerSpec
from .demands import history_query, unknown_source
from .rollups import series_key
from .scaler import Scaler
from .settings import OperatorSettings
from .stored_demand import StoredDemand
from .stored_metric import StoredMetric

_MINUTE = 60.0
DAY = 86_400.0
# Holidays are seen once a year, by who has a store that remembers them.
_REMEMBERED = 400 * DAY

SWITCHED_OFF = Undecided("SwitchedOff", "signals.timeSeries is off")
REQUESTS_UNKNOWN = Undecided(
    "RequestsUnknown", "a forecast is made once it is known what the target's pods request"
)


@dataclass(frozen=True, slots=True)
class Need:
    """What fits of one metric need to know beside its spec.

    `policy` is the one in force, `window` (seconds) how far ahead is to be looked.
    """

    source: PrometheusSource
    query: str
    metric: MetricPolicy
    policy: ScalingPolicy
    window: float
    calendar: EventCalendar


def need_of(
    scaler: Scaler,
    metric: MetricSpec,
    policy: MetricPolicy,
    whole: ScalingPolicy,
    source: PrometheusSource | None,
    calendar: EventCalendar,
    window: float,
) -> Need | Undecided:
    """What a fit needs, or why none is to be made; `whole` is the policy in force."""
    spec = scaler.spec
    assert spec is not None
    learns = spec.signals.events and len(calendar) > 0
    if not (spec.signals.time_series or learns):
        return SWITCHED_OFF
    query = history_query(metric, scaler.namespace, spec.scale_target_ref)
    if isinstance(query, Undecided):
        return query
    if source is None:
        return Undecided("SourceUnknown", unknown_source(metric.source))
    if not math.isfinite(policy.per_replica):
        return REQUESTS_UNKNOWN
    return Need(source, query, policy, whole, window, calendar)


def request_of(
    spec: PredictiveScalerSpec,
    need: Need,
    *,
    now: float,
    stored: StoredMetric | None = None,
    keep: bool = False,
) -> FitRequest:
    """The request for a fit now."""
    forecast, wanted = spec.forecast, spec.signals.time_series
    return FitRequest(
        source=need.source,
        query=need.query,
        now=now,
        history=forecast.history,
        step=forecast.step,
        horizon=forecast.horizon,
        quantile=forecast.horizon_quantile,
        min_history=forecast.min_history,
        time_zone=forecast.time_zone,
        engine=str(forecast.horizon_engine or "") if wanted else "",
        lookahead=_lookahead(need) if wanted and forecast.looks_ahead else None,
        calendar=need.calendar,
        stored=stored,
        keep=keep,
    )


def stored_metric(
    settings: OperatorSettings, scaler: Scaler, name: str, metric: MetricSpec, query: str
) -> StoredMetric | None:
    """Where the store keeps a metric; None where there is no store."""
    if settings.store is None:
        return None
    key = series_key(scaler.namespace, scaler.name, name, source=metric.source, query=query)
    return StoredMetric(StoredDemand(settings.store.address), key)


def remembered(spec: PredictiveScalerSpec, settings: OperatorSettings) -> float:
    """How much of the past (seconds) can teach what events do."""
    history = spec.forecast.history
    return history if settings.store is None else max(history, _REMEMBERED)


def _lookahead(need: Need) -> LookaheadNeed:
    return LookaheadNeed(
        window=_minutes(need.window),
        lead=_minutes(need.policy.lead_time),
        per_replica=need.metric.per_replica,
        min_replicas=need.policy.min_replicas,
        target_utilization=need.metric.target_utilization,
        stabilization=_window(need.policy.behavior, foreseen=False),
        foreseen=_window(need.policy.behavior, foreseen=True),
        fixed=need.policy.behavior.down.foreseen is None,
    )


def _window(behavior: Behavior, *, foreseen: bool) -> int:
    return math.ceil(behavior.down.window(foreseen=foreseen) / _MINUTE)


def _minutes(seconds: float) -> int:
    return max(1, math.ceil(seconds / _MINUTE - 1e-9))
