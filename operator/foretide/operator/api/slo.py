"""The SLO of a workload, as it is written in a resource and as status shows it."""

import contextlib
import math
from typing import Self

from pydantic import Field, field_validator

from foretide.forecasting.slo import Direction, SloPolicy, SloState, SloStep, Step

from ..conditions import parse_timestamp, timestamp
from .fields import ApiModel, Duration, Quantity, lasting


class SloSpec(ApiModel):
    """What users notice when there are too few replicas; it guards scaling in by the forecast."""

    query: str = Field(
        min_length=1,
        max_length=4096,
        description=(
            "PromQL that answers one number, for example "
            'histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{app="shop"}[5m]))).'
        ),
    )
    objective: Quantity = Field(
        json_schema_extra={"minimum": 0},
        description='The value that is promised, in the unit of the query: 1, 300m, or "0.3" in quotes.',
    )
    direction: Direction = Field(
        default=Direction.BELOW,
        description="Below: good values are at most the objective, such as latency or the share of errors. Above: at least, such as the share of good requests.",
    )
    source: str = Field(
        default="default",
        min_length=1,
        max_length=63,
        description="Name of a Prometheus source that the administrator has declared in the operator's configuration.",
    )
    stale_after: Duration = lasting(
        "2m",
        description="A sample older than this counts as an outage; then the forecast takes no replicas away.",
    )
    step_percent: int = Field(
        default=10,
        ge=1,
        le=100,
        description="Below what HPA would have, the forecast takes away at most this share of the replicas at a time, and one at least.",
    )
    window: Duration = lasting(
        "5m",
        description="For how long the SLO is observed after each step. Longer than the range of the query and the time that it takes users to notice.",
    )

    @field_validator("query")
    @classmethod
    def _not_blank(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("slo.query must not be blank")
        return value

    @field_validator("objective")
    @classmethod
    def _finite(cls, value: float) -> float:
        if not 0 <= value < math.inf:
            raise ValueError("slo.objective must be 0 or more, and finite")
        return value

    @field_validator("stale_after")
    @classmethod
    def _not_instant(cls, value: float) -> float:
        if not 5 <= value <= 3_600:
            raise ValueError(f"slo.staleAfter must be between 5 s and 3600 s, not {value:g} s")
        return value

    @field_validator("window")
    @classmethod
    def _long_enough(cls, value: float) -> float:
        if not 60 <= value <= 86_400:
            raise ValueError(f"slo.window must be between 60 s and 86400 s, not {value:g} s")
        return value

    def policy(self) -> SloPolicy:
        """The objective for the decision."""
        return SloPolicy(self.objective, self.direction, self.step_percent / 100, self.window)


class SloStepStatus(ApiModel):
    """Replicas that the forecast took away and that may still be taken back."""

    time: str = Field(description="When (RFC 3339).")
    before: int = Field(description="Replicas before.")
    after: int = Field(description="Replicas after.")
    value: str = Field(description="The SLO before the step, in the unit of its query.")


class SloStatus(ApiModel):
    """How the SLO stands, and what it does to scaling in by the forecast."""

    value: str | None = Field(
        default=None, description="The SLO now, in the unit of its query; absent when unknown."
    )
    phase: str = Field(
        description="Open (nothing is held back), SteppedDown, ObservingSlo, SloWorse, SloUnknown, TakenBack or PausedBySlo."
    )
    message: str | None = Field(default=None, description="Why, as a sentence.")
    paused_until: str | None = Field(
        default=None, description="Until when no replicas are taken away (RFC 3339)."
    )
    pause_seconds: int | None = Field(
        default=None, description="How long the last pause was; the next one is twice as long."
    )
    steps: list[SloStepStatus] | None = Field(
        default=None, max_length=10, description="Steps that may still be taken back, oldest first."
    )

    @classmethod
    def of(cls, value: float | None, step: SloStep) -> Self:
        """Status after a step of the gate."""
        state = step.state
        paused = math.isfinite(state.paused_until)
        return cls(
            value=None if value is None else f"{value:.6g}",
            phase=str(step.phase),
            message=step.message or None,
            paused_until=timestamp(state.paused_until) if paused else None,
            pause_seconds=round(state.pause) or None,
            steps=[
                SloStepStatus(
                    time=timestamp(one.at),
                    before=one.before,
                    after=one.after,
                    value=f"{one.value:.6g}",
                )
                for one in state.steps[-10:]
            ]
            or None,
        )

    def state(self) -> SloState:
        """What a restart needs of this; what cannot be read is left out."""
        steps = []
        for one in self.steps or ():
            with contextlib.suppress(ValueError, OverflowError):
                steps.append(
                    Step(parse_timestamp(one.time), one.before, one.after, float(one.value))
                )
        until = -math.inf
        if self.paused_until is not None:
            with contextlib.suppress(ValueError, OverflowError):
                until = parse_timestamp(self.paused_until)
        return SloState(tuple(steps), paused_until=until, pause=float(self.pause_seconds or 0))
