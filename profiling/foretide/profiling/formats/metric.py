"""Which of a profile's numbers a format holds that has one for each stack."""

from enum import StrEnum
from typing import TypedDict

from ..profile import BadProfile, Entry, Profile, Unit


class Metric(StrEnum):
    """CPU seconds, seconds on the wall clock, or samples."""

    CPU = "cpu"
    WALL = "wall"
    SAMPLES = "samples"


WHAT = {
    Metric.CPU: "CPU time",
    Metric.WALL: "time on the clock",
    Metric.SAMPLES: "a number of samples",
}


def value_of(entry: Entry, metric: Metric) -> float:
    """That number of an entry."""
    if metric is Metric.CPU:
        return entry.cpu
    return entry.wall if metric is Metric.WALL else entry.samples


def usual_metric(profile: Profile) -> Metric:
    """CPU seconds where they are known, and else what there is."""
    if profile.cpu > 0:
        return Metric.CPU
    return Metric.WALL if profile.unit is Unit.SECONDS else Metric.SAMPLES


def chosen_metric(profile: Profile, metric: Metric | None) -> Metric:
    """The one that was asked for, or the usual one.

    Raises:
        BadProfile: the profile does not have it.
    """
    if metric is None or metric is usual_metric(profile):
        return usual_metric(profile)
    has = any(value_of(entry, metric) > 0 for entry in profile.entries)
    if not has or (profile.unit is Unit.SAMPLES and metric is not Metric.SAMPLES):
        raise BadProfile(f"{WHAT[metric]} is not in it, {WHAT[usual_metric(profile)]} is")
    return metric


class Numbers(TypedDict):
    """What `Merging.add` is told of a stack."""

    cpu: float
    wall: float
    samples: float


def numbers(metric: Metric, value: float, looks: float = 0.0) -> Numbers:
    """The numbers of a stack of which this one is known, and in how many looks it was seen.

    CPU time is spent on the clock, too, and more is not known of the clock (`Profile.only_cpu`).
    """
    return {
        "cpu": value if metric is Metric.CPU else 0.0,
        "wall": value,
        "samples": value if metric is Metric.SAMPLES else looks,
    }


def pool_label(name: str) -> str:
    """What a pool of threads is called where every stack must have one."""
    return name or "threads"
