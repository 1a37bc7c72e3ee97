"""The derivative signal, as it is written in a resource."""

import math

from pydantic import Field

from foretide.forecasting.surge import SurgeLimits

from .fields import ApiModel


class SurgeSpec(ApiModel):
    """How far demand that grows now, faster than its noise, is extrapolated over the lead time.

    Whether it may add replicas at all is `signals.derivative`.
    """

    max_factor: float = Field(
        default=2.0,
        gt=1,
        le=10,
        description="The prediction is at most this many times demand now. More meets a flash crowd sooner, and costs more when growth stops at once.",
    )

    def limits(self, most: float = math.inf) -> SurgeLimits:
        """The limits for the decision; `most` is the demand that maxReplicas carry."""
        return SurgeLimits(max_factor=self.max_factor, max_demand=most)
