"""Demand from a CSV file: any file with a column of times and one of values."""

import csv
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

_DELIMITERS = ",;\t"
_TIME_NAMES = ("time", "timestamp", "datetime", "date", "ds", "ts")
_VALUE_NAMES = ("value", "demand", "y", "requests", "rps", "load", "count")
# 1973: a number that is smaller is hardly a date in Unix seconds.
_EARLIEST = 1e8
_MISSING = ("", "nan", "null", "none", "na", "n/a", "-")


class BadDemand(ValueError):
    """Demand that cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Demand as it was read: ascending Unix seconds, and values (NaN where one is missing).

    `notes` are things that a person should know of it.
    """

    name: str
    times: tuple[float, ...]
    values: tuple[float, ...]
    notes: tuple[str, ...] = ()

    def last(self, seconds: float) -> "Samples":
        """The samples of so many seconds before the end."""
        first = bisect_right(self.times, self.times[-1] - seconds)
        return replace(self, times=self.times[first:], values=self.values[first:])


def read_csv(
    path: Path, *, time_column: str | None = None, value_column: str | None = None
) -> Samples:
    """Read a file with or without a header; commas, semicolons or tabs between the columns.

    Times are ISO 8601 (UTC where they name no zone) or Unix seconds (or milli-, micro-,
    nanoseconds), and ascend. A value that is empty or NaN is a gap. Columns are named by the header
    or by number from 1; without a name the first that looks like a time, and the first other one
    that is a number, are taken.

    Raises:
        BadDemand: there is no such file, or a line is not what it should be.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text (UTF-8)"
        raise BadDemand(f"cannot read {path}: {reason}") from None
    header, rows = _rows(text, path)
    if not rows:
        raise BadDemand(f"{path} is empty: a column of times and one of values are wanted")
    time_at, value_at, note = _columns(header, rows, path, time_column, value_column)
    times: list[float] = []
    values: list[float] = []
    for line, row in rows:
        where = f"{path}, line {line}"
        at = _time(_cell(row, time_at), where)
        if times and at <= times[-1]:
            twice = "is there twice" if at == times[-1] else "is earlier than the line before"
            raise BadDemand(f"{where}: {row[time_at]!r} {twice}: sort the file by time")
        times.append(at)
        values.append(_value(_cell(row, value_at), where))
    missing = sum(1 for value in values if math.isnan(value))
    if missing == len(values):
        raise BadDemand(f"{path} holds no values in column {_name(header, value_at)}")
    notes = [note] if note else []
    if missing:
        notes.append(f"{missing} of {len(values)} values are missing and count as gaps")
    return Samples(path.stem, tuple(times), tuple(values), tuple(notes))


def _rows(text: str, path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header (empty when there is none), and the rows that are not blank with their lines."""
    first = text.lstrip().partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    try:
        reader = csv.reader(text.splitlines(), delimiter=delimiter)
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise BadDemand(f"{path} cannot be read as CSV: {error}") from None
    rows = [(line, row) for line, row in rows if any(row)]
    has_header = bool(rows) and not any(_is_number(cell) for cell in rows[0][1])
    return (rows[0][1], rows[1:]) if has_header else ([], rows)


def _columns(
    header: list[str],
    rows: Sequence[tuple[int, list[str]]],
    path: Path,
    time_column: str | None,
    value_column: str | None,
) -> tuple[int, int, str]:
    """Where the times and the values are, and a note where values were guessed among several."""
    width = max(len(row) for _, row in rows[:100])
    looks = [[_cell(row, at) for _, row in rows[:100]] for at in range(width)]
    if time_column is not None:
        time_at: int | None = _find(time_column, header, width, path)
    else:
        # Any number may be seconds, but a column of dates is more likely meant.
        dates = _guesses(header, looks, _TIME_NAMES, _is_date)
        time_at = next(iter(dates + _guesses(header, looks, _TIME_NAMES, _is_number)), None)
    if time_at is None:
        raise BadDemand(
            f"{path} has no column of times (ISO 8601 or Unix seconds): name it with --time-column"
        )
    if value_column is not None:
        return time_at, _find(value_column, header, width, path), ""
    others = [at for at in _guesses(header, looks, _VALUE_NAMES, _is_number) if at != time_at]
    if not others:
        raise BadDemand(f"{path} has no column of numbers beside the times")
    value_at = others[0]
    several = len(set(others)) > 1
    note = f"of several columns {_name(header, value_at)} is taken: choose with --column"
    return time_at, value_at, note if several else ""


def _guesses(
    header: list[str],
    looks: list[list[str]],
    names: Sequence[str],
    fits: Callable[[str], bool],
) -> list[int]:
    """Columns that may be meant, the likeliest first: by name, then from the left."""
    lower = [name.lower() for name in header]
    fitting = [at for at, cells in enumerate(looks) if any(fits(cell) for cell in cells)]
    named = [lower.index(name) for name in names if name in lower]
    return [at for at in named if at in fitting] + fitting


def _find(column: str, header: list[str], width: int, path: Path) -> int:
    if column in header:
        return header.index(column)
    if column.isdecimal() and 1 <= int(column) <= width:
        return int(column) - 1
    known = ", ".join(header) if header else f"numbers from 1 to {width}"
    raise BadDemand(f"{path} has no column {column!r}; it has {known}")


def _name(header: list[str], at: int) -> str:
    return repr(header[at]) if at < len(header) else f"number {at + 1}"


def _cell(row: list[str], at: int) -> str:
    return row[at] if at < len(row) else ""


def _time(text: str, where: str) -> float:
    moment = _moment(text)
    if moment is None:
        raise BadDemand(f"{where}: {text[:70]!r} is not a time (ISO 8601 or Unix seconds)")
    return moment


def _moment(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(seconds):
        return None
    # 1e11 seconds are the year 5138: larger numbers count something smaller.
    for unit in (1e9, 1e6, 1e3):
        if abs(seconds) >= 1e8 * unit:
            return seconds / unit
    return seconds


def _is_date(text: str) -> bool:
    moment = _moment(text)
    return moment is not None and moment >= _EARLIEST


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _value(text: str, where: str) -> float:
    if text.lower() in _MISSING:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        raise BadDemand(f"{where}: {text[:70]!r} is not a number") from None
    if math.isinf(value):
        raise BadDemand(f"{where}: demand must be finite")
    if value < 0:
        raise BadDemand(f"{where}: demand is {text[:70]}, and must not be negative")
    return value
