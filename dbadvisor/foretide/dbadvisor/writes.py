"""How often tables change: each change drops what was read from them out of a cache."""

from collections.abc import Mapping

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from foretide.dbadvisor import normalized
from foretide.dbadvisor.cacheable import folded
from foretide.dbadvisor.snapshot import Relation, Snapshot, Table, Workload

WRITING = frozenset({"insert", "update", "delete", "merge", "with"})


def write_rates(
    workload: Workload, snapshot: Snapshot, before: Snapshot | None = None
) -> dict[Relation, float]:
    """Changes of each table in a second: statements that write to it, and each row by itself that
    none of these explains (COPY, triggers, functions, other clients that were not counted).

    `before` is the snapshot at the workload's beginning; without one rows are counted since
    `stats_reset`, and left out where that is not known.
    """
    statements = _statements(workload, snapshot)
    earlier = {table.relation: table for table in before.tables} if before else {}
    if before is not None:
        seconds: float | None = snapshot.at - before.at
    else:
        seconds = snapshot.at - snapshot.stats_reset if snapshot.stats_reset is not None else None
    tables = {table.relation: table for table in snapshot.tables}
    calls: dict[Relation, float] = {}
    unexplained: dict[Relation, float] = {}
    for table in snapshot.tables:
        # Partitions are counted with their root: that is what statements name, as a rule.
        root = _root(table, tables)
        called, rows = statements.get(table.relation, (0.0, 0.0))
        if workload.seconds:
            calls[root] = calls.get(root, 0.0) + called / workload.seconds
            unexplained[root] = unexplained.get(root, 0.0) - rows / workload.seconds
        if seconds:
            written = _growth(earlier.get(table.relation), table) / seconds
            unexplained[root] = unexplained.get(root, 0.0) + written
    return {
        relation: calls.get(root, 0.0) + max(0.0, unexplained.get(root, 0.0))
        for relation, root in ((table.relation, _root(table, tables)) for table in tables.values())
    }


def _root(table: Table, tables: Mapping[Relation, Table]) -> Relation:
    for _ in range(len(tables)):
        if table.parent is None or table.parent not in tables:
            break
        table = tables[table.parent]
    return table.relation


def _growth(before: Table | None, after: Table) -> int:
    """Rows written in between. After a reset there are fewer than before: then all are new."""
    grown = _written(after) - (_written(before) if before is not None else 0)
    return _written(after) if grown < 0 else grown


def _written(table: Table) -> int:
    return table.inserted + table.updated + table.deleted


def _statements(workload: Workload, snapshot: Snapshot) -> dict[Relation, tuple[float, float]]:
    """Calls of statements that write to a table, and their rows."""
    known: dict[str, list[Relation]] = {}
    for table in snapshot.tables:
        known.setdefault(table.relation.name, []).append(table.relation)
    found: dict[Relation, tuple[float, float]] = {}
    for query in workload.queries:
        for schema, name in sorted(_targets(query.text)):
            for relation in known.get(name, ()):
                if schema in ("", relation.schema):
                    calls, rows = found.get(relation, (0.0, 0.0))
                    found[relation] = (calls + query.calls, rows + query.rows)
    return found


def _targets(text: str) -> set[tuple[str, str]]:
    """The tables that a statement writes to: (schema or "", name)."""
    try:
        if normalized.first_word(normalized.statement(text)) not in WRITING:
            return set()
        parsed = sqlglot.parse_one(normalized.parseable(text), dialect="postgres")
    except (normalized.Unreadable, SqlglotError, RecursionError):
        return set()
    found: set[tuple[str, str]] = set()
    for writing in parsed.find_all(exp.Insert, exp.Update, exp.Delete, exp.Merge):
        target = writing.this
        table = target.this if isinstance(target, exp.Schema) else target
        if isinstance(table, exp.Table) and isinstance(table.this, exp.Identifier):
            found.add((folded(table.args.get("db")), folded(table.this)))
    return found
