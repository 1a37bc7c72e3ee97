"""Expressions of columns: which of them an index could hold, and how they are written."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import SqlglotError
from sqlglot.parsers.postgres import PostgresParser

from foretide.dbadvisor import normalized


class Plain(Postgres):
    """PostgreSQL's SQL, with functions left as they are named: PostgreSQL matches an index by the
    very function, and `substr` is not `substring`.
    """

    class Parser(PostgresParser):
        FUNCTIONS: ClassVar[dict[str, Any]] = {}


# Built in and immutable. PostgreSQL takes no others in an index, and most of these that are not
# told apart here by their arguments' types are so for every type.
IMMUTABLE = frozenset(
    {"lower", "upper", "initcap", "btrim", "ltrim", "rtrim", "length", "char_length", "substr"}
    | {"left", "right", "reverse", "replace", "translate", "split_part", "strpos", "md5"}
    | {"abs", "round", "floor", "ceil", "ceiling", "trunc", "sign", "mod", "power", "sqrt"}
    | {"coalesce", "nullif", "greatest", "least", "date", "date_part", "date_trunc"}
    | {"array_length", "cardinality", "jsonb_array_length", "jsonb_extract_path_text"}
)
# Of these the answer for a `timestamp with time zone` depends on the session's time zone.
BY_TIME_ZONE = frozenset({"date", "date_part", "date_trunc"})
_NODES = (
    *(exp.Column, exp.Literal, exp.Identifier, exp.Paren, exp.Null, exp.Boolean, exp.Var),
    *(exp.Anonymous, exp.Cast, exp.DataType, exp.DataTypeParam, exp.Interval, exp.Neg),
    *(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.DPipe),
    *(exp.Substring, exp.Trim, exp.Extract, exp.StrPosition, exp.AtTimeZone),
    *(exp.JSONExtract, exp.JSONExtractScalar, exp.JSONBExtract, exp.JSONBExtractScalar),
    *(exp.JSONPath, exp.JSONPathRoot, exp.JSONPathKey, exp.JSONPathSubscript),
)
# What an immutable cast leads from and to: dates as text depend on `datestyle`.
_PLAIN_TYPES = frozenset({"smallint", "integer", "bigint", "numeric", "text", "uuid", "boolean"})


def parse(text: str) -> exp.Expr:
    """The tree of a text's one statement.

    Raises:
        normalized.Unreadable: it has none, or several, or is not understood.
    """
    prepared = normalized.parseable(text)
    try:
        trees = [tree for tree in Plain().parse(prepared) if tree is not None]
    except SqlglotError as error:
        raise normalized.Unreadable(f"not understood: {_first_line(error)}") from None
    except RecursionError:
        raise normalized.Unreadable("not understood: nested too deeply") from None
    if len(trees) != 1:
        raise normalized.Unreadable(f"{len(trees)} statements in one text")
    return trees[0]


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:200]


def bare(node: exp.Expr) -> exp.Expr:
    """Without brackets around it."""
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def is_indexable(node: exp.Expr, type_of: Callable[[exp.Column], str]) -> bool:
    """Whether PostgreSQL would take it as a key: immutable, of columns and constants alone.
    `type_of` a column, as format_type writes it.
    """
    zoned = any("with time zone" in type_of(column) for column in node.find_all(exp.Column))
    for each in node.walk():
        if not isinstance(each, _NODES):
            return False
        if isinstance(each, exp.Anonymous):
            name = str(each.this).lower()
            if name not in IMMUTABLE or (zoned and name in BY_TIME_ZONE):
                return False
        elif isinstance(each, exp.Cast):
            if not _is_immutable_cast(each, type_of):
                return False
        elif zoned and isinstance(each, exp.Extract):
            return False
    return True


def _is_immutable_cast(cast: exp.Cast, type_of: Callable[[exp.Column], str]) -> bool:
    inner = bare(cast.this)
    if isinstance(inner, exp.Literal | exp.Null):
        return cast.to.is_type("text", "varchar", "int", "bigint", "decimal")
    target = cast.to.sql(dialect=Plain).lower().partition("(")[0]
    target = {"int": "integer", "decimal": "numeric"}.get(target, target)
    if isinstance(inner, exp.Column):
        source = type_of(inner).partition("(")[0]
        if source == "timestamp without time zone":
            return target == "date"
        return target in _PLAIN_TYPES and (
            source in _PLAIN_TYPES or source in ("character varying", "character")
        )
    return target in _PLAIN_TYPES


def written(node: exp.Expr, name_of: Callable[[exp.Column], str]) -> str:
    """As SQL over a table's own columns, unqualified and in quotes."""
    copy = node.copy()
    # A root that is a column cannot be replaced in its place.
    holder = exp.Paren(this=copy)
    for column in list(holder.find_all(exp.Column)):
        column.replace(exp.column(exp.to_identifier(name_of(column), quoted=True)))
    return str(holder.this.sql(dialect=Plain, normalize_functions=False))


def constants(node: exp.Expr | None) -> tuple[str, ...]:
    """The values of a constant, or of a list of them, without quotes; empty if any is unknown."""
    found = []
    for each in _listed(node):
        value = _constant(bare(each))
        if value is None:
            return ()
        found.append(value)
    return tuple(found)


def _listed(node: exp.Expr | None) -> Iterator[exp.Expr]:
    if node is None:
        return
    node = bare(node)
    if isinstance(node, exp.Any | exp.Array | exp.Tuple):
        inner = [node.this] if isinstance(node, exp.Any) else node.expressions
        for each in inner:
            yield from _listed(each)
    else:
        yield node


def _constant(node: exp.Expr) -> str | None:
    if isinstance(node, exp.Cast):
        return _constant(bare(node.this))
    if isinstance(node, exp.Literal):
        return str(node.this)
    if isinstance(node, exp.Neg):
        inner = _constant(bare(node.this))
        return None if inner is None else f"-{inner}"
    if isinstance(node, exp.Boolean):
        return "t" if node.this else "f"
    return None
