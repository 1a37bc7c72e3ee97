"""When an event takes place, as users write it: `start`, `end` or `duration`, and `rrule`.

Custom resources, ConfigMaps and annotations share this notation.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from .model import Kind
from .rules import parse_rule
from .settings import Declared
from .sources import DatedSource, RecurringSource, Source

# A date, a time on the workload's wall clock, or one with an offset (RFC 3339).
MOMENT_PATTERN = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})?)?$"
)
LONGEST_EVENT = 366 * 86_400.0


class TimingError(ValueError):
    """A time cannot be used; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Timing:
    """When an event takes place, as it was written. `duration` is in seconds."""

    start: str
    end: str = ""
    duration: float | None = None
    rrule: str = ""

    def source(self, name: str, declared: Declared) -> Source:
        """The source of such events.

        Raises:
            TimingError: a time cannot be used.
            RuleError: the rule cannot be used.
        """
        first = parse_moment("start", self.start)
        begins = _on_clock(first)
        if self.end and self.duration is not None:
            raise TimingError("give end or duration, not both")
        if self.end:
            last = parse_moment("end", self.end)
            # The end that is a date is the last day, not the moment at which it begins.
            ends = _on_clock(last) + (timedelta(0) if isinstance(last, datetime) else _ONE_DAY)
        elif self.duration is not None:
            ends = begins + timedelta(seconds=self.duration)
        elif isinstance(first, datetime):
            raise TimingError("give end or duration")
        else:
            ends = begins + _ONE_DAY
        if self.rrule:
            return self._recurring(name, declared, begins, ends)
        if (begins.tzinfo is None) == (ends.tzinfo is None):  # else the zone decides, later
            _check_length(ends - begins)
        return DatedSource(name, declared.kind, begins, ends, declared.effect)

    def _recurring(
        self, name: str, declared: Declared, begins: datetime, ends: datetime
    ) -> RecurringSource:
        if (begins.tzinfo is None) != (ends.tzinfo is None):
            raise TimingError("give start and end both an offset, or neither")
        lasts = ends - begins
        _check_length(lasts)
        whole = self.duration is None and begins.time() == ends.time() == time.min
        return RecurringSource(
            name=name,
            kind=declared.kind,
            first=begins,
            rule=parse_rule(self.rrule),
            duration=0.0 if whole else lasts.total_seconds(),
            days=lasts.days if whole else 0,
            effect=declared.effect,
        )

    @property
    def default_kind(self) -> Kind:
        """What such an event is where nothing else is said."""
        return Kind.RECURRING if self.rrule else Kind.CAMPAIGN


def parse_moment(field: str, text: str) -> datetime | date:
    """A date, or a time with an offset (aware) or without (naive: the workload's wall clock).

    Raises:
        TimingError: not a time.
    """
    try:
        if not re.fullmatch(MOMENT_PATTERN, text):
            raise ValueError
        found = datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)
        if not 1970 <= found.year < 2200:
            raise ValueError
    except ValueError:
        raise TimingError(
            f"{field}: {text[:40]!r} is not a time such as 2026-11-27, 2026-11-27T08:00 or "
            "2026-11-27T08:00Z"
        ) from None
    return found


_ONE_DAY = timedelta(days=1)


def _on_clock(moment: datetime | date) -> datetime:
    return moment if isinstance(moment, datetime) else datetime.combine(moment, time.min)


def _check_length(lasts: timedelta) -> None:
    if not 0 < lasts.total_seconds() <= LONGEST_EVENT:
        raise TimingError(
            f"end must be after start, by {LONGEST_EVENT / 86_400:.0f} days at the most"
        )
