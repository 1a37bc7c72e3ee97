"""Shadow mode as status shows it: what would have been, against what happened."""

from functools import lru_cache
from typing import Self

from pydantic import Field

from foretide.forecasting.shadow import Hour, Shadow

from .fields import ApiModel


class ShadowStatus(ApiModel):
    """What would have been over the last seven days, had the recommendations been followed."""

    message: str = Field(description="The comparison in one sentence.")
    compared_minutes: int = Field(description="The time that was seen and compared.")
    would_pod_minutes: int = Field(
        description="Pods × minutes that the recommendations would have used."
    )
    did_pod_minutes: int = Field(description="Pods × minutes that the target asked for.")
    would_lack_minutes: int = Field(
        description="Minutes in which fewer replicas would have been ready than demand needed; a recommended replica is ready after the lead time."
    )
    did_lack_minutes: int = Field(
        description="Minutes in which fewer replicas were ready than demand needed."
    )
    hours: list[str] | None = Field(
        default=None,
        max_length=168,
        description="For a restart, by the hour or six: the hour since 1970, minutes seen, pod-minutes that would and did cost, minutes that would and did lack.",
    )

    @classmethod
    def of(cls, shadow: Shadow, now: float) -> Self:
        """Status of a comparison at `now`."""
        found = shadow.compare(now)
        return cls(
            message=found.sentence(),
            compared_minutes=round(found.seen_minutes),
            would_pod_minutes=round(found.would_pod_minutes),
            did_pod_minutes=round(found.did_pod_minutes),
            would_lack_minutes=round(found.would_lack_minutes),
            did_lack_minutes=round(found.did_lack_minutes),
            hours=[*_lines(shadow.hours[:-1]), *Shadow(shadow.hours[-1:]).figures()] or None,
        )


# The hours that are over change once in an hour, and are asked for at each tick.
@lru_cache(maxsize=1_024)
def _lines(hours: tuple[Hour, ...]) -> tuple[str, ...]:
    return tuple(Shadow(hours).figures())
