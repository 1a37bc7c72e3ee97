"""Conditions of WHERE and ON: what they demand of each table's keys."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlglot import exp

from foretide.dbadvisor import expressions
from foretide.dbadvisor.scopes import Target
from foretide.dbadvisor.uses import Join, Occurrence, Predicate

Targets = Callable[[exp.Expr], tuple[Target, ...]]
Outputs = Callable[[exp.Expr], tuple[tuple[Target, ...], ...]]

_RANGES = (exp.GT, exp.GTE, exp.LT, exp.LTE)
_ANCHORED = re.compile(r"\^(?:\w|[ @:/-])")


@dataclass
class Found:
    """What conditions demand, in the order in which it was seen."""

    predicates: list[tuple[Occurrence, Predicate]] = field(default_factory=list)
    joins: list[tuple[Target, Target]] = field(default_factory=list)
    alternatives: list[tuple[Occurrence, tuple[tuple[Predicate, ...], ...]]] = field(
        default_factory=list
    )

    def kept(self) -> None:
        """Gives each table what is demanded of it."""
        for occurrence, predicate in self.predicates:
            occurrence.predicates.append(predicate)
        for one, other in self.joins:
            one.occurrence.joins.append(Join(one.key, other.occurrence.relation, other.key))
            other.occurrence.joins.append(Join(other.key, one.occurrence.relation, one.key))
        for occurrence, arms in self.alternatives:
            occurrence.alternatives.append(arms)


class Reader:
    """Reads conditions. `targets` says what an expression comes down to, `outputs` the same of the
    columns of a subquery.
    """

    def __init__(self, targets: Targets, outputs: Outputs) -> None:
        self._targets = targets
        self._outputs = outputs

    def read(self, node: exp.Expr | None) -> Found:
        found = Found()
        if node is not None:
            self._condition(node, found)
        return found

    def _condition(self, node: exp.Expr, found: Found) -> None:
        node = expressions.bare(node)
        if isinstance(node, exp.And):
            for each in node.flatten():
                self._condition(each, found)
        elif isinstance(node, exp.Or):
            self._any_of(list(node.flatten()), found)
        elif isinstance(node, exp.Not):
            self._negated(expressions.bare(node.this), found)
        elif node.args.get("negate") and not isinstance(node, exp.Is):
            return
        elif isinstance(node, exp.EQ | exp.NullSafeEQ):
            self._equal(node.this, node.expression, found)
        elif isinstance(node, _RANGES):
            self._ranged(node, found)
        elif isinstance(node, exp.Between):
            self._add(node.this, "range", _both(node.args["low"], node.args["high"]), found)
        elif isinstance(node, exp.In):
            self._in(node, found)
        elif isinstance(node, exp.Is):
            self._is(node, found)
        else:
            self._pattern_or_truth(node, found)

    def _pattern_or_truth(self, node: exp.Expr, found: Found) -> None:
        if isinstance(node, exp.Escape):
            if isinstance(node.this, exp.Like):
                self._like(node.this, found, escape="".join(expressions.constants(node.expression)))
        elif isinstance(node, exp.Like):
            self._like(node, found)
        elif isinstance(node, exp.StartsWith):
            values = expressions.constants(node.expression)
            self._add(node.this, "prefix", values, found)
        elif isinstance(node, exp.RegexpLike):
            pattern = expressions.constants(node.expression)
            if not pattern or _ANCHORED.match(pattern[0]):
                self._add(node.this, "prefix", (), found)
        elif isinstance(node, exp.Column):
            self._add(node, "=", ("t",), found)

    def _negated(self, node: exp.Expr, found: Found) -> None:
        if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
            self._add(node.this, "not null", (), found)
        elif isinstance(node, exp.Column):
            self._add(node, "=", ("f",), found)

    def _is(self, node: exp.Is, found: Found) -> None:
        wanted = node.expression
        if isinstance(wanted, exp.Null):
            self._add(node.this, "not null" if node.args.get("negate") else "null", (), found)
        elif isinstance(wanted, exp.Boolean):
            self._add(node.this, "=", expressions.constants(wanted), found)

    def _equal(self, left: exp.Expr, right: exp.Expr, found: Found) -> None:
        left, right = expressions.bare(left), expressions.bare(right)
        if isinstance(left, exp.Tuple) and isinstance(right, exp.Tuple):
            for one, other in zip(left.expressions, right.expressions, strict=False):
                self._equal(one, other, found)
            return
        if isinstance(right, exp.Any):
            inner = expressions.bare(right.this)
            if isinstance(inner, exp.Query):
                self._in_query(left, inner, found)
            else:
                self._add(left, "in", expressions.constants(inner), found)
            return
        if isinstance(right, exp.Anonymous) and str(right.this).lower() == "all":
            return
        lefts, rights = self._targets(left), self._targets(right)
        if lefts and rights:
            self._joined(lefts, rights, found)
        elif lefts:
            self._add(left, "=", expressions.constants(right), found)
        elif rights:
            self._add(right, "=", expressions.constants(left), found)

    def _joined(self, lefts: tuple[Target, ...], rights: tuple[Target, ...], found: Found) -> None:
        for one in lefts:
            for other in rights:
                if one.occurrence is not other.occurrence:
                    found.joins.append((one, other))

    def _ranged(self, node: exp.Expr, found: Found) -> None:
        left, right = expressions.bare(node.this), expressions.bare(node.expression)
        if isinstance(left, exp.Tuple) and isinstance(right, exp.Tuple):
            # (a, b) > (1, 2), as pages are turned: the first decides where to begin.
            for each in left.expressions:
                self._add(each, "range", (), found)
            return
        lefts, rights = self._targets(left), self._targets(right)
        if {id(each.occurrence) for each in lefts} & {id(each.occurrence) for each in rights}:
            return  # Two columns of one row: no index begins anywhere.
        self._add(left, "range", expressions.constants(right), found)
        self._add(right, "range", expressions.constants(left), found)

    def _in(self, node: exp.In, found: Found) -> None:
        query = node.args.get("query")
        if query is not None:
            self._in_query(node.this, query, found)
            return
        left = expressions.bare(node.this)
        if isinstance(left, exp.Tuple):
            for each in left.expressions:
                self._add(each, "in", (), found)
            return
        values: list[str] = []
        for each in node.expressions:
            values.extend(expressions.constants(each))
        whole = len(values) == len(node.expressions)
        kind = "=" if len(node.expressions) == 1 and whole else "in"
        self._add(left, kind, tuple(values) if whole else (), found)

    def _in_query(self, left: exp.Expr, query: exp.Expr, found: Found) -> None:
        left = expressions.bare(left)
        keys = left.expressions if isinstance(left, exp.Tuple) else [left]
        for key, output in zip(keys, self._outputs(query), strict=False):
            targets = self._targets(key)
            if targets and output:
                self._joined(targets, output, found)
            elif targets:
                self._add(key, "in", (), found)

    def _like(self, node: exp.Like, found: Found, escape: str = "\\") -> None:
        right = expressions.bare(node.expression)
        pattern = expressions.constants(right)
        if not pattern:
            self._add(node.this, "prefix", (), found)
            return
        prefix, whole = _until_wildcard(pattern[0], escape)
        if whole:
            self._add(node.this, "=", (prefix,), found)
        elif prefix:
            self._add(node.this, "prefix", (prefix,), found)

    def _add(self, node: exp.Expr, kind: str, values: tuple[str, ...], found: Found) -> None:
        for target in self._targets(node):
            found.predicates.append((target.occurrence, Predicate(target.key, kind, values)))

    def _any_of(self, arms: list[exp.Expr], found: Found) -> None:
        """What all arms of an OR say of a table; a join that all of them have holds anyway."""
        read = [self.read(arm) for arm in arms]
        first = read[0]
        for join in first.joins:
            if all(_same(join, arm.joins) for arm in read[1:]):
                found.joins.append(join)
        seen: list[Occurrence] = []
        for occurrence, _ in first.predicates:
            if any(occurrence is each for each in seen):
                continue
            seen.append(occurrence)
            demanded = [
                tuple(each for of, each in arm.predicates if of is occurrence) for arm in read
            ]
            if all(demanded):
                one = _one_key(demanded)
                if one is not None:
                    found.predicates.append((occurrence, one))
                else:
                    found.alternatives.append((occurrence, tuple(dict.fromkeys(demanded))))


def _same(join: tuple[Target, Target], among: list[tuple[Target, Target]]) -> bool:
    return any(_equal_ends(join, each) or _equal_ends(join, (each[1], each[0])) for each in among)


def _equal_ends(one: tuple[Target, Target], other: tuple[Target, Target]) -> bool:
    return all(
        mine.occurrence is yours.occurrence and mine.key == yours.key
        for mine, yours in zip(one, other, strict=True)
    )


def _one_key(demanded: list[tuple[Predicate, ...]]) -> Predicate | None:
    """`a = 1 OR a = 2` is `a IN (1, 2)`."""
    if any(len(arm) != 1 or arm[0].kind not in ("=", "in") for arm in demanded):
        return None
    if len({arm[0].key for arm in demanded}) > 1:
        return None
    values = [value for arm in demanded for value in arm[0].values]
    whole = all(arm[0].values for arm in demanded)
    return Predicate(demanded[0][0].key, "in", tuple(values) if whole else ())


def _both(low: exp.Expr, high: exp.Expr) -> tuple[str, ...]:
    values = (*expressions.constants(low), *expressions.constants(high))
    return values if len(values) == 2 else ()


def _until_wildcard(pattern: str, escape: str) -> tuple[str, bool]:
    """The part of a pattern of LIKE that stands for itself, and whether that is all of it."""
    prefix, place = "", 0
    while place < len(pattern):
        letter = pattern[place]
        if letter in "%_":
            return prefix, False
        if letter == escape and place + 1 < len(pattern):
            place += 1
            letter = pattern[place]
        prefix += letter
        place += 1
    return prefix, True
