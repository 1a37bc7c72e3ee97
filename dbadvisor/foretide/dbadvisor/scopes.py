"""What names in a query stand for: tables of the catalog, through aliases, subqueries and views."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from foretide.dbadvisor import expressions
from foretide.dbadvisor.snapshot import Relation, Snapshot, Table
from foretide.dbadvisor.uses import Key, Occurrence


@dataclass(frozen=True)
class Catalog:
    """Tables and views by name. `path` is the order in which schemas are searched."""

    tables: Mapping[Relation, Table]
    views: Mapping[Relation, str]
    path: tuple[str, ...] = ("public",)
    _schemas: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for relation in sorted({*self.tables, *self.views}):
            self._schemas.setdefault(relation.name, []).append(relation.schema)

    @classmethod
    def of(cls, snapshot: Snapshot, path: Iterable[str] = ("public",)) -> "Catalog":
        return cls(
            {table.relation: table for table in snapshot.tables},
            {view.relation: view.definition for view in snapshot.views},
            tuple(path),
        )

    def find(self, schema: str, name: str) -> Relation | None:
        """A name that no schema qualifies is that of the path's first, or else of the only one."""
        schemas = self._schemas.get(name, [])
        if schema:
            return Relation(schema, name) if schema in schemas else None
        for each in (*self.path, *schemas[:1]):
            if each in schemas:
                return Relation(each, name)
        return None

    def types(self, relation: Relation) -> dict[str, str]:
        table = self.tables.get(relation)
        return {column.name: column.type for column in table.columns} if table else {}


@dataclass(frozen=True)
class Target:
    """What an expression comes down to: a key of one place where a table is read."""

    occurrence: Occurrence
    key: Key


@dataclass
class Source:
    """Something in FROM. `outputs` are its columns and what they come down to (a UNION's to
    several); a column that comes from nowhere in particular has none. `order`: as they are listed.
    """

    outputs: dict[str, tuple[Target, ...]]
    occurrence: Occurrence | None = None

    def column(self, name: str) -> tuple[Target, ...] | None:
        """None: it has no such column."""
        if self.occurrence is not None:
            if name not in self.occurrence.known:
                return None
            return (Target(self.occurrence, Key(name)),)
        return self.outputs.get(name)

    @property
    def names(self) -> list[str]:
        return list(self.outputs)


@dataclass
class Scope:
    """What can be named at one place of a query; what is not found is looked for in `parent`."""

    parent: "Scope | None" = None
    sources: dict[str, Source] = field(default_factory=dict)
    ctes: dict[str, Source] = field(default_factory=dict)

    def cte(self, name: str) -> Source | None:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.ctes:
                return scope.ctes[name]
            scope = scope.parent
        return None

    def targets(self, column: exp.Column) -> tuple[Target, ...]:
        """What a column comes down to; empty if that is not known."""
        name, alias = folded(column.this), folded(column.args.get("table"))
        scope: Scope | None = self
        while scope is not None:
            if alias:
                source = scope.sources.get(alias)
                if source is not None:
                    return source.column(name) or ()
            else:
                found = [each.column(name) for each in scope.sources.values()]
                known = [each for each in found if each is not None]
                if known:
                    return known[0]
            scope = scope.parent
        return ()

    def target_of(self, node: exp.Expr, catalog: Catalog) -> tuple[Target, ...]:
        """What an expression comes down to: a column, or an expression of one table's columns that
        an index could hold.
        """
        node = expressions.bare(node)
        if isinstance(node, exp.Column):
            return self.targets(node)
        columns = list(node.find_all(exp.Column))
        if not columns:
            return ()
        resolved = {id(column): self.targets(column) for column in columns}
        firsts = [targets[0] for targets in resolved.values() if len(targets) == 1]
        if len(firsts) < len(columns) or any(not target.key.column for target in firsts):
            return ()
        occurrence = firsts[0].occurrence
        if any(target.occurrence is not occurrence for target in firsts):
            return ()
        types = catalog.types(occurrence.relation)

        def name_of(column: exp.Column) -> str:
            return resolved[id(column)][0].key.column

        if not expressions.is_indexable(node, lambda column: types.get(name_of(column), "")):
            return ()
        # Columns of a copy come in the same order as those of the original.
        names = iter([name_of(column) for column in columns])
        text = expressions.written(node, lambda _: next(names))
        reads = tuple(sorted({target.key.column for target in firsts}))
        return (Target(occurrence, Key("", text, reads)),)


def folded(name: object) -> str:
    """An identifier as the catalog has it: in small letters, unless it was quoted."""
    if isinstance(name, exp.Identifier):
        text = str(name.this)
        return text if name.quoted else text.lower()
    return str(name).lower() if name else ""
