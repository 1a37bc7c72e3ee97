"""The cost guard, as it is written in a resource and as status shows it."""

from pydantic import Field

from foretide.forecasting.guards import CostPolicy

from .fields import ApiModel


class CostGuardSpec(ApiModel):
    """How much more than HPA the forecast may cost; what demand itself needs is never limited."""

    max_extra_replicas: int | None = Field(
        default=None,
        ge=0,
        le=1_000_000,
        description="The forecast may ask for at most so many replicas more than HPA would at targetUtilization. Without it there is no such limit.",
    )
    max_extra_pod_hours_per_day: float | None = Field(
        default=None,
        ge=0.1,
        le=24_000_000,
        description="A budget: pods × hours that any 24 hours may cost more than HPA at targetUtilization. Hours that cost less than HPA are counted in its favour. When it is spent the forecast adds nothing until a quarter of it is free again.",
    )

    def policy(self) -> CostPolicy:
        """The limits for the decision."""
        return CostPolicy(self.max_extra_replicas, self.max_extra_pod_hours_per_day)


class CostGuardStatus(ApiModel):
    """What the forecast has cost beyond HPA in the last 24 hours."""

    spent_pod_hours: str = Field(
        description="Pods × hours more than HPA would have used in the last 24 hours; less when negative."
    )
    exhausted: bool = Field(
        description="Whether the budget is spent, so that the forecast adds nothing."
    )
    free_at: str | None = Field(
        default=None,
        description="When the forecast may add replicas again, if nothing more is spent (RFC 3339).",
    )
    hours: list[str] | None = Field(
        default=None,
        max_length=26,
        description="For a restart: the first hour since 1970, then the extra pod-hours of each hour.",
    )
