"""A column of times in a CSV file: its format, its unit, its zone.

A whole column is read at once: one cell alone may be read in several ways.
"""

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo

from .csv_cells import BadDemand, Cell, plain_number, span

# Seconds of 1980 and of 2100: a number of any usual unit lies between them in that unit only.
_EARLIEST, _LATEST = 315_532_800.0, 4_102_444_800.0
_UNITS = (1.0, 1e3, 1e6, 1e9)
# Numbers below (three years of seconds) are no dates but seconds since a file's beginning.
_SMALL = 1e8
_YEARS = range(1970, 2100)
_COMPACT = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-3])?")
_YEAR_FIRST = re.compile(r"^(\d{4})/(\d\d)/(\d\d)\b")
_ZONE = re.compile(r"\s+(?:([+-]\d\d:?\d\d)(?: [A-Z]{1,5})?|UTC|GMT|Z)$")
_CLOCK = r"(?:[T,]?\s*(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*([AP]M)?)?"
_DAY_FIRST = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})" + _CLOCK, re.IGNORECASE)
_EITHER_FIRST = re.compile(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4})" + _CLOCK, re.IGNORECASE)
_WRITE = "write times as 2026-05-28 20:25 or as Unix seconds"


def is_written(text: str) -> bool:
    """Whether a cell is a date in letters and figures."""
    if plain_number(text) is not None:
        return False
    return any(_date(text, day_first) is not None for day_first in (True, False))


def is_unix(text: str) -> bool:
    """Whether a cell may be a date in Unix seconds, or milli-, micro-, nanoseconds."""
    number = plain_number(text)
    return number is not None and _unit(number) is not None


def is_small(text: str) -> bool:
    """Whether a cell may be seconds since a file's beginning."""
    number = plain_number(text)
    return number is not None and abs(number) < _SMALL


def looks_like_a_time(text: str) -> bool:
    """Whether a person means a date or a time of day by it, readable or not."""
    return bool(re.search(r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}|\d{1,2}:\d\d", text))


def names_no_zone(text: str) -> bool:
    """Whether a cell is a date whose zone must be known from elsewhere."""
    moment = _date(text, day_first=True) or _date(text, day_first=False)
    return plain_number(text) is None and moment is not None and moment.tzinfo is None


def read_times(cells: Sequence[Cell], where: str, zone: str) -> tuple[list[float], list[str]]:
    """Unix seconds of each cell, in the order of the file, and notes.

    Times that name no zone are in `zone` (IANA). Where its clocks go back an hour comes twice: the
    order of the file says which is meant.

    Raises:
        BadDemand: a cell is no time, or may be several.
    """
    if plain_number(cells[0][1]) is not None:
        return _numbers(cells, where)
    day_first = _order_of_dates(cells, where)
    moments = []
    for line, text in cells:
        moment = _date(text, day_first)
        if moment is None:
            raise BadDemand(f"{where}, line {line}: {text[:70]!r} is not a time: {_WRITE}")
        moments.append(moment)
    notes = []
    if any(moment.tzinfo is None for moment in moments):
        notes.append(f"times name no zone and are taken as {zone}: choose with --time-zone")
    return _instants(cells, moments, where, ZoneInfo(zone)), notes


def _numbers(cells: Sequence[Cell], where: str) -> tuple[list[float], list[str]]:
    numbers: list[float] = []
    small = is_small(cells[0][1])
    unit = 1.0 if small else _unit(float(cells[0][1]))
    for line, text in cells:
        number, place = plain_number(text), f"{where}, line {line}"
        if number is None or not math.isfinite(number):
            raise BadDemand(f"{place}: {text[:70]!r} is not a time: {_WRITE}")
        found = 1.0 if is_small(text) else _unit(number)
        if found is None or unit is None:
            raise BadDemand(f"{place}: {text[:70]} is not a Unix time of these years: {_WRITE}")
        if found != unit or small != is_small(text):
            raise BadDemand(
                f"{place}: {text[:70]} is not in the unit of the times before: {_WRITE}"
            )
        numbers.append(number / unit)
    if all(_COMPACT.fullmatch(text) for _, text in cells):
        raise BadDemand(f"{where}: {cells[0][1]} may be a date or a number of seconds: {_WRITE}")
    return numbers, _seconds_note(numbers, where) if small else []


def _seconds_note(numbers: Sequence[float], where: str) -> list[str]:
    steps = sorted(abs(b - a) for a, b in pairwise(numbers) if a != b)
    usual = steps[len(steps) // 2] if steps else 1.0
    if usual < 0.5:
        raise BadDemand(
            f"{where}: its times are {usual:.2g} apart, which are hardly seconds (a spreadsheet "
            f"counts in days): {_WRITE}"
        )
    return [f"times are taken as seconds since some beginning, with a line each {span(usual)}"]


def _unit(number: float) -> float | None:
    return next((unit for unit in _UNITS if _EARLIEST <= number / unit < _LATEST), None)


def _order_of_dates(cells: Sequence[Cell], where: str) -> bool:
    """Whether days come before months in dates such as 28/05/2026; the whole column tells."""
    found = [
        (int(match[1]), int(match[2]), cell)
        for cell in cells
        if (match := _EITHER_FIRST.fullmatch(cell[1]))
    ]
    days_first = any(first > 12 for first, _, _ in found)
    months_first = any(second > 12 for _, second, _ in found)
    if found and days_first == months_first:
        line, text = found[0][2]
        raise BadDemand(
            f"{where}, line {line}: in {text[:70]!r} day and month cannot be told apart: {_WRITE}"
        )
    return days_first


def _date(text: str, day_first: bool) -> datetime | None:
    """The time that is written; without a zone where it names none."""
    try:
        iso = _ZONE.sub(lambda found: found[1] or "+00:00", _YEAR_FIRST.sub(r"\1-\2-\3", text))
        moment = datetime.fromisoformat(iso)
    except ValueError:
        match = _DAY_FIRST.fullmatch(text)
        if match is None:
            match = _EITHER_FIRST.fullmatch(text)
        else:
            day_first = True
        written = None if match is None else _put_together(match.groups(), day_first)
        if written is None:
            return None
        moment = written
    return moment if moment.year in _YEARS else None


def _put_together(parts: Sequence[str | None], day_first: bool) -> datetime | None:
    first, second, year, hour, minute, second_of, fraction, half = parts
    day, month = (first, second) if day_first else (second, first)
    hours = int(hour or 0)
    if half is not None:
        if not 1 <= hours <= 12:
            return None
        hours = hours % 12 + (12 if half.lower() == "pm" else 0)
    micros = int((fraction or "0").ljust(6, "0")[:6])
    try:
        return datetime(
            *(int(year or 0), int(month or 0), int(day or 0)),
            *(hours, int(minute or 0), int(second_of or 0), micros),
        )
    except ValueError:
        return None


def _instants(
    cells: Sequence[Cell], moments: Sequence[datetime], where: str, zone: tzinfo
) -> list[float]:
    """Unix seconds; a local time that comes twice is the later one once the earlier has passed."""
    found = [
        _instant(moment, zone, cell, where) for cell, moment in zip(cells, moments, strict=True)
    ]
    before = -math.inf
    for at in range(len(found)) if found[0] <= found[-1] else reversed(range(len(found))):
        later = _seconds(moments[at].replace(fold=1), zone)
        if found[at] <= before < later:
            found[at] = later
        before = found[at]
    return found


def _instant(moment: datetime, zone: tzinfo, cell: Cell, where: str) -> float:
    """Unix seconds of a moment, the earlier ones where a local time comes twice."""
    if moment.tzinfo is None:
        gain = _seconds(moment.replace(fold=1), zone) - _seconds(moment, zone)
        if gain < 0:
            raise BadDemand(
                f"{where}, line {cell[0]}: {cell[1][:70]!r} does not exist in {zone}, where clocks "
                "go forward then: is --time-zone right? Times in UTC want --time-zone UTC or a Z"
            )
    return _seconds(moment, zone)


def _seconds(moment: datetime, zone: tzinfo) -> float:
    if moment.tzinfo is not None:
        return moment.timestamp()
    offset = zone.utcoffset(moment) or timedelta()
    return (moment.replace(tzinfo=UTC) - offset).timestamp()
