"""Tables that queries read whole: found in plans, ranked by the time and the rows that it costs."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from foretide.dbadvisor.plan_tree import Node
from foretide.dbadvisor.planning import Planned
from foretide.dbadvisor.snapshot import Query, Relation, Table

FULL = "Seq Scan"
# Steps that may end before their children have given all their rows.
NESTED = "Nested Loop"


@dataclass(frozen=True, slots=True)
class TableScan:
    """One query's full scans of one table (of all partitions, of a partitioned one).

    `reads` and `returns` are rows of one call, by the planner's estimate; `wasted` those that all
    calls of the workload have read to no use, `ms` the time that the scans had in it: the share of
    the query's time that the planner's costs give them. `filters` are what threw rows away.
    `remedy`: statements for an index that may serve it, where nobody could ask the planner.
    """

    query: str
    table: Relation
    reads: float
    returns: float
    calls: float
    ms: float
    filters: tuple[str, ...] = ()
    remedy: str = ""

    @property
    def wasted(self) -> float:
        return max(0.0, self.reads - self.returns) * self.calls


def table_scans(planned: Iterable[Planned], tables: Iterable[Table]) -> tuple[TableScan, ...]:
    """All full scans, costliest first; ties in the order of queries and tables."""
    known = {table.relation: table for table in tables}
    found = [scan for each in planned for scan in of_plan(each.query, each.plan, known)]
    return tuple(sorted(found, key=lambda scan: (-scan.ms, -scan.wasted, scan.query, scan.table)))


def of_plan(query: Query, plan: Node, tables: Mapping[Relation, Table]) -> list[TableScan]:
    """The full scans of one query's plan, one for each table."""
    found: dict[Relation, TableScan] = {}
    for node, loops, share in _weighed(plan):
        if node.kind != FULL or node.relation is None:
            continue
        table = tables.get(node.relation)
        rows = table.rows if table is not None and table.rows >= 0 else node.rows
        relation = _whole(node.relation, tables)
        before = found.get(relation)
        filters = {*(before.filters if before else ()), *([node.filter] if node.filter else ())}
        found[relation] = TableScan(
            query.id,
            relation,
            reads=(before.reads if before else 0.0) + max(rows, node.rows) * loops,
            returns=(before.returns if before else 0.0) + node.rows * loops,
            calls=query.calls,
            ms=(before.ms if before else 0.0) + share * query.total_ms,
            filters=tuple(sorted(filters)),
        )
    return [found[relation] for relation in sorted(found)]


def _whole(relation: Relation, tables: Mapping[Relation, Table]) -> Relation:
    """The partitioned table that a partition belongs to."""
    for _ in range(len(tables)):
        table = tables.get(relation)
        if table is None or table.parent is None:
            break
        relation = table.parent
    return relation


def _weighed(plan: Node) -> Iterator[tuple[Node, float, float]]:
    """Each step, how often it runs in one call, and its own share of the query's cost.

    What a step costs itself is its cost less its children's. Those may cost more than their parent,
    which stops early (LIMIT): then they share what it costs.
    """
    waiting = [(plan, 1.0, 1.0)]
    while waiting:
        node, loops, share = waiting.pop()
        runs = [_runs(node, child) for child in node.children]
        costs = [child.total_cost * each for child, each in zip(node.children, runs, strict=True)]
        whole = max(node.total_cost, sum(costs))
        unit = share / whole if whole > 0 else 0.0
        yield node, loops, max(0.0, share - unit * sum(costs))
        for child, each, cost in reversed(list(zip(node.children, runs, costs, strict=True))):
            waiting.append((child, loops * each, unit * cost))


def _runs(node: Node, child: Node) -> float:
    """The inner side of a nested loop runs once for each row of the outer one."""
    if node.kind == NESTED and child.relationship == "Inner" and child.kind != "Materialize":
        outer = next((each for each in node.children if each.relationship == "Outer"), None)
        return max(1.0, outer.rows) if outer is not None else 1.0
    return 1.0
