"""How long profiles are kept, and how many bytes of them. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from .profiles import MERGE_STEP, Kind

HOUR = 3_600.0
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Retention:
    """Raw profiles and merged ones, each for so many seconds, and all of them in so many bytes."""

    raw: float = DAY
    merged: float = 30 * DAY
    size: int = 4 * 1024**3

    def seconds(self, kind: Kind) -> float:
        """How long those of a kind are kept."""
        return self.raw if kind is Kind.RAW else self.merged


class Step(NamedTuple):
    """Profiles of a kind that begin within one `MERGE_STEP`: its number, and their bytes."""

    kind: Kind
    number: int
    size: int


def oldest(now: float, retention: Retention, steps: Iterable[Step]) -> dict[Kind, float]:
    """For each kind, the time before which profiles are to be deleted (a multiple of the step).

    Merged ones may take half of the space, as otherwise they would in the end leave none for raw
    ones, of which they are made; beyond it the oldest go. Of the raw ones, the oldest go until
    they fit into the rest.
    """
    kept = {kind: int((now - retention.seconds(kind)) // MERGE_STEP) for kind in Kind}
    live = [step for step in steps if step.number >= kept[step.kind]]
    merged = sorted(step for step in live if step.kind is Kind.MERGED)
    raw = sorted(step for step in live if step.kind is Kind.RAW)
    room = retention.size // 2
    left = _fit(merged, room, kept[Kind.MERGED])
    used = sum(step.size for step in merged if step.number >= left)
    first = _fit(raw, retention.size - used, kept[Kind.RAW])
    return {Kind.MERGED: float(left * MERGE_STEP), Kind.RAW: float(first * MERGE_STEP)}


def _fit(steps: list[Step], room: int, first: int) -> int:
    """The number of the first step, not before `first`, from which on all fit into the room."""
    total = sum(step.size for step in steps)
    for step in steps:
        if total <= room:
            break
        total -= step.size
        first = step.number + 1
    return first
