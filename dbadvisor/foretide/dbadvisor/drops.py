"""Indexes to drop: duplicates, those that another one covers, those that nobody uses, and what
failed builds have left behind.

All that is proposed can be dropped together: what takes an index's place is never proposed itself.
HypoPG 1.3 cannot hide an index, so that nothing here was tried by the planner: an index is called
covered only where the other one can do all that it does. Indexes that uphold a constraint, are
unique without a twin, or identify rows for replication stay.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foretide.dbadvisor import ddl
from foretide.dbadvisor.snapshot import Index, IndexKey, Relation, Snapshot

DAY = 86_400.0
MINIMUM_AGE = 30 * DAY
# A larger index is slower to read through: said where it is this many times as large.
MUCH_LARGER = 3.0


@dataclass(frozen=True, slots=True)
class Drop:
    """An index to drop, with its reason: Invalid, Duplicate, Covered or Unused. `instead` is what
    does its work from then on; `caveats` are what a person should look at first.
    """

    index: Relation
    table: Relation
    reason: str
    message: str
    bytes: int
    statements: tuple[str, ...]
    instead: Relation | None = None
    caveats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Drops:
    """What can go, the largest first within each reason. `unproven` says why unused indexes cannot
    be told yet, where that is so.
    """

    drops: tuple[Drop, ...]
    unproven: str = ""


def find_drops(
    snapshot: Snapshot,
    *,
    minimum_age: float = MINIMUM_AGE,
    first_seen: Mapping[Relation, float] | None = None,
) -> Drops:
    """`minimum_age` in seconds is for how long an index must have been unused; `first_seen` tells
    since when an index is known, which PostgreSQL does not.
    """
    # An index of a partition goes with that of the partitioned table.
    own = sorted(
        (index for index in snapshot.indexes if index.parent is None),
        key=lambda index: index.relation,
    )
    parents = {index.parent for index in snapshot.indexes}
    found = [
        _drop(
            snapshot, index, "Invalid", "left behind by a build that failed, or still being built"
        )
        for index in own
        if not index.valid and not index.constraint and index.relation not in parents
    ]
    valid = [index for index in own if index.valid]
    found += _redundant(snapshot, valid)
    gone = {drop.index for drop in found}
    rest = [index for index in valid if index.relation not in gone]
    unproven = _unproven(snapshot, minimum_age)
    if not unproven:
        found += _unused(snapshot, rest, minimum_age, first_seen or {})
    order = ("Invalid", "Duplicate", "Covered", "Unused")
    found.sort(key=lambda one: (order.index(one.reason), -one.bytes, one.index))
    return Drops(tuple(found), unproven)


def _redundant(snapshot: Snapshot, indexes: Sequence[Index]) -> list[Drop]:
    """Takes away what would be missed least first, as long as another one is left for it."""
    left = list(indexes)
    gone = []
    for index in sorted(indexes, key=_worth):
        if any(covers(other, index) for other in left if other is not index):
            left.remove(index)
            gone.append(index)
    found = []
    for index in gone:
        covering = [other for other in left if covers(other, index)]
        other = min(covering, key=lambda one: (not _same(one, index), one.bytes, one.relation))
        if _same(other, index):
            reason, message = "Duplicate", f"{other.relation.name} is the same index"
        else:
            reason, message = "Covered", f"{other.relation.name} begins with the same keys"
        found.append(_drop(snapshot, index, reason, message, other))
    return found


def _worth(index: Index) -> tuple[object, ...]:
    """What is least missed comes first."""
    bound = index.constraint or index.replica_identity
    return (bound, index.unique, len(index.keys), len(index.include), index.scans, index.relation)


def covers(other: Index, index: Index) -> bool:
    """Whether `other`, another index, does all that `index` is there for."""
    if index.constraint or index.replica_identity:
        return False
    if (other.table, other.method, other.predicate) != (index.table, index.method, index.predicate):
        return False
    if index.unique and not (other.unique and len(other.keys) == len(index.keys)):
        return False
    if index.method != "btree":
        return other.keys == index.keys and set(index.include) <= set(other.include)
    begins = other.keys[: len(index.keys)]
    columns = {key.column for key in other.keys} | set(other.include)
    return columns.issuperset(index.include) and begins in (index.keys, _reversed(index.keys))


def _reversed(keys: tuple[IndexKey, ...]) -> tuple[IndexKey, ...]:
    """A b-tree can be read from either end."""
    return tuple(
        IndexKey(
            key.column,
            key.expression,
            not key.descending,
            not key.nulls_first,
            key.operator_class,
            key.collation,
        )
        for key in keys
    )


def _same(other: Index, index: Index) -> bool:
    return len(other.keys) == len(index.keys) and set(other.include) == set(index.include)


def _unproven(snapshot: Snapshot, minimum_age: float) -> str:
    days = minimum_age / DAY
    if snapshot.stats_reset is None:
        return "nobody knows since when the use of indexes is counted"
    counted = snapshot.at - snapshot.stats_reset
    if counted < minimum_age:
        known = f"the use of indexes has been counted for {in_days(counted)}"
        return f"{known}; {days:.0f} days are needed"
    return ""


def in_days(seconds: float) -> str:
    """A length of time for which something was counted."""
    days = int(seconds / DAY)
    if days < 1:
        return "less than a day"
    return f"{days} day{'s' if days > 1 else ''}"


def _unused(
    snapshot: Snapshot,
    indexes: Sequence[Index],
    minimum_age: float,
    first_seen: Mapping[Relation, float],
) -> list[Drop]:
    parts: dict[Relation, list[Index]] = {}
    for index in snapshot.indexes:
        if index.parent is not None:
            parts.setdefault(index.parent, []).append(index)
    referring = {(key.table, key.columns[0]) for key in snapshot.foreign_keys}
    found = []
    for index in indexes:
        if index.constraint or index.unique or index.replica_identity:
            continue
        known = first_seen.get(index.relation, snapshot.stats_reset)
        if known is None or snapshot.at - known < minimum_age:
            continue
        if not all(_idle(one, snapshot.at - minimum_age) for one in _with_parts(index, parts)):
            continue
        caveats = ["reads on replicas are not counted here"]
        if index.relation not in first_seen:
            caveats.append("it may have been created lately: PostgreSQL does not tell when")
        if (index.table, index.keys[0].column) in referring:
            caveats.append("deletes in the table that its foreign key refers to would need it")
        size = sum(one.bytes for one in _with_parts(index, parts))
        days = (snapshot.at - known) / DAY
        message = f"not read for {days:.0f} days"
        found.append(_drop(snapshot, index, "Unused", message, None, tuple(caveats), size))
    return found


def _with_parts(index: Index, parts: Mapping[Relation, Sequence[Index]]) -> list[Index]:
    """The index and, of a partitioned one, those of all partitions below."""
    found = [index]
    for part in parts.get(index.relation, ()):
        found += _with_parts(part, parts)
    return found


def _idle(index: Index, since: float) -> bool:
    if index.last_scan is not None:
        return index.last_scan < since
    return index.scans == 0


def _drop(
    snapshot: Snapshot,
    index: Index,
    reason: str,
    message: str,
    instead: Index | None = None,
    caveats: tuple[str, ...] = (),
    size: int | None = None,
) -> Drop:
    tables = {table.relation: table for table in snapshot.tables}
    if instead is not None and index.bytes and instead.bytes > MUCH_LARGER * index.bytes:
        times = instead.bytes / index.bytes
        caveats = (*caveats, f"{instead.relation.name} is {times:.0f} times as large")
    return Drop(
        index.relation,
        index.table,
        reason,
        message,
        index.bytes if size is None else size,
        ddl.removal(index, tables),
        instead.relation if instead is not None else None,
        caveats,
    )
