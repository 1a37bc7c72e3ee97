"""When indexes may be created: windows that recur each week, on the wall clock of a time zone.

A window starts when the clock shows its `start`, and then lasts `duration` of real time: one that
contains a change to or from summer time ends an hour later or earlier by the clock. A start that
the change leaves out is that much later, and one that comes twice is the first of both.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
SHORTEST = 60.0
LONGEST = 7 * 86_400.0
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


class WindowError(ValueError):
    """A window cannot be used; the message says what to change."""


class Span(NamedTuple):
    """From and until when (Unix seconds)."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Window:
    """`days` on which it starts, as numbers from Monday, 0; `duration` in seconds."""

    days: frozenset[int]
    start: time
    duration: float
    zone: ZoneInfo

    @classmethod
    def of(
        cls, days: Sequence[str], start: str, duration: float, time_zone: str = "UTC"
    ) -> "Window":
        """As users write it: days such as `Sat` (none: each day), `start` such as 02:00, `duration`
        in seconds, and an IANA time zone.

        Raises:
            WindowError: one of them cannot be used.
        """
        unknown = [day for day in days if day not in DAYS]
        if unknown:
            raise WindowError(f"days: {unknown[0][:20]!r} is none of {', '.join(DAYS)}")
        clock = _CLOCK.fullmatch(start)
        if clock is None:
            raise WindowError(f"start: {start[:20]!r} is not a time such as 02:00")
        if not SHORTEST <= duration <= LONGEST:
            raise WindowError("duration must be from 1 minute to 7 days")
        try:
            zone = ZoneInfo(time_zone)
        except (ValueError, OSError, LookupError):
            raise WindowError(f"timeZone: {time_zone[:40]!r} is not an IANA time zone") from None
        chosen = frozenset(map(DAYS.index, days)) or frozenset(range(len(DAYS)))
        return cls(chosen, time(int(clock[1]), int(clock[2])), duration, zone)

    def spans(self, start: float, end: float) -> list[Span]:
        """When it is open within start…end, in order; whole, also where they reach beyond."""
        day = datetime.fromtimestamp(start - self.duration, self.zone).date() - timedelta(days=1)
        last = datetime.fromtimestamp(end, self.zone).date()
        found = []
        while day <= last:
            if day.weekday() in self.days:
                opened = self._opened(day)
                if opened < end and opened + self.duration > start:
                    found.append(Span(opened, opened + self.duration))
            day += timedelta(days=1)
        return found

    def _opened(self, day: date) -> float:
        return datetime.combine(day, self.start, self.zone).timestamp()


def current(windows: Iterable[Window], now: float) -> Span | None:
    """The window that is open now; those that overlap or follow at once are one."""
    return next((span for span in _joined(windows, now) if span.start <= now < span.end), None)


def following(windows: Iterable[Window], now: float) -> Span | None:
    """The next one to open after now."""
    return next((span for span in _joined(windows, now) if span.start > now), None)


def _joined(windows: Iterable[Window], now: float) -> list[Span]:
    """All that is open around now: for as long back and ahead as a window can be."""
    around = (now - 2 * LONGEST, now + 2 * LONGEST)
    joined: list[Span] = []
    for span in sorted(span for window in windows for span in window.spans(*around)):
        if joined and span.start <= joined[-1].end:
            joined[-1] = Span(joined[-1].start, max(joined[-1].end, span.end))
        else:
            joined.append(span)
    return joined
