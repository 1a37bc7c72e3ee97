"""The PredictiveScaler resource. The CRD in `crds/` is generated from these models.

Every description is shown by `kubectl explain`.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from .behavior import BehaviorSpec
from .events import EventList
from .fields import ApiModel, Duration, lasting, within
from .forecast import ForecastSpec
from .guards import CostGuardSpec
from .metrics import MetricSpec
from .slo import SloSpec
from .surge import SurgeSpec

# A DNS subdomain. It becomes a part of a path at the API server, where dots and slashes would lead
# elsewhere.
OBJECT_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
Name = Annotated[str, Field(min_length=1, max_length=253)]


class Mode(StrEnum):
    """What may be done about a decision."""

    RECOMMEND = "Recommend"
    AUTO = "Auto"
    PAUSED = "Paused"


class Actuation(StrEnum):
    """What is changed in `Auto`."""

    REPLICAS = "Replicas"
    HPA_FLOOR = "HPAFloor"


class ScaleTargetRef(ApiModel):
    """The workload to scale, in the resource's own namespace."""

    api_version: str = Field(
        default="apps/v1",
        max_length=253,
        pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?v[0-9a-z]+$",
        description="API version of the target, for example apps/v1.",
    )
    kind: str = Field(
        max_length=63,
        pattern=r"^[A-Z][A-Za-z0-9]*$",
        description="Kind of the target: Deployment, StatefulSet, or any kind that has a scale subresource.",
    )
    name: Name = Field(pattern=OBJECT_NAME, description="Name of the target.")

    @property
    def group(self) -> str:
        """The API group, empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """The version within the group."""
        return self.api_version.rpartition("/")[2]


class SignalsSpec(ApiModel):
    """What may add replicas beyond HPA's answer, each by itself."""

    time_series: bool = Field(
        default=True,
        description="The forecast from the history of demand. Without it scaling is reactive at targetUtilization, and the other signals come on top.",
    )
    events: bool = Field(
        default=True,
        description="What is known to come: spec.events, and annotations foretide.dev/event.NAME on the target.",
    )
    derivative: bool = Field(
        default=True,
        description="Growth of demand right now, extrapolated over the lead time; see surge.",
    )


class PredictiveScalerSpec(ApiModel):
    """Scales a workload before its demand arrives."""

    scale_target_ref: ScaleTargetRef = Field(
        description="The workload to scale, in the resource's own namespace."
    )
    min_replicas: int = Field(
        default=1, ge=1, le=1_000_000, description="Replicas are never fewer than this."
    )
    max_replicas: int = Field(ge=1, le=1_000_000, description="Replicas are never more than this.")
    mode: Mode = Field(
        default=Mode.RECOMMEND,
        description="Recommend: decide and report, change nothing. Auto: change replicas. Paused: do nothing at all.",
    )
    actuation: Actuation = Field(
        default=Actuation.REPLICAS,
        description="What is changed in Auto. Replicas: those of the target, which nothing else may scale. HPAFloor: the minimum of the HPA, or of KEDA's ScaledObject, that scales the target already; it goes on scaling above that, and gets its own minimum back afterwards.",
    )
    metrics: list[MetricSpec] = Field(
        min_length=1,
        max_length=10,
        description="Measures of demand; the one that asks for the most replicas counts.",
    )
    forecast: ForecastSpec = Field(
        default_factory=ForecastSpec, description="How demand is forecast."
    )
    signals: SignalsSpec = Field(
        default_factory=SignalsSpec,
        description="What may add replicas beyond HPA's answer; all of it by default. Each is shown in status.decision.",
    )
    events: EventList = Field(
        default=[],
        description="What is known to come: holidays, campaigns, releases, what recurs. What an event does to demand is learned from its past, or said with multiplier and minReplicas.",
    )
    surge: SurgeSpec = Field(
        default_factory=SurgeSpec,
        description="How far growth of demand right now is extrapolated; signals.derivative switches it.",
    )
    behavior: BehaviorSpec = Field(
        default_factory=BehaviorSpec,
        description="How fast replicas may change; fields, defaults and meaning are those of HPA v2.",
    )
    cost_guard: CostGuardSpec = Field(
        default_factory=CostGuardSpec,
        description="How much more than HPA the forecast may cost. No limit by default.",
    )
    slo: SloSpec | None = Field(
        default=None,
        description="What users notice when there are too few replicas. With it, scaling in below HPA's answer goes step by step, and is taken back when the SLO gets worse.",
    )
    sudden_zero_grace: Duration = lasting(
        "30m",
        description="For how long a sudden exact zero, which the history does not know at that hour, is taken for an outage of the metric.",
    )
    sudden_drop_grace: Duration = lasting(
        "15m",
        description="For how long no replicas are taken away when demand falls far below what was forecast: it may be an outage upstream, and the users come back all at once.",
    )

    @property
    def metric_names(self) -> tuple[str, ...]:
        """How each metric is called in status, Events and the operator's metrics."""
        return tuple(
            metric.name or (f"demand-{position}" if len(self.metrics) > 1 else "demand")
            for position, metric in enumerate(self.metrics)
        )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError("minReplicas must not be greater than maxReplicas")
        if twice := _twice(self.metric_names):
            raise ValueError(
                f"metrics must not have the same name twice: {twice} (those without a name are "
                "called by their position, from demand-0 on)"
            )
        if _twice([event.name for event in self.events]):
            raise ValueError("events must not have the same name twice")
        if any((event.min_replicas or 0) > self.max_replicas for event in self.events):
            raise ValueError("minReplicas of an event must not be greater than maxReplicas")
        within(self.sudden_zero_grace, "suddenZeroGrace", 0, 7 * 86_400)
        within(self.sudden_drop_grace, "suddenDropGrace", 0, 7 * 86_400)
        return self


def _twice(names: Sequence[str]) -> str:
    """The first name that stands there more than once; empty when none does."""
    return next((name for name in names if names.count(name) > 1), "")
