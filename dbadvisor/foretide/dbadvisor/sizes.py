"""How large a b-tree index will be, from statistics alone, once CREATE INDEX has built it.

PostgreSQL 13 and newer keep rows with equal keys in one tuple (deduplication, "posting lists"),
so that an index of few values is a third as large as one of many; what-if tools that leave it out
overstate sizes up to six times. The arithmetic follows nbtsort.c and nbtdedup.c of PostgreSQL 15:

- a tuple has a header of 8 bytes (16 if a key is null), its values aligned as their types want,
  and is padded to 8; a line pointer of 4 bytes leads to it;
- equal tuples share one key and have 6 bytes a row, in pieces of 812 bytes at most. Unique indexes,
  those with INCLUDE and types whose equal values may look different are never deduplicated;
- a leaf is full when less than a tenth of it is free, an inner page three tenths; the last tuple
  then moves on to the next page, and leaves the shortened key behind as the upper bound.
"""

import math
from collections.abc import Iterable, Mapping
from functools import cache

from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.snapshot import Column, ColumnStatistics, Relation, Table
from foretide.dbadvisor.widths import Widths, tuple_sizes, widths_of

PAGE = 8192
HEADERS = 24 + 16  # a page's own and that of the b-tree
POINTER = 4
ROW = 6  # a row's place (ItemPointerData)
POSTING = 812  # most that a tuple of equal keys may take, without its pointer
INNER_FILL = 70
MOST_CLASSES = 24  # of how often a value occurs: finer would say no more

# Types whose equal values may differ in their bytes have no `equalimage` function.
NEVER_DEDUPLICATED = frozenset(
    ("numeric", "real", "double precision", "interval", "jsonb", "record", "tsvector", "tsquery")
) | {"citext", "hstore", "ltree"}


def deduplicates(type_name: str) -> bool:
    """Whether b-trees keep equal values of a type (format_type's name) once.

    Columns of nondeterministic collations do not, either; the catalog we keep does not tell them.
    """
    name = type_name.split("(")[0].strip()
    if name.startswith("interval "):  # interval day to second
        name = "interval"
    several = name.endswith("[]") or name.endswith("range")
    return not several and name not in NEVER_DEDUPLICATED


def index_bytes(
    table: Table,
    candidate: Candidate,
    *,
    expressions: Mapping[str, Column] | None = None,
    distinct: float | None = None,
    share: float = 1.0,
    fill_factor: int = 90,
) -> float:
    """Bytes of the index on one table (a partitioned one: `partitioned_bytes`).

    `expressions` have the type and statistics of keys that are no columns; `distinct` is how many
    different keys there are if it is known better than from each column alone; `share` of the rows
    is what the predicate of a partial index lets in. Columns without statistics count as values of
    8 bytes (or their fixed length) that all differ.

    Raises:
        KeyError: the table has no such column, or an expression is not in `expressions`.
    """
    rows = max(0.0, table.rows) * share
    if rows < 1:
        return float(PAGE)
    columns = {column.name: column for column in table.columns}
    known = expressions or {}
    keys = [
        columns[key.column] if key.column is not None else known[key.expression or ""]
        for key in candidate.keys
    ]
    included = [columns[name] for name in candidate.include]
    sizes = tuple_sizes([widths_of(column) for column in (*keys, *included)])
    inner = tuple_sizes([widths_of(column) for column in keys])
    shared = (
        not candidate.unique and not included and all(deduplicates(column.type) for column in keys)
    )
    if shared:
        items = _deduplicated(sizes, _groups(keys, rows, table.rows, distinct))
    else:
        items = {(size + POINTER, 0): share_ * rows for size, share_ in sizes.items()}
    return PAGE * (1 + _pages(items, inner, fill_factor))


def partitioned_bytes(
    tables: Mapping[Relation, Table],
    candidate: Candidate,
    *,
    expressions: Mapping[str, Column] | None = None,
    distinct: float | None = None,
    share: float = 1.0,
) -> float:
    """The same, of a table or of all partitions below it. Partitions are taken to hold each key
    once more if the partitioned table's own statistics are all there are.
    """
    table = tables[candidate.table]
    if table.kind != "p":
        return index_bytes(
            table, candidate, expressions=expressions, distinct=distinct, share=share
        )
    total = 0.0
    for relation in sorted(tables):
        if tables[relation].parent == candidate.table:
            part = Candidate(relation, candidate.keys, candidate.include, candidate.predicate)
            total += partitioned_bytes(
                tables, part, expressions=expressions, distinct=distinct, share=share
            )
    return total or float(PAGE)


def distinct_values(statistics: ColumnStatistics | None, rows: float) -> float:
    """How many different values a column has, nulls not counted; all differ if nobody knows."""
    if statistics is None or statistics.distinct == 0:
        return max(1.0, rows)
    if statistics.distinct > 0:
        return statistics.distinct
    return max(1.0, -statistics.distinct * rows)


def joint_distinct(keys: Iterable[Column], rows: float) -> float:
    """How many different combinations of independent columns come up in `rows` rows."""
    return sum(number for _, number in _groups(list(keys), rows, rows, None))


def drawn(possible: float, rows: float) -> float:
    """How many of `possible` equally likely values `rows` draws are expected to show."""
    if possible > 100 * rows:
        return rows
    return max(1.0, -possible * math.expm1(-rows / possible))


def _groups(
    keys: list[Column], rows: float, all_rows: float, distinct: float | None
) -> list[tuple[float, float]]:
    """Classes of equal keys: (rows of each key on average, how many such keys)."""
    if distinct is not None and len(keys) > 1:
        found = max(1.0, min(distinct, rows))
        return [(rows / found, found)]
    classes = _classes(keys[0], all_rows, distinct)
    if len(keys) == 1 and rows == all_rows:
        return _fewer([(share * rows, number) for share, number in classes])
    for column in keys[1:]:
        following = _classes(column, all_rows, None)
        classes = _fewer([(a * b, n * m) for a, n in classes for b, m in following])
    groups = []
    for share, number in classes:
        seen = -math.expm1(-share * rows)  # of such keys come up at all
        if seen * number > 1e-9:
            groups.append((share * rows / seen, seen * number))
    # Drawn independently, even values that all differ would come up twice.
    least = max(distinct_values(key.statistics, all_rows) for key in keys)
    if rows == all_rows and sum(number for _, number in groups) < min(least, rows):
        return [(rows / min(least, rows), min(least, rows))]
    return groups


def _classes(column: Column, rows: float, distinct: float | None) -> list[tuple[float, float]]:
    """Values of one column by how frequent they are: (share of the rows, how many such values)."""
    statistics = column.statistics
    found = distinct if distinct is not None else distinct_values(statistics, rows)
    found = max(1.0, min(found, rows))
    if statistics is None:
        return [(1 / found, found)]
    classes = [(share, 1.0) for share in statistics.frequencies if share * rows > 1]
    number = max(found - len(classes), 0.0)
    if statistics.null_share > 0 and not column.not_null:
        classes.append((statistics.null_share, 1.0))
    rest = 1 - sum(share for share, _ in classes)
    # The sample that statistics were made from knows frequencies better than numbers of values.
    if rest * rows > 0.5 and (number >= 1 or rest > 0.001):
        number = min(max(number, 1.0), rest * rows)
        classes.append((rest / number, number))
    return _fewer(classes)


def _fewer(groups: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Neighbours in frequency put together: statistics may list 10,000 common values."""
    if len(groups) <= MOST_CLASSES:
        return groups
    groups = sorted(groups, reverse=True)
    step = math.ceil(len(groups) / MOST_CLASSES)
    merged = []
    for start in range(0, len(groups), step):
        some = groups[start : start + step]
        count = sum(number for _, number in some)
        merged.append((sum(size * number for size, number in some) / count, count))
    return merged


def _deduplicated(
    sizes: Widths, groups: list[tuple[float, float]]
) -> dict[tuple[float, float], float]:
    """Tuples on leaves: {(bytes with pointer, bytes saved as an upper bound): number}."""
    items: dict[tuple[float, float], float] = {}
    for rows, number in groups:
        for size, share in sizes.items():
            for item, count in _tuples_of_group(size, rows):
                items[item] = items.get(item, 0.0) + count * share * number
    return items


def _tuples_of_group(size: int, rows: float) -> tuple[tuple[tuple[float, float], float], ...]:
    """What a key of `size` bytes with `rows` rows on average becomes: ((tuple, number), ...)."""
    return _tuples(size, round(rows, 2) if rows < 50 else float(round(rows)))


@cache
def _tuples(size: int, rows: float) -> tuple[tuple[tuple[float, float], float], ...]:
    most = max(1, (POSTING - size) // ROW)
    found: dict[tuple[float, float], float] = {}
    for count, share in _spread(rows):
        pieces, rest = divmod(count, most)
        if pieces:
            _add(found, size, most, pieces * share)
        if rest:
            _add(found, size, rest, share)
    return tuple(sorted(found.items()))


def _add(found: dict[tuple[float, float], float], size: int, rows: int, number: float) -> None:
    posting = size if rows == 1 else _aligned(size + ROW * rows)
    item = (float(posting + POINTER), float(posting - size))
    found[item] = found.get(item, 0.0) + number


def _spread(rows: float) -> list[tuple[int, float]]:
    """How many rows a key has if all have `rows` on average: as drawn (Poisson, without zero)."""
    if rows <= 1.005:
        return [(1, 1.0)]
    if rows > 60:
        return [(round(rows), 1.0)]
    low, rate = 0.0, rows
    for _ in range(40):  # the rate whose draws of at least one are `rows` on average
        middle = (low + rate) / 2
        low, rate = (middle, rate) if middle < rows * -math.expm1(-middle) else (low, middle)
    shares = []
    share = math.exp(-rate) / -math.expm1(-rate)
    for count in range(1, math.ceil(rate + 6 * math.sqrt(rate)) + 3):
        share *= rate / count
        shares.append((count, share))
    return shares


def _aligned(size: int) -> int:
    return (size + 7) & ~7


def _pages(
    items: Mapping[tuple[float, float], float], inner: Mapping[int, float], fill_factor: int
) -> int:
    """Leaves and the inner pages above them."""
    total = sum(size * number for (size, _), number in items.items())
    leaves = max(1, math.ceil(total / _held(items, fill_factor) - 1e-9))
    pages, below = leaves, leaves
    downlink = {(float(size + POINTER), 0.0): share for size, share in inner.items()}
    bytes_each = sum(size * share for (size, _), share in downlink.items())
    fanout = max(2.0, _held(downlink, INNER_FILL) / bytes_each)
    while below > 1:
        below = math.ceil(below / fanout)
        pages += below
    return pages


def _held(items: Mapping[tuple[float, float], float], fill_factor: int) -> float:
    """Bytes of tuples that a page holds on average, pointers included."""
    room = PAGE - HEADERS - POINTER
    spare = PAGE * (100 - fill_factor) // 100
    total = sum(size * number for (size, _), number in items.items())
    biased = sum(size * size * number for (size, _), number in items.items()) / total
    saved = sum(size * extra * number for (size, extra), number in items.items()) / total
    size, number = max(((s, n) for (s, _), n in items.items()), key=lambda one: one[0] * one[1])
    if size * number > 0.98 * total:
        return _held_of_one(size, saved, room, spare)
    # The tuple that crosses the limit moves on: half of it, on average, lay before the limit.
    by_fill = room - spare + saved - biased / 2
    by_room = room - ROW - 2 - 1.5 * biased
    return max(biased / 2, by_room if room - spare + saved > room - biased else by_fill)


def _held_of_one(size: float, saved: float, room: int, spare: int) -> float:
    """The same where all tuples are of one size."""
    used = 0.0
    number = 0
    while True:
        free = room - used
        if number and (free < size + 8 or (free + saved < spare and number > 1)):
            return max(1, number - 1) * size
        used += size
        number += 1
