"""Conditions by the Kubernetes API conventions, as values."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

READY = "Ready"
METRICS = "MetricsAvailable"
FORECAST = "ForecastAvailable"
TRUSTED = "ForecastTrusted"
ACTIVE = "ScalingActive"
LIMITED = "ScalingLimited"
CONFLICT = "Conflict"
EVENTS = "EventsKnown"
STORE = "StoreAvailable"

# Types for which True is the unwelcome answer.
NEGATIVE = frozenset({LIMITED, CONFLICT})
# Of each message so much stands in status: ten metrics may all have something to complain of.
LONGEST_MESSAGE = 400
# Reasons that come and go every day as they should: at night a minimum is more than is needed.
ROUTINE = frozenset({"TooFewReplicas"})
# Reasons for which an unwelcome answer is what was asked for, or no fault of anybody.
UNREMARKABLE = ROUTINE | {
    "SwitchedOff",
    "NoArrivalQuery",
    "NoHistoryQuery",
    "NotWanted",
    "NoBetterThanReactive",
    "Recommend",
    "Paused",
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition; `holds` None means Unknown."""

    type: str
    holds: bool | None
    reason: str
    message: str = ""

    @property
    def status(self) -> str:
        """The status as the API writes it."""
        return "Unknown" if self.holds is None else str(self.holds)

    @property
    def is_bad(self) -> bool:
        """Whether a person should look."""
        return self.holds is (self.type in NEGATIVE) and self.reason not in UNREMARKABLE


def merge(
    previous: Iterable[Mapping[str, Any]],
    conditions: Iterable[Condition],
    *,
    generation: int | None,
    now: float,
) -> list[dict[str, Any]]:
    """The conditions as status holds them; a transition time changes only with the status."""
    before = {condition.get("type"): condition for condition in previous}
    return [
        {
            "type": condition.type,
            "status": condition.status,
            "reason": condition.reason,
            "message": condition.message[:LONGEST_MESSAGE],
            "observedGeneration": generation,
            "lastTransitionTime": before[condition.type]["lastTransitionTime"]
            if before.get(condition.type, {}).get("status") == condition.status
            else timestamp(now),
        }
        for condition in conditions
    ]


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, to the second."""
    return _written(math.floor(seconds))


# Each tick writes dozens of them, and nearly all of them anew.
@lru_cache(maxsize=16_384)
def _written(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str) -> float:
    """Unix seconds of an RFC 3339 time.

    Raises:
        ValueError: it is not one.
    """
    return datetime.fromisoformat(text).timestamp()
