"""What a query does with each table that it reads: the raw material of index candidates."""

from dataclasses import dataclass, field

from foretide.dbadvisor.snapshot import Relation


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What an index could hold: a column, or an expression over the columns that it `reads`."""

    column: str = ""
    expression: str = ""
    reads: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,) if self.column else self.reads


@dataclass(frozen=True, slots=True, order=True)
class Predicate:
    """A condition on one table's key. `kind` is one of

    - `=`: equal to one value (`values` has it, if it is a constant)
    - `in`: equal to one of several
    - `range`: below, above or between
    - `prefix`: LIKE 'prefix%' or a pattern that only the run knows
    - `null`, `not null`

    `values` in their text form, without quotes; empty where they are parameters or computed.
    """

    key: Key
    kind: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Join:
    """`key` equals `other_key` of another table (or of another row of the same)."""

    key: Key
    other: Relation
    other_key: Key


@dataclass(frozen=True, slots=True, order=True)
class Sorted:
    """A key of a wanted order."""

    key: Key
    descending: bool = False
    nulls_first: bool = False


@dataclass(frozen=True, slots=True)
class TableUse:
    """One place where a query reads a table. All `predicates` hold; of each of `alternatives` (an
    OR) one arm does, and all arms say something of this table. `orders` are wanted orders of rows:
    of ORDER BY, windows, DISTINCT ON, min and max. `groups` are keys in any order: of GROUP BY and
    DISTINCT. `columns` are all that are read, `written` those that an UPDATE sets.
    """

    relation: Relation
    predicates: tuple[Predicate, ...] = ()
    alternatives: tuple[tuple[tuple[Predicate, ...], ...], ...] = ()
    joins: tuple[Join, ...] = ()
    orders: tuple[tuple[Sorted, ...], ...] = ()
    groups: tuple[tuple[Key, ...], ...] = ()
    columns: tuple[str, ...] = ()
    written: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parsed:
    """A query understood. `unknown`: names of relations that the catalog has not."""

    id: str
    uses: tuple[TableUse, ...]
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unparsed:
    """A query that was not understood, and why."""

    id: str
    reason: str


@dataclass
class Occurrence:
    """A table's place in a query while it is being read. `known`: its columns, in their order."""

    relation: Relation
    known: tuple[str, ...]
    predicates: list[Predicate] = field(default_factory=list)
    alternatives: list[tuple[tuple[Predicate, ...], ...]] = field(default_factory=list)
    joins: list[Join] = field(default_factory=list)
    orders: list[tuple[Sorted, ...]] = field(default_factory=list)
    groups: list[tuple[Key, ...]] = field(default_factory=list)
    columns: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)

    def use(self) -> TableUse:
        return TableUse(
            self.relation,
            tuple(dict.fromkeys(self.predicates)),
            tuple(dict.fromkeys(self.alternatives)),
            tuple(dict.fromkeys(self.joins)),
            tuple(dict.fromkeys(self.orders)),
            tuple(dict.fromkeys(self.groups)),
            tuple(sorted(self.columns)),
            tuple(sorted(self.written)),
        )
