"""How tables and indexes are used, and what PostgreSQL knows of the values in columns."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from foretide.dbadvisor.collecting_catalog import CLASSES, OF_USERS, Catalog
from foretide.dbadvisor.database import Database, Row
from foretide.dbadvisor.snapshot import ColumnStatistics, Index, Relation, Table

# The functions beneath pg_stat_user_tables: the view would join each table with its indexes.
TABLES = f"""
SELECT c.oid, c.reltuples::float8, c.relpages,
    pg_stat_get_numscans(c.oid), pg_stat_get_tuples_returned(c.oid),
    pg_stat_get_tuples_inserted(c.oid), pg_stat_get_tuples_updated(c.oid),
    pg_stat_get_tuples_hot_updated(c.oid), pg_stat_get_tuples_deleted(c.oid),
    pg_stat_get_live_tuples(c.oid), pg_stat_get_dead_tuples(c.oid),
    pg_stat_get_mod_since_analyze(c.oid),
    extract(epoch FROM greatest(
        pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)))::float8,
    extract(epoch FROM greatest(
        pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)))::float8,
    pg_stat_get_analyze_count(c.oid) + pg_stat_get_autoanalyze_count(c.oid)
FROM {CLASSES} WHERE c.relkind IN ('r', 'p', 'm') AND {OF_USERS}"""

INDEXES = f"""
SELECT c.oid, c.relpages, pg_stat_get_numscans(c.oid), pg_stat_get_tuples_returned(c.oid),
    %s
FROM {CLASSES} WHERE c.relkind IN ('i', 'I') AND {OF_USERS}"""
LAST_SCAN = "extract(epoch FROM pg_stat_get_lastscan(c.oid))::float8"

# More common values than these say nothing of use, and in a large schema they would fill memory.
COMMON = 100
BOUNDS = 21
BATCH = 200
# ANALYZE estimates how many rows there are.
SAME_ROWS = 0.05
STATISTICS = f"""
SELECT schemaname, tablename, attname, inherited, null_frac, avg_width, n_distinct,
    (most_common_vals::text::text[])[1:{COMMON}], most_common_freqs[1:{COMMON}],
    histogram_bounds::text::text[], correlation
FROM pg_catalog.pg_stats WHERE schemaname = ANY(%s) AND tablename = ANY(%s)"""

Statistics = Mapping[str, ColumnStatistics]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tables and indexes with their counters; `analyzed`: how often each table, by oid, was."""

    tables: Mapping[int, Table]
    indexes: Mapping[int, Index]
    analyzed: Mapping[int, int]


def read(database: Database, catalog: Catalog, block: int) -> Usage:
    """The counters of now. `block` is the size of a page in bytes."""
    indexes, scans = _indexes(database, catalog, block)
    tables, analyzed = {}, {}
    for row in database.rows(TABLES):
        oid = row[0]
        if oid in catalog.tables:
            known = catalog.tables[oid]
            tables[oid] = _used(known, row, scans.get(known.relation, 0), database.version)
            analyzed[oid] = row[14]
    return Usage(tables, indexes, analyzed)


def _used(table: Table, row: Row, index_scans: int, version: int) -> Table:
    # Before PostgreSQL 14 a table that was never analyzed said that it had no rows.
    unknown = version < 140000 and row[1] == 0 and not row[14]
    rows = -1.0 if unknown else row[1]
    live, modified = _once(rows, row)
    return replace(
        table,
        rows=rows,
        pages=max(0, row[2]),  # -1: a partitioned table
        sequential_scans=row[3],
        rows_read_sequentially=row[4],
        index_scans=index_scans,
        inserted=row[5],
        updated=row[6],
        hot_updated=row[7],
        deleted=row[8],
        live=live,
        dead=row[10],
        modified_since_analyze=modified,
        analyzed_at=row[12],
        vacuumed_at=row[13],
    )


def _once(rows: float, row: Row) -> tuple[int, int]:
    """Live rows, and those modified since ANALYZE, each counted once.

    What a session writes reaches the counters up to a second later: rows that it inserted just
    before its ANALYZE, which has seen them, are counted once more then. It shows where ANALYZE has
    found all that was ever inserted: nothing can have been inserted since.
    """
    inserted, updated, _, deleted, live, _, modified = row[5:12]
    held = inserted - deleted
    if rows > 0 and abs(held - rows) <= SAME_ROWS * rows:
        return min(live, held), min(modified, updated + deleted)
    return live, modified


def _indexes(
    database: Database, catalog: Catalog, block: int
) -> tuple[dict[int, Index], dict[Relation, int]]:
    """Indexes by oid, and how often all of a table were scanned."""
    last = LAST_SCAN if database.version >= 160000 else "NULL::float8"
    found: dict[int, Index] = {}
    scans: dict[Relation, int] = {}
    for oid, pages, count, read_rows, last_scan in database.rows(INDEXES % last):
        if oid in catalog.indexes:
            known = catalog.indexes[oid]
            size = catalog.sizes.get(oid) or pages * block
            found[oid] = replace(
                known, bytes=size, scans=count, rows_read=read_rows, last_scan=last_scan
            )
            scans[known.table] = scans.get(known.table, 0) + count
    return found, scans


def statistics(database: Database, tables: Iterable[Table]) -> dict[Relation, Statistics]:
    """pg_stats of these tables, by table and column. Of tables that we may not read there are none.

    Of a partitioned table they speak of all its partitions, of any other of itself alone.
    """
    wanted = {table.relation: table.kind == "p" for table in tables}
    ordered = sorted(wanted)
    found: dict[Relation, dict[str, ColumnStatistics]] = {}
    for start in range(0, len(ordered), BATCH):
        batch = ordered[start : start + BATCH]
        schemas = sorted({relation.schema for relation in batch})
        for row in database.rows(STATISTICS, [schemas, [each.name for each in batch]]):
            relation = Relation(row[0], row[1])
            # The same name may stand in another schema, whose tables are not asked for.
            if wanted.get(relation) == row[3]:
                found.setdefault(relation, {})[row[2]] = _statistics(row)
    return dict(found)


def _statistics(row: Row) -> ColumnStatistics:
    null_share, width, distinct, common, frequencies, bounds, correlation = row[4:]
    return ColumnStatistics(
        null_share=null_share,
        width=width,
        distinct=distinct,
        common=tuple(common or ()),
        frequencies=tuple(frequencies or ()),
        bounds=tuple(_thinned(bounds or ())),
        correlation=correlation,
    )


def _thinned(bounds: Iterable[str]) -> list[str]:
    """At most `BOUNDS` of a histogram's, at even distances, with its ends."""
    every = list(bounds)
    if len(every) <= BOUNDS:
        return every
    return [every[round(place * (len(every) - 1) / (BOUNDS - 1))] for place in range(BOUNDS)]


def with_statistics(table: Table, known: Statistics) -> Table:
    """The table with what is known of its columns."""
    if not known:
        return table
    columns = (replace(each, statistics=known.get(each.name)) for each in table.columns)
    return replace(table, columns=tuple(columns))
