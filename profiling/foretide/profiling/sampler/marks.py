"""What /proc said of each thread at the moment of one sample."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Moment:
    """One thread at one sample. `active`: it was on a core, or wanted one, when its stack was read;
    `ran_before`: it was so just before it was stopped. None: not seen.
    """

    active: bool | None
    ran_before: bool | None


@dataclass(frozen=True, slots=True)
class Mark:
    """One sample: when it was (monotonic seconds), and its threads by the kernel's number. `lost`:
    py-spy could not take it, so that no thread has a stack of it.
    """

    at: float
    threads: Mapping[int, Moment]
    lost: bool = False
