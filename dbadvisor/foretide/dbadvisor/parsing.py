"""What a query does with each table: read with sqlglot, resolved against the catalog.

Names are followed through aliases, subqueries, common table expressions and views down to the
tables. What cannot be resolved is left out; nothing here ever guesses a column's table.
"""

from collections.abc import Iterable, Sequence

from sqlglot import exp
from sqlglot.errors import SqlglotError

from foretide.dbadvisor import conditions, expressions, normalized
from foretide.dbadvisor.scopes import Catalog, Scope, Source, Target, folded
from foretide.dbadvisor.snapshot import Query, Relation
from foretide.dbadvisor.uses import Key, Occurrence, Parsed, Sorted, Unparsed

# Of one query: its own text and so many of its samples are read.
MOST_SAMPLES = 5
# Views that read views.
DEEPEST_VIEW = 16

_AGGREGATES = ("min", "max")


def parse_all(queries: Iterable[Query], catalog: Catalog) -> list[Parsed | Unparsed]:
    """Each query in its turn; one that is not understood stops no other."""
    return [parse(query, catalog) for query in queries]


def parse(query: Query, catalog: Catalog) -> Parsed | Unparsed:
    """The uses of tables in a query's text, and in its samples with their constants."""
    results = [
        read(query.id, text, catalog) for text in (query.text, *query.samples[:MOST_SAMPLES])
    ]
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
        self._wanted_orders(node, scope, outputs)
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

    def _wanted_orders(
        self, node: exp.Select, scope: Scope, outputs: dict[str, tuple[Target, ...]]
    ) -> None:
        order = node.args.get("order")
        if order is not None:
            self._ordered(order.expressions, scope, outputs)
        distinct = node.args.get("distinct")
        if distinct is not None and distinct.args.get("on") is None:
            _grouped(list(outputs.values()))
        group = node.args.get("group")
        if group is not None:
            keys = [
                self._named(each, scope, outputs)
                for each in group.expressions
                if not isinstance(each, exp.Rollup | exp.Cube | exp.GroupingSets)
            ]
            _grouped(keys)
        for window in node.find_all(exp.Window):
            if window.parent_select is node:
                self._windowed(window, scope)
        if group is None and len(node.expressions) == 1:
            self._extreme(node.expressions[0], scope)

    def _windowed(self, window: exp.Window, scope: Scope) -> None:
        order = window.args.get("order")
        parts = [exp.Ordered(this=each.copy()) for each in window.args.get("partition_by") or ()]
        self._ordered([*parts, *(order.expressions if order is not None else ())], scope, {})

    def _extreme(self, projection: exp.Expr, scope: Scope) -> None:
        """min and max of a whole table read one end of an index."""
        node = projection.this if isinstance(projection, exp.Alias) else projection
        name = str(node.this).lower() if isinstance(node, exp.Anonymous) else ""
        if name in _AGGREGATES and len(node.expressions) == 1:
            for target in scope.target_of(node.expressions[0], self.catalog):
                target.occurrence.orders.append((Sorted(target.key),))

    def _ordered(
        self,
        keys: Sequence[exp.Expr],
        scope: Scope,
        outputs: dict[str, tuple[Target, ...]],
    ) -> None:
        """An order is of use as far as its keys are of one table."""
        wanted: list[Sorted] = []
        occurrence = None
        for each in keys:
            node = each.this if isinstance(each, exp.Ordered) else each
            targets = self._named(node, scope, outputs)
            if len(targets) != 1 or (occurrence or targets[0].occurrence) is not (
                targets[0].occurrence
            ):
                break
            occurrence = targets[0].occurrence
            down = bool(each.args.get("desc"))
            first = each.args.get("nulls_first")
            nulls_first = down if first is None else bool(first)
            wanted.append(Sorted(targets[0].key, down, nulls_first))
        if occurrence is not None and wanted:
            occurrence.orders.append(tuple(wanted))

    def _named(
        self, node: exp.Expr, scope: Scope, outputs: dict[str, tuple[Target, ...]]
    ) -> tuple[Target, ...]:
        """What a key of ORDER BY or GROUP BY is: an output by its number or name, or else what it
        says.
        """
        node = expressions.bare(node)
        if isinstance(node, exp.Literal) and not node.is_string:
            places = list(outputs.values())
            number = int(node.this) if str(node.this).isdigit() else 0
            return places[number - 1] if 0 < number <= len(places) else ()
        if isinstance(node, exp.Column) and not node.args.get("table"):
            name = folded(node.this)
            if name in outputs:
                return outputs[name]
        return scope.target_of(node, self.catalog)


def _grouped(keys: Sequence[tuple[Target, ...]]) -> None:
    """Keys are of use when all are of one table."""
    if not keys or any(len(targets) != 1 for targets in keys):
        return
    occurrence = keys[0][0].occurrence
    if all(targets[0].occurrence is occurrence for targets in keys):
        found: dict[Key, None] = dict.fromkeys(targets[0].key for targets in keys)
        occurrence.groups.append(tuple(found))


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
