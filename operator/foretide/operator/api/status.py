"""The status of a PredictiveScaler: what a person wants to see of it, and what a restart needs."""

from typing import Literal

from pydantic import Field

from .fields import ApiModel
from .predictivescaler import PredictiveScalerSpec


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


class MetricStatus(ApiModel):
    """What one metric said at the time of the decision."""

    name: str = Field(description="Name of the metric.")
    demand: str | None = Field(default=None, description="Demand, in the unit of the query.")
    reactive: int | None = Field(
        default=None, description="Replicas that carry this demand, without headroom."
    )
    peak: str | None = Field(
        default=None, description="Upper quantile of demand over the lead time, as forecast."
    )
    predicted: int | None = Field(default=None, description="Replicas that carry that peak.")
    message: str | None = Field(
        default=None, description="Why there is no demand or no forecast to go by."
    )
    zero_since: str | None = Field(
        default=None, description="Since when demand has been exactly zero (RFC 3339)."
    )


class DecisionStatus(ApiModel):
    """The decision in force and the figures that it came from."""

    time: str = Field(description="When it was made (RFC 3339).")
    source: str = Field(
        description="What it comes from: Forecast, Reactive, Headroom (HPA's answer while no forecast is trusted), Held (a metric is missing), Awaited (a restart's first forecast is on its way) or Disabled (the target is scaled to 0)."
    )
    proposed: int = Field(description="Replicas before behavior, minimum and maximum.")
    metric: str | None = Field(default=None, description="The metric that asked for the most.")
    clamped_by: list[str] | None = Field(
        default=None, description="What changed the proposal, in order."
    )
    message: str = Field(description="The decision in one sentence.")
    metrics: list[MetricStatus] = Field(
        default_factory=list, description="What each metric said.", max_length=10
    )


class PeakStatus(ApiModel):
    """The next peak that the forecast sees."""

    time: str = Field(description="When (RFC 3339).")
    demand: str = Field(description="Upper quantile of demand, in the unit of the query.")
    replicas: int = Field(description="Replicas that carry it, before minimum and maximum.")


class ForecastStatus(ApiModel):
    """The forecast of one metric."""

    metric: str = Field(description="Name of the metric.")
    model: str = Field(description="The engine that made it.")
    quantile: float = Field(description="The upper quantile that is scaled for.")
    fitted_at: str = Field(description="When the model was fitted (RFC 3339).")
    valid_until: str = Field(description="After this time it is no longer used (RFC 3339).")
    history: str = Field(description="The span of history that it was learned from.")
    points: int = Field(description="The number of points in that history.")
    next_peak: PeakStatus | None = Field(
        default=None, description="The highest point that is still ahead."
    )


class ChangeStatus(ApiModel):
    """A change of replicas that Foretide made. Rate policies count these, also after a restart."""

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
    changes: list[ChangeStatus] | None = Field(
        default=None, description="Recent changes of the replicas, oldest first.", max_length=100
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
