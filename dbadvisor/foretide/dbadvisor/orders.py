"""In which order, and in which groups, a SELECT wants the rows of a table."""

from collections.abc import Mapping, Sequence

from sqlglot import exp

from foretide.dbadvisor import expressions
from foretide.dbadvisor.scopes import Catalog, Scope, Target, folded
from foretide.dbadvisor.uses import Key, Sorted

Outputs = Mapping[str, tuple[Target, ...]]

_EXTREMES = ("min", "max")


def note(select: exp.Select, scope: Scope, outputs: Outputs, catalog: Catalog) -> None:
    """Gives each table its orders and groups. `outputs` are what the SELECT puts out, in order."""
    _Notes(scope, outputs, catalog).note(select)


class _Notes:
    def __init__(self, scope: Scope, outputs: Outputs, catalog: Catalog) -> None:
        self._scope = scope
        self._outputs = outputs
        self._catalog = catalog

    def note(self, select: exp.Select) -> None:
        order = select.args.get("order")
        if order is not None:
            self._ordered([(self._named(each.this), each) for each in order.expressions])
        distinct = select.args.get("distinct")
        if distinct is not None and distinct.args.get("on") is None:
            _grouped(list(self._outputs.values()))
        group = select.args.get("group")
        if group is not None:
            sets = (exp.Rollup, exp.Cube, exp.GroupingSets)
            plain = [each for each in group.expressions if not isinstance(each, sets)]
            _grouped([self._named(each) for each in plain])
        else:
            self._extremes(select.expressions)
        for window in select.find_all(exp.Window):
            if window.parent_select is select:
                self._windowed(window)

    def _windowed(self, window: exp.Window) -> None:
        parts = window.args.get("partition_by") or ()
        order = window.args.get("order")
        sorted_by = order.expressions if order is not None else ()
        upwards = exp.Ordered()
        self._ordered(
            [
                *((self._target(each), upwards) for each in parts),
                *((self._target(each.this), each) for each in sorted_by),
            ]
        )

    def _extremes(self, projections: Sequence[exp.Expr]) -> None:
        """min and max of a whole table read the ends of an index, if nothing else is wanted."""
        found: list[Target] = []
        for each in projections:
            node = each.this if isinstance(each, exp.Alias) else each
            if not isinstance(node, exp.Anonymous) or len(node.expressions) != 1:
                return
            if str(node.this).lower() not in _EXTREMES:
                return
            found.extend(self._target(node.expressions[0]))
        for target in found:
            target.occurrence.orders.append((Sorted(target.key),))

    def _ordered(self, keys: Sequence[tuple[tuple[Target, ...], exp.Expr]]) -> None:
        """An order is of use as far as its keys are of one table."""
        wanted: list[Sorted] = []
        occurrence = None
        for targets, ordered in keys:
            if len(targets) != 1:
                break
            if occurrence is not None and targets[0].occurrence is not occurrence:
                break
            occurrence = targets[0].occurrence
            down = bool(ordered.args.get("desc"))
            first = ordered.args.get("nulls_first")
            wanted.append(Sorted(targets[0].key, down, down if first is None else bool(first)))
        if occurrence is not None and wanted:
            occurrence.orders.append(tuple(wanted))

    def _named(self, node: exp.Expr) -> tuple[Target, ...]:
        """What a key of ORDER BY or GROUP BY is: an output by its number or name, or else what it
        says.
        """
        node = expressions.bare(node)
        if isinstance(node, exp.Literal) and not node.is_string:
            places = list(self._outputs.values())
            number = int(node.this) if str(node.this).isdigit() else 0
            return places[number - 1] if 0 < number <= len(places) else ()
        if isinstance(node, exp.Column) and not node.args.get("table"):
            name = folded(node.this)
            if name in self._outputs:
                return self._outputs[name]
        return self._target(node)

    def _target(self, node: exp.Expr) -> tuple[Target, ...]:
        return self._scope.target_of(node, self._catalog)


def _grouped(keys: Sequence[tuple[Target, ...]]) -> None:
    """Keys are of use when all are of one table."""
    if not keys or any(len(targets) != 1 for targets in keys):
        return
    occurrence = keys[0][0].occurrence
    if all(targets[0].occurrence is occurrence for targets in keys):
        found: dict[Key, None] = dict.fromkeys(targets[0].key for targets in keys)
        occurrence.groups.append(tuple(found))
