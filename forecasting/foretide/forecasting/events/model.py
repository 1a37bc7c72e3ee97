"""Events and calendars: what happens when, and what is declared about it.

Pure, and without numpy: the decision imports this module in the base install.
"""

import math
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What sort of event it is; events of one kind learn from one another."""

    HOLIDAY = "Holiday"
    CAMPAIGN = "Campaign"
    RELEASE = "Release"
    RECURRING = "Recurring"


@dataclass(frozen=True, slots=True)
class Effect:
    """What the user declares about an event; None is left to learning.

    `multiplier` is demand during the event ÷ demand as it would be without it. `min_replicas`
    is a floor for the replicas. The ramps are in seconds: how long before the start the effect
    begins to grow, and how long after the end it has faded.
    """

    multiplier: float | None = None
    min_replicas: int | None = None
    ramp_before: float = 0.0
    ramp_after: float = 0.0


NO_EFFECT = Effect()
WEEKEND = frozenset({5, 6})


@dataclass(frozen=True, slots=True)
class Event:
    """One occurrence, from `start` to before `end` (Unix seconds).

    Occurrences with the same `key` are the same event, year after year. What is not known about a
    key is taken from the first of its `pools` that has been seen: the closest kin first, such as
    `holiday:US`, then `holiday`.

    Raises:
        ValueError: it ends before it starts, or a figure is out of range.
    """

    name: str
    kind: Kind
    start: float
    end: float
    key: str
    pools: tuple[str, ...] = ()
    effect: Effect = NO_EFFECT

    def __post_init__(self) -> None:
        effect = self.effect
        if not (math.isfinite(self.start) and math.isfinite(self.end) and self.start < self.end):
            raise ValueError(f"event {self.name!r} must end after it starts")
        if not (0 <= effect.ramp_before < math.inf and 0 <= effect.ramp_after < math.inf):
            raise ValueError(f"event {self.name!r}: a ramp must not be negative")
        if effect.multiplier is not None and not 0 < effect.multiplier < math.inf:
            raise ValueError(f"event {self.name!r}: multiplier must be greater than 0")

    @property
    def begins(self) -> float:
        """When its effect begins: the start, less the ramp (Unix seconds)."""
        return self.start - self.effect.ramp_before

    @property
    def ceases(self) -> float:
        """When its effect has faded: the end and the ramp (Unix seconds)."""
        return self.end + self.effect.ramp_after

    def share(self, at: float) -> float:
        """How much of the effect is in force at a time: 0 outside, 1 inside, linear on ramps."""
        if at < self.begins or at >= self.ceases:
            return 0.0
        if at < self.start:
            return (at - self.begins) / self.effect.ramp_before
        return (self.ceases - at) / self.effect.ramp_after if at >= self.end else 1.0

    @property
    def breaks(self) -> tuple[float, float, float, float]:
        """Where its effect changes its course (Unix seconds)."""
        return self.begins, self.start, self.end, self.ceases


@dataclass(frozen=True, slots=True)
class EventCalendar:
    """Events in the order in which their effects begin.

    `weekend` holds the weekdays (0 is Monday) that are free without being holidays.
    """

    events: tuple[Event, ...] = ()
    weekend: frozenset[int] = WEEKEND
    _begins: tuple[float, ...] = field(init=False, repr=False, compare=False, default=())
    _longest: float = field(init=False, repr=False, compare=False, default=0.0)

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.events, key=lambda event: (event.begins, event.name)))
        object.__setattr__(self, "events", ordered)
        object.__setattr__(self, "_begins", tuple(event.begins for event in ordered))
        longest = max((event.ceases - event.begins for event in ordered), default=0.0)
        object.__setattr__(self, "_longest", longest)

    def __len__(self) -> int:
        return len(self.events)

    def occurrences(self, start: float, end: float) -> Iterator[Event]:
        """The events whose effect touches start…end (Unix seconds, both included), in order."""
        # Nothing that began longer ago than the longest event lasts can still be in force.
        first = bisect_left(self._begins, start - self._longest)
        for position in range(first, len(self.events)):
            event = self.events[position]
            if event.begins > end:
                return
            if event.ceases > start:
                yield event

    def plus(self, events: Iterable[Event]) -> "EventCalendar":
        """This calendar with more events."""
        return EventCalendar((*self.events, *events), self.weekend)


@dataclass(frozen=True, slots=True)
class EventOutlook:
    """What events mean for a stretch of time that begins now.

    `multiplier` is the highest upper multiplier over it, 1 when there is none; `rise` how much
    more than demand now that makes (1 or more): what of an event's demand has come is in demand
    now, and what is late is not. `min_replicas` is the highest declared floor, 0 when there is
    none. `names` says which events were looked at, the earliest first. `unsure` says that an event
    has begun and nobody knows what demand was before it, so nor whether its own has come.
    """

    multiplier: float = 1.0
    rise: float = 1.0
    min_replicas: int = 0
    names: tuple[str, ...] = ()
    unsure: bool = False


NOTHING_AHEAD = EventOutlook()

_YEAR = re.compile(r"\b(19|20)\d\d\b")


def event_key(kind: Kind, name: str) -> str:
    """The key under which the occurrences of a named event are pooled.

    Years are left out, so that "Black Friday 2025" teaches what "Black Friday 2026" will be.
    """
    dashed = re.sub(r"[\W_]+", "-", name.casefold())
    words = re.sub("-+", "-", _YEAR.sub("", dashed)).strip("-")
    return f"{pool_of(kind)}:{words or 'unnamed'}"


def pool_of(kind: Kind) -> str:
    """The pool of all events of a kind."""
    return kind.value.lower()
