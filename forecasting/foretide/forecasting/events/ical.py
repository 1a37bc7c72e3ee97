"""Events from the text of an iCalendar file (RFC 5545), as calendar programs export it.

An event may say what it does to demand in a line of its description, or in `X-FORETIDE` lines:

    foretide: multiplier=3, minReplicas=20, kind=campaign
    X-FORETIDE:multiplier=3
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from .rules import parse_rule
from .settings import EFFECT_SETTINGS, Declared, split_settings
from .sources import DatedSource, Found, RecurringSource, Source, in_words
from .timing import LONGEST_EVENT

if TYPE_CHECKING:
    import icalendar

LARGEST = 512 * 1024
MOST_ENTRIES = 2_000
_MOST_PROBLEMS = 10
_TIMES = ("DTSTART", "DTEND", "DURATION", "RRULE", "RECURRENCE-ID")
_LISTS = ("EXDATE", "RDATE")
_SETTINGS_LINE = re.compile(r"^\s*foretide:\s*(.+?)\s*$", re.IGNORECASE | re.MULTILINE)
# `NAME:value` or `NAME;PARAMETER=…:value`; a line that begins with a blank goes on with the last.
_CONTENT_LINE = re.compile(r"[A-Za-z0-9-]+[:;].*|[ \t].*|")


class CalendarError(ValueError):
    """The text as a whole is no calendar; the message says where and why."""


class _EntryError(ValueError):
    """One event cannot be used."""


def read_calendar(text: str, declared: Declared) -> Found:
    """The events of a calendar. `declared` holds for those that say nothing else themselves.

    Cancelled events are left out, and one that was moved counts where it was moved to. An event
    that cannot be used is a problem, and the others count all the same.

    Raises:
        CalendarError: the text is too large, or not a calendar at all.
    """
    entries = _entries(text)
    moved = _moved(entries)
    sources: list[Source] = []
    problems: list[str] = []
    for position, entry in enumerate(entries, 1):
        label = f"event {position} ({_text(entry, 'SUMMARY')[:60] or 'without a SUMMARY'})"
        try:
            source, doubts = _read(entry, declared, moved.get(_text(entry, "UID"), []))
        except Exception as error:  # dates that cannot be counted with, and whatever else there is
            problems.append(f"{label}: {in_words(error)}")
            continue
        problems += [f"{label}: {doubt}" for doubt in doubts]
        if source is not None:
            sources.append(source)
    if len(problems) > _MOST_PROBLEMS:
        more = len(problems) - _MOST_PROBLEMS
        problems = [*problems[:_MOST_PROBLEMS], f"and {more} more events with problems"]
    return Found(tuple(sources), tuple(problems))


def _entries(text: str) -> list["icalendar.Event"]:
    import icalendar  # 12 MB, for those who have such a file only

    if len(text) > LARGEST:
        raise CalendarError(
            f"the calendar is larger than {LARGEST // 1024} KiB: leave out events that are over"
        )
    lines = text.replace("\r\n", "\n").removeprefix("\ufeff").split("\n")
    _check_lines(lines)
    try:
        components = icalendar.Calendar.from_ical("\r\n".join(lines), multiple=True)
    except Exception as error:  # the parser raises whatever its parts do
        raise CalendarError(f"not an iCalendar file: {str(error)[:200]}") from None
    entries = [
        entry
        for component in components
        for entry in component.walk("VEVENT")
        if isinstance(entry, icalendar.Event)
    ]
    if len(entries) > MOST_ENTRIES:
        raise CalendarError(
            f"the calendar has more than {MOST_ENTRIES} events: leave out those that are over"
        )
    return entries


def _check_lines(lines: list[str]) -> None:
    """Name the first line that is wrong: the parser names none."""
    open_parts: list[tuple[str, int]] = []
    for number, line in enumerate(lines, 1):
        if not _CONTENT_LINE.fullmatch(line):
            raise CalendarError(f"line {number} is not NAME:value: {line[:60]!r}")
        word, _, name = line.rstrip().upper().partition(":")
        if word == "BEGIN":
            open_parts.append((name, number))
        elif word == "END":
            if not open_parts or open_parts[-1][0] != name:
                raise CalendarError(f"line {number}: END:{name[:30]} without its BEGIN")
            open_parts.pop()
        elif line.strip() and not open_parts:
            raise CalendarError(f"line {number} stands before BEGIN:VCALENDAR or after its END")
    if open_parts:
        name, number = open_parts[-1]
        raise CalendarError(f"line {number}: BEGIN:{name[:30]} has no END")
    if not any(line.strip() for line in lines):
        raise CalendarError("the calendar is empty: it must begin with BEGIN:VCALENDAR")


def _read(
    entry: "icalendar.Event", declared: Declared, moved: list[Any]
) -> tuple[Source | None, list[str]]:
    """One entry's source, None where it does not take place, and what is doubtful about it."""
    if _text(entry, "STATUS").upper() == "CANCELLED":
        return None, []
    _check_times(entry)
    begin: Any = entry["DTSTART"]
    declared = declared.with_settings(_settings(entry))
    start, lasts = begin.dt, _length(entry)
    name = _text(entry, "SUMMARY") or _text(entry, "UID") or "unnamed"
    first, zone, doubts = _wall_clock(begin)
    if entry.get("RRULE") is None and entry.get("RDATE") is None:
        if zone is not None:
            first = first.replace(tzinfo=ZoneInfo(zone))
        last = first + lasts if not isinstance(start, datetime) else _after(first, lasts)
        return DatedSource(name, declared.kind, first, last, declared.effect), doubts
    rule = entry.get("RRULE")
    elsewhere = (at for value in moved for at in _naive_starts(value, zone))
    return RecurringSource(
        name=name,
        kind=declared.kind,
        first=first,
        # Dates alone (RDATE) are a rule that comes true once, and more starts.
        rule=parse_rule(rule.to_ical().decode() if rule is not None else "FREQ=DAILY;COUNT=1"),
        duration=lasts.total_seconds() if isinstance(start, datetime) else 0.0,
        days=0 if isinstance(start, datetime) else lasts.days,
        zone=zone,
        excluded=frozenset((*elsewhere, *_dates(entry, "EXDATE", zone))),
        extra=tuple(_dates(entry, "RDATE", zone)),
        effect=declared.effect,
    ), doubts


def _check_times(entry: "icalendar.Event") -> None:
    for name, message in entry.errors:
        if name in (*_TIMES, *_LISTS):
            raise _EntryError(f"{name}: {message[:160]}")
    for name in _TIMES:
        if isinstance(entry.get(name), list):
            raise _EntryError(f"{name} is given twice")
    if not isinstance(getattr(entry.get("DTSTART"), "dt", None), date):
        raise _EntryError("DTSTART is missing, or neither a date nor a time")


def _length(entry: "icalendar.Event") -> timedelta:
    times: list[Any] = [entry.get(name) for name in ("DTSTART", "DTEND", "DURATION")]
    start, end, duration = times
    whole_days = not isinstance(start.dt, datetime)
    if end is not None:
        if isinstance(end.dt, datetime) == whole_days:
            raise _EntryError("DTSTART and DTEND must both be dates, or both times")
        try:
            lasts = _moment(end.dt) - _moment(start.dt)
        except TypeError:
            raise _EntryError("DTSTART and DTEND must both have a time zone, or neither") from None
    elif duration is not None:
        lasts = duration.dt
    else:
        # RFC 5545: a date alone lasts the day; a time alone lasts nothing, a mere reminder.
        lasts = timedelta(days=1 if whole_days else 0)
    if not isinstance(lasts, timedelta) or not 0 < lasts.total_seconds() <= LONGEST_EVENT:
        raise _EntryError(
            f"it must last longer than nothing, and {LONGEST_EVENT / 86_400:.0f} days at the most"
        )
    return lasts


def _wall_clock(begin: Any) -> tuple[datetime, str | None, list[str]]:
    """The start on its own wall clock, that clock's zone (None: the workload's), and doubts."""
    moment = begin.dt
    if not isinstance(moment, datetime):
        return datetime.combine(moment, time.min), None, []
    zone = _zone_name(moment)
    doubts = []
    if zone is None and (asked := begin.params.get("TZID")):
        doubts.append(f"time zone {str(asked)[:60]!r} is not known: taken as the workload's")
    return moment.replace(tzinfo=None), zone, doubts


def _zone_name(moment: datetime) -> str | None:
    if moment.tzinfo is None:
        return None
    key = getattr(moment.tzinfo, "key", None)  # as `zoneinfo` has it
    return str(key) if key else "UTC" if str(moment.tzinfo) == "UTC" else None


def _after(first: datetime, lasts: timedelta) -> datetime:
    """So much later by the clock of physics: a night of two hours at the change takes two hours."""
    if first.tzinfo is None:
        return first + lasts
    return (first.astimezone(UTC) + lasts).astimezone(first.tzinfo)


def _moment(value: date) -> datetime:
    if not isinstance(value, datetime):
        return datetime.combine(value, time.min)
    return value if value.tzinfo is None else value.astimezone(UTC)


def _moved(entries: Iterable["icalendar.Event"]) -> dict[str, list[Any]]:
    """By UID, the occurrences that an entry of its own (RECURRENCE-ID) has taken the place of."""
    moved: dict[str, list[Any]] = {}
    for entry in entries:
        value = entry.get("RECURRENCE-ID")
        if isinstance(getattr(value, "dt", None), date):
            moved.setdefault(_text(entry, "UID"), []).append(value)
    return moved


def _dates(entry: "icalendar.Event", name: str, zone: str | None) -> Iterator[datetime]:
    value = entry.get(name)
    for group in value if isinstance(value, list) else [value] if value is not None else []:
        for each in group.dts:
            yield from _naive_starts(each, zone)


def _naive_starts(value: Any, zone: str | None) -> Iterator[datetime]:
    """A date-time as a wall-clock time of the zone; a period counts by its start."""
    moment = value.dt[0] if isinstance(value.dt, tuple) else value.dt
    if not isinstance(moment, datetime):
        yield datetime.combine(moment, time.min)
    elif moment.tzinfo is None or zone is None:
        yield moment.replace(tzinfo=None)
    else:
        yield moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def _settings(entry: "icalendar.Event") -> dict[str, str]:
    line = _text(entry, "X-FORETIDE")
    if not line and (match := _SETTINGS_LINE.search(_text(entry, "DESCRIPTION"))):
        line = match[1]
    return split_settings(line, EFFECT_SETTINGS)


def _text(entry: "icalendar.Event", name: str) -> str:
    value = entry.get(name)
    return str(value[0] if isinstance(value, list) else value or "").strip()
