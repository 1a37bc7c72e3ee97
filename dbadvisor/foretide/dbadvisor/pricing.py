"""What candidates would cost: bytes of storage, and the upkeep of writes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from foretide.dbadvisor import sizes
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.estimates import Weighed
from foretide.dbadvisor.snapshot import Column, Relation, Table

# Of these a key reads a part, as a rule, of which nothing is known.
_DOCUMENTS = frozenset({"json", "jsonb", "hstore", "xml"})


def weighed(
    candidates: Iterable[Candidate],
    tables: Iterable[Table],
    charge: Callable[[Candidate, float], float],
) -> list[Weighed]:
    """Their prices as selection wants them, in their order. `charge`: what writes take for one of
    so many bytes, in the unit of benefits.
    """
    known = {table.relation: _counted(table) for table in tables}
    sized = [(one, foreseen_bytes(one, known)) for one in candidates]
    return [
        Weighed(
            one.table,
            one.keys[0],
            size,
            charge(one, size),
            one.predicate,
            len(one.keys) + len(one.include) + (one.predicate is not None),
        )
        for one, size in sized
    ]


def foreseen_bytes(candidate: Candidate, tables: Mapping[Relation, Table]) -> float:
    """Bytes of the index once it is built, of all partitions together.

    An expression is taken to be as wide and as various as the column that it reads.
    """
    table = tables[candidate.table]
    expressions = {
        key.expression: _stand_in(key.expression, candidate, table)
        for key in candidate.keys
        if key.column is None and key.expression is not None
    }
    return sizes.partitioned_bytes(
        tables, candidate, expressions=expressions, share=candidate.share
    )


def _counted(table: Table) -> Table:
    """One that was never analyzed has the rows that were counted as they came."""
    return replace(table, rows=float(max(0, table.live))) if table.rows < 0 else table


def _stand_in(expression: str, candidate: Candidate, table: Table) -> Column:
    read = [
        column
        for column in table.columns
        if column.name in candidate.reads and column.name in expression
    ]
    plain = [column for column in read if column.type not in _DOCUMENTS]
    if not plain:
        return Column(expression, "text", -1, 4, False)
    widest = max(plain, key=lambda one: (one.statistics.width if one.statistics else 0, one.name))
    return replace(widest, name=expression, not_null=False)
