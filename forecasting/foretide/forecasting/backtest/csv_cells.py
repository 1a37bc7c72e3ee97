"""Cells of a CSV file: what is missing, what is a number, and a whole column of demand."""

import math
import re
from collections.abc import Sequence

# Demand beyond this is a mistake, and later arithmetic could not count in it.
_MOST = 1e18
_MISSING = ("", "nan", "null", "none", "undefined", "na", "n/a", "-")
_DECIMAL_COMMA = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+(e[+-]?\d+)?", re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+)")
# 12,345 and 12.345: thousands for one person, three decimals for another.
_EITHER = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}")
_PLAIN = "write it as 1075.9, without a unit and without separators of thousands"

# The number of its line, and the text.
Cell = tuple[int, str]


class BadDemand(ValueError):
    """Demand that cannot be used; the message says what to do."""


def is_missing(text: str) -> bool:
    """Whether a cell says that there is no value."""
    return text.lower() in _MISSING


def plain_number(text: str) -> float | None:
    """The number that a cell holds, written with a decimal point or without decimals."""
    if "_" in text:  # which Python would skip
        return None
    try:
        return float(text)
    except ValueError:
        return None


def is_number(text: str, *, comma: bool) -> bool:
    """Whether a cell is a number; `comma` allows for a decimal comma."""
    return plain_number(text) is not None or (comma and bool(_DECIMAL_COMMA.fullmatch(text)))


def read_values(cells: Sequence[Cell], where: str, *, comma: bool) -> tuple[list[float], list[str]]:
    """The demand in a column (NaN where it is missing), and notes.

    `comma` allows for a decimal comma: commas do not separate the file's columns.

    Raises:
        BadDemand: a cell is no demand, or decimals cannot be told from thousands.
    """
    texts = [text for _, text in cells if not is_missing(text)]
    commas = comma and any("," in text for text in texts)
    if comma:
        _refuse_thousands(
            cells, [text for text in texts if ("," if commas else ".") in text], where
        )
    values = [_demand(text, f"{where}, line {line}", commas) for line, text in cells]
    return values, ["commas are read as decimal points"] if commas else []


def _refuse_thousands(cells: Sequence[Cell], marked: Sequence[str], where: str) -> None:
    """Refuse a column in which 12,345 (or 12.345) may be twelve or twelve thousand."""
    if not marked or not all(_EITHER.fullmatch(text) for text in marked):
        return
    # Decimals with a point are the rule: in doubt only beside numbers that have none.
    if "." in marked[0] and not any(text.isdecimal() for _, text in cells):
        return
    line = next(line for line, text in cells if text == marked[0])
    raise BadDemand(
        f"{where}, line {line}: {marked[0]!r} may have decimals or thousands: write it as 12.345 "
        "or 12345 in a file with commas between the columns"
    )


def _demand(text: str, where: str, commas: bool) -> float:
    if is_missing(text):
        return math.nan
    if commas:
        usual = _DECIMAL_COMMA.fullmatch(text) or _WHOLE.fullmatch(text)
        value = float(text.replace(".", "").replace(",", ".")) if usual else None
    else:
        value = plain_number(text)
    if value is None:
        raise BadDemand(f"{where}: {text[:70]!r} is not a number: {_PLAIN}")
    if math.isinf(value):
        raise BadDemand(f"{where}: demand must be finite")
    if value < 0:
        raise BadDemand(f"{where}: demand is {text[:70]}, and must not be negative")
    if value > _MOST:
        raise BadDemand(f"{where}: demand is {text[:70]}, which is too much to be true")
    return value


def text_refused(cells: Sequence[Cell], where: str) -> BadDemand:
    """What to say of a column without numbers: its first cell that holds something."""
    line, text = next((cell for cell in cells if not is_missing(cell[1])), cells[0])
    if is_missing(text):
        return BadDemand(f"{where} holds no values beside the times")
    return BadDemand(f"{where}, line {line}: {text[:70]!r} is not a number: {_PLAIN}")


def span(seconds: float) -> str:
    """So many seconds as a person would say them: `45 s`, `20 min`, `75 h`, `10 days`."""
    for unit, size, least in (("days", 86_400, 5 * 86_400), ("h", 3_600, 3_600), ("min", 60, 60)):
        if seconds >= least:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
