"""Whether an index that is there already does what a candidate would."""

import functools
from collections.abc import Iterable, Sequence

from sqlglot import exp

from foretide.dbadvisor import expressions, normalized
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.snapshot import Index, IndexKey


def serves(indexes: Iterable[Index], candidate: Candidate) -> bool:
    """Whether one of the table's indexes finds and sorts as the candidate would."""
    return any(_serves(index, candidate) for index in indexes)


def _serves(index: Index, candidate: Candidate) -> bool:
    if not index.valid or index.method != "btree":
        return False
    # Nor does an index of all rows find the few of a partial one.
    if canonical(index.predicate or "") != canonical(candidate.predicate or ""):
        return False
    held = {key.column for key in index.keys} | set(index.include)
    if not set(candidate.include) <= held:
        return False
    return _begins(index.keys, candidate.keys) or _is_unique_within(index, candidate)


def _begins(longer: Sequence[IndexKey], keys: Sequence[IndexKey]) -> bool:
    """Whether an index's first keys are these, in either direction."""
    first = longer[: len(keys)]
    if len(first) < len(keys):
        return False
    if not all(_same_values(one, other) for one, other in zip(first, keys, strict=True)):
        return False
    flips = {
        (one.descending != other.descending, one.nulls_first != other.nulls_first)
        for one, other in zip(first, keys, strict=True)
    }
    # To find rows the direction of a single key does not matter, nor where its NULLs stand.
    return len(keys) == 1 or flips <= {(False, False)} or flips <= {(True, True)}


def _same_values(one: IndexKey, other: IndexKey) -> bool:
    if (one.operator_class, one.collation) != (other.operator_class, other.collation):
        return False
    if one.column is not None or other.column is not None:
        return one.column == other.column
    return canonical(one.expression or "") == canonical(other.expression or "")


def _is_unique_within(index: Index, candidate: Candidate) -> bool:
    """All keys of a unique index come first in the candidate: there is at most one row to find."""
    columns = [key.column for key in index.keys]
    first = [key.column for key in candidate.keys[: len(columns)]]
    plain = not any(key.operator_class for key in (*index.keys, *candidate.keys))
    return (
        index.unique
        and not candidate.include
        and plain
        and None not in columns
        and sorted(map(str, columns)) == sorted(map(str, first))
    )


@functools.lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    """An expression in one way of writing: PostgreSQL adds casts and brackets of its own."""
    try:
        tree = expressions.parse(f"SELECT {text}")
    except normalized.Unreadable:
        return text
    for node in list(tree.find_all(exp.Paren, exp.Cast, exp.Identifier, bfs=False)):
        if isinstance(node, exp.Identifier):
            node.set("quoted", True)
        elif isinstance(node, exp.Paren) or _says_nothing(node):
            node.replace(node.this)
    return tree.sql(dialect=expressions.Plain, normalize_functions=False).lower()


def _says_nothing(cast: exp.Expr) -> bool:
    """`'open'::text`, and `lower(name::text)` where name is varchar."""
    return bool(cast.args["to"].is_type("text", "varchar", "bpchar", "unknown"))
