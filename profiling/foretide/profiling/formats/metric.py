"""Which of a profile's numbers a format is to hold that holds one for each stack."""

from enum import StrEnum

from ..profile import Entry, Profile, Unit


class Metric(StrEnum):
    """CPU seconds, seconds on the wall clock, or samples."""

    CPU = "cpu"
    WALL = "wall"
    SAMPLES = "samples"


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


def pool_label(name: str) -> str:
    """What a pool of threads is called where every stack must have one."""
    return name or "threads"
