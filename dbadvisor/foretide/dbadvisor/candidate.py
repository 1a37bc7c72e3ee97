"""An index that could be created: what is proposed, costed, measured and written as DDL."""

from dataclasses import dataclass, field

from foretide.dbadvisor.snapshot import IndexKey, Relation


@dataclass(frozen=True, slots=True)
class Candidate:
    """A b-tree index on `table`. Two are equal when the same index would be created.

    `predicate` is SQL over the table's own columns, unqualified; so are expressions of keys.
    `reads` are the columns that expressions and the predicate read, `queries` the ids of those that
    it was thought of for, `why` a reason for people, `share` the part of the rows that the
    predicate lets in, about: they say nothing about which index it is.
    """

    table: Relation
    keys: tuple[IndexKey, ...]
    include: tuple[str, ...] = ()
    predicate: str | None = None
    unique: bool = False
    reads: tuple[str, ...] = field(default=(), compare=False)
    queries: tuple[str, ...] = field(default=(), compare=False)
    why: str = field(default="", compare=False)
    share: float = field(default=1.0, compare=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that the index has to do with, each once, in order."""
        keys = tuple(key.column for key in self.keys if key.column is not None)
        return tuple(dict.fromkeys((*keys, *self.include, *self.reads)))

    def sort_key(self) -> tuple[object, ...]:
        """For an order that does not depend on how candidates were found."""
        keys = tuple(
            (
                key.column or "",
                key.expression or "",
                key.descending,
                key.nulls_first,
                key.operator_class,
                key.collation,
            )
            for key in self.keys
        )
        return (self.table, keys, self.include, self.predicate or "", self.unique)
