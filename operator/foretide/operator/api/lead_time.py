"""The learned lead time as status shows it."""

from functools import lru_cache
from typing import Self

from pydantic import Field

from foretide.forecasting.lead_time import LeadTime, LeadTimeSource, StartHistory

from .fields import ApiModel


class LeadTimeStatus(ApiModel):
    """How long replicas take to become ready, and what that is taken from."""

    seconds: int = Field(
        description="The lead time in use, in seconds, with the margin for the sync period and the metric's lag."
    )
    source: LeadTimeSource = Field(
        description="Declared: forecast.leadTime, until pods have been seen to start at five different times. Learned: the 90th percentile of measured start-ups."
    )
    samples: int = Field(description="Pods whose start-up was measured, rollouts included.")
    scale_ups: int = Field(description="Different times at which they were started.")
    p50: int | None = Field(
        default=None, description="Median time from created to ready, in seconds."
    )
    p90: int | None = Field(default=None, description="90th percentile of it, in seconds.")
    node_p90: int | None = Field(
        default=None,
        description="90th percentile of pods that had to wait for a node. It is used while pods wait, and for half an hour after.",
    )
    start_ups: list[str] | None = Field(
        default=None,
        max_length=60,
        description="For a restart: pods that were started together, when (RFC 3339) and the seconds that each took; waited marks those that waited for a node.",
    )

    @classmethod
    def of(cls, lead: LeadTime, seconds: float, history: StartHistory) -> Self:
        """Status of a lead time of which `seconds` are in use."""
        return cls(
            seconds=round(seconds),
            source=lead.source,
            samples=lead.samples,
            scale_ups=lead.scale_ups,
            p50=_whole(lead.p50),
            p90=_whole(lead.p90),
            node_p90=_whole(lead.node_p90),
            start_ups=list(_lines(history)) or None,
        )


# It changes when pods start, and is asked for at each tick.
@lru_cache(maxsize=1_024)
def _lines(history: StartHistory) -> tuple[str, ...]:
    return tuple(history.lines())


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)
