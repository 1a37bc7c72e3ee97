"""How often tables change, which empties caches, and what is written, which indexes pay for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from foretide.dbadvisor import normalized, sql_text
from foretide.dbadvisor.cacheable import folded
from foretide.dbadvisor.snapshot import Relation, Snapshot, Table, Workload
from foretide.dbadvisor.uses import Parsed, Unparsed

# Rows that a statement inserts on average: with more it loads a table.
MANY = 1000
# Counters of rows are estimates now and then.
ALL = 0.95
WRITING = frozenset({"insert", "update", "delete", "merge", "with"})


@dataclass(frozen=True, slots=True)
class Setting:
    """`rows` that UPDATE statements with these columns behind SET have changed."""

    columns: frozenset[str]
    rows: float


@dataclass(frozen=True, slots=True)
class Written:
    """What is written to one table that holds rows, in the time of the workload (rows).
    `seconds`: how long that is, None where nobody knows.
    """

    inserted: float
    updated: float
    hot: float
    deleted: float
    seconds: float | None
    sets: tuple[Setting, ...] = ()


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


def writers(workload: Workload, snapshot: Snapshot) -> dict[Relation, frozenset[str]]:
    """The ids of the statements that change each table, or what it is a partition of."""
    tables = {table.relation: table for table in snapshot.tables}
    found: dict[Relation, set[str]] = {}
    for query in workload.queries:
        for relation in written_by(query.text, snapshot):
            found.setdefault(_root(tables[relation], tables), set()).add(query.id)
    return {
        table.relation: frozenset(found.get(_root(table, tables), ())) for table in snapshot.tables
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
    found: dict[Relation, tuple[float, float]] = {}
    for query in workload.queries:
        for relation in written_by(query.text, snapshot):
            calls, rows = found.get(relation, (0.0, 0.0))
            found[relation] = (calls + query.calls, rows + query.rows)
    return found


def written_by(text: str, snapshot: Snapshot) -> list[Relation]:
    """The tables that a statement may write to: all of that name where it names no schema."""
    targets = _targets(text)
    return [
        table.relation
        for table in snapshot.tables
        if targets
        and (
            ("", table.relation.name) in targets
            or (table.relation.schema, table.relation.name) in targets
        )
    ]


def may_write(text: str) -> bool:
    """By its first word."""
    return sql_text.first_word(text) in WRITING


@lru_cache(maxsize=4096)
def _targets(text: str) -> frozenset[tuple[str, str]]:
    """The tables that a statement writes to: (schema or "", name)."""
    if not may_write(text):
        return frozenset()
    try:
        parsed = sqlglot.parse_one(normalized.parseable(text), dialect="postgres")
    except (normalized.Unreadable, SqlglotError, RecursionError):
        return frozenset()
    found: set[tuple[str, str]] = set()
    for writing in parsed.find_all(exp.Insert, exp.Update, exp.Delete, exp.Merge):
        target = writing.this
        table = target.this if isinstance(target, exp.Schema) else target
        if isinstance(table, exp.Table) and isinstance(table.this, exp.Identifier):
            found.add((folded(table.args.get("db")), folded(table.this)))
    return frozenset(found)


def written(
    workload: Workload,
    parsed: Iterable[Parsed | Unparsed],
    snapshot: Snapshot,
    before: Snapshot | None = None,
) -> dict[Relation, Written]:
    """What the workload writes to each table, partitions by themselves.

    `before` is the snapshot at the workload's beginning. Without one, rows are counted since
    `stats_reset`, and brought to the workload's time; where either time is not known, both are
    taken to be the same. What a table was first filled with is left out then: it happens once.
    """
    earlier = {table.relation: table for table in before.tables} if before else {}
    since = before.at if before is not None else snapshot.stats_reset
    counted = snapshot.at - since if since is not None else None
    scale = workload.seconds / counted if workload.seconds and counted else 1.0
    tables = {table.relation: table for table in snapshot.tables}
    sets = _sets(workload, parsed)
    by_few = _inserted_by_few(workload, snapshot) if before is None else {}
    found = {}
    for table in snapshot.tables:
        if table.kind == "p":
            continue
        inserted, updated, hot, deleted = _rows_grown(earlier.get(table.relation), table)
        if before is None:
            above = upwards(table, tables)
            inserted -= _first_filling(table, sum(by_few.get(each, 0.0) for each in above))
        named = [sets[each] for each in upwards(table, tables) if each in sets]
        found[table.relation] = Written(
            scale * inserted,
            scale * updated,
            scale * hot,
            scale * deleted,
            workload.seconds or counted,
            tuple(each for some in named for each in some),
        )
    return found


def stated(
    workload: Workload, parsed: Iterable[Parsed | Unparsed], snapshot: Snapshot
) -> dict[Relation, Written]:
    """The same by the statements alone, each call a row: for a workload that was not counted here.

    Of updates as many are HOT as of those that were counted. What is written to a partitioned table
    is spread over its partitions by their size.
    """
    sets = _sets(workload, parsed)
    tables = {table.relation: table for table in snapshot.tables}
    calls: dict[Relation, dict[str, float]] = {}
    for query in workload.queries:
        for relation in written_by(query.text, snapshot):
            counted = calls.setdefault(relation, {})
            word = sql_text.first_word(query.text)
            counted[word] = counted.get(word, 0.0) + query.calls
    pages: dict[Relation, int] = {}
    leaves = [table for table in snapshot.tables if table.kind != "p"]
    for table in leaves:
        for relation in upwards(table, tables):
            pages[relation] = pages.get(relation, 0) + max(1, table.pages)
    found = {}
    for table in leaves:
        rows: dict[str, float] = {}
        settings: list[Setting] = []
        for relation in upwards(table, tables):
            share = max(1, table.pages) / pages[relation]
            for word, number in calls.get(relation, {}).items():
                rows[word] = rows.get(word, 0.0) + share * number
            settings += [
                Setting(each.columns, share * each.rows) for each in sets.get(relation, ())
            ]
        updated = rows.get("update", 0.0)
        hot = updated * table.hot_updated / table.updated if table.updated > 0 else 0.0
        found[table.relation] = Written(
            # What else writes (MERGE, WITH) is taken to insert.
            sum(rows.values()) - updated - rows.get("delete", 0.0),
            updated,
            hot,
            rows.get("delete", 0.0),
            workload.seconds,
            tuple(settings),
        )
    return found


def _sets(
    workload: Workload, parsed: Iterable[Parsed | Unparsed]
) -> dict[Relation, tuple[Setting, ...]]:
    """What UPDATE statements set in each table that they name."""
    queries = {query.id: query for query in workload.queries}
    named: dict[Relation, list[tuple[frozenset[str], float, float]]] = {}
    for each in parsed:
        query = queries.get(each.id)
        if query is None or isinstance(each, Unparsed):
            continue
        for use in each.uses:
            if use.written:
                columns = frozenset(use.written)
                named.setdefault(use.relation, []).append((columns, query.rows, query.calls))
    found = {}
    for relation, settings in named.items():
        # A workload from a file says how often, and not how many rows that were.
        counted = any(rows > 0 for _, rows, _ in settings)
        found[relation] = tuple(
            Setting(columns, rows if counted else calls) for columns, rows, calls in settings
        )
    return found


def _rows_grown(before: Table | None, after: Table) -> tuple[float, float, float, float]:
    """Rows inserted, updated, updated HOT and deleted since. After a reset all are new."""
    now = (after.inserted, after.updated, after.hot_updated, after.deleted)
    if before is None:
        return now
    then = (before.inserted, before.updated, before.hot_updated, before.deleted)
    if any(one > other for one, other in zip(then, now, strict=True)):
        return now
    return (now[0] - then[0], now[1] - then[1], now[2] - then[2], now[3] - then[3])


def _inserted_by_few(workload: Workload, snapshot: Snapshot) -> dict[Relation, float]:
    """Rows that statements have inserted which insert a few at a time."""
    found: dict[Relation, float] = {}
    for query in workload.queries:
        few = 0 < query.rows <= MANY * query.calls
        if few and sql_text.first_word(query.text) == "insert":
            for relation in written_by(query.text, snapshot):
                found[relation] = found.get(relation, 0.0) + query.rows
    return found


def _first_filling(table: Table, by_few: float) -> float:
    """Rows that a table was filled with which was empty before, but for those that came by few."""
    filled = table.live > 0 and table.inserted - table.deleted >= ALL * table.live
    return max(0.0, min(table.live, table.inserted) - by_few) if filled else 0.0


def upwards(table: Table, tables: Mapping[Relation, Table]) -> list[Relation]:
    """The table and those that it is a partition of."""
    found = [table.relation]
    while table.parent is not None and table.parent in tables and table.parent not in found:
        table = tables[table.parent]
        found.append(table.relation)
    return found
