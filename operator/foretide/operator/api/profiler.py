"""The Profiler resource: which pods to profile, and how. The CRD in `crds/` is generated from it.

Every description is shown by `kubectl explain`.
"""

import re
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from ..conditions import parse_timestamp
from .fields import ApiModel, Duration, lasting, within
from .predictivescaler import OBJECT_NAME, Name, ScaleTargetRef

LABEL_VALUE = r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"
LABEL_KEY = re.compile(
    r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)
CONTAINER_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
LONGEST_ONCE = 3_600.0

LabelValue = Annotated[str, Field(max_length=63, pattern=LABEL_VALUE)]


class ProfilerMode(StrEnum):
    """For how long is profiled."""

    ONCE = "Once"
    CONTINUOUS = "Continuous"


class Capability(StrEnum):
    """What the profiling container may ask for beyond nothing."""

    NONE = "None"
    SYS_PTRACE = "SysPtrace"


class PodSelector(ApiModel):
    """Pods by their labels."""

    match_labels: dict[str, LabelValue] = Field(
        min_length=1,
        max_length=20,
        description="Labels that a pod must have, all of them.",
    )

    @field_validator("match_labels")
    @classmethod
    def _keys(cls, labels: dict[str, str]) -> dict[str, str]:
        """A structural schema has no word for a map's keys; `a,b` would be two conditions."""
        for key in labels:
            if not LABEL_KEY.fullmatch(key):
                raise ValueError(f"{key[:80]!r} is no name of a label, such as app or shop.io/tier")
        return labels


class BaselineSpec(ApiModel):
    """What the profile is compared with: another Profiler's profile, or an earlier period."""

    profiler: Name | None = Field(
        default=None,
        pattern=OBJECT_NAME,
        description="Name of a Profiler in the same namespace whose last profile is the state before.",
    )
    start: str | None = Field(
        default=None,
        max_length=40,
        description="Begin of the period before, of this Profiler's own pods (RFC 3339). It needs the store.",
    )
    end: str | None = Field(default=None, max_length=40, description="Its end (RFC 3339).")

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.profiler is None) == (self.start is None):
            raise ValueError("give exactly one of profiler and start")
        if (self.start is None) != (self.end is None):
            raise ValueError("start and end go together")
        if self.period is not None and self.period[0] >= self.period[1]:
            raise ValueError("start must be before end")
        return self

    @property
    def period(self) -> tuple[float, float] | None:
        """The period before, in Unix seconds, where it is given as one.

        Raises:
            ValueError: one of the times is none.
        """
        if self.start is None or self.end is None:
            return None
        return parse_timestamp(self.start), parse_timestamp(self.end)


class LatencySpec(ApiModel):
    """A percentile of the latency that users see."""

    name: str = Field(
        max_length=63,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="What it is called in the verdict, such as p99.",
    )
    query: str = Field(
        min_length=1,
        max_length=4096,
        description="PromQL that answers one number, in seconds, such as histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket[1m]))).",
    )


class TrafficSpec(ApiModel):
    """What the workload serves, for a comparison with the baseline."""

    source: str = Field(
        default="default",
        min_length=1,
        max_length=63,
        description="Name of a Prometheus source that the administrator has declared in the operator's configuration.",
    )
    requests_per_pod: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="PromQL that answers the requests per second of one pod, on average: avg(sum by (pod) (rate(http_requests_total[1m]))). With it, cost is compared by CPU seconds a request.",
    )
    latency: list[LatencySpec] = Field(
        default=[],
        max_length=5,
        description="Percentiles of latency: a fix that users do not feel, or that slows them down, is told.",
    )


class ProfilerSpec(ApiModel):
    """Profiles the Python processes in pods, without a change of the application."""

    target_ref: ScaleTargetRef | None = Field(
        default=None,
        description="The workload whose pods are profiled, in the resource's own namespace. allowRollout needs it.",
    )
    selector: PodSelector | None = Field(
        default=None,
        description="The pods that are profiled, by label, where no workload is named.",
    )
    container: str | None = Field(
        default=None,
        max_length=63,
        pattern=CONTAINER_NAME,
        description="The container to profile. By default the one that kubectl takes: that of the annotation kubectl.kubernetes.io/default-container, or the first.",
    )
    mode: ProfilerMode = Field(
        default=ProfilerMode.ONCE,
        description="Once: running pods are profiled for `duration`, in an ephemeral container. Continuous: new pods get a sidecar when they are created; running ones are left as they are.",
    )
    duration: Duration = lasting(
        "1m", description="In mode Once: for how long each pod is profiled, 10 s to 1 h."
    )
    run: str = Field(
        default="",
        max_length=63,
        description="In mode Once: another text here starts another run.",
    )
    pods: int = Field(
        default=2, ge=1, le=50, description="How many pods are profiled at the same time."
    )
    rotate_every: Duration = lasting(
        "10m",
        description="In mode Continuous: how long the same pods are profiled before others have their turn.",
    )
    rate: int = Field(
        default=20,
        ge=1,
        le=100,
        description="Samples per second at the most. The sampler takes fewer where it would cost the application too much.",
    )
    suspend: bool = Field(default=False, description="Profile nothing, and take the sampler away.")
    allow_rollout: bool = Field(
        default=False,
        description="In mode Continuous: put the sidecar into the template of targetRef. Kubernetes then replaces the workload's pods, at once and when the Profiler goes. Without it nothing is ever restarted.",
    )
    capability: Capability = Field(
        default=Capability.NONE,
        description="SysPtrace: where the target's own user does not suffice, ask for the capability SYS_PTRACE, if the namespace's policy allows it. None: never.",
    )
    locals: bool = Field(
        default=False,
        description="Whether values of local variables may leave the pod. They often hold secrets and personal data.",
    )
    hotspots: int = Field(
        default=10, ge=1, le=50, description="How many hotspots status shows at the most."
    )
    baseline: BaselineSpec | None = Field(
        default=None,
        description="The state before: with it, status says whether a fix has worked.",
    )
    traffic: TrafficSpec | None = Field(
        default=None,
        description="What the workload serves, as Prometheus knows it: a comparison is then by the work done.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.target_ref is None) == (self.selector is None):
            raise ValueError("give exactly one of targetRef and selector")
        if self.allow_rollout and self.target_ref is None:
            raise ValueError("allowRollout needs targetRef: a selector names no template")
        if self.allow_rollout and self.mode is not ProfilerMode.CONTINUOUS:
            raise ValueError("allowRollout needs mode Continuous")
        within(self.duration, "duration", 10, LONGEST_ONCE)
        within(self.rotate_every, "rotateEvery", 60, 86_400)
        return self


def _rule(rule: str, message: str) -> dict[str, str]:
    return {"rule": rule, "message": message}


# CEL by the path of the field; each is said in the models too, in the same words.
PROFILER_RULES = {
    "spec": [
        _rule(
            "has(self.targetRef) != has(self.selector)",
            "give exactly one of targetRef and selector",
        ),
        _rule(
            "!self.allowRollout || has(self.targetRef)",
            "allowRollout needs targetRef: a selector names no template",
        ),
        _rule(
            "!self.allowRollout || self.mode == 'Continuous'",
            "allowRollout needs mode Continuous",
        ),
    ],
    "spec.baseline": [
        _rule("has(self.profiler) != has(self.start)", "give exactly one of profiler and start"),
        _rule("has(self.start) == has(self.end)", "start and end go together"),
    ],
}
