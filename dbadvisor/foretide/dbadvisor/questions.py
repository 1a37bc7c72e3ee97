"""What is asked about each query: how it is planned, and which columns could matter to it."""

from collections.abc import Iterable, Mapping

from foretide.dbadvisor.planning import Planned
from foretide.dbadvisor.snapshot import Relation, Snapshot, Table
from foretide.dbadvisor.uses import Parsed, TableUse, Unparsed
from foretide.dbadvisor.whatif import Question


def questions(
    snapshot: Snapshot, planned: Iterable[Planned], parsed: Iterable[Parsed | Unparsed]
) -> list[Question]:
    """One for each planned query, in their order.

    Its columns are those that were read out of its text. Of tables that only its plan names (the
    text was not understood, or hides them in functions) it is all of them.
    """
    tables = {table.relation: table for table in snapshot.tables}
    understood = {each.id: each for each in parsed if isinstance(each, Parsed)}
    return [
        Question(each.query.id, each.statements, _columns(each, understood, tables))
        for each in planned
    ]


def _columns(
    planned: Planned, understood: Mapping[str, Parsed], tables: Mapping[Relation, Table]
) -> dict[Relation, frozenset[str]]:
    found: dict[Relation, set[str]] = {}
    known = understood.get(planned.query.id)
    for use in known.uses if known is not None else ():
        for relation in _with_parents(use.relation, tables):
            found.setdefault(relation, set()).update(_of(use))
    for node in planned.plan.walk():
        if node.relation is None or node.relation not in tables:
            continue
        own = _with_parents(node.relation, tables)
        if not any(relation in found for relation in own):
            columns = [column.name for column in tables[node.relation].columns]
            for relation in own:
                found.setdefault(relation, set()).update(columns)
    return {relation: frozenset(found[relation]) for relation in sorted(found)}


def _of(use: TableUse) -> set[str]:
    keys = [
        *(each.key for each in use.predicates),
        *(each.key for arms in use.alternatives for arm in arms for each in arm),
        *(join.key for join in use.joins),
        *(each.key for order in use.orders for each in order),
        *(key for group in use.groups for key in group),
    ]
    return {*use.columns, *(name for key in keys for name in key.columns)}


def _with_parents(relation: Relation, tables: Mapping[Relation, Table]) -> list[Relation]:
    """A partition and the partitioned tables above it."""
    found = [relation]
    while len(found) <= len(tables):
        table = tables.get(found[-1])
        if table is None or table.parent is None:
            break
        found.append(table.parent)
    return found
