"""How data lies: statistics that are stale, skewed values, rows out of order, bloat, and sequences
that come to their end. Each finding has the figures that it comes from and what to do about it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.ddl import literal, qualified, quoted
from foretide.dbadvisor.figures import time_of
from foretide.dbadvisor.sizes import distinct_values, index_bytes
from foretide.dbadvisor.snapshot import Column, Index, Relation, Sequence, Snapshot, Table

PAGE = 8192
MB = 2**20
DAY = 86_400.0


class Kind(StrEnum):
    """Named as in the DatabaseAdvisor's status."""

    STALE_STATISTICS = "StaleStatistics"
    SKEW = "Skew"
    CORRELATION = "Correlation"
    TABLE_BLOAT = "TableBloat"
    INDEX_BLOAT = "IndexBloat"
    SEQUENCE = "SequenceNearEnd"


@dataclass(frozen=True, slots=True)
class Finding:
    """`weight` ranks findings of one kind: bytes for bloat and correlation, rows for statistics and
    skew, the used share for sequences. `statements` are the remedy as SQL, where there is any.
    """

    kind: Kind
    relation: Relation
    column: str | None
    message: str
    remedy: str
    statements: tuple[str, ...]
    weight: float


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on something is said. Shares, unless told otherwise."""

    rows: float = 10_000  # smaller tables cost nothing, however they are
    modified: float = 0.2  # of the rows since statistics were gathered: autovacuum wants 0.1
    skew: float = 0.3  # one value's share of the rows
    distinct: float = 10  # beside so many others
    dead: float = 0.2
    bloat: float = 2.0  # times as large as it need be
    wasted: float = 10 * MB  # bytes
    correlation: float = 0.3
    pages: int = 5_000  # of a table whose order matters
    read_per_scan: float = 100  # rows that a scan of an index reads
    sequence: float = 0.5


LIMITS = Limits()


def findings(
    snapshot: Snapshot, earlier: Snapshot | None = None, limits: Limits = LIMITS
) -> tuple[Finding, ...]:
    """All findings, by kind, the weightiest first. `earlier` tells when a sequence will end."""
    indexes: dict[Relation, list[Index]] = {}
    for index in snapshot.indexes:
        indexes.setdefault(index.table, []).append(index)
    found: list[Finding] = []
    for table in snapshot.tables:
        mine = sorted(indexes.get(table.relation, []), key=lambda index: index.relation)
        found += _statistics(table, snapshot, limits)
        if table.kind != "p":
            found += _table_bloat(table, limits)
            found += _index_bloat(table, mine, snapshot, limits)
            found += _correlation(table, mine, limits)
        found += _skew(table, mine, limits)
    before = {sequence.relation: sequence for sequence in earlier.sequences} if earlier else {}
    seconds = snapshot.at - earlier.at if earlier else 0.0
    for sequence in snapshot.sequences:
        found += _sequence(sequence, before.get(sequence.relation), seconds, limits)
    order = list(Kind)
    return tuple(
        sorted(
            found,
            key=lambda each: (
                order.index(each.kind),
                -each.weight,
                each.relation,
                each.column or "",
            ),
        )
    )


def _statistics(table: Table, snapshot: Snapshot, limits: Limits) -> Iterator[Finding]:
    rows = max(table.live, table.rows, 0)
    analyze = (f"ANALYZE {qualified(table.relation)};",)
    if table.rows < 0 or (table.analyzed_at is None and not _has_statistics(table)):
        if table.live >= limits.rows:
            yield Finding(
                Kind.STALE_STATISTICS,
                table.relation,
                None,
                f"{table.live:,} rows of which there are no statistics at all",
                "gather them; plans are guesses until then",
                analyze,
                float(table.live),
            )
        return
    changed = table.modified_since_analyze
    if rows >= limits.rows and changed > limits.modified * rows:
        since = ""
        if table.analyzed_at is not None:
            age = max(0.0, snapshot.at - table.analyzed_at)
            since = f", the last time {time_of(1000 * age)} ago"
        share = max(0.005, min(0.05, 100_000 / rows))
        yield Finding(
            Kind.STALE_STATISTICS,
            table.relation,
            None,
            f"{changed:,} of {rows:,.0f} rows have changed since statistics were gathered{since}",
            "gather them, and do so more often for this table",
            (
                *analyze,
                f"ALTER TABLE {qualified(table.relation)} "
                f"SET (autovacuum_analyze_scale_factor = {share:.3g});",
            ),
            float(changed),
        )


def _has_statistics(table: Table) -> bool:
    return any(column.statistics is not None for column in table.columns)


def _skew(table: Table, indexes: list[Index], limits: Limits) -> Iterator[Finding]:
    """One value that most rows have: a plan for any value is wrong for it, or for all others."""
    if table.rows < limits.rows:
        return
    leading = {index.keys[0].column for index in indexes if index.keys and not index.predicate}
    for column in table.columns:
        known = column.statistics
        if known is None or not known.frequencies or column.name not in leading:
            continue
        distinct = distinct_values(known, table.rows)
        share = known.frequencies[0]
        if share < limits.skew or distinct < limits.distinct:
            continue
        name, value = quoted(column.name), literal(known.common[0])
        yield Finding(
            Kind.SKEW,
            table.relation,
            column.name,
            f"{share:.0%} of the rows have the value {_short(known.common[0])}, "
            f"and {distinct:,.0f} values share the rest",
            "an index without this value is smaller and never misused for it; statements prepared "
            "once for all values want plan_cache_mode = force_custom_plan",
            (
                f"CREATE INDEX CONCURRENTLY ON {qualified(table.relation)} ({name}) "
                f"WHERE {name} <> {value};",
            ),
            share * table.rows,
        )


def _correlation(table: Table, indexes: list[Index], limits: Limits) -> Iterator[Finding]:
    """Rows that an index reads together but that lie apart: each costs a page of its own."""
    if table.pages < limits.pages:
        return
    columns = {column.name: column for column in table.columns}
    told = set()
    for index in indexes:
        first = index.keys[0].column if index.keys else None
        if index.method != "btree" or first is None or first in told or not index.scans:
            continue
        known = columns[first].statistics if first in columns else None
        per_scan = index.rows_read / index.scans
        if known is None or known.correlation is None or per_scan < limits.read_per_scan:
            continue
        if abs(known.correlation) < limits.correlation:
            told.add(first)
            yield Finding(
                Kind.CORRELATION,
                table.relation,
                first,
                f"a scan of {index.relation.name} reads {per_scan:,.0f} rows, which lie anywhere "
                f"in {table.pages * PAGE / MB:,.0f} MB (correlation {known.correlation:.2f})",
                "put the rows in the index's order, once, when nobody needs the table (pg_repack "
                "does it without the lock), or INCLUDE in the index what is read",
                (f"CLUSTER {qualified(table.relation)} USING {quoted(index.relation.name)};",),
                float(index.scans * per_scan),
            )


def _table_bloat(table: Table, limits: Limits) -> Iterator[Finding]:
    total = table.live + table.dead
    if table.live + table.dead >= limits.rows and table.dead > limits.dead * total:
        yield Finding(
            Kind.TABLE_BLOAT,
            table.relation,
            None,
            f"{table.dead:,} of {total:,} rows are dead",
            "vacuum it now and more often; if they stay, a transaction, a replica or a "
            "replication slot holds them",
            (
                f"VACUUM (ANALYZE) {qualified(table.relation)};",
                f"ALTER TABLE {qualified(table.relation)} "
                "SET (autovacuum_vacuum_scale_factor = 0.05);",
            ),
            table.pages * PAGE * table.dead / total,
        )
        return
    needed = _pages_needed(table)
    wasted = (table.pages - (needed or table.pages)) * PAGE
    if needed is None or wasted < limits.wasted or table.pages < limits.bloat * needed:
        return
    yield Finding(
        Kind.TABLE_BLOAT,
        table.relation,
        None,
        f"{table.pages * PAGE / MB:,.0f} MB hold what would fit into {needed * PAGE / MB:,.0f} MB",
        "pg_repack writes it anew while it is in use; VACUUM FULL does so under an exclusive lock",
        (f"VACUUM (FULL, ANALYZE) {qualified(table.relation)};",),
        float(wasted),
    )


def _pages_needed(table: Table) -> int | None:
    """Pages of a table without holes: each row has a header of 23 bytes, one bit for each column if
    any is null, its values, and a pointer of 4 bytes; rows are multiples of 8 bytes.

    None where a column's width is not known. Values that are stored elsewhere are pointers here.
    """
    if table.rows <= 0:
        return None
    width = 0.0
    nullable = False
    for column in table.columns:
        if column.statistics is None:
            return None
        present = 1 - column.statistics.null_share
        nullable = nullable or present < 1
        width += present * (_aligned(width, column) + column.statistics.width)
    header = 23 + (math.ceil(len(table.columns) / 8) if nullable else 0)
    row = 8 * math.ceil((8 * math.ceil(header / 8) + width) / 8) + 4
    per_page = max(1, int((PAGE - 24) * table.fill_factor / 100 / row))
    return math.ceil(table.rows / per_page)


def _aligned(offset: float, column: Column) -> float:
    """Padding before a column. Short values of varying length have none."""
    if column.length < 0 or column.align <= 1:
        return 0.0
    return -offset % column.align


def _index_bloat(
    table: Table, indexes: list[Index], snapshot: Snapshot, limits: Limits
) -> Iterator[Finding]:
    """Against what the size model foresees. Partial and expression indexes are left out, as nobody
    knows how many rows they have; so are those that are not b-trees.
    """
    names = {column.name: column for column in table.columns}
    for index in indexes:
        plain = all(key.column in names for key in index.keys) and set(index.include) <= set(names)
        whole = index.method == "btree" and index.valid and not index.predicate
        if not (plain and whole) or table.rows <= 0 or index.bytes < limits.wasted:
            continue
        if any(names[key.column or ""].statistics is None for key in index.keys):
            continue
        model = Candidate(table.relation, index.keys, index.include, unique=index.unique)
        needed = index_bytes(table, model)
        wasted = index.bytes - needed
        if index.bytes >= limits.bloat * needed and wasted >= limits.wasted:
            yield Finding(
                Kind.INDEX_BLOAT,
                index.relation,
                None,
                f"{index.bytes / MB:,.0f} MB hold what would fit into {needed / MB:,.0f} MB",
                "build it anew, which needs the room of both for a time",
                (f"REINDEX INDEX CONCURRENTLY {qualified(index.relation)};",),
                float(wasted),
            )


def _sequence(
    sequence: Sequence, before: Sequence | None, seconds: float, limits: Limits
) -> Iterator[Finding]:
    if sequence.last is None or sequence.increment <= 0 or sequence.maximum <= 0:
        return
    used = sequence.last / sequence.maximum
    if used < limits.sequence:
        return
    left = sequence.maximum - sequence.last
    message = f"{used:.0%} of {sequence.maximum:,} are used, {max(0, left):,} are left"
    if before is not None and before.last is not None and seconds > 0:
        per_day = (sequence.last - before.last) / seconds * DAY
        if per_day > 0:
            message += f": enough for {max(0, left) / per_day:,.0f} days at {per_day:,.0f} a day"
    name = qualified(sequence.relation)
    if sequence.table is not None and sequence.column is not None:
        table, column = qualified(sequence.table), quoted(sequence.column)
        remedy = (
            "make the column bigint, and all that refer to it; ALTER rewrites the table under an "
            "exclusive lock, so on a large one fill a second column by trigger and swap them"
        )
        statements: tuple[str, ...] = (
            f"ALTER TABLE {table} ALTER COLUMN {column} TYPE bigint;",
            f"ALTER SEQUENCE {name} AS bigint;",
        )
    else:
        remedy = "let it count further, if what holds its values can"
        statements = (f"ALTER SEQUENCE {name} AS bigint NO MAXVALUE;",)
    yield Finding(
        Kind.SEQUENCE, sequence.relation, sequence.column, message, remedy, statements, used
    )


def _short(value: str) -> str:
    return value if len(value) <= 40 else f"{value[:39]}…"
