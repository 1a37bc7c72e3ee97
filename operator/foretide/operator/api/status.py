"""The status of a PredictiveScaler: what a person wants to see of it, and what a restart needs."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from .event_status import EventsStatus
from .fields import ApiModel
from .forecast_status import ForecastStatus
from .guards import CostGuardStatus
from .lead_time import LeadTimeStatus
from .predictivescaler import PredictiveScalerSpec
from .shadow import ShadowStatus
from .slo import SloStatus


class Condition(ApiModel):
    """A condition by the Kubernetes API conventions."""

    type: str = Field(description="What the condition is about.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: str = Field(description="Why, as one CamelCase word for machines.")
    message: str = Field(default="", description="Why, as a sentence for people.")
    observed_generation: int | None = Field(
        default=None, description="The generation of the spec that this speaks of."
    )
    last_transition_time: str = Field(description="When the status last changed (RFC 3339).")


class Trust(StrEnum):
    """Whether a forecast may act."""

    HELD = "Trusted"
    LOST = "Distrusted"


class MetricStatus(ApiModel):
    """What one metric said at the time of the decision; each signal in replicas."""

    name: str = Field(description="Name of the metric.")
    demand: str | None = Field(default=None, description="Demand, in the unit of the query.")
    reactive: int | None = Field(
        default=None, description="Replicas that carry this demand, without headroom."
    )
    hpa: int | None = Field(
        default=None, description="Replicas that an HPA at targetUtilization would ask for."
    )
    peak: str | None = Field(
        default=None,
        description="The highest demand over the lead time that is planned for, in the unit of the query.",
    )
    quantile: float | None = Field(
        default=None, description="The upper quantile of the forecast that this peak is."
    )
    predicted: int | None = Field(default=None, description="Replicas that carry that peak.")
    event: int | None = Field(
        default=None, description="Replicas for an event within the lead time."
    )
    derivative: int | None = Field(
        default=None, description="Replicas for where demand is going, if it goes on growing so."
    )
    trust: Trust | None = Field(
        default=None,
        description="Whether the forecast may act: Distrusted when it has lately been short where HPA would not have been.",
    )
    harm_minutes: str | None = Field(
        default=None,
        description="Minutes in which the forecast would lately have been short and HPA not, less those of the reverse; old ones fade. Trust is lost at 5, and half of missedMinutes more, and found again at 1.",
    )
    missed_minutes: str | None = Field(
        default=None,
        description="Minutes in which HPA would lately have been short; old ones fade.",
    )
    message: str | None = Field(
        default=None, description="Why there is no demand or no forecast to go by."
    )
    zero_since: str | None = Field(
        default=None, description="Since when demand has been exactly zero (RFC 3339)."
    )
    drop_since: str | None = Field(
        default=None,
        description="Since when demand has been far below what was forecast (RFC 3339).",
    )


class DecisionStatus(ApiModel):
    """The decision in force and the figures that it came from."""

    time: str = Field(description="When it was made (RFC 3339).")
    source: str = Field(
        description="What it comes from: Forecast, Event, Derivative (demand is growing fast), Reactive, Headroom (HPA's answer while no forecast may act), Held (a metric is missing), Awaited (a restart's first forecast is on its way) or Disabled (the target is scaled to 0)."
    )
    proposed: int = Field(
        description="Replicas after the cost guard, before behavior, SLO, minimum and maximum."
    )
    hpa: int | None = Field(
        default=None,
        description="Replicas that an HPA at targetUtilization would ask for, before its behavior and bounds.",
    )
    metric: str | None = Field(default=None, description="The metric that asked for the most.")
    clamped_by: list[str] | None = Field(
        default=None, description="What changed the proposal, in order."
    )
    message: str = Field(description="The decision in one sentence.")
    metrics: list[MetricStatus] = Field(
        default_factory=list, description="What each metric said.", max_length=10
    )


class ChangeStatus(ApiModel):
    """A change that Foretide made. Rate policies and limits count these, also after a restart."""

    time: str = Field(description="When (RFC 3339).")
    before: int = Field(description="Replicas before.")
    after: int = Field(description="Replicas after.")


class PredictiveScalerStatus(ApiModel):
    """What was decided, why, and from what."""

    observed_generation: int | None = Field(
        default=None, description="The generation of the spec that this status speaks of."
    )
    current_replicas: int | None = Field(
        default=None, description="Replicas that the target asks for."
    )
    desired_replicas: int | None = Field(
        default=None, description="Replicas that Foretide wants, or would want in Recommend mode."
    )
    ready_replicas: int | None = Field(
        default=None,
        description="Replicas that are ready: the capacity there is. Starting and pending ones do not count.",
    )
    unschedulable_replicas: int | None = Field(
        default=None, description="Pods that wait because no node has room for them."
    )
    last_scale_time: str | None = Field(
        default=None, description="When Foretide last changed the replicas (RFC 3339)."
    )
    decision: DecisionStatus | None = Field(
        default=None, description="The decision in force and the figures that it came from."
    )
    forecasts: list[ForecastStatus] | None = Field(
        default=None, description="The forecasts in use.", max_length=10
    )
    lead_time: LeadTimeStatus | None = Field(
        default=None, description="How long replicas take to become ready."
    )
    events: EventsStatus | None = Field(default=None, description="What is known to come.")
    cost_guard: CostGuardStatus | None = Field(
        default=None, description="What the forecast has cost beyond HPA, where that is limited."
    )
    slo: SloStatus | None = Field(
        default=None, description="How the SLO stands, and what it does to scaling in."
    )
    shadow: ShadowStatus | None = Field(
        default=None,
        description="What would have been over the last seven days, had the recommendations been followed.",
    )
    changes: list[ChangeStatus] | None = Field(
        default=None, description="Recent changes of the replicas, oldest first.", max_length=100
    )
    floor_changes: list[ChangeStatus] | None = Field(
        default=None,
        description="Changes of the minimum of the target's autoscaler (actuation HPAFloor) within the last hour, oldest first.",
        max_length=100,
    )
    conditions: list[Condition] | None = Field(
        default=None, description="Conditions by the Kubernetes API conventions."
    )


class PredictiveScaler(ApiModel):
    """Scales a workload before its demand arrives, by a forecast of that demand."""

    spec: PredictiveScalerSpec = Field(description="What is asked for.")
    status: PredictiveScalerStatus | None = Field(
        default=None, description="What was decided, why, and from what."
    )
