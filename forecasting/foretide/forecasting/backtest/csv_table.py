"""The lines and columns of a CSV file, before anything is known of what they hold."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .csv_cells import BadDemand, Cell, is_number
from .csv_times import is_written

TIME_NAMES = ("time", "timestamp", "datetime", "date", "ds", "ts", "t", "when")
# Those that a comma may be a decimal point beside come first.
_DELIMITERS = "\t;,"
# Lines that are looked at to find out what a column holds.
LOOK = 100
# How files begin that no text editor has written.
_NO_TEXT = {
    b"PK\x03\x04": "it is a workbook or an archive: export it as CSV",
    b"\xd0\xcf\x11\xe0": "it is a workbook: export it as CSV",
    b"\x1f\x8b": "it is compressed: unpack it first",
}


@dataclass(frozen=True, slots=True)
class Table:
    """A file's lines with their numbers; the header is empty where there is none.

    `comma` says that decimals may have one, as none separates the columns.
    """

    path: Path
    header: list[str]
    rows: list[tuple[int, list[str]]]
    comma: bool

    @property
    def width(self) -> int:
        """How many columns there are."""
        return max(len(self.header), *(len(row) for _, row in self.rows[:LOOK]))

    def column(self, at: int, most: int | None = None) -> list[Cell]:
        """The cells of a column, empty where a line is too short."""
        return [(line, row[at] if at < len(row) else "") for line, row in self.rows[:most]]

    def called(self, at: int) -> str:
        """How to speak of a column."""
        return repr(self.header[at]) if at < len(self.header) else f"number {at + 1}"

    def named(self, names: Sequence[str]) -> list[int]:
        """The columns with such names, in the order of the names."""
        lower = [name.lower() for name in self.header]
        return [lower.index(name) for name in names if name in lower]

    def find(self, column: str) -> int:
        """Where a column is that was asked for by its name or its number from 1.

        Raises:
            BadDemand: there is none.
        """
        if column in self.header:
            return self.header.index(column)
        if column.isdecimal() and 1 <= int(column) <= self.width:
            return int(column) - 1
        known = ", ".join(self.header) if self.header else f"numbers from 1 to {self.width}"
        raise BadDemand(f"{self.path} has no column {column!r}; it has {known}")

    def fitting(self, names: Sequence[str], fits: Callable[[str], bool]) -> list[int]:
        """Columns with a cell that fits: those of such a name, then the others from the left."""
        found = [
            at for at in range(self.width) if any(fits(text) for _, text in self.column(at, LOOK))
        ]
        return list(dict.fromkeys([at for at in self.named(names) if at in found] + found))


def read_table(path: Path) -> Table:
    """The lines of a file that are not blank.

    Raises:
        BadDemand: there is no such file, it holds no lines, or is something else.
    """
    lines = _text(path).splitlines()
    # Spreadsheets say so themselves; the line stays, empty, for the sake of the numbers of lines.
    told = lines[0][4:5] if lines and lines[0].lower().startswith("sep=") else ""
    if told:
        lines[0] = ""
    delimiter = told or _delimiter([line for line in lines if line.strip()][:LOOK])
    try:
        reader = csv.reader(lines, delimiter=delimiter)
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise BadDemand(f"{path} cannot be read as CSV: {error}") from None
    rows = [(line, row) for line, row in rows if any(row)]
    comma = delimiter != ","
    has_header = bool(rows) and _is_header(rows[0][1], comma)
    header, rows = (rows[0][1], rows[1:]) if has_header else ([], rows)
    if not rows:
        raise BadDemand(f"{path} is empty: a column of times and one of values are wanted")
    _refuse_wider(header, rows, path)
    return Table(path, header, rows, comma)


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadDemand(f"cannot read {path}: {error.strerror}") from None
    for start, reason in _NO_TEXT.items():
        if raw.startswith(start):
            raise BadDemand(f"cannot read {path}: {reason}")
    wide = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = raw.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise BadDemand(f"cannot read {path}: it is not text (UTF-8): save it as 'CSV UTF-8'")
    return text


def _delimiter(lines: Sequence[str]) -> str:
    """What gives all lines the same number of columns, or else is most often in the first."""
    for delimiter in _DELIMITERS:
        try:
            widths = {len(row) for row in csv.reader(lines, delimiter=delimiter)}
        except csv.Error:
            continue
        if len(widths) == 1 and widths != {1}:
            return delimiter
    return max(reversed(_DELIMITERS), key=lines[0].count) if lines else ","


def _is_header(row: Sequence[str], comma: bool) -> bool:
    """Whether a line holds names: series may be named by numbers, but not beside `Time`."""
    if any(cell.lower() in TIME_NAMES for cell in row):
        return True
    return not any(is_number(cell, comma=comma) or is_written(cell) for cell in row)


def _refuse_wider(
    header: Sequence[str], rows: Sequence[tuple[int, Sequence[str]]], path: Path
) -> None:
    """A number with a decimal comma would fall apart at it, and its first part be taken for all."""
    for line, row in rows:
        if header and any(row[len(header) :]):
            raise BadDemand(
                f"{path}, line {line}: it has {len(row)} columns and the header {len(header)}: "
                "write decimals with a point, or semicolons between the columns"
            )
