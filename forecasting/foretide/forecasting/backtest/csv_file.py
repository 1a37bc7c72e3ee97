"""Demand from a CSV file: any file with a column of times and one of values."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..simulation.trace import usual_step
from .csv_cells import (
    BadDemand,
    Cell,
    is_missing,
    is_number,
    plain_number,
    read_values,
    span,
    text_refused,
)
from .csv_table import LOOK, TIME_NAMES, Table, read_table
from .csv_times import (
    is_small,
    is_unix,
    is_written,
    looks_like_a_time,
    names_no_zone,
    read_times,
)

__all__ = ["BadDemand", "Samples", "read_csv"]

_VALUE_NAMES = ("value", "demand", "y", "requests", "rps", "load", "count")


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
    path: Path,
    *,
    time_column: str | None = None,
    value_column: str | None = None,
    zone: str = "UTC",
) -> Samples:
    """Read a file with or without a header; commas, semicolons or tabs between the columns.

    Times are ISO 8601, 28.05.2026 20:25, 5/28/2026 8:25 PM (in `zone`, an IANA name, where they
    name none), Unix seconds (or milli-, micro-, nanoseconds, told by their size) or seconds since
    some beginning; the oldest comes first, or last. A value that is empty or NaN is a gap, and so
    is a line that is missing; decimals may have a comma where none separates the columns. Columns
    are named by the header or by number from 1; without a name the first that looks like a time,
    and the first other one that is a number, are taken.

    Raises:
        BadDemand: there is no such file, a line is not what it should be, or may mean two things.
    """
    table = read_table(path)
    time_at, value_at, notes = _columns(table, time_column, value_column)
    times, times_notes = read_times(table.column(time_at), str(path), zone)
    values, values_notes = read_values(table.column(value_at), str(path), comma=table.comma)
    notes += times_notes + values_notes
    kept = _in_order(table, times, time_at)
    if twice := len(times) - len(kept):
        notes.append(f"{twice} lines are there twice, and count once")
    times, values = [times[at] for at in kept], [values[at] for at in kept]
    missing = sum(1 for value in values if math.isnan(value))
    if missing == len(values):
        raise BadDemand(f"{path} holds no values in column {table.called(value_at)}")
    if missing:
        notes.append(f"{missing} of {len(values)} values are missing and count as gaps")
    notes += _labels(table, {time_at, value_at}) + _gaps(times)
    return Samples(path.stem, tuple(times), tuple(values), tuple(notes))


def _columns(
    table: Table, time_column: str | None, value_column: str | None
) -> tuple[int, int, list[str]]:
    """Where the times and the values are, and a note where values were guessed among several."""
    value_at = None if value_column is None else table.find(value_column)
    time_at = _time_column(table, value_at) if time_column is None else table.find(time_column)
    if value_at is not None:
        return time_at, value_at, []
    numbers = table.fitting(_VALUE_NAMES, lambda text: is_number(text, comma=table.comma))
    others = [at for at in numbers if at != time_at]
    full = [
        at
        for at in range(table.width)
        if at != time_at and not all(is_missing(text) for _, text in table.column(at))
    ]
    named = [at for at in table.named(_VALUE_NAMES) if at in full]
    # A number in some other column is not what a column `value` of words was to hold.
    if not others or (named and named[0] not in others):
        raise _no_values(table, named + full)
    note = f"of several columns {table.called(others[0])} is taken: choose with --column"
    return time_at, others[0], [note] if len(full) > 1 else []


def _time_column(table: Table, taken: int | None) -> int:
    """The likeliest column of times, but for one that is `taken`."""
    written, unix = table.fitting(TIME_NAMES, is_written), table.fitting(TIME_NAMES, is_unix)
    named = table.named(TIME_NAMES)
    # A value may be as large as a Unix time: words are surer, and a name is surer still.
    dates = [at for at in named if at in written or at in unix] + written + unix
    small = [at for at in table.fitting(TIME_NAMES, is_small) if at != taken]
    if found := [at for at in dates if at != taken]:
        if found[0] not in named + written and small and small[0] in named:
            raise BadDemand(
                f"{table.path}: times may be in column {table.called(small[0])} or "
                f"{table.called(found[0])}: choose with --time-column"
            )
        return found[0]
    # Any number may be seconds since some beginning: only where nothing else may be meant.
    counts = 0 not in table.named(_VALUE_NAMES) and _ascends(table.column(0, LOOK))
    by_name = bool(small) and small[0] in named
    first = [cell for at in range(table.width) for cell in table.column(at, 1)]
    odd = next((cell for cell in first if _may_be_a_time(cell[1], by_name=by_name)), None)
    if odd is None and small and (by_name or (small[0] == 0 and counts)):
        return small[0]
    line, text = odd or first[named[0] if named else 0]
    raise BadDemand(
        f"{table.path} has no column of times: line {line} has {text[:70]!r}, where 2026-05-28 "
        "20:25 or Unix seconds are wanted; name the column with --time-column"
    )


def _may_be_a_time(text: str, *, by_name: bool) -> bool:
    """Whether a cell keeps small numbers beside it from being times: they may number the lines."""
    words = plain_number(text) is None and not is_missing(text)
    return looks_like_a_time(text) or (words and not by_name)


def _ascends(cells: Sequence[Cell]) -> bool:
    numbers = [float(text) for _, text in cells if is_small(text)]
    return len(numbers) == len(cells) and all(a < b for a, b in pairwise(numbers))


def _no_values(table: Table, likeliest: Sequence[int]) -> BadDemand:
    """Which cell has kept the likeliest column from being one of numbers."""
    if likeliest:
        cells = table.column(likeliest[0])
        return text_refused(cells, f"{table.path} has no column of numbers beside the times")
    if table.width > 1:
        return BadDemand(f"{table.path} holds no values beside the times")
    return BadDemand(
        f"{table.path} has one column only: separate times and values by commas, semicolons or tabs"
    )


def _in_order(table: Table, times: Sequence[float], time_at: int) -> list[int]:
    """The lines to take, the oldest first. Lines that are there twice to the letter count once.

    Lines in neither order are refused: they may be several series, one after the other.
    """
    newest_first = times[0] > times[-1]
    kept: list[int] = []
    for at in reversed(range(len(times))) if newest_first else range(len(times)):
        line, row = table.rows[at]
        where = f"{table.path}, line {line}: {row[time_at]!r}"
        if not kept or times[at] > times[kept[-1]]:
            kept.append(at)
        elif times[at] < times[kept[-1]]:
            order = "later" if newest_first else "earlier"
            raise BadDemand(
                f"{where} is {order} than the line before: sort the file by time, or sum its "
                f"series first, to one line for each time{_clocks(row[time_at])}"
            )
        elif row != table.rows[kept[-1]][1]:
            raise BadDemand(
                f"{where} is there twice, with other values: {_why_twice(row[time_at])}"
            )
    return kept


def _why_twice(time: str) -> str:
    if is_written(time) and ":" not in time:
        return "is it a date alone? Write date and time of day into one column"
    return f"are these several series? Sum them first, to one line for each time{_clocks(time)}"


def _clocks(time: str) -> str:
    local = names_no_zone(time)
    return ". Or do clocks go back there? Say where, with --time-zone" if local else ""


def _labels(table: Table, known: set[int]) -> list[str]:
    """A note on columns of words that vary: lines may be of several series that take turns."""
    for at in range(table.width):
        words = {text for _, text in table.column(at) if not is_missing(text)}
        if at in known or len(words) < 2 or any(is_number(word, comma=True) for word in words):
            continue
        one, other = sorted(words)[:2]
        if not is_written(one):
            return [
                f"column {table.called(at)} holds {one[:30]!r}, {other[:30]!r} and so on: if these "
                "are several series, sum them first, to one line for each time"
            ]
    return []


def _gaps(times: Sequence[float]) -> list[str]:
    """A note on lines that are missing, where they come to an hour at a stretch, or to 1 %."""
    if len(times) < 3:
        return []
    step, whole = usual_step(np.asarray(times)), times[-1] - times[0]
    gaps = [(b - a - step, a) for a, b in pairwise(times) if b - a > 1.5 * step]
    longest, since = max(gaps, default=(0.0, 0.0))
    missing = sum(gap for gap, _ in gaps)
    if longest < max(3_600, step) and missing < 0.01 * whole:
        return []
    when = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return [
        f"lines are missing for {span(missing)} of {span(whole)} and count as gaps; the longest is "
        f"{span(longest)} after {when}"
    ]
