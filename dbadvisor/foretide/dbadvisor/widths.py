"""How many bytes values take in an index: distributions rather than averages.

Tuples are padded to eight bytes, so that an average width says little: 12 and 13 bytes of text
differ by eight in the index, and an average of 12.5 tells of neither.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from foretide.dbadvisor.snapshot import Column, ColumnStatistics

Widths = dict[int, float]  # bytes -> share of the tuples; shares add up to 1

SHORT = 127  # a value of varying length up to here has a header of one byte, and is not aligned
HEADER, HEADER_WITH_NULLS = 8, 16
MOST_STATES = 400
UNKNOWN = 8

TEXTS = ("text", "character varying", "character", "bpchar", "name", "xml", "citext")


@dataclass(frozen=True, slots=True)
class Stored:
    """A column as tuples hold it: `widths` with their header, of values that are not null."""

    widths: tuple[tuple[int, float], ...]
    align: int
    varies: bool
    null_share: float


def widths_of(column: Column) -> Stored:
    """From its type if that has a fixed length, otherwise from what statistics know of values."""
    statistics = column.statistics
    nulls = statistics.null_share if statistics is not None and not column.not_null else 0.0
    if column.length > 0:
        return Stored(((column.length, 1.0),), max(1, column.align), False, nulls)
    widths = _of_values(column.type, statistics) if statistics is not None else {}
    if not widths:
        widths = _around(statistics.width if statistics is not None else UNKNOWN)
    return Stored(tuple(sorted(widths.items())), max(1, column.align), True, nulls)


def tuple_sizes(stored: Sequence[Stored]) -> Widths:
    """Sizes of whole index tuples, padded, without line pointers; columns taken as independent."""
    states: dict[tuple[int, bool], float] = {(0, False): 1.0}
    for column in stored:
        following: dict[tuple[int, bool], float] = {}
        for (offset, null), share in states.items():
            if column.null_share > 0:
                key = (offset, True)
                following[key] = following.get(key, 0.0) + share * column.null_share
            present = share * (1 - column.null_share)
            if present <= 0:
                continue
            for width, part in column.widths:
                key = (_placed(offset, width, column), null)
                following[key] = following.get(key, 0.0) + present * part
        states = _fewer(following)
    sizes: Widths = {}
    for (offset, null), share in sorted(states.items()):
        size = ((HEADER_WITH_NULLS if null else HEADER) + offset + 7) & ~7
        sizes[size] = sizes.get(size, 0.0) + share
    return sizes


def _placed(offset: int, width: int, column: Stored) -> int:
    """Where the next column may begin. Headers are multiples of 8: offsets align as tuples."""
    if column.varies and width <= SHORT:
        return offset + width
    return -(-offset // column.align) * column.align + width


def _fewer(states: dict[tuple[int, bool], float]) -> dict[tuple[int, bool], float]:
    if len(states) <= MOST_STATES:
        return states
    merged: dict[tuple[int, bool], float] = {}
    for (offset, null), share in states.items():
        key = ((offset + 3) // 8 * 8, null)
        merged[key] = merged.get(key, 0.0) + share
    return merged


def _around(average: float) -> Widths:
    """Values of an average width of which nothing more is known: evenly around it."""
    if average <= 4:
        return {max(1, round(average)): 1.0}
    middle = round(average)
    return {middle + step: 1 / 8 for step in range(-4, 4)}


def _of_values(type_name: str, statistics: ColumnStatistics) -> Widths:
    """From the common values and the histogram's bounds, each bound for as many rows.

    Bounds are those of an index of equal shares, so they are a fair sample of what is not common.
    """
    name = type_name.split("(")[0].strip()
    common = list(zip(statistics.common, statistics.frequencies, strict=False))
    rest = max(0.0, 1 - statistics.null_share - sum(share for _, share in common))
    bounds = statistics.bounds
    if rest > 0.02 and not bounds:
        return {}  # too wide for statistics, or a type without an order
    weighted = [*common, *((value, rest / len(bounds)) for value in bounds)]
    widths: Widths = {}
    for value, share in weighted:
        width = stored_width(name, value)
        if width is None:
            return {}
        widths[width] = widths.get(width, 0.0) + share
    total = sum(widths.values())
    if total <= 0:
        return {}
    return {width: share / total for width, share in sorted(widths.items())}


def stored_width(type_name: str, value: str) -> int | None:
    """Bytes of one value with its header; None for types whose text form says nothing of it."""
    if type_name in TEXTS:
        size = len(value.encode())
    elif type_name == "numeric":
        size = _numeric(value)
    elif type_name == "bytea" and value.startswith("\\x"):
        size = (len(value) - 2) // 2
    elif type_name in ("inet", "cidr"):
        size = 6 if ":" not in value else 18
    else:
        return None
    return size + 1 if size < SHORT else size + 4


def _numeric(value: str) -> int:
    """Numbers are kept as digits to the base 10,000, on both sides of the point, without zeros."""
    whole, _, part = value.lstrip("-").partition(".")
    if not (whole + part).isdigit():
        return 2  # NaN, Infinity
    whole = whole.lstrip("0")
    whole = whole.rjust(4 * math.ceil(len(whole) / 4), "0")
    digits = whole + part.ljust(4 * math.ceil(len(part) / 4), "0")
    groups = [digits[start : start + 4] for start in range(0, len(digits), 4)]
    while groups and groups[-1] == "0000":
        groups.pop()
    while groups and groups[0] == "0000":
        groups.pop(0)
    return 2 + 2 * len(groups)
