"""Which indexes could help a workload: from what its queries do with each table.

For each place where a query reads a table: keys that are equal to something first, most selective
first; then one range, or the order that is wanted; keys of joins before and after the conditions;
the same with INCLUDE where an index alone could answer; partial ones for constants that few rows
have. What exists already, also as the beginning of a longer index, is left out. Whether any of them
is worth having is not decided here.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from foretide.dbadvisor import existing
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.ddl import literal, quoted
from foretide.dbadvisor.snapshot import Column, Index, IndexKey, Relation, Snapshot, Table
from foretide.dbadvisor.uses import Key, Parsed, Predicate, Sorted, TableUse

EQUAL = ("=", "in")
# No b-tree operators: PostgreSQL would refuse them.
UNSORTABLE = frozenset(
    {"json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle", "txid_snapshot"}
    | {"pg_snapshot", "cid", "xid", "aclitem", "jsonpath", "pg_node_tree"}
)
FEW_VALUES = 100
C_COLLATIONS = ("C", "POSIX", "ucs_basic")


@dataclass(frozen=True, slots=True)
class Limits:
    """`keys`: of an index. `of_use`: candidates of one place where a query reads a table.
    `pages`: tables up to this size are read whole sooner than by an index. `key_width` and
    `include_width`: bytes. `partial_share`: of the rows that a partial index may hold.
    """

    keys: int = 4
    of_use: int = 40
    pages: int = 4
    key_width: float = 400.0
    include_columns: int = 4
    include_width: float = 64.0
    partial_share: float = 0.25


def candidates(
    snapshot: Snapshot, parsed: Iterable[Parsed], limits: Limits | None = None
) -> tuple[Candidate, ...]:
    """All of them in a fixed order, each with the ids of the queries that it is for."""
    limits = limits or Limits()
    tables = {table.relation: table for table in snapshot.tables}
    indexes: dict[Relation, list[Index]] = {}
    for index in snapshot.indexes:
        indexes.setdefault(index.table, []).append(index)
    found: dict[Candidate, Candidate] = {}
    queries: dict[Candidate, set[str]] = {}
    for each in parsed:
        for use in each.uses:
            table = _whole(tables, use.relation)
            if table is None or _is_small(table, limits):
                continue
            maker = _Maker(table, use, snapshot.collates_as_c, limits)
            kept = 0
            for candidate in maker.all():
                if existing.serves(indexes.get(table.relation, ()), candidate):
                    continue
                queries.setdefault(candidate, set()).add(each.id)
                found.setdefault(candidate, candidate)
                kept += 1
                if kept >= limits.of_use:
                    break
    return tuple(
        dataclasses.replace(found[candidate], queries=tuple(sorted(queries[candidate])))
        for candidate in sorted(found, key=Candidate.sort_key)
    )


def _whole(tables: Mapping[Relation, Table], relation: Relation) -> Table | None:
    """The table, or the partitioned one that it is a part of."""
    table = tables.get(relation)
    for _ in range(len(tables)):
        if table is None or table.parent is None or table.parent not in tables:
            break
        table = tables[table.parent]
    return table


def _is_small(table: Table, limits: Limits) -> bool:
    """Of a partitioned table, and one that was never analyzed, it is not known."""
    return table.kind != "p" and table.rows >= 0 and table.pages <= limits.pages


class _Maker:
    """Makes candidates of one use of a table, most promising first."""

    def __init__(self, table: Table, use: TableUse, collates_as_c: bool, limits: Limits) -> None:
        self._table = table
        self._use = use
        self._as_c = collates_as_c
        self._limits = limits
        self._columns = {column.name: column for column in table.columns}
        self._seen: set[Candidate] = set()

    def all(self) -> Iterator[Candidate]:
        for each in itertools.chain(self._of_arm(self._use.predicates), self._of_alternatives()):
            if each not in self._seen:
                self._seen.add(each)
                yield each

    def _of_alternatives(self) -> Iterator[Candidate]:
        """An OR is answered by an index for each of its arms."""
        for arms in self._use.alternatives:
            for arm in arms:
                yield from self._of_conditions((*arm, *self._use.predicates))
            yield from (
                candidate
                for arm in arms
                for join in self._joins()
                if (candidate := self._made((*join, *self._equal(arm)), "joins and finds"))
                is not None
            )

    def _of_arm(self, predicates: Sequence[Predicate]) -> Iterator[Candidate]:
        plain = list(self._of_conditions(predicates))
        joined = list(self._of_joins(predicates))
        sorted_ = list(self._of_orders(predicates))
        whole = [*plain[:2], *joined[:3], *sorted_[:2]]
        # In turns, so that no kind crowds out the others where there are too many.
        turns = itertools.zip_longest(plain, joined, sorted_, self._partial(predicates))
        made = [each for turn in turns for each in turn if each is not None]
        covering = [each for base in whole if (each := self._covering(base)) is not None]
        yield from made[:4]
        for one, other in itertools.zip_longest(made[4:], covering):
            if other is not None:
                yield other
            if one is not None:
                yield one

    def _of_conditions(self, predicates: Sequence[Predicate]) -> Iterator[Candidate]:
        equal = self._equal(predicates)
        ranges = _keys(predicates, ("range",))
        prefixes = _keys(predicates, ("prefix",))
        for key in ranges:
            yield from self._some((*equal, key), "finds by equality, then a range")
        for key in prefixes:
            yield from self._some((*equal, key), "finds by equality, then a prefix", pattern=key)
        yield from self._some(equal, "finds by equality")
        if len(equal) == 2:
            yield from self._some(equal[::-1], "finds by equality")
        for key in (*equal, *ranges):
            yield from self._some((key,), "finds")
        for key in prefixes:
            yield from self._some((key,), "finds by a prefix", pattern=key)
        for one, other in itertools.product(equal, (*equal, *ranges)):
            yield from self._some((one, other), "finds by equality")
        for one, other in itertools.permutations(ranges[:3], 2):
            # The second narrows what of the first is looked up in the table.
            yield from self._some((*equal, one, other), "finds by a range, narrowed by another")
        for key in _keys(predicates, ("null",)):
            yield from self._some((key, *equal), "finds where nothing is set")

    def _joins(self) -> list[tuple[Key, ...]]:
        """Keys of joins with one other table, all together; then each by itself."""
        together: dict[Relation, dict[Key, None]] = {}
        for join in self._use.joins:
            together.setdefault(join.other, {})[join.key] = None
        sets = [tuple(keys) for keys in together.values() if len(keys) > 1]
        return list(dict.fromkeys([*sets, *((join.key,) for join in self._use.joins)]))

    def _of_joins(self, predicates: Sequence[Predicate]) -> Iterator[Candidate]:
        equal = self._equal(predicates)
        ranges = _keys(predicates, ("range",))
        joins = self._joins()
        for keys in joins:
            yield from self._some(keys, "joins")
            if equal:
                yield from self._some((*keys, *equal), "joins, then finds by equality")
                yield from self._some((*equal, *keys), "finds by equality, then joins")
        for keys in joins:
            for key in ranges:
                yield from self._some((*keys, key), "joins, then a range")
            for key in equal if len(equal) > 1 else ():
                yield from self._some((*keys, key), "joins, then finds by equality")
                yield from self._some((key, *keys), "finds by equality, then joins")
        singles = [keys[0] for keys in joins if len(keys) == 1]
        for one, other in itertools.permutations(singles[:4], 2):
            yield from self._some((one, other), "joins")

    def _of_orders(self, predicates: Sequence[Predicate]) -> Iterator[Candidate]:
        equal = self._equal(predicates)
        orders = [*self._use.orders, *(tuple(map(Sorted, keys)) for keys in self._use.groups)]
        for order in orders:
            rest = [each for each in order if each.key not in equal]
            if not rest:
                continue
            if equal:
                yield from self._sorted(equal, rest, "finds by equality, then in order")
            yield from self._sorted((), order, "in order")

    def _sorted(
        self, equal: Sequence[Key], order: Sequence[Sorted], why: str
    ) -> Iterator[Candidate]:
        keys = [self._index_key(key) for key in equal]
        # An index is read in both directions: that which begins upwards stands for both.
        flipped = order[0].descending
        for each in order:
            key = self._index_key(each.key)
            keys.append(
                key
                and dataclasses.replace(
                    key,
                    descending=each.descending != flipped,
                    nulls_first=each.nulls_first != flipped,
                )
            )
        candidate = self._of_keys(keys, (*equal, *(each.key for each in order)), why)
        if candidate is not None:
            yield candidate

    def _partial(self, predicates: Sequence[Predicate]) -> Iterator[Candidate]:
        for predicate in predicates:
            text, share = self._rare(predicate)
            if not text:
                continue
            rest = [each for each in predicates if each.key != predicate.key]
            equal = self._equal(rest)
            ends: list[tuple[Key, ...]] = [(key,) for key in _keys(rest, ("range",))]
            ends += [tuple(each.key for each in order) for order in self._use.orders]
            ends += [] if ends else self._joins()
            tried = [(*equal, *end) for end in ends] or [equal]
            for keys in tried if any(tried) else [(predicate.key,)]:
                candidate = self._made(keys, "holds the few rows that are asked for")
                if candidate is not None:
                    reads = tuple(sorted({*candidate.reads, *predicate.key.columns}))
                    yield dataclasses.replace(candidate, predicate=text, reads=reads, share=share)

    def _rare(self, predicate: Predicate) -> tuple[str, float]:
        """The condition of a partial index, if few rows fulfil it, and their share; "" if not."""
        column = self._columns.get(predicate.key.column)
        statistics = column.statistics if column is not None else None
        if column is None or statistics is None:
            return "", 0.0
        share = None
        text = quoted(column.name)
        if predicate.kind == "null":
            share, text = statistics.null_share, f"{text} IS NULL"
        elif predicate.kind == "not null":
            share, text = 1 - statistics.null_share, f"{text} IS NOT NULL"
        elif predicate.kind == "=" and len(predicate.values) == 1:
            share = _share_of(column, predicate.values[0])
            if column.type == "boolean":
                # The planner says so, too; HypoPG would not see that `paid = false` is the same.
                text = text if predicate.values[0] == "t" else f"NOT {text}"
            else:
                text = f"{text} = {literal(predicate.values[0])}"
        if share is None or not 0 < share <= self._limits.partial_share:
            return "", 0.0
        return text, share

    def _covering(self, base: Candidate) -> Candidate | None:
        """The same, with what else the query reads, so that the table need not be looked at."""
        rest = [name for name in self._use.columns if name not in base.columns]
        columns = [self._columns.get(name) for name in rest]
        if not rest or len(rest) > self._limits.include_columns or None in columns:
            return None
        width = sum(_width(column) for column in columns if column is not None)
        if width > self._limits.include_width or any(key.column is None for key in base.keys):
            return None
        why = f"{base.why}, and answers alone"
        return dataclasses.replace(base, include=tuple(sorted(rest)), why=why)

    def _equal(self, predicates: Sequence[Predicate]) -> tuple[Key, ...]:
        """Keys that are equal to something: one value before several, most selective first."""
        keys = dict.fromkeys(
            key for kind in EQUAL for key in _keys(predicates, (kind,)) if self._is_usable(key)
        )
        several = set(_keys(predicates, ("in",)))
        return tuple(sorted(keys, key=lambda key: (key in several, -self._distinct(key), key)))

    def _distinct(self, key: Key) -> float:
        column = self._columns.get(key.column)
        statistics = column.statistics if column is not None else None
        if statistics is None:
            return 0.0
        many = statistics.distinct
        return many if many >= 0 else -many * max(self._table.rows, 1.0)

    def _is_usable(self, key: Key) -> bool:
        columns = [self._columns.get(name) for name in key.columns]
        return all(
            column is not None
            and (bool(key.expression) or column.type not in UNSORTABLE)
            and (bool(key.expression) or _width(column) <= self._limits.key_width)
            for column in columns
        )

    def _some(
        self, keys: Sequence[Key], why: str, *, pattern: Key | None = None
    ) -> Iterator[Candidate]:
        candidate = self._made(keys, why, pattern=pattern)
        if candidate is not None:
            yield candidate

    def _made(
        self, keys: Sequence[Key], why: str, *, pattern: Key | None = None
    ) -> Candidate | None:
        keys = tuple(dict.fromkeys(keys))
        made = [self._index_key(key, pattern=key == pattern) for key in keys]
        return self._of_keys(made, keys, why)

    def _of_keys(
        self, made: Sequence[IndexKey | None], keys: Sequence[Key], why: str
    ) -> Candidate | None:
        whole = [key for key in made if key is not None]
        if not whole or len(whole) < len(made):
            return None
        reads = sorted({name for key in keys if key.expression for name in key.reads})
        most = self._limits.keys
        return Candidate(self._table.relation, tuple(whole[:most]), reads=tuple(reads), why=why)

    def _index_key(self, key: Key, *, pattern: bool = False) -> IndexKey | None:
        if not self._is_usable(key):
            return None
        operators = self._pattern_operators(key) if pattern else ""
        return IndexKey(key.column or None, key.expression or None, operator_class=operators)

    def _pattern_operators(self, key: Key) -> str:
        """Where text does not sort by its bytes, the usual index does not serve LIKE."""
        column = self._columns.get(key.column)
        if column is not None:
            if column.collation in C_COLLATIONS or (self._as_c and not column.collation):
                return ""
            kind = column.type.partition("(")[0]
            known = {"text": "text", "character varying": "varchar", "character": "bpchar"}
            return f"{known[kind]}_pattern_ops" if kind in known else ""
        return "" if self._as_c else "text_pattern_ops"


def _keys(predicates: Iterable[Predicate], kinds: Sequence[str]) -> tuple[Key, ...]:
    return tuple(dict.fromkeys(each.key for each in predicates if each.kind in kinds))


def _width(column: Column) -> float:
    """Bytes of a value, on average. A type of no fixed length that was never analyzed: a guess."""
    if column.length > 0:
        return column.length
    return column.statistics.width if column.statistics is not None else 32.0


def _share_of(column: Column, value: str) -> float | None:
    """Of rows that have a value: known for common ones, the rest's average for others."""
    statistics = column.statistics
    if statistics is None or not statistics.distinct:
        return None
    shares = dict(zip(statistics.common, statistics.frequencies, strict=False))
    if value in shares:
        return shares[value]
    if not 0 < statistics.distinct <= FEW_VALUES:
        return None  # A partial index for one value of very many is no use to the others.
    others = statistics.distinct - len(shares)
    rest = 1 - statistics.null_share - sum(shares.values())
    return rest / others if others >= 1 and rest > 0 else None
