"""What a query is taken to cost with sets of indexes that were not asked about.

The answer lies between bounds: with more indexes a query costs no more than with those that a plan
needs, with fewer no less than with all that were at hand. Within them it is hoped that an index
that begins with the same key as one that was asked about is as good, and that indexes on different
tables save what they save each. How much of such hopes comes true is learned for each query.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from foretide.dbadvisor.snapshot import IndexKey, Relation
from foretide.dbadvisor.whatif import Asked, bits


@dataclass(frozen=True, slots=True)
class Weighed:
    """A candidate's table, first key and predicate, and its price: bytes, and what its upkeep at
    writes costs in the unit of benefits.
    """

    table: Relation
    first: IndexKey
    bytes: float
    write_cost: float = 0.0
    predicate: str | None = None
    width: int = 1  # columns: keys, included ones, and one for a predicate


class Saving(NamedTuple):
    """What a set of indexes saves a query, all of them together; tables and families as masks."""

    used: int
    tables: int
    families: int
    gain: float


class Kinds:
    """Of each candidate its table and its family: those that begin alike, and hold the same rows.
    `members` are the candidates of each family.
    """

    def __init__(self, prices: Sequence[Weighed]) -> None:
        names = {name: place for place, name in enumerate(sorted({one.table for one in prices}))}
        self.table = [1 << names[price.table] for price in prices]
        families: dict[tuple[Relation, IndexKey, str | None], int] = {}
        self.family = []
        for price in prices:
            key = (price.table, price.first, price.predicate)
            self.family.append(1 << families.setdefault(key, len(families)))
        self.members = [0] * len(families)
        for place, family in enumerate(self.family):
            self.members[family.bit_length() - 1] |= 1 << place

    def tables_of(self, indexes: int) -> int:
        return _union(indexes, self.table)

    def families_of(self, indexes: int) -> int:
        return _union(indexes, self.family)

    def alike(self, families: int) -> int:
        """All candidates of these families."""
        return _union(families, self.members)


def _union(places: int, masks: Sequence[int]) -> int:
    found = 0
    for place in bits(places):
        found |= masks[place]
    return found


class Estimate:
    """One query's costs. `base` is that without indexes, `savings` what sets that plans have used
    save, the largest first.
    """

    def __init__(self, kinds: Kinds, answers: Sequence[Asked]) -> None:
        self._kinds = kinds
        self._hope = 1.0
        self._answers = -1
        self.base = math.inf
        self.savings: list[Saving] = []
        self.read(answers)

    def read(self, answers: Sequence[Asked]) -> None:
        """Takes in all that is known by now, of answers to which others are only added."""
        if len(answers) == self._answers:
            return
        self._answers = len(answers)
        ranked = sorted(answers, key=lambda one: (one.cost, one.used.bit_count(), one.used))
        self._highs: list[tuple[float, int]] = []
        for _, used, cost in ranked:
            if all(needed & ~used for _, needed in self._highs):
                self._highs.append((cost, used))
        self._lows: list[tuple[float, int]] = []
        for at_hand, _, cost in reversed(ranked):
            if all(at_hand & ~wider for _, wider in self._lows):
                self._lows.append((cost, at_hand))
        self.base = self.most(0)
        self.savings = [
            Saving(
                used, self._kinds.tables_of(used), self._kinds.families_of(used), self.base - cost
            )
            for cost, used in self._highs
            if used and cost < self.base
        ]
        self._hoped: list[tuple[float, int, list[int]]] = []
        kept: list[int] = []
        for _, tables, families, gain in self.savings:
            # One that saves as much with fewer families stands before it.
            if all(fewer & ~families for fewer in kept):
                kept.append(families)
                members = [self._kinds.members[family] for family in bits(families)]
                self._hoped.append((gain, tables, members))
        self._tables = 0
        for _, tables, _ in self._hoped:
            self._tables |= tables
        self._known: dict[int, float] = {}

    def most(self, indexes: int) -> float:
        """What it costs at most with these."""
        missing = ~indexes
        for cost, needed in self._highs:
            if not needed & missing:
                return cost
        return math.inf

    def cost(self, indexes: int) -> float:
        """What it is taken to cost with these."""
        known = self._known.get(indexes)
        if known is None:
            known = self._known[indexes] = self._hopeful(indexes)
        return known

    def _hopeful(self, indexes: int) -> float:
        most, hoped = self.most(indexes), self.added_up(indexes)
        if hoped >= most:
            return most
        found = most - self._hope * (most - hoped)
        for cost, at_hand in self._lows:
            if cost <= found:
                break
            if not indexes & ~at_hand:
                return min(cost, most)
        return found

    def added_up(self, indexes: int) -> float:
        """The cost if indexes that begin alike were as good as each other, and those on different
        tables saved all that they save without each other.
        """
        saved, taken = 0.0, 0
        for gain, tables, members in self._hoped:
            if tables & taken:
                continue
            for family in members:
                if not family & indexes:
                    break
            else:
                saved += gain
                taken |= tables
                if taken == self._tables:
                    break
        return self.base - saved

    def learn(self, indexes: int, true: float) -> bool:
        """What it really costs with these; whether that is news. Without learning how much of its
        hopes comes true, a search would be lured by one set after the other that differ in nothing
        that matters.
        """
        high, hoped = self.most(indexes), self.added_up(indexes)
        if hoped < high:
            came_true = min(1.0, max(0.0, (high - true) / (high - hoped)))
            self._hope = (self._hope + came_true) / 2
            self._known = {}
        return hoped < high - 1e-6 * self.base or true < high
