"""What the operator keeps in memory about one PredictiveScaler. All of it survives a restart:
it is in the resource, or can be rebuilt from Prometheus."""

import time
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from foretide.forecasting.behavior import Change
from foretide.forecasting.decision import Memory, ScalingPolicy
from foretide.forecasting.lead_time import LeadTime, StartHistory, learn
from foretide.forecasting.recent import RecentDemand
from foretide.forecasting.shadow import Shadow
from foretide.forecasting.surge_trust import SurgeMeter
from foretide.forecasting.trust import TrustMeter

from .api.metrics import MetricSpec
from .api.predictivescaler import Mode, PredictiveScalerSpec
from .hpa import Holder
from .owners import Claim
from .policies import SafeLoad, to_policy, with_safe_loads
from .readiness import PodWatch
from .recall import Recalled, guards_of, recall
from .settings import explain

# An hour at the usual sync period, and some; `surge.detect` looks at no more.
_MOST_READINGS = 400
_CLOCK_SKEW = 60.0

Readings = deque[tuple[float, float]]


@dataclass(slots=True)
class Scaler:
    """One resource and what earlier ticks left behind.

    `spec` is None when the resource is not valid; `invalid` then says why. `status` is what was
    last written, `noticed` the part of it that decides whether to write again.

    `changes` are those of replicas, `floor_changes` those of an autoscaler's minimum.

    By the name of a metric: `zero_since` and `drop_since` (Unix seconds), `recent` demand by the
    minute for the lookahead model, `trust` in its forecast, `readings` of (Unix seconds, demand)
    for the surge, and `safe_loads`, what pods were last seen to request. `start_history`,
    `pod_watch` and `lead_time` are what has been learned of how long pods take to become ready.
    `floor_holder` is whose minimum is held up, `shadow` what would have been in Recommend mode,
    `measures` what each metric measured by the last valid spec, `measured` the metrics of which the
    operator's own metrics show figures.
    """

    uid: str
    namespace: str
    name: str
    body: Mapping[str, Any]
    spec: PredictiveScalerSpec | None
    policy: ScalingPolicy | None
    invalid: str = ""
    generation: int | None = None
    status: dict[str, Any] = field(default_factory=dict)
    memory: Memory | None = None
    changes: tuple[Change, ...] = ()
    floor_changes: tuple[Change, ...] = ()
    zero_since: dict[str, float] = field(default_factory=dict)
    drop_since: dict[str, float] = field(default_factory=dict)
    recent: defaultdict[str, RecentDemand] = field(
        default_factory=lambda: defaultdict(RecentDemand)
    )
    trust: defaultdict[str, TrustMeter] = field(default_factory=lambda: defaultdict(TrustMeter))
    surge_trust: defaultdict[str, SurgeMeter] = field(
        default_factory=lambda: defaultdict(SurgeMeter)
    )
    readings: defaultdict[str, Readings] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=_MOST_READINGS))
    )
    safe_loads: dict[str, SafeLoad] = field(default_factory=dict)
    start_history: StartHistory = field(default_factory=StartHistory)
    pod_watch: PodWatch = field(default_factory=PodWatch)
    lead_time: LeadTime | None = None
    shadow: Shadow = field(default_factory=Shadow)
    floor_holder: Holder | None = None
    noticed: tuple[Any, ...] | None = None
    written_at: float = 0.0
    announced: dict[str, tuple[str, str]] = field(default_factory=dict)
    recommended: int | None = None
    forecast_was_available: bool = False
    first_tick_at: float = 0.0
    measures: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    measured: frozenset[str] = frozenset()

    @classmethod
    def from_body(cls, body: Mapping[str, Any], now: float | None = None) -> "Scaler":
        """Read a resource, its status included: that is all that a restart needs.

        `now` is the operator's time (Unix seconds): what status says of later is not believed.
        """
        meta = body["metadata"]
        scaler = cls(
            uid=meta["uid"],
            namespace=meta["namespace"],
            name=meta["name"],
            body=body,
            spec=None,
            policy=None,
        )
        scaler.update(body)
        scaler._take_over(recall(body.get("status"), time.time() if now is None else now))
        return scaler

    def update(self, body: Mapping[str, Any]) -> None:
        """Take over a new version of the resource; memory stays, but for metrics that are new."""
        self.body = body
        self.generation = body["metadata"].get("generation")
        self.noticed = None
        try:
            self.spec = PredictiveScalerSpec.model_validate(body.get("spec") or {})
        except ValidationError as error:
            self.spec, self.policy, self.invalid = None, None, explain(error)
            return
        self.policy, self.invalid = to_policy(self.spec), ""
        self.lead_time = learn(self.start_history, self.spec.forecast.lead_time)
        measures = _measures(self.spec)
        if self.measures:  # of the last version that was valid
            kept = self.measures.items() & measures.items()
            self._forget_but({name for name, _ in kept})
        self.measures = measures

    def start(self, replicas: int, now: float) -> Memory:
        """Memory for the first tick, or the first one after the target was gone.

        What was spent and the steps that the SLO watches over are those of the last status.
        """
        # A change of tomorrow, from a hand-edited status, would count for ever.
        self.changes = tuple(past for past in self.changes if past.at <= now + _CLOCK_SKEW)
        self.floor_changes = tuple(
            past for past in self.floor_changes if past.at <= now + _CLOCK_SKEW
        )
        fresh = Memory.starting_at(replicas, now, self.changes)
        spending, slo = guards_of(self.status, now)
        self.memory = replace(fresh, spending=spending, slo=slo)
        return self.memory

    def policy_now(self, lead_time: float) -> ScalingPolicy | None:
        """The policy with what is known better than the spec says: the lead time in force
        (seconds), and what the pods request."""
        if self.policy is None:
            return None
        return replace(with_safe_loads(self.policy, self.safe_loads), lead_time=lead_time)

    @property
    def claim(self) -> Claim | None:
        """This resource's claim to its target."""
        if self.spec is None:
            return None
        created = str(self.body["metadata"].get("creationTimestamp", ""))
        return Claim(self.uid, self.name, created, self.spec.mode)

    @property
    def mode(self) -> Mode:
        """The mode; what cannot be read is never acted on."""
        return self.spec.mode if self.spec else Mode.PAUSED

    def _take_over(self, found: Recalled) -> None:
        self.status = found.status
        self.changes, self.floor_changes = found.changes, found.floor_changes
        self.zero_since, self.drop_since = found.zero_since, found.drop_since
        self.trust.update(found.trust)
        self.start_history = found.start_history
        self.pod_watch = PodWatch(counted_until=found.start_history.counted_until)
        if self.spec is not None:
            self.lead_time = learn(found.start_history, self.spec.forecast.lead_time)
        self.shadow = found.shadow
        self.announced = found.announced
        self.forecast_was_available = found.forecast_was_available

    def _forget_but(self, kept: set[str]) -> None:
        """Forget what is known of metrics, but for those with these names."""
        for known in (
            self.zero_since,
            self.drop_since,
            self.recent,
            self.trust,
            self.readings,
            self.safe_loads,
        ):
            for name in known.keys() - kept:
                del known[name]


def _measures(spec: PredictiveScalerSpec) -> dict[str, tuple[Any, ...]]:
    """By name, what a metric measures: for another query none of what is remembered holds."""
    return dict(zip(spec.metric_names, map(_measure, spec.metrics), strict=True))


def _measure(metric: MetricSpec) -> tuple[Any, ...]:
    return (
        metric.type,
        metric.query,
        metric.source,
        metric.arrival_query,
        metric.drain_within,
        metric.resource,
        metric.container,
    )
