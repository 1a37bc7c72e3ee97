"""What one metric alone asks for: the signals, each in replicas, and the largest of them.

- **Reactive**: demand ÷ safe load. The floor of every answer, and without headroom.
- **Forecast**: the upper quantile of the coming maximum, where a forecast may be trusted.
- **Event**: what a known event adds, on top of the forecast or of demand now; a declared floor.
- **Derivative**: where demand is going, if it goes on growing as it does now.
- **Headroom**: HPA's answer at the target utilisation, while no forecast may be trusted.

Pure, like all that decides.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from .behavior import Behavior
from .demand import Awaited, Demand, Reading, Unavailable, Undecided
from .events.model import NOTHING_AHEAD, EventOutlook
from .forecast import Forecast, PeakForecast
from .load_curve import MOST_REPLICAS, LoadCurve

if TYPE_CHECKING:  # it needs numpy, which the base install does not have
    from .surge import Surge


class Source(StrEnum):
    """Which signal the proposed replica count comes from."""

    REACTIVE = "Reactive"
    FORECAST = "Forecast"
    EVENT = "Event"
    DERIVATIVE = "Derivative"
    HEADROOM = "Headroom"
    HELD = "Held"
    AWAITED = "Awaited"
    DISABLED = "Disabled"


@dataclass(frozen=True, slots=True)
class MetricPolicy:
    """How demand of one metric becomes replicas.

    `per_replica` is the load that one replica carries safely, in the metric's unit; `curve` says
    it more exactly where a load test has found that replicas do not simply add up.
    `target_utilization` (0-1] is the share of it that is planned for while no forecast is usable.
    """

    name: str
    per_replica: float
    target_utilization: float = 0.7
    curve: LoadCurve | None = None

    def replicas_for(self, demand: float) -> int:
        """The smallest number of replicas that carries `demand`."""
        if self.curve is not None:
            return self.curve.replicas_for(demand)
        return replicas_for(demand, self.per_replica)

    def capacity(self, replicas: int) -> float:
        """What this many replicas carry."""
        return self.curve.capacity(replicas) if self.curve else self.per_replica * replicas

    def with_headroom(self, demand: float) -> int:
        """The replicas for `demand` at the target utilisation, which HPA would ask for."""
        return self.replicas_for(demand / self.target_utilization)


@dataclass(frozen=True, slots=True)
class MetricObservation:
    """What is known about one metric, in the order of `ScalingPolicy.metrics`.

    `hold` says why demand may have fallen for another reason than fewer users: nothing is taken
    away while it is there.
    """

    demand: Demand
    forecast: Forecast | PeakForecast | Undecided
    event: EventOutlook = NOTHING_AHEAD
    surge: "Surge | None" = None
    hold: Undecided | None = None


@dataclass(frozen=True, slots=True)
class MetricAnswer:
    """What one metric asks for, and the figures that it comes from.

    `reactive` is demand ÷ safe load, rounded up; `predicted` the same for the forecast's peak
    `peak`, planned for at `quantile`, or with more room where demand has `surprised` the forecast
    and counting for `patience` seconds when scaling down;
    `event` and `derivative` for these signals; `hpa` is what an HPA at the target utilisation would
    say. None where there is no such figure. `wanted` is None when the metric says nothing.
    """

    name: str
    wanted: int | None
    source: Source
    demand: float | None = None
    reactive: int | None = None
    peak: float | None = None
    quantile: float | None = None
    patience: float = 0.0
    surprised: bool = False
    predicted: int | None = None
    event: int | None = None
    derivative: int | None = None
    hpa: int | None = None
    unavailable: Unavailable | None = None
    untrusted: Undecided | None = None
    hold: Undecided | None = None

    @property
    def foreseen(self) -> bool:
        """Whether a forecast or a known event asks for at least as much as what nobody foresaw."""
        if self.predicted is None:
            return False
        return max(self.predicted, self.event or 0) >= max(self.reactive or 0, self.derivative or 0)


def answer_metric(
    seen: MetricObservation,
    metric: MetricPolicy,
    behavior: Behavior,
    *,
    lead_time: float,
    current: int,
    now: float,
) -> MetricAnswer:
    """What one metric alone asks for. `lead_time` is in seconds."""
    coming = coming_peak(seen.forecast, now=now, lead_time=lead_time)
    untrusted = coming if isinstance(coming, Undecided) else None
    peak = None if isinstance(coming, Undecided) else coming
    predicted = None if peak is None else metric.replicas_for(peak.upper)
    demand = seen.demand.value if isinstance(seen.demand, Reading) else None
    event = _event(seen.event, peak, demand, metric)
    derivative = None if seen.surge is None else metric.replicas_for(seen.surge.predicted)
    figures = {
        "name": metric.name,
        "peak": None if peak is None else peak.upper,
        "quantile": None if peak is None else peak.quantile,
        "patience": 0.0 if peak is None else peak.patience,
        "surprised": peak is not None and peak.surprised,
        "predicted": predicted,
        "event": event,
        "derivative": derivative,
        "untrusted": untrusted,
    }
    if isinstance(seen.demand, Unavailable):
        # A forecast or an event may still raise the replicas of a workload whose metric is down.
        wanted, source = _largest((predicted, Source.FORECAST), (event, Source.EVENT))
        return MetricAnswer(
            wanted=wanted,
            source=source if wanted is not None else Source.HELD,
            unavailable=seen.demand,
            **figures,  # type: ignore[arg-type]
        )
    reactive = metric.replicas_for(seen.demand.value)
    hpa = max(reactive, like_hpa(seen.demand.value, metric, behavior, current=current))
    signals = ((event, Source.EVENT), (derivative, Source.DERIVATIVE))
    if isinstance(untrusted, Awaited):
        wanted, source = _awaited(untrusted, reactive, hpa, signals, current)
    elif peak is None:
        headroom = Source.HEADROOM if hpa > reactive else Source.REACTIVE
        wanted, source = _largest((hpa, headroom), *signals)
    else:
        needed, source = _largest(
            (reactive, Source.REACTIVE), (predicted, Source.FORECAST), *signals
        )
        wanted = _calm(needed or 0, peak.slack, behavior, current=current)
    if seen.hold is not None:
        wanted = max(wanted or 0, current)
    return MetricAnswer(
        wanted=wanted,
        source=source,
        demand=seen.demand.value,
        reactive=reactive,
        hpa=hpa,
        hold=seen.hold,
        **figures,  # type: ignore[arg-type]
    )


def coming_peak(
    forecast: Forecast | PeakForecast | Undecided, *, now: float, lead_time: float
) -> PeakForecast | Undecided:
    """What a forecast says of the lead time, if it may be acted on at `now`; otherwise why not."""
    if isinstance(forecast, Undecided):
        return forecast
    if isinstance(forecast, Forecast):
        if now > forecast.valid_until:
            age = (now - forecast.valid_until) / 60
            return Undecided("Stale", f"the forecast ran out {age:.0f} min ago")
        if not forecast.covers(now, now + lead_time):
            return Undecided("HorizonTooShort", "the forecast does not reach over the lead time")
        forecast = forecast.over(now, now + lead_time)
    if now > forecast.until:
        return Undecided("Stale", "the forecast is of a time that has passed")
    if not (math.isfinite(forecast.upper) and forecast.upper >= 0):
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
    if current > 0:
        ratio = demand / (metric.capacity(current) * metric.target_utilization)
        if 1 - behavior.down.tolerance <= ratio <= 1 + behavior.up.tolerance:
            return current
    return metric.with_headroom(demand)


def tolerate_down(wanted: int, behavior: Behavior, *, current: int) -> int:
    """Leave the replicas alone where fewer would do, but only by the tolerance.

    The tolerance never holds back a forecast or the reactive floor on the way up: those have no
    headroom that could be eaten into.
    """
    small = current * (1 - behavior.down.tolerance) <= wanted < current
    return current if small else wanted


def _calm(needed: int, slack: float, behavior: Behavior, *, current: int) -> int:
    """Change the replicas seldom, and then by enough to last: plan smoothing.

    They stay while they are enough and at most the slack more than that. When they must move, they
    go a third of the slack above what is needed. A forecast without a plan gets HPA's tolerance.
    """
    if slack <= 0:
        return tolerate_down(needed, behavior, current=current)
    if needed <= current <= math.floor(needed * (1 + slack) + 1e-9):
        return current
    return math.ceil(needed * (1 + slack / 3) * (1 - 1e-9))


def _event(
    event: EventOutlook, peak: PeakForecast | None, demand: float | None, metric: MetricPolicy
) -> int | None:
    """Replicas that an event asks for; None where none is near, or nothing is known to add to."""
    if event is NOTHING_AHEAD or not (event.rise > 1 or event.min_replicas):
        return None
    base = 0.0 if demand is None else demand / metric.target_utilization
    if peak is not None:
        base = peak.upper
    added = metric.replicas_for(base * event.rise) if event.rise > 1 else 0
    return max(added, event.min_replicas)


def _awaited(
    awaited: Awaited,
    reactive: int,
    hpa: int,
    signals: tuple[tuple[int | None, Source], ...],
    current: int,
) -> tuple[int, Source]:
    asked = hpa if awaited.overdue else reactive
    rising = Source.HEADROOM if asked > reactive else Source.REACTIVE
    wanted, source = _largest((asked, rising), *signals)
    wanted = wanted or 0
    return max(current, wanted), source if wanted > current else Source.AWAITED


def _largest(*asked: tuple[int | None, Source]) -> tuple[int | None, Source]:
    """The largest, and of equals the first."""
    best: tuple[int | None, Source] = asked[0]
    for wanted, source in asked[1:]:
        if wanted is not None and (best[0] is None or wanted > best[0]):
            best = (wanted, source)
    return best
