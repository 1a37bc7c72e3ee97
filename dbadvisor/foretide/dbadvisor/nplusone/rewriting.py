"""One statement for many keys, out of one that is sent once for each.

The batch takes an array in place of each key and returns the key beside the rows, as the columns
`batch_key`, `batch_key_2` …, so that the caller can hand each row to whom it belongs. Keys are to
be distinct. Where an equality alone picks the rows, it becomes `= ANY`; aggregates are grouped by
the key, with a row for keys that have no rows; all else (top n, windows, keys deep inside) is run
for each key by LATERAL, which is right for every statement that only reads.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlglot import exp

from foretide.dbadvisor.nplusone import shapes
from foretide.dbadvisor.nplusone.texts import tokens


class Form(StrEnum):
    """How the batch is made, and what its rows are in order of."""

    ANY = "any"
    LATERAL = "lateral"
    GROUPED = "grouped"


@dataclass(frozen=True, slots=True)
class Rewrite:
    """`batch` has the `$n` of the original, of which `keys` are arrays now. `key_columns` come
    first in each row. `types` are those of the keys, "" where one is not known. With `numbered`,
    the last column is the row's place among those of its key.
    """

    original: str
    batch: str
    form: Form
    keys: tuple[int, ...]
    key_columns: tuple[str, ...]
    types: tuple[str, ...]
    numbered: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a statement cannot be rewritten."""

    reason: str


# Equal values of these types are the same text, so that a row's own column tells whose it is.
_EXACT = frozenset(
    {"smallint", "integer", "bigint", "oid", "boolean", "uuid", "text", "date"}
    | {"character varying", "timestamp without time zone", "timestamp with time zone"}
)
# Each call gives another answer, or does something.
_VOLATILE = frozenset(
    {"clock_timestamp", "currval", "dblink", "dblink_exec", "gen_random_uuid", "lastval"}
    | {"lo_export", "lo_import", "lo_unlink", "nextval", "pg_advisory_lock"}
    | {"pg_advisory_unlock", "pg_advisory_xact_lock", "pg_cancel_backend"}
    | {"pg_current_xact_id", "pg_notify", "pg_reload_conf", "pg_sleep"}
    | {"pg_terminate_backend", "pg_try_advisory_lock", "pg_try_advisory_xact_lock", "random"}
    | {"random_normal", "set_config", "setseed", "setval", "timeofday", "txid_current"}
    | {"uuid_generate_v1", "uuid_generate_v4", "uuidv4", "uuidv7"}
)
_COUNTS = (exp.Count, exp.CountIf, exp.ApproxDistinct)
_KEYS = "batch_keys"
_GROUPS = "batch_groups"


def rewrite(
    text: str, keys: Sequence[int], types: Mapping[int, str] | None = None
) -> Rewrite | Refused:
    """The batch for the normalized `text`, whose parameters `keys` differ from call to call.

    `types`: PostgreSQL's names of the keys' types, without which only `= ANY` can be written.
    """
    found = _rewritten(text, keys, types or {})
    if isinstance(found, Rewrite):
        lost = _parameters(text) ^ _parameters(found.batch)
        if lost:
            return Refused(f"sqlglot does not keep {min(lost)}")
    return found


def _parameters(text: str) -> set[str]:
    return {token for kind, token in tokens(text) if kind == "parameter"}


def _rewritten(text: str, keys: Sequence[int], types: Mapping[int, str]) -> Rewrite | Refused:
    try:
        tree = shapes.parse(text)
    except ValueError as error:
        return Refused(str(error))
    numbers = tuple(sorted(set(keys)))
    refusal = _refusal(tree, numbers)
    if refusal:
        return Refused(refusal)
    assert isinstance(tree, exp.Query)
    names = tuple(_key_name(place) for place in range(len(numbers)))
    known = tuple(types.get(number, "") for number in numbers)
    if isinstance(tree, exp.Select):
        columns = _columns(tree, numbers)
        exact = all(types.get(number, "text").partition("(")[0] in _EXACT for number in numbers)
        typed = len(numbers) == 1 or all(number in types for number in numbers)
        if columns is not None and exact and typed and _is_plain(tree):
            batch = _with_any(tree, columns, numbers, types)
            return Rewrite(text, _sql(batch), Form.ANY, numbers, names, known)
    unknown = [f"${number}" for number in numbers if number not in types]
    if unknown:
        return Refused(f"the type of {', '.join(unknown)} is not known")
    if isinstance(tree, exp.Select) and columns is not None and exact and _is_aggregate(tree):
        grouped = _grouped(tree, columns, numbers, types)
        if grouped is not None:
            return Rewrite(text, _sql(grouped), Form.GROUPED, numbers, names, known)
    batch = _lateral(tree, numbers, types)
    ordered = bool(tree.args.get("order"))
    return Rewrite(text, _sql(batch), Form.LATERAL, numbers, names, known, numbered=ordered)


def _refusal(tree: exp.Expr, numbers: tuple[int, ...]) -> str:
    if not numbers:
        return "no parameter differs from call to call"
    if not isinstance(tree, exp.Query):
        return "it is no SELECT"
    if any(True for _ in tree.find_all(exp.Insert, exp.Update, exp.Delete, exp.Merge)):
        return "it changes rows"
    if any(True for _ in tree.find_all(exp.Lock)):
        return "it locks rows: a batch would lock them in another order"
    if any(True for _ in tree.find_all(exp.Into)):
        return "it creates a table"
    if any(True for _ in tree.find_all(exp.TableSample)):
        return "it reads a sample, which is another one at each call"
    called = {_function(node) for node in tree.find_all(exp.Func)} & _VOLATILE
    if called:
        return f"{min(called)}() gives another answer at each call"
    there = {shapes.number_of(node) for node in tree.find_all(exp.Placeholder)}
    missing = [f"${number}" for number in numbers if number not in there]
    return f"it has no {', '.join(missing)}" if missing else ""


def _function(node: exp.Func) -> str:
    name = (node.name if isinstance(node, exp.Anonymous) else node.sql_name()).lower()
    return "random" if name == "rand" else name


def _columns(select: exp.Select, numbers: tuple[int, ...]) -> dict[int, exp.Column] | None:
    """The column that each key must equal, if its parameter stands there and nowhere else."""
    where = select.args.get("where")
    found = {}
    for condition in shapes.conjuncts(where.this if where else None):
        equal = shapes.equality(condition)
        # A cast parameter may be of another type than its column: = ANY would have to know it.
        if equal is not None and equal[1] in numbers and not list(condition.find_all(exp.Cast)):
            found[equal[1]] = equal[0]
    used = [shapes.number_of(node) for node in select.find_all(exp.Placeholder)]
    once = all(used.count(number) == 1 for number in numbers)
    return found if once and len(found) == len(numbers) else None


def _is_plain(select: exp.Select) -> bool:
    """Rows of one key do not depend on those of another."""
    whole = ("limit", "offset", "fetch", "qualify", "windows")
    distinct = select.args.get("distinct")
    if any(select.args.get(name) for name in whole) or (distinct and distinct.args.get("on")):
        return False
    if _own(select, exp.Window) or _has_places(select):
        return False
    if select.args.get("group"):
        sets = (exp.GroupingSets, exp.Cube, exp.Rollup)
        return not any(True for _ in select.args["group"].find_all(*sets))
    return not select.args.get("having") and not _own(select, exp.AggFunc)


def _is_aggregate(select: exp.Select) -> bool:
    """One row, whatever there is: aggregates of all rows, and nothing beside them."""
    others = ("group", "having", "limit", "offset", "fetch", "distinct", "order", "windows", "with")
    if any(select.args.get(name) or select.args.get(f"{name}_") for name in others):
        return False
    return bool(_own(select, exp.AggFunc)) and not _own(select, exp.Window)


def _has_places(select: exp.Select) -> bool:
    """GROUP BY 1 or ORDER BY 2: the key would come first in the list, and move them."""
    listed: list[exp.Expr] = []
    for name in ("group", "order"):
        part = select.args.get(name)
        listed += part.expressions if part else []
    bare = [each.this if isinstance(each, exp.Ordered) else each for each in listed]
    return any(isinstance(each, exp.Literal | exp.Placeholder) for each in bare)


def _own(select: exp.Select, kind: type[exp.Expr]) -> list[exp.Expr]:
    """Nodes of the select list and ORDER BY that do not belong to a subquery."""
    order = select.args.get("order")
    return [
        node
        for part in [*select.expressions, *([order] if order else [])]
        for node in part.find_all(kind)
        if node.find_ancestor(exp.Select) is select
    ]


def _with_any(
    tree: exp.Select,
    columns: Mapping[int, exp.Column],
    numbers: tuple[int, ...],
    types: Mapping[int, str],
) -> exp.Select:
    batch = tree.copy()
    own = _columns(batch, numbers)
    assert own is not None
    if len(numbers) == 1:
        condition = own[numbers[0]].find_ancestor(exp.EQ)
        assert condition is not None
        array = _parameter(numbers[0])
        array = _array(numbers[0], types) if numbers[0] in types else array
        condition.replace(
            exp.EQ(this=columns[numbers[0]].copy(), expression=exp.Any(this=exp.Paren(this=array)))
        )
    else:
        _with_tuples(batch, columns, numbers, types)
    place = batch.args.get("group")
    if place:
        for number in numbers:
            place.append("expressions", columns[number].copy())
    keys = [
        exp.alias_(columns[number].copy(), _key_name(place)) for place, number in enumerate(numbers)
    ]
    batch.set("expressions", [*keys, *batch.expressions])
    return batch


def _with_tuples(
    batch: exp.Select,
    columns: Mapping[int, exp.Column],
    numbers: tuple[int, ...],
    types: Mapping[int, str],
) -> None:
    """`(a, b) IN (SELECT … FROM unnest($1, $2))` in place of `a = $1 AND b = $2`."""
    own = _columns(batch, numbers)
    assert own is not None
    chosen = exp.select(*[exp.column(_key_name(place)) for place in range(len(numbers))]).from_(
        _unnest(numbers, types, ordinality=False)
    )
    pair = exp.Tuple(expressions=[columns[number].copy() for number in numbers])
    for place, number in enumerate(numbers):
        condition = own[number].find_ancestor(exp.EQ)
        assert condition is not None
        if not place:
            condition.replace(exp.In(this=pair, query=exp.Subquery(this=chosen)))
        else:
            _drop(condition)


def _drop(condition: exp.Expr) -> None:
    """Out of the AND that it stands in: there is one, as it is not the only condition."""
    while isinstance(condition.parent, exp.Paren):
        condition = condition.parent
    both = condition.parent
    assert isinstance(both, exp.And)
    both.replace(both.right if condition is both.left else both.left)


def _grouped(
    tree: exp.Select,
    columns: Mapping[int, exp.Column],
    numbers: tuple[int, ...],
    types: Mapping[int, str],
) -> exp.Select | None:
    """Aggregates by key, and a row for each key that has none: there count is 0, the rest NULL.

    None if the select list has more than constants beside the aggregates.
    """
    inner = tree.copy()
    aggregates = []
    outer = []
    for place, item in enumerate(inner.expressions):
        name = item.alias or _default_name(item) or item.output_name or f"column_{place + 1}"
        bare = (item.this if isinstance(item, exp.Alias) else item).copy()
        holder = exp.Paren(this=bare)
        for node in list(holder.find_all(exp.AggFunc)):
            if node.find_ancestor(exp.AggFunc):
                return None
            aggregate = node.parent if isinstance(node.parent, exp.Filter) else node
            if isinstance(aggregate.parent, exp.WithinGroup | exp.IgnoreNulls):
                return None
            aggregates.append(aggregate.copy())
            value: exp.Expr = exp.column(f"value_{len(aggregates)}", table=_GROUPS)
            if isinstance(node, _COUNTS):
                value = exp.Coalesce(this=value, expressions=[exp.Literal.number(0)])
            aggregate.replace(value)
        left = holder.find_all(exp.Column, exp.Subquery, exp.Star)
        if any(not isinstance(node, exp.Column) or node.table != _GROUPS for node in left):
            return None
        quoted = exp.to_identifier(name, quoted=True)
        outer.append(exp.Alias(this=holder.this, alias=quoted))
    inner.set(
        "expressions", [exp.alias_(each, f"value_{n}") for n, each in enumerate(aggregates, 1)]
    )
    inner.set("group", exp.Group(expressions=[columns[number].copy() for number in numbers]))
    found = _with_any(inner, columns, numbers, types)
    # The key stands in GROUP BY once.
    found.set("group", exp.Group(expressions=[columns[number].copy() for number in numbers]))
    keys = [exp.column(_key_name(place), table=_KEYS) for place in range(len(numbers))]
    on = exp.and_(
        *[
            exp.EQ(this=key.copy(), expression=exp.column(_key_name(place), table=_GROUPS))
            for place, key in enumerate(keys)
        ]
    )
    return (
        exp.select(*keys, *outer)
        .from_(_unnest(numbers, types, ordinality=False))
        .join(exp.alias_(exp.Subquery(this=found), _GROUPS, table=True), on=on, join_type="left")
    )


def _default_name(item: exp.Expr) -> str:
    """PostgreSQL names a column after its function."""
    if isinstance(item, exp.Filter):
        return _default_name(item.this)
    return (
        item.sql(dialect="postgres").partition("(")[0].lower() if isinstance(item, exp.Func) else ""
    )


def _lateral(tree: exp.Query, numbers: tuple[int, ...], types: Mapping[int, str]) -> exp.Select:
    inner = tree.copy()
    for node in list(inner.find_all(exp.Placeholder)):
        number = shapes.number_of(node)
        if number in numbers:
            key = _key_name(numbers.index(number))
            node.replace(exp.column(key, table=_KEYS))
    ordered = bool(tree.args.get("order"))
    rows = exp.select("batch_query.*").from_(exp.Subquery(this=inner).as_("batch_query"))
    if ordered:
        # The order of the rows of one key outlives the sort by key only if it is a column.
        number_ = exp.alias_(exp.Window(this=exp.RowNumber()), "batch_row")
        rows = rows.select(number_)
    lateral = exp.Lateral(
        this=exp.Subquery(this=rows), alias=exp.TableAlias(this=exp.to_identifier("batch_rows"))
    )
    keys = [exp.column(_key_name(place), table=_KEYS) for place in range(len(numbers))]
    batch = exp.select(*keys, "batch_rows.*").from_(_unnest(numbers, types, ordinality=True))
    batch = batch.join(lateral, join_type="cross").order_by(exp.column("batch_place", table=_KEYS))
    return batch.order_by(exp.column("batch_row", table="batch_rows")) if ordered else batch


def _unnest(numbers: tuple[int, ...], types: Mapping[int, str], *, ordinality: bool) -> exp.Expr:
    names = [exp.to_identifier(_key_name(place)) for place in range(len(numbers))]
    if ordinality:
        names.append(exp.to_identifier("batch_place"))
    arrays = ", ".join(f"${number}::{types[number]}[]" for number in numbers)
    columns = ", ".join(name.name for name in names)
    suffix = " WITH ORDINALITY" if ordinality else ""
    # sqlglot has no ordinality for unnest of several arrays in PostgreSQL.
    return exp.Table(
        this=exp.Var(this=f"unnest({arrays}){suffix} AS {_KEYS}({columns})"),
    )


def _array(number: int, types: Mapping[int, str]) -> exp.Expr:
    return exp.Var(this=f"${number}::{types[number]}[]")


def _parameter(number: int) -> exp.Expr:
    return exp.Parameter(this=exp.Literal.number(number))


def _key_name(place: int) -> str:
    return "batch_key" if not place else f"batch_key_{place + 1}"


def _sql(tree: exp.Expr) -> str:
    final = tree.copy()
    for node in list(final.find_all(exp.Placeholder)):
        number = shapes.number_of(node)
        if number is not None:
            node.replace(_parameter(number))
    return final.sql(dialect="postgres", comments=False)
