"""What a normalized statement reads and by which keys: as much of it as an N+1 shows in."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from foretide.dbadvisor import normalized

# Of others sqlglot writes the text into the log, passwords and all.
_QUERIES = frozenset(
    {"(", "select", "with", "values", "table", "insert", "update", "delete", "merge"}
)
_DEEPEST = 200  # nested brackets: beyond it the parser would run out of stack


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """`column` of the relation `table` (with its schema if the text has it) must equal `$number`.

    `table` is "" where the text does not say whose the column is.
    """

    table: str
    column: str
    number: int


@dataclass(frozen=True, slots=True)
class Shape:
    """`tables`: names of the relations that are read, sorted. `keys`: equalities between a column
    and a parameter that must hold for every row. `columns`: names of columns it mentions.

    `locks`: it locks the rows, or changes something.
    """

    select: bool
    tables: tuple[str, ...]
    keys: tuple[Key, ...] = ()
    columns: frozenset[str] = frozenset()
    locks: bool = False


def parse(text: str) -> exp.Expr:
    """The tree of one statement with `$n`; parameters are placeholders named `p1`, `p2` …

    Raises:
        ValueError: it is no single statement, or sqlglot cannot read it.
    """
    words = normalized.words(text, tolerant=True)
    first = next((word.text for word in words if word.kind != "space"), "").lower()
    if first not in _QUERIES:
        raise ValueError("it is no query")
    prepared = _prepared(words)
    if prepared.count("(") > _DEEPEST and _depth(prepared) > _DEEPEST:
        raise ValueError("it is nested too deeply")
    try:
        trees = [tree for tree in sqlglot.parse(prepared, dialect="postgres") if tree is not None]
    except (SqlglotError, RecursionError) as error:
        raise ValueError("sqlglot cannot read it") from error
    if len(trees) != 1:
        raise ValueError("it is not one statement")
    return trees[0]


def _prepared(words: Sequence[normalized.Word]) -> str:
    """With `:p1` for `$1`, as sqlglot reads `$1,$` as the start of a dollar-quoted string, and with
    casts for types that stand before a parameter: it would lose the parameter.
    """
    parts = []
    for word in normalized.with_casts(words):
        if word.kind == "parameter":
            name = f":p{word.number} "
            parts.append(f"CAST({name}AS {word.cast})" if word.cast else name)
        else:
            parts.append(" " if word.kind == "space" else word.text)
    return "".join(parts)


def number_of(node: object) -> int | None:
    """n, if `node` is the parameter `$n`, also in brackets or cast to a type."""
    while isinstance(node, exp.Paren | exp.Cast):
        node = node.this
    if isinstance(node, exp.Placeholder) and isinstance(node.this, str):
        name = node.this
        return int(name[1:]) if name[:1] == "p" and name[1:].isdigit() else None
    return None


def conjuncts(condition: exp.Expr | None) -> list[exp.Expr]:
    """The conditions that must all hold."""
    if condition is None:
        return []
    while isinstance(condition, exp.Paren):
        condition = condition.this
    if isinstance(condition, exp.And):
        return [*conjuncts(condition.left), *conjuncts(condition.right)]
    return [condition]


def equality(condition: exp.Expr) -> tuple[exp.Column, int] | None:
    """The column and the parameter's number, if it says that they are equal."""
    if not isinstance(condition, exp.EQ):
        return None
    for column, other in ((condition.left, condition.right), (condition.right, condition.left)):
        number = number_of(other)
        if number is not None and isinstance(column, exp.Column):
            return column, number
    return None


@lru_cache(maxsize=4096)
def shape(text: str) -> Shape | None:
    """What `text` reads, or None if it cannot be parsed."""
    try:
        tree = parse(text)
    except ValueError:
        return None
    if not isinstance(tree, exp.Query):
        return Shape(False, (), locks=True)
    common = {each.alias_or_name for each in tree.find_all(exp.CTE)}
    tables = {
        _named(table)
        for table in tree.find_all(exp.Table)
        if table.name and (table.db or table.name not in common)
    }
    changes = (exp.Lock, exp.Insert, exp.Update, exp.Delete, exp.Merge)
    return Shape(
        True,
        tuple(sorted(tables)),
        _keys(tree, common) if isinstance(tree, exp.Select) else (),
        frozenset(_name(column.this) for column in tree.find_all(exp.Column)),
        any(True for _ in tree.find_all(*changes)),
    )


def _keys(select: exp.Select, common: set[str]) -> tuple[Key, ...]:
    from_ = select.args.get("from_") or select.args.get("from")
    joins = select.args.get("joins") or []
    sources = [from_.this] if from_ else []
    sources += [join.this for join in joins]
    named = {
        _name(source.args["alias"].this if source.alias else source.this): _named(source)
        for source in sources
        if isinstance(source, exp.Table) and source.name not in common
    }
    only = next(iter(named.values())) if len(sources) == 1 and named else ""
    where = select.args.get("where")
    found = set()
    for condition in conjuncts(where.this if where else None):
        equal = equality(condition)
        if equal is not None:
            column, number = equal
            table = named.get(_name(column.args["table"]), "") if column.table else only
            found.add(Key(table, _name(column.this), number))
    return tuple(sorted(found))


def _named(table: exp.Table) -> str:
    name = _name(table.this)
    return f"{_name(table.args['db'])}.{name}" if table.db else name


def _name(identifier: exp.Expr) -> str:
    """As the catalog has it: in small letters, unless it is quoted."""
    name = identifier.name
    return name if identifier.args.get("quoted") else name.lower()


def _depth(text: str) -> int:
    deepest = depth = 0
    for character in text:
        if character == "(":
            depth += 1
            deepest = max(deepest, depth)
        elif character == ")":
            depth -= 1
    return deepest
