"""What a database is made of: tables with their columns, indexes, foreign keys, sequences.

It changes seldom and costs more to read than counters do, so that `collecting` keeps it.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Sequence_
from dataclasses import dataclass, replace

from foretide.dbadvisor.database import Database
from foretide.dbadvisor.snapshot import (
    Column,
    ForeignKey,
    Index,
    IndexKey,
    Relation,
    Sequence,
    Table,
    View,
)

# Names that begin with pg_ are PostgreSQL's own; temporary tables belong to one session.
OF_USERS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relpersistence <> 't'"
CLASSES = "pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
PARENTS = """
LEFT JOIN pg_catalog.pg_inherits h ON h.inhrelid = c.oid AND c.relispartition
LEFT JOIN pg_catalog.pg_class p ON p.oid = h.inhparent
LEFT JOIN pg_catalog.pg_namespace m ON m.oid = p.relnamespace"""

# Whatever is created, dropped, renamed or given a column changes this. ANALYZE and VACUUM do not.
SIGNATURE = f"""
SELECT count(*), sum(hashint8((c.oid::bigint << 32) | c.xmin::text::bigint))::text
FROM {CLASSES} WHERE {OF_USERS}"""

TABLES = f"""
SELECT c.oid, n.nspname, c.relname, c.relkind::text, c.relrowsecurity,
    (SELECT substr(o, 12)::int FROM unnest(c.reloptions) o WHERE starts_with(o, 'fillfactor=')),
    m.nspname, p.relname,
    has_table_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'SELECT')
FROM {CLASSES} {PARENTS}
WHERE c.relkind IN ('r', 'p', 'm') AND {OF_USERS}"""

COLUMNS = f"""
SELECT a.attrelid, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attlen,
    a.attalign::text, a.attnotnull, a.attcollation
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm') AND {OF_USERS} AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum"""

INDEXES = f"""
SELECT c.oid, n.nspname, c.relname, i.indrelid, v.amname,
    i.indkey::int2[], i.indoption::int2[], i.indclass::oid[], i.indcollation::oid[], i.indnkeyatts,
    CASE WHEN i.indexprs IS NOT NULL THEN ARRAY(
        SELECT pg_get_indexdef(c.oid, k, true) FROM generate_series(1, i.indnkeyatts::int) k) END,
    pg_get_expr(i.indpred, i.indrelid), i.indisunique, i.indisprimary,
    EXISTS (SELECT FROM pg_catalog.pg_constraint o WHERE o.conindid = c.oid),
    i.indisvalid AND i.indisready, i.indisreplident, m.nspname, p.relname, pg_get_indexdef(c.oid)
FROM {CLASSES} JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
JOIN pg_catalog.pg_am v ON v.oid = c.relam {PARENTS}
WHERE c.relkind IN ('i', 'I') AND {OF_USERS} AND i.indrelid <> ALL(%s)"""

UNUSUAL_CLASSES = (
    "SELECT oid, opcname FROM pg_catalog.pg_opclass WHERE oid = ANY(%s) AND NOT opcdefault"
)
COLLATIONS = "SELECT oid, collname FROM pg_catalog.pg_collation WHERE oid = ANY(%s)"

# A partition's own row of a foreign key says nothing that the partitioned table's does not.
FOREIGN_KEYS = """
SELECT conname, conrelid, conkey, confrelid, confkey FROM pg_catalog.pg_constraint
WHERE contype = 'f' AND conparentid = 0"""

SEQUENCES = f"""
SELECT q.schemaname, q.sequencename, q.last_value, q.increment_by,
    CASE WHEN q.increment_by < 0 THEN q.min_value ELSE q.max_value END,
    d.refobjid, d.refobjsubid
FROM pg_catalog.pg_sequences q
JOIN pg_catalog.pg_namespace n ON n.nspname = q.schemaname
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = q.sequencename
LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
    AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
WHERE {OF_USERS}"""

# Those of extensions are theirs. Writing a view out locks what it reads, so that any may have to
# wait where tables are held.
VIEWS = f"""
SELECT n.nspname, c.relname, pg_get_viewdef(c.oid) FROM {CLASSES}
WHERE c.relkind = 'v' AND {OF_USERS} AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1, 2"""

# To tell its size is to open an index.
SIZES = f"""
SELECT c.oid, pg_relation_size(c.oid) FROM {CLASSES}
WHERE c.relkind = 'i' AND {OF_USERS} AND c.oid <> ALL(%s)"""

# What somebody holds exclusively, or waits to: whoever opens it now, waits too.
LOCKED = """
SELECT DISTINCT relation FROM pg_catalog.pg_locks
WHERE mode = 'AccessExclusiveLock' AND relation IS NOT NULL AND pid <> pg_backend_pid()
    AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
ORDER BY 1"""

DEFAULT_COLLATION = 100
ALIGNMENTS = {"c": 1, "s": 2, "i": 4, "d": 8}
LARGEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1}


@dataclass(frozen=True)
class Catalog:
    """Tables and indexes by their oid, without counters and statistics. `sizes`: bytes of indexes
    by oid, where no lock was in the way. `forbidden`: tables that we may not read. `locked`: those
    left out, as somebody holds them exclusively.
    """

    signature: tuple[int, str]
    tables: Mapping[int, Table]
    indexes: Mapping[int, Index]
    foreign_keys: tuple[ForeignKey, ...]
    sequences: tuple[Sequence, ...]
    sizes: Mapping[int, int]
    forbidden: tuple[Relation, ...]
    locked: tuple[Relation, ...]
    views: tuple[View, ...] = ()


@dataclass(frozen=True, slots=True)
class _Attribute:
    column: Column
    collation: int


def signature(database: Database) -> tuple[int, str]:
    """What differs when the catalog has changed."""
    count, digest = database.rows(SIGNATURE)[0]
    return count, digest or ""


def read(database: Database) -> Catalog:
    """The catalog as it is now.

    To write out an index is to open its table. So tables that somebody holds exclusively are left
    out, rather than waited for.

    Raises:
        DatabaseError: a statement took too long, or had to wait for somebody's lock after all.
    """
    signed = signature(database)
    attributes = _attributes(database)
    tables, forbidden = _tables(database, attributes)
    held = [oid for (oid,) in database.rows(LOCKED)]
    locked = [tables.pop(oid).relation for oid in held if oid in tables]
    indexes, primary = _indexes(database, tables, attributes, held)
    return Catalog(
        signature=signed,
        tables={
            oid: replace(table, primary_key=primary.get(oid, ()))
            for oid, table in sorted(tables.items())
        },
        indexes=indexes,
        foreign_keys=tuple(_foreign_keys(database, tables, attributes)),
        sequences=tuple(_sequences(database, tables, attributes)),
        sizes=dict(database.rows(SIZES, [held])),
        forbidden=tuple(sorted(forbidden)),
        locked=tuple(sorted(locked)),
        views=()
        if locked
        else tuple(
            View(Relation(schema, name), text or "") for schema, name, text in database.rows(VIEWS)
        ),
    )


def _attributes(database: Database) -> dict[int, dict[int, _Attribute]]:
    found: dict[int, dict[int, _Attribute]] = {}
    rows = database.rows(COLUMNS)
    own = _names(database, COLLATIONS, (row[7] for row in rows if row[7] != DEFAULT_COLLATION))
    for oid, number, name, kind, length, align, not_null, collation in rows:
        column = Column(
            name,
            kind,
            length,
            ALIGNMENTS.get(align, 8),
            not_null,
            collation=own.get(collation, ""),
        )
        found.setdefault(oid, {})[number] = _Attribute(column, collation)
    return found


def _tables(
    database: Database, attributes: Mapping[int, Mapping[int, _Attribute]]
) -> tuple[dict[int, Table], list[Relation]]:
    tables, forbidden = {}, []
    for oid, schema, name, kind, secured, fill, parent_schema, parent, readable in database.rows(
        TABLES
    ):
        relation = Relation(schema, name)
        tables[oid] = Table(
            relation,
            kind,
            rows=-1.0,
            pages=0,
            columns=tuple(each.column for each in attributes.get(oid, {}).values()),
            parent=Relation(parent_schema, parent) if parent else None,
            row_security=secured,
            fill_factor=fill or 100,
        )
        if not readable:
            forbidden.append(relation)
    return tables, forbidden


def _indexes(
    database: Database,
    tables: Mapping[int, Table],
    attributes: Mapping[int, Mapping[int, _Attribute]],
    locked: Sequence_[int],
) -> tuple[dict[int, Index], dict[int, tuple[str, ...]]]:
    """Indexes by oid, and the primary keys of tables by theirs."""
    rows = [row for row in database.rows(INDEXES, [locked]) if row[3] in tables]
    unusual = _names(database, UNUSUAL_CLASSES, (oid for row in rows for oid in row[7]))
    collations = _names(database, COLLATIONS, (oid for row in rows for oid in row[8]))
    indexes: dict[int, Index] = {}
    primary: dict[int, tuple[str, ...]] = {}
    for row in sorted(rows):
        oid, schema, name, table, method, numbers, options, classes, collated, count = row[:10]
        expressions, predicate, unique, is_primary, constraint, valid, identity = row[10:17]
        parent_schema, parent, definition = row[17:]
        columns = attributes.get(table, {})
        keys = []
        for place, number in enumerate(numbers[:count]):
            known = columns.get(number)
            usual = known.collation if known else collated[place]
            keys.append(
                IndexKey(
                    column=known.column.name if known else None,
                    expression=None if known else expressions[place] if expressions else "",
                    descending=bool(options[place] & 1),
                    nulls_first=bool(options[place] & 2),
                    operator_class=unusual.get(classes[place], ""),
                    collation="" if collated[place] == usual else collations[collated[place]],
                )
            )
        indexes[oid] = Index(
            Relation(schema, name),
            tables[table].relation,
            method,
            tuple(keys),
            include=tuple(columns[number].column.name for number in numbers[count:]),
            predicate=predicate,
            unique=unique,
            constraint=constraint,
            valid=valid,
            parent=Relation(parent_schema, parent) if parent else None,
            definition=definition,
            replica_identity=identity,
        )
        if is_primary:
            primary[table] = tuple(key.column for key in keys if key.column is not None)
    return indexes, primary


def _names(database: Database, statement: str, oids: Iterable[int]) -> dict[int, str]:
    wanted = sorted(set(oids) - {0})
    return dict(database.rows(statement, [wanted])) if wanted else {}


def _foreign_keys(
    database: Database,
    tables: Mapping[int, Table],
    attributes: Mapping[int, Mapping[int, _Attribute]],
) -> list[ForeignKey]:
    found = []
    for name, table, columns, referenced, referenced_columns in database.rows(FOREIGN_KEYS):
        if table in tables and referenced in tables:
            names = [
                tuple(attributes[oid][number].column.name for number in numbers)
                for oid, numbers in ((table, columns), (referenced, referenced_columns))
            ]
            one, other = tables[table].relation, tables[referenced].relation
            found.append(ForeignKey(name, one, names[0], other, names[1]))
    return sorted(found, key=lambda each: (each.table, each.name))


def _sequences(
    database: Database,
    tables: Mapping[int, Table],
    attributes: Mapping[int, Mapping[int, _Attribute]],
) -> list[Sequence]:
    found = []
    for schema, name, last, increment, limit, table, number in database.rows(SEQUENCES):
        owner = attributes.get(table, {}).get(number)
        if owner is not None and increment > 0:
            limit = min(limit, LARGEST.get(owner.column.type, limit))
        found.append(
            Sequence(
                Relation(schema, name),
                last,
                increment,
                limit,
                column=owner.column.name if owner else None,
                table=tables[table].relation if owner and table in tables else None,
            )
        )
    return sorted(found, key=lambda each: each.relation)
