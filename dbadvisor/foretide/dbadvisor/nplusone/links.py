"""How the rows of one statement lead to the keys of another: by foreign keys, or by their names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from foretide.dbadvisor.nplusone.shapes import Key, Shape
from foretide.dbadvisor.snapshot import ForeignKey, Relation


@dataclass(frozen=True, slots=True, order=True)
class Link:
    """`key` of the child gets its values from rows that the parent reads; `why` says how that is
    known. `rank`: 0 a foreign key, 1 two that refer to the same, 2 names alone.
    """

    rank: int
    key: Key
    why: str


def links(
    tables: Iterable[str], columns: frozenset[str], child: Shape, catalog: Sequence[ForeignKey]
) -> tuple[Link, ...]:
    """The keys of `child` that rows of `tables` may give values to, the surest first.

    `columns`: names that the parent's text mentions.
    """
    read = sorted(set(tables))
    found = []
    for key in child.keys:
        known = _by_foreign_key(read, key, child, catalog) or _by_name(read, columns, key, child)
        if known is not None:
            found.append(known)
    return tuple(sorted(found))


def _by_foreign_key(
    read: list[str], key: Key, child: Shape, catalog: Sequence[ForeignKey]
) -> Link | None:
    owners = [key.table] if key.table else list(child.tables)
    shared: Link | None = None
    for foreign in catalog:
        mine = any(matches(owner, foreign.table) for owner in owners)
        if mine and key.column in foreign.columns:
            if any(matches(table, foreign.referenced) for table in read):
                return Link(0, key, f"foreign key {foreign.name} of {foreign.table}")
            shared = shared or _shared(read, key, foreign, catalog)
        referred = any(matches(owner, foreign.referenced) for owner in owners)
        theirs = any(matches(table, foreign.table) for table in read)
        if referred and theirs and key.column in foreign.referenced_columns:
            return Link(0, key, f"foreign key {foreign.name} of {foreign.table}")
    return shared


def _shared(
    read: list[str], key: Key, foreign: ForeignKey, catalog: Sequence[ForeignKey]
) -> Link | None:
    """The parent's table refers to the same row as the child's does."""
    for other in catalog:
        if other.referenced == foreign.referenced and other.table != foreign.table:
            for table in read:
                if matches(table, other.table):
                    why = f"{foreign.name} and {other.name} refer to {foreign.referenced} both"
                    return Link(1, key, why)
    return None


def _by_name(read: list[str], columns: frozenset[str], key: Key, child: Shape) -> Link | None:
    """`author.id` for a parent that has `author_id`; `book.author_id` for one that reads authors.

    Many databases have no foreign keys: no Rails of old, nothing sharded.
    """
    owners = [key.table] if key.table else list(child.tables)
    for owner in owners:
        for stem in stems(owner):
            if f"{stem}_{key.column}" in columns:
                return Link(2, key, f"the names {stem}_{key.column} and {owner}.{key.column}")
    for table in read:
        for stem in stems(table):
            if key.column.startswith(f"{stem}_") and table not in owners:
                return Link(2, key, f"the names {table} and {key.column}")
    return None


def stems(table: str) -> tuple[str, ...]:
    """What a table may be called in the names of columns that refer to it."""
    name = table.rpartition(".")[2]
    forms = [name]
    if name.endswith("ies"):
        forms.append(name[:-3] + "y")
    if name.endswith("es"):
        forms.append(name[:-2])
    if name.endswith("s"):
        forms.append(name[:-1])
    # Django puts the application's name first: shop_author.
    forms += [form.partition("_")[2] for form in forms if "_" in form]
    return tuple(form for form in forms if form)


def matches(named: str, relation: Relation) -> bool:
    """Whether a text's name, with its schema or without, may be this relation."""
    schema, _, name = named.rpartition(".")
    return name == relation.name and schema in ("", relation.schema)
