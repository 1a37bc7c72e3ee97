"""Events in the PredictiveScaler resource: holidays, campaigns, releases, what recurs, and files.

What a schema and CEL can say of an event is checked when it is written, here and in the CRD. What
they cannot (a date that does not exist, a rule, a country) is a problem of this one event: it is
told in a condition, and the resource goes on scaling without it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from foretide.forecasting.events.model import Effect, Kind
from foretide.forecasting.events.settings import (
    LEAST_MULTIPLIER,
    LONGEST_RAMP,
    MOST_MULTIPLIER,
    Declared,
)
from foretide.forecasting.events.sources import Found, HolidaySource, Source
from foretide.forecasting.events.timing import LONGEST_EVENT, MOMENT_PATTERN, Timing

from .fields import ApiModel, Duration, lasting

MOST_EVENTS = 50
EVENT_NAME = r"^[A-Za-z0-9]([A-Za-z0-9 ._-]*[A-Za-z0-9])?$"
_OBJECT_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"


def _as_text(value: Any) -> Any:
    """YAML reads 2026-11-27 as a date; users mean the text."""
    return value.isoformat() if hasattr(value, "isoformat") else value


Moment = Annotated[
    str, Field(min_length=10, max_length=25, pattern=MOMENT_PATTERN), BeforeValidator(_as_text)
]


class HolidaysSpec(ApiModel):
    """The public holidays of a country."""

    country: str = Field(
        pattern=r"^[A-Z]{2}$",
        max_length=2,
        description="ISO 3166-1 code of the country, for example DE.",
    )
    subdivision: str = Field(
        default="",
        max_length=64,
        description="A part of the country with holidays of its own, for example BY for Bavaria. Without it, those of the whole country.",
    )
    categories: list[Annotated[str, Field(pattern=r"^[a-z_]+$", max_length=32)]] = Field(
        default=["public"],
        min_length=1,
        max_length=10,
        description="Which sorts of holidays, as far as the country has them: public, bank, school, government, half_day, optional and others.",
    )


class ConfigMapKeySpec(ApiModel):
    """A key of a ConfigMap in the resource's own namespace."""

    name: str = Field(
        min_length=1, max_length=253, pattern=_OBJECT_NAME, description="Name of the ConfigMap."
    )
    key: str = Field(
        min_length=1,
        max_length=253,
        pattern=r"^[-._a-zA-Z0-9]+$",
        description="The key. One that ends in .ics holds an iCalendar file; any other YAML or JSON: a list of events as they are written here.",
    )


class EventSpec(ApiModel):
    """An event, or a source of events: exactly one of start, holidays and configMap is given."""

    name: str = Field(
        min_length=1,
        max_length=63,
        pattern=EVENT_NAME,
        description="A name, unlike those of the others. Its past occurrences under this name, whatever the year in it, teach what it does to demand.",
    )
    kind: Kind | None = Field(
        default=None,
        description="Events of one kind learn from one another. Campaign is the default of what takes place once, Recurring of what has an rrule.",
    )
    start: Moment | None = Field(
        default=None,
        description="When it starts: a date, a time on the wall clock of forecast.timeZone (2026-11-27T08:00), or one with an offset (2026-11-27T08:00Z). The first start where there is an rrule.",
    )
    end: Moment | None = Field(
        default=None,
        description="When it ends, written as start is; a date means the end of that day.",
    )
    duration: Duration | None = Field(
        default=None, description="How long it lasts, instead of end. A date alone lasts the day."
    )
    rrule: str | None = Field(
        default=None,
        min_length=1,
        max_length=300,
        description="How it recurs (RFC 5545), for example FREQ=WEEKLY;BYDAY=TU, on the wall clock of forecast.timeZone.",
    )
    holidays: HolidaysSpec | None = Field(
        default=None, description="Public holidays, in days of forecast.timeZone."
    )
    config_map: ConfigMapKeySpec | None = Field(
        default=None,
        description="A file of events in a ConfigMap. What else is given here holds for those of its events that do not say otherwise.",
    )
    multiplier: float | None = Field(
        default=None,
        ge=LEAST_MULTIPLIER,
        le=MOST_MULTIPLIER,
        description="Demand during the event, as a multiple of what it would be without it. Without it, it is learned. Leave it out for what recurs daily or weekly: the forecast knows that already.",
    )
    min_replicas: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Replicas are not fewer than this during the event.",
    )
    ramp_before: Duration = lasting(
        "0s", description="For how long before the start the effect grows, steadily."
    )
    ramp_after: Duration = lasting(
        "0s", description="For how long after the end the effect fades, steadily."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [self.start is not None, self.holidays is not None, self.config_map is not None]
        if sum(given) != 1:
            raise ValueError("give exactly one of start, holidays and configMap")
        if self.start is None and (self.end or self.duration is not None or self.rrule):
            raise ValueError("end, duration and rrule need start")
        if self.end and self.duration is not None:
            raise ValueError("give end or duration, not both")
        if self.start and "T" in self.start and not self.end and self.duration is None:
            raise ValueError("a start with a time needs end or duration")
        if self.holidays and self.kind is not None:
            raise ValueError("kind must be left out where holidays are given")
        return self

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        lengths = {"rampBefore": self.ramp_before, "rampAfter": self.ramp_after}
        for name, seconds in lengths.items():
            if seconds > LONGEST_RAMP:
                raise ValueError(f"{name} must be at most {LONGEST_RAMP / 86_400:.0f}d")
        if self.duration is not None and not 0 < self.duration <= LONGEST_EVENT:
            raise ValueError(
                f"duration must be longer than 0s and at most {LONGEST_EVENT / 86_400:.0f}d"
            )
        return self

    @property
    def effect(self) -> Effect:
        """What is declared about it."""
        return Effect(self.multiplier, self.min_replicas, self.ramp_before, self.ramp_after)


# `list-type: map` lets the API server refuse a name that is given twice.
EventList = Annotated[
    list[EventSpec],
    Field(
        max_length=MOST_EVENTS,
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
    ),
]


@dataclass(frozen=True, slots=True)
class FileOfEvents:
    """A file in a ConfigMap, and what holds for its events that do not say otherwise."""

    name: str
    config_map: str
    key: str
    declared: Declared


@dataclass(frozen=True, slots=True)
class CalendarSources:
    """What a list of events comes to: sources, files yet to be read, and problems in words."""

    sources: tuple[Source, ...] = ()
    files: tuple[FileOfEvents, ...] = ()
    problems: tuple[str, ...] = ()


def to_calendar_sources(events: Iterable[EventSpec]) -> CalendarSources:
    """The sources of a list of events. Never raises: what cannot be used is a problem."""
    sources: list[Source] = []
    files: list[FileOfEvents] = []
    problems: list[str] = []
    for event in events:
        try:
            source = _to_source(event)
        except ValueError as error:
            problems.append(f"event {event.name}: {error}")
            continue
        if isinstance(source, FileOfEvents):
            files.append(source)
        else:
            sources.append(source)
    return CalendarSources(tuple(sources), tuple(files), tuple(problems))


def to_found(events: Iterable[EventSpec]) -> Found:
    """The same for the events in a file, which cannot refer to another file."""
    read = to_calendar_sources(events)
    refused = (f"event {file.name}: a file cannot refer to another one" for file in read.files)
    return Found(read.sources, (*read.problems, *refused))


def _to_source(event: EventSpec) -> Source | FileOfEvents:
    if event.holidays is not None:
        return HolidaySource(
            name=event.name,
            country=event.holidays.country,
            subdivision=event.holidays.subdivision,
            categories=tuple(event.holidays.categories),
            effect=event.effect,
        )
    if event.config_map is not None:
        declared = Declared(event.kind or Kind.CAMPAIGN, event.effect)
        return FileOfEvents(event.name, event.config_map.name, event.config_map.key, declared)
    timing = Timing(event.start or "", event.end or "", event.duration, event.rrule or "")
    return timing.source(event.name, Declared(event.kind or timing.default_kind, event.effect))
