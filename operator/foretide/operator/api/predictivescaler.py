"""The PredictiveScaler resource. The CRD in `crds/` is generated from these models.

Every description is shown by `kubectl explain`.
"""

import math
from enum import StrEnum
from typing import Annotated, Literal, Self, TypeVar
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from foretide.forecasting import behavior as hpa

from .fields import ApiModel, Duration, Quantity, lasting

T = TypeVar("T")
# A DNS subdomain. It becomes a part of a path at the API server, where dots and slashes would lead
# elsewhere.
OBJECT_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
Name = Annotated[str, Field(min_length=1, max_length=253)]


class Mode(StrEnum):
    """What may be done about a decision."""

    RECOMMEND = "Recommend"
    AUTO = "Auto"
    PAUSED = "Paused"


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


class MetricSpec(ApiModel):
    """One measure of demand and what a replica can carry of it."""

    type: Literal["Prometheus"] = Field(
        default="Prometheus", description="Where demand comes from. Prometheus: a PromQL query."
    )
    name: str = Field(
        default="",
        max_length=63,
        pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$",
        description="A name for status, Events and metrics, unlike those of the others. Defaults to demand, with its position where there are several.",
    )
    query: str = Field(
        min_length=1,
        max_length=4096,
        description=(
            "PromQL that answers one number: the demand on the whole workload, in any unit, "
            'for example sum(rate(http_requests_total{app="shop"}[2m])).'
        ),
    )
    source: str = Field(
        default="default",
        min_length=1,
        max_length=63,
        description="Name of a Prometheus source that the administrator has declared in the operator's configuration.",
    )
    per_replica: Quantity = Field(
        description='The demand that one replica carries safely, in the unit of the query: 100, 500m, 2k, or "0.5" in quotes.',
    )
    target_utilization: float = Field(
        default=0.7,
        gt=0,
        le=1,
        description="Share of perReplica that is planned for while no forecast is trusted, as HPA would. A trusted forecast replaces this headroom.",
    )
    stale_after: Duration = lasting(
        "2m",
        description="A sample older than this counts as an outage of the metric. At least two scrape intervals.",
    )

    @field_validator("per_replica")
    @classmethod
    def _positive(cls, value: float) -> float:
        if not 0 < value < math.inf:
            raise ValueError("perReplica must be greater than 0, and finite")
        return value

    @field_validator("stale_after")
    @classmethod
    def _not_instant(cls, value: float) -> float:
        return _within(value, "staleAfter", 5, 3_600)


class ForecastSpec(ApiModel):
    """How demand is forecast."""

    history: Duration = lasting(
        "14d",
        description="How much history is used, at most. 14d sees two weeks of weekly pattern.",
    )
    min_history: Duration = lasting(
        "2d",
        description="With less history than this no forecast is made; scaling is reactive at targetUtilization.",
    )
    step: Duration = lasting(
        "5m",
        description="Resolution of the forecast. The forecast is of the maximum of demand within each step.",
    )
    quantile: float = Field(
        default=0.975,
        ge=0.5,
        lt=1,
        description="Which upper quantile of demand is scaled for. Higher is safer and costs more.",
    )
    horizon: Duration = lasting(
        "6h",
        description="How far a forecast reaches. It must cover refitEvery and leadTime.",
    )
    refit_every: Duration = lasting(
        "1h", description="How often the model is fitted anew to recent history."
    )
    lead_time: Duration = lasting(
        "3m",
        description="How long before demand arrives replicas are added: the time from a change of replicas until new pods are ready, plus a margin.",
    )
    time_zone: str = Field(
        default="UTC",
        max_length=64,
        description="IANA time zone whose days and weeks the demand follows, for example Europe/Berlin.",
    )

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"timeZone {value!r} is not an IANA time zone") from None
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _within(self.history, "forecast.history", 3_600, 400 * 86_400)
        _within(self.min_history, "forecast.minHistory", 600, self.history)
        _within(self.step, "forecast.step", 10, 3_600)
        _within(self.refit_every, "forecast.refitEvery", 60, 7 * 86_400)
        _within(self.lead_time, "forecast.leadTime", 0, 4 * 3_600)
        _within(self.horizon, "forecast.horizon", self.refit_every + self.lead_time, 30 * 86_400)
        if max(self.history, self.horizon) / self.step > 50_000:
            raise ValueError("forecast has more than 50000 steps: raise forecast.step")
        return self


class RatePolicySpec(ApiModel):
    """A limit on how fast replicas change."""

    type: hpa.PolicyType = Field(
        description="Pods: a number of pods. Percent: a share of the replicas."
    )
    value: int = Field(gt=0, description="How many pods, or percent, may change within the period.")
    period_seconds: int = Field(gt=0, le=1800, description="The period, in seconds.")


class ScalingRulesSpec(ApiModel):
    """Rules for one direction, as in HPA v2."""

    stabilization_window_seconds: int | None = Field(
        default=None,
        ge=0,
        le=3600,
        description="Past recommendations of this many seconds are considered: the lowest when scaling up (default 0), the highest when scaling down (default 300, and never less than the longest range in a query and a minute, over which it fades when its series die).",
    )
    select_policy: hpa.Select | None = Field(
        default=None,
        description="Which of several policies holds: the one that allows the largest change (Max, the default), the smallest (Min), or none at all (Disabled).",
    )
    policies: list[RatePolicySpec] | None = Field(
        default=None, min_length=1, max_length=10, description="Limits on the rate of change."
    )
    tolerance: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Deviation from the target, as a share of it, that is left alone (default 0.1). Scaling up, it holds back neither a forecast nor the reactive floor.",
    )

    def over(self, default: hpa.Rules) -> hpa.Rules:
        """These rules, with what is not given taken from the default."""
        return hpa.Rules(
            stabilization=_or(self.stabilization_window_seconds, default.stabilization),
            policies=default.policies
            if self.policies is None
            else tuple(
                hpa.RatePolicy(policy.type, policy.value, policy.period_seconds)
                for policy in self.policies
            ),
            select=_or(self.select_policy, default.select),
            tolerance=_or(self.tolerance, default.tolerance),
        )


class BehaviorSpec(ApiModel):
    """How fast replicas may change; fields, defaults and meaning are those of HPA v2."""

    scale_up: ScalingRulesSpec = Field(
        default_factory=ScalingRulesSpec, description="Rules for adding replicas."
    )
    scale_down: ScalingRulesSpec = Field(
        default_factory=ScalingRulesSpec, description="Rules for removing replicas."
    )

    def rules(self) -> hpa.Behavior:
        """The behavior with HPA's defaults filled in."""
        default = hpa.Behavior()
        return hpa.Behavior(
            up=self.scale_up.over(default.up), down=self.scale_down.over(default.down)
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
    metrics: list[MetricSpec] = Field(
        min_length=1,
        max_length=10,
        description="Measures of demand; the one that asks for the most replicas counts.",
    )
    forecast: ForecastSpec = Field(
        default_factory=ForecastSpec, description="How demand is forecast."
    )
    behavior: BehaviorSpec = Field(
        default_factory=BehaviorSpec,
        description="How fast replicas may change; fields, defaults and meaning are those of HPA v2.",
    )
    sudden_zero_grace: Duration = lasting(
        "30m",
        description="For how long a sudden exact zero, which the history does not know at that hour, is taken for an outage of the metric.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError("minReplicas must not be greater than maxReplicas")
        names = [metric.name for metric in self.metrics if metric.name]
        if len(set(names)) != len(names):
            raise ValueError("metrics must not have the same name twice")
        _within(self.sudden_zero_grace, "suddenZeroGrace", 0, 7 * 86_400)
        return self


def _within(value: float, name: str, lowest: float, highest: float) -> float:
    if not lowest <= value <= highest:
        raise ValueError(f"{name} must be between {lowest:g} s and {highest:g} s, not {value:g} s")
    return value


def _or(value: T | None, default: T) -> T:
    return default if value is None else value
