"""What a query does with each table: read with sqlglot, resolved against the catalog.

Names are followed through aliases, subqueries, common table expressions and views down to the
tables. What cannot be resolved is left out; nothing here ever guesses a column's table.
"""

from collections.abc import Iterable, Sequence

from sqlglot import exp
from sqlglot.errors import SqlglotError

from foretide.dbadvisor import conditions, expressions, normalized, orders
from foretide.dbadvisor.scopes import Catalog, Scope, Source, Target, folded
from foretide.dbadvisor.snapshot import Query, Relation
from foretide.dbadvisor.uses import Key, Occurrence, Parsed, Unparsed

# Of one query: its own text and so many of its samples are read.
MOST_SAMPLES = 5
# Views that read views.
DEEPEST_VIEW = 16


def parse_all(queries: Iterable[Query], catalog: Catalog) -> list[Parsed | Unparsed]:
    """Each query in its turn; one that is not understood stops no other."""
    return [parse(query, catalog) for query in queries]


def parse(query: Query, catalog: Catalog) -> Parsed | Unparsed:
    """The uses of tables in a query's text, and in its samples with their constants."""
    # A text out of a file is its own sample.
    texts = dict.fromkeys((query.text, *query.samples[:MOST_SAMPLES]))
    results = [read(query.id, text, catalog) for text in texts]
    understood = [result for result in results if isinstance(result, Parsed)]
    if not understood:
        return results[0]
    uses = dict.fromkeys(use for result in understood for use in result.uses)
    unknown = sorted({name for result in understood for name in result.unknown})
    return Parsed(query.id, tuple(uses), tuple(unknown))


def read(name: str, text: str, catalog: Catalog) -> Parsed | Unparsed:
    """The uses of tables in one text. `name` is the query's id."""
    try:
        reading = _Reading(catalog)
        reading.statement(expressions.parse(text), Scope())
    except normalized.Unreadable as error:
        return Unparsed(name, str(error))
    except RecursionError:
        return Unparsed(name, "not understood: nested too deeply")
    except (SqlglotError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        # sqlglot's trees do not always have the shape that they should.
        return Unparsed(name, f"not understood: {type(error).__name__}")
    uses = tuple(occurrence.use() for occurrence in reading.occurrences)
    return Parsed(name, uses, tuple(sorted(reading.unknown)))


class _Reading:
    """Goes through a tree once and notes what it finds in `occurrences`."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.occurrences: list[Occurrence] = []
        self.unknown: set[str] = set()
        self._done: dict[int, tuple[exp.Expr, Source]] = {}
        self._views = 0

    def statement(self, node: exp.Expr, scope: Scope) -> Source:
        """A query or a statement that changes rows; what it puts out."""
        node = expressions.bare(node)
        known = self._done.get(id(node))
        if known is not None:
            return known[1]
        scope = Scope(scope)
        self._with(node, scope)
        if isinstance(node, exp.Subquery):
            source = self.statement(node.this, scope)
        elif isinstance(node, exp.SetOperation):
            source = self._union(node, scope)
        elif isinstance(node, exp.Select):
            source = self._select(node, scope)
        elif isinstance(node, exp.Insert | exp.Update | exp.Delete | exp.Merge):
            source = self._change(node, scope)
        else:
            self._walk(node, scope)
            source = Source({})
        self._done[id(node)] = node, source
        return source

    def _with(self, node: exp.Expr, scope: Scope) -> None:
        given = node.args.get("with_") or node.args.get("with")
        if given is None:
            return
        for cte in given.expressions:
            name = folded(cte.args["alias"].this)
            if given.args.get("recursive"):
                scope.ctes[name] = Source({})
                query = expressions.bare(cte.this)
                if isinstance(query, exp.SetOperation):
                    # The part that does not name itself says what the columns are.
                    scope.ctes[name] = _renamed(self.statement(query.this, scope), cte)
            scope.ctes[name] = _renamed(self.statement(cte.this, scope), cte)

    def _union(self, node: exp.SetOperation, scope: Scope) -> Source:
        left = self.statement(node.this, scope)
        right = self.statement(node.expression, scope)
        outputs = {
            name: (*targets, *other)
            for (name, targets), other in zip(
                left.outputs.items(),
                [*right.outputs.values(), *[()] * len(left.outputs)],
                strict=False,
            )
        }
        return Source(outputs)

    def _select(self, node: exp.Select, scope: Scope) -> Source:
        conditions_found = []
        first = node.args.get("from_") or node.args.get("from")
        if first is not None:
            self._source(first.this, scope)
        for join in node.args.get("joins") or ():
            before = list(scope.sources.values())
            self._source(join.this, scope)
            conditions_found.append(join.args.get("on"))
            self._using(join, before, scope)
        for lateral in node.args.get("laterals") or ():
            self._source(lateral, scope)
        where, having = node.args.get("where"), node.args.get("having")
        conditions_found.append(where.this if where is not None else None)
        outputs = self._outputs(node.expressions, scope)
        self._walk_parts(node, scope)
        for each in conditions_found:
            self._conditions(each, scope)
        if having is not None:
            self._walk(having, scope)
        orders.note(node, scope, outputs, self.catalog)
        return Source(outputs)

    def _walk_parts(self, node: exp.Select, scope: Scope) -> None:
        """All that is not FROM: columns that are read and queries inside."""
        for name, value in node.args.items():
            if name in ("with_", "with", "from_", "from", "laterals", "order"):
                continue
            if name == "joins":
                for join in value or ():
                    self._walk(join.args.get("on"), scope)
                continue
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, exp.Expr):
                    self._walk(each, scope)
        order = node.args.get("order")
        if order is not None:
            self._walk(order, scope)

    def _walk(self, node: exp.Expr | None, scope: Scope) -> None:
        """Notes columns, and reads the queries inside."""
        waiting = [node] if node is not None else []
        while waiting:
            each = waiting.pop()
            if isinstance(each, exp.Query):
                self.statement(each, scope)
            elif isinstance(each, exp.Column) and not isinstance(each.this, exp.Star):
                for target in scope.targets(each):
                    target.occurrence.columns.update(target.key.columns)
            elif isinstance(each, exp.Column | exp.Star):
                self._starred(each, scope)
            else:
                # The list is a stack: what comes first is read first.
                waiting.extend(reversed(list(each.iter_expressions())))

    def _starred(self, star: exp.Expr, scope: Scope) -> None:
        """`*` and `t.*` read all columns; count(*) and EXISTS (SELECT *) none."""
        if isinstance(star.parent, exp.Anonymous | exp.Count):
            return
        if isinstance(star.parent, exp.Select) and isinstance(star.parent.parent, exp.Exists):
            return
        alias = folded(star.args.get("table"))
        for name, source in scope.sources.items():
            if source.occurrence is not None and alias in ("", name):
                source.occurrence.columns.update(source.occurrence.known)

    def _conditions(self, node: exp.Expr | None, scope: Scope) -> None:
        def targets(each: exp.Expr) -> tuple[Target, ...]:
            if isinstance(each, exp.Query):
                return next(iter(self.statement(each, scope).outputs.values()), ())
            return scope.target_of(each, self.catalog)

        def outputs(query: exp.Expr) -> tuple[tuple[Target, ...], ...]:
            return tuple(self.statement(query, scope).outputs.values())

        conditions.Reader(targets, outputs).read(node).kept()

    def _outputs(
        self, projections: Sequence[exp.Expr], scope: Scope
    ) -> dict[str, tuple[Target, ...]]:
        outputs: dict[str, tuple[Target, ...]] = {}
        for place, each in enumerate(projections):
            if isinstance(each, exp.Star) or isinstance(each.this, exp.Star):
                wanted = folded(each.args.get("table"))
                for alias, source in scope.sources.items():
                    if wanted in ("", alias):
                        outputs.update(_all_of(source))
                continue
            name = folded(each.args["alias"]) if isinstance(each, exp.Alias) else ""
            inner = each.this if isinstance(each, exp.Alias) else each
            if not name and isinstance(inner, exp.Column):
                name = folded(inner.this)
            if name in outputs or not name:
                name = f"?column {place}?"
            outputs[name] = scope.target_of(inner, self.catalog)
        return outputs

    def _source(self, node: exp.Expr, scope: Scope) -> None:
        """Something in FROM, with the joins that hang on it."""
        alias = node.args.get("alias")
        name = folded(alias.this) if alias is not None and alias.this is not None else ""
        if isinstance(node, exp.Paren):
            self._source(node.this, scope)
            return
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
            source, plain = self._table(node, scope)
            scope.sources[name or plain] = _renamed(source, node)
        elif isinstance(node, exp.Subquery) and not isinstance(node.this, exp.Query):
            # A join in brackets.
            self._source(node.this, scope)
        elif isinstance(node, exp.Subquery | exp.Lateral) and isinstance(
            expressions.bare(node.this), exp.Query
        ):
            source = self.statement(node.this, scope)
            scope.sources[name or f"?source {len(scope.sources)}?"] = _renamed(source, node)
        else:
            self._walk(node, scope)
            scope.sources[name or f"?source {len(scope.sources)}?"] = Source({})
        for join in node.args.get("joins") or ():
            before = list(scope.sources.values())
            self._source(join.this, scope)
            self._using(join, before, scope)
            self._walk(join.args.get("on"), scope)
            self._conditions(join.args.get("on"), scope)

    def _table(self, node: exp.Table, scope: Scope) -> tuple[Source, str]:
        """A table, a view or a common table expression, and its name."""
        schema, name = folded(node.args.get("db")), folded(node.this)
        cte = None if schema else scope.cte(name)
        if cte is not None:
            return cte, name
        relation = self.catalog.find(schema, name)
        if relation is None:
            if schema not in ("pg_catalog", "information_schema") and not name.startswith("pg_"):
                self.unknown.add(f"{schema}.{name}" if schema else name)
            return Source({}), name
        if relation in self.catalog.tables:
            return self._occurrence(relation), name
        return self._view(relation), name

    def _view(self, relation: Relation) -> Source:
        if self._views >= DEEPEST_VIEW:
            return Source({})
        self._views += 1
        try:
            return self.statement(expressions.parse(self.catalog.views[relation]), Scope())
        except normalized.Unreadable:
            self.unknown.add(str(relation))
            return Source({})
        finally:
            self._views -= 1

    def _occurrence(self, relation: Relation) -> Source:
        table = self.catalog.tables[relation]
        occurrence = Occurrence(relation, tuple(column.name for column in table.columns))
        self.occurrences.append(occurrence)
        return Source({}, occurrence)

    def _using(self, join: exp.Expr, before: Sequence[Source], scope: Scope) -> None:
        joined = list(scope.sources.values())[len(before) :]
        for each in join.args.get("using") or ():
            name = folded(each)
            lefts = next((found for found in (s.column(name) for s in before) if found), ())
            rights = next((found for found in (s.column(name) for s in joined) if found), ())
            for target in (*lefts, *rights):
                target.occurrence.columns.update(target.key.columns)
            found = conditions.Found()
            found.joins.extend(
                (one, other)
                for one in lefts
                for other in rights
                if one.occurrence is not other.occurrence
            )
            found.kept()

    def _change(self, node: exp.Expr, scope: Scope) -> Source:
        """INSERT, UPDATE, DELETE, MERGE: the table that is changed is read by their conditions."""
        target = node.this.this if isinstance(node.this, exp.Schema) else node.this
        if isinstance(node, exp.Insert):
            if isinstance(node.expression, exp.Query):
                self.statement(node.expression, scope)
            return Source({})
        self._source(target, scope)
        first = node.args.get("from_") or node.args.get("from")
        using = node.args.get("using")
        others = [first.this] if first is not None else []
        others += using if isinstance(using, list) else [using] if using else []
        for each in others:
            self._source(each, scope)
        if isinstance(node, exp.Update):
            self._set(node, scope)
        where = node.args.get("where")
        for condition in (where.this if where is not None else None, node.args.get("on")):
            self._walk(condition, scope)
            self._conditions(condition, scope)
        self._walk(node.args.get("returning"), scope)
        return Source({})

    def _set(self, node: exp.Update, scope: Scope) -> None:
        occurrence = next(iter(scope.sources.values())).occurrence
        for each in node.expressions:
            self._walk(each.args.get("expression"), scope)
            if occurrence is not None:
                columns = each.this.find_all(exp.Column) if each.this is not None else ()
                occurrence.written.update(folded(column.this) for column in columns)


def _all_of(source: Source) -> dict[str, tuple[Target, ...]]:
    if source.occurrence is None:
        return source.outputs
    occurrence = source.occurrence
    return {name: (Target(occurrence, Key(name)),) for name in occurrence.known}


def _renamed(source: Source, node: exp.Expr) -> Source:
    """With the names of columns that an alias gives: `AS t (a, b)`."""
    alias = node.args.get("alias")
    columns = alias.args.get("columns") if alias is not None else None
    if not columns:
        return source
    outputs = _all_of(source)
    names = [folded(column) for column in columns]
    names += list(outputs)[len(names) :]
    return Source(dict(zip(names, outputs.values(), strict=False)))
