"""The status of a Profiler: what was found, with the figures that it came from.

Figures are strings, as the API conventions want them. Shares are percentages.
"""

from pydantic import Field

from .fields import ApiModel
from .profiler import ProfilerSpec
from .status import Condition

MOST_PODS = 50
MOST_EVIDENCE = 10
MOST_USERS = 50


class ProfiledPodStatus(ApiModel):
    """How it stands with one pod."""

    name: str = Field(description="Name of the pod.")
    container: str | None = Field(default=None, description="The container that is profiled.")
    route: str | None = Field(
        default=None, description="How it is attached: EphemeralContainer or Sidecar."
    )
    state: str = Field(
        description="Starting, Profiling, Idle (another pod's turn), Done, Refused, Failed or Waiting (it was created before the sidecar could be injected)."
    )
    reason: str | None = Field(default=None, description="Why, as one word for machines.")
    message: str | None = Field(default=None, description="Why, and what to do about it.")
    windows: int = Field(default=0, description="Windows that were measured in this run.")


class HotspotStatus(ApiModel):
    """A function that takes much of the time."""

    function: str = Field(description="Name of the function.")
    file: str = Field(description="Its file.")
    line: int = Field(description="The line with the most samples; 0 where it is not known.")
    self_percent: str = Field(description="Share of CPU time in the function itself.")
    total_percent: str = Field(description="Share of CPU time in it and what it calls.")
    interval: str = Field(
        default="", description="95 % confidence interval of the larger figure, as `38.1-44.0`."
    )
    cpu_seconds: str = Field(default="", description="CPU seconds in it and what it calls.")


class BoundStatus(ApiModel):
    """What the workload is bound by."""

    kind: str = Field(
        description="CPU, GIL, Lock, DiskIO, NetworkIO, MemoryPressure, Throttling, Idle or Unknown."
    )
    confidence: str = Field(default="", description="How sure that is, 0 to 1.")
    evidence: list[str] | None = Field(
        default=None, max_length=MOST_EVIDENCE, description="What speaks for it, with figures."
    )


class OverheadStatus(ApiModel):
    """What profiling costs, as measured, for the costliest pod."""

    stopped_percent: str | None = Field(
        default=None, description="Share of its working time that the application stood still."
    )
    cores: str | None = Field(default=None, description="CPU cores that the sampler used.")
    memory: str | None = Field(default=None, description="Memory of the sampler, as a quantity.")


class ProfileStatus(ApiModel):
    """The profile that the figures come from."""

    start: str = Field(description="Begin of its first window (RFC 3339).")
    end: str = Field(description="End of its last window (RFC 3339).")
    windows: int = Field(description="How many windows it has.")
    pods: int = Field(description="How many pods they are of.")
    samples: int = Field(description="How many samples of stacks.")
    cpu_seconds: str = Field(description="CPU seconds that the application used in them.")
    reference: str | None = Field(
        default=None, description="Where it is kept, as the store's path; absent without a store."
    )


class VerdictStatus(ApiModel):
    """What came of the comparison with the baseline."""

    verdict: str = Field(description="Fixed, Improved, NoChange, Regressed or InsufficientData.")
    message: str = Field(default="", description="Why, with figures; before is named first.")
    functions: list[str] | None = Field(
        default=None,
        max_length=MOST_EVIDENCE,
        description="The functions that changed, the largest change first.",
    )


class ProfilerStatus(ApiModel):
    """What was found."""

    observed_generation: int | None = Field(
        default=None, description="The generation of the spec that this status speaks of."
    )
    pods_matched: int | None = Field(default=None, description="Pods that are asked for.")
    pods_profiled: int | None = Field(
        default=None, description="Pods of which there is a profile, or that are profiled now."
    )
    pods_summary: str | None = Field(default=None, description="Both figures, as `2/7`.")
    started_at: str | None = Field(default=None, description="When this run began (RFC 3339).")
    finished_at: str | None = Field(default=None, description="When it was done (RFC 3339).")
    run_key: str | None = Field(
        default=None, description="What this run was asked for by; another spec is another run."
    )
    pods: list[ProfiledPodStatus] | None = Field(
        default=None, max_length=MOST_PODS, description="How it stands with each pod."
    )
    profile: ProfileStatus | None = Field(
        default=None, description="The profile that the figures come from."
    )
    bound: BoundStatus | None = Field(default=None, description="What it is bound by.")
    hotspots: list[HotspotStatus] | None = Field(
        default=None, max_length=50, description="The hotspots, the largest first."
    )
    top_hotspot: str | None = Field(default=None, description="The largest of them in one line.")
    pareto: str | None = Field(
        default=None, description="In how few functions most of the time is, for this workload."
    )
    overhead: OverheadStatus | None = Field(default=None, description="What profiling costs.")
    verdict: VerdictStatus | None = Field(
        default=None, description="What came of the comparison with the baseline."
    )
    users: dict[str, str] | None = Field(
        default=None,
        description="User and group (`1000:1000`) that containers were seen to run as, by image.",
    )
    conditions: list[Condition] | None = Field(
        default=None, description="Conditions by the Kubernetes API conventions."
    )


class Profiler(ApiModel):
    """Profiles running pods: why they are slow, what they are bound by, whether a fix worked."""

    spec: ProfilerSpec = Field(description="What is asked for.")
    status: ProfilerStatus | None = Field(default=None, description="What was found.")
