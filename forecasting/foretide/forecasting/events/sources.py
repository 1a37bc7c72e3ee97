"""Where events come from, and how a calendar is made of them for a stretch of time.

A source is small, frozen and picklable; the events themselves are made when the stretch of time
is known. What cannot be used becomes a problem in words and stops nothing else.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from .model import NO_EFFECT, WEEKEND, Effect, Event, EventCalendar, Kind, event_key, pool_of
from .rules import Budget, Rule, local_time, midnight, starts, to_unix

if TYPE_CHECKING:
    import holidays

# A calendar has to stay small in memory and quick to look at, once for each of 500 resources.
MOST_EVENTS = 10_000
_DAY = 86_400.0
# Where a stock exchange's holidays are known, they tell those that most of business keeps from
# those on which most people work.
_EXCHANGES = {"US": "XNYS", "BR": "BVMF", "IN": "XNSE"}
# "Independence Day (observed)" and "Eid al-Fitr (estimated)" are those very days to a workload.
_REMARK = re.compile(r"\s*\([^()]*\)$")


class SourceError(ValueError):
    """A source cannot be used; the message says what to change."""


class Source(Protocol):
    """Something that knows of events."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    def events(self, start: float, end: float, zone: str, budget: Budget) -> Iterable[Event]:
        """The events that touch start…end (Unix seconds).

        Days and wall-clock times are those of `zone` (IANA) where the source names no other. What
        it costs to work out a rule is taken from the budget.

        Raises:
            SourceError: it cannot be used.
            RuleError: its recurrence rule cannot be used.
        """
        ...


@dataclass(frozen=True, slots=True)
class DatedSource:
    """One event with a date. `start` and `end` are aware, or on the workload's wall clock."""

    name: str
    kind: Kind
    start: datetime
    end: datetime
    effect: Effect = NO_EFFECT

    def events(self, start: float, end: float, zone: str, budget: Budget) -> Iterable[Event]:
        """See `Source`."""
        begins, ends = to_unix(self.start, zone), to_unix(self.end, zone)
        if begins >= ends:
            raise SourceError("end must be after start")
        if begins <= end and ends > start:
            yield _event(self.name, self.kind, begins, ends, self.effect)


@dataclass(frozen=True, slots=True)
class RecurringSource:
    """An event that comes again and again.

    `first` is the first start, on the wall clock of `zone` (the workload's where it is None) if it
    is naive; it recurs on that clock in any case.
    It lasts `duration` seconds, or whole `days` on the wall clock. `excluded` starts do not take
    place; `extra` ones do, beside those of the rule.
    """

    name: str
    kind: Kind
    first: datetime
    rule: Rule
    duration: float = 0.0
    days: int = 0
    zone: str | None = None
    excluded: frozenset[datetime] = frozenset()
    extra: tuple[datetime, ...] = ()
    effect: Effect = NO_EFFECT

    def events(self, start: float, end: float, zone: str, budget: Budget) -> Iterable[Event]:
        """See `Source`."""
        own = self.zone or zone
        first = self.first
        if first.tzinfo is not None:
            first = local_time(first.timestamp(), own)
        lasts = self.duration + self.days * _DAY
        if lasts <= 0:
            raise SourceError("an event must last longer than nothing")
        found = starts(self.rule, first, own, start=start - lasts, end=end, budget=budget)
        for at in sorted({*found, *self.extra} - self.excluded):
            begins = to_unix(at, own)
            # A day lasts from wall clock to wall clock, an hour always 3600 seconds.
            ends = to_unix(at + timedelta(days=self.days), own) + self.duration
            if begins <= end and ends > start:
                yield _event(self.name, self.kind, begins, ends, self.effect)


@dataclass(frozen=True, slots=True)
class HolidaySource:
    """The public holidays of a country, and of a part of it.

    `country` is an ISO 3166-1 code, `subdivision` one of the `holidays` package, empty for those
    of the whole country. `categories` are those of the package: public, bank, school, …
    """

    name: str
    country: str
    subdivision: str = ""
    categories: tuple[str, ...] = ("public",)
    effect: Effect = NO_EFFECT

    def events(self, start: float, end: float, zone: str, budget: Budget) -> Iterable[Event]:
        """See `Source`."""
        first, last = (local_time(at, zone).date() for at in (start, end))
        years = range(first.year, last.year + 1)
        days = self._calendar(years)
        closed = _exchange_days(self.country, years)
        for day in sorted(days):
            if not first <= day <= last:
                continue
            for title in days.get_list(day):
                yield Event(
                    name=title,
                    kind=Kind.HOLIDAY,
                    start=midnight(day, zone),
                    end=midnight(day + timedelta(days=1), zone),
                    key=f"holiday:{self.country}:{_REMARK.sub('', title)}",
                    pools=self._pools(None if closed is None else day in closed),
                    effect=self.effect,
                )

    def weekend(self) -> frozenset[int]:
        """The weekdays that are free in this country (0 is Monday)."""
        return frozenset(self._calendar(()).weekend)

    def _pools(self, closed: bool | None) -> tuple[str, ...]:
        country = f"holiday:{self.country}"
        if closed is None:
            return country, "holiday"
        return f"{country}:{'closed' if closed else 'open'}", country, "holiday"

    def _calendar(self, years: Iterable[int]) -> "holidays.HolidayBase":
        import holidays  # 18 MB and a third of a second, for those who ask for it only

        try:
            return holidays.country_holidays(
                self.country,
                subdiv=self.subdivision or None,
                categories=self.categories,
                years=years,
                language="en_US",
            )
        except NotImplementedError:
            known = holidays.list_supported_countries().get(self.country)
            where = f"{self.country} {self.subdivision}".strip()
            hint = f"; its subdivisions are {', '.join(known)}" if known else ""
            raise SourceError(f"no holidays are known for {where}{hint}") from None
        except ValueError:
            offered = ", ".join(getattr(holidays, self.country).supported_categories)
            asked = ", ".join(self.categories)
            raise SourceError(
                f"{self.country} has no holidays of the category {asked}; it has {offered}"
            ) from None


@dataclass(frozen=True, slots=True)
class Found:
    """The sources that a text holds, and what is wrong with the rest, in sentences for people."""

    sources: tuple[Source, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Expansion:
    """A calendar, and what could not be put into it, in sentences for people."""

    calendar: EventCalendar
    problems: tuple[str, ...] = ()


def expand(sources: Sequence[Source], start: float, end: float, time_zone: str) -> Expansion:
    """The calendar of all sources for start…end (Unix seconds).

    `time_zone` (IANA) is the workload's: its days are those of the holidays. Never raises for
    what is in a source: that source alone is left out, and the problem says why.
    """
    events: list[Event] = []
    problems: list[str] = []
    budget = Budget()
    weekend: frozenset[int] | None = None
    for source in sources:
        try:
            found = list(source.events(start, end, time_zone, budget))
            if weekend is None and isinstance(source, HolidaySource):
                weekend = source.weekend()
        except Exception as error:  # what a library makes of one source must not stop the others
            problems.append(f"event {source.name}: {in_words(error)}")
            continue
        if len(events) + len(found) > MOST_EVENTS:
            problems.append(
                f"event {source.name}: there are more than {MOST_EVENTS} events from "
                f"{local_time(start, time_zone):%Y-%m-%d} to {local_time(end, time_zone):%Y-%m-%d}"
            )
            continue
        events += found
    return Expansion(
        EventCalendar(tuple(events), WEEKEND if weekend is None else weekend), tuple(problems)
    )


def in_words(error: Exception) -> str:
    """What is wrong with an event, for people; what libraries raise is not written for them."""
    if isinstance(error, OverflowError):
        return "one of its dates lies beyond the years that can be counted with"
    # Of those that are ValueErrors the text is ours, or dateutil's and fit to be read.
    return str(error) if isinstance(error, ValueError) else f"cannot be used: {error!r:.160}"


def _event(name: str, kind: Kind, start: float, end: float, effect: Effect) -> Event:
    return Event(name, kind, start, end, event_key(kind, name), (pool_of(kind),), effect)


def _exchange_days(country: str, years: Iterable[int]) -> frozenset[date] | None:
    """When the country's stock exchange is closed, None where that is not known."""
    if country not in _EXCHANGES:
        return None
    import holidays

    return frozenset(holidays.financial_holidays(_EXCHANGES[country], years=years))
