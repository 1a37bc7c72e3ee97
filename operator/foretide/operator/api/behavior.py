"""How fast replicas may change, as HPA v2 writes it."""

from typing import TypeVar

from pydantic import Field

from foretide.forecasting import behavior as hpa

from .fields import ApiModel

T = TypeVar("T")


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
        description="Past recommendations of this many seconds are considered: the lowest when scaling up (default 0), the highest when scaling down (default 300 for those that no forecast made and 0 for those that one did; never less than the longest range in a query and a minute, over which it fades when its series die).",
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
            # A window that somebody has set holds for everything.
            foreseen=default.foreseen if self.stabilization_window_seconds is None else None,
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


def _or(value: T | None, default: T) -> T:
    return default if value is None else value
