"""The cheapest set of indexes within a budget, by what is known of the queries so far.

Nothing is asked here. What a query costs with a set that was not asked about lies between bounds
(`Costs.bounds`); within them it is taken to save what indexes on different tables save each. That
is hopeful: the caller asks what the set found really costs, and searches again.

Greedy additions by gain for each byte, of single indexes and of sets that were used together; then
exchanges: one index is taken out and the room filled anew, or one is put in and the least useful
ones go, until neither helps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foretide.dbadvisor.snapshot import Relation
from foretide.dbadvisor.whatif import Costs, bits

# A gain smaller than this share of the workload's cost is not worth an index.
LEAST_GAIN = 1e-4
MOST_PASSES = 12
# Greedy runs differ in how much size counts: none of these is best everywhere.
SIZE_POWERS = (1.0, 0.6, 0.3)


@dataclass(frozen=True, slots=True)
class Weighed:
    """A candidate's table and price: bytes, and what writes will cost in the unit of benefits."""

    table: Relation
    bytes: float
    write_cost: float = 0.0


@dataclass(frozen=True, slots=True)
class _Saving:
    """What a set of indexes saves a query, all of them together; `tables` as a mask."""

    used: int
    tables: int
    gain: float


class Search:
    """`weights` by query, `prices` by candidate; `queries` are those that some candidate helps."""

    def __init__(
        self,
        costs: Costs,
        weights: Mapping[str, float],
        prices: Sequence[Weighed],
        queries: Sequence[str],
    ) -> None:
        self._costs = costs
        self._queries = list(queries)
        self._weights = [weights[query] for query in queries]
        self._prices = prices
        names = sorted({price.table for price in prices})
        self._table = [1 << names.index(price.table) for price in prices]
        self._memory: list[dict[int, float]] = [{} for _ in queries]
        self._bases = [costs.bounds(query, 0)[1] for query in queries]
        self._savings: list[list[_Saving]] = []
        self._useful: list[int] = []
        self._readers: dict[int, list[int]] = {}
        for number, query in enumerate(queries):
            self._read(number, query)
        self._moves = self._find_moves()
        total = sum(w * base for w, base in zip(self._weights, self._bases, strict=True))
        self._least = LEAST_GAIN * total

    def best(self, budget: float, start: int = 0) -> int:
        """A set that no addition or exchange betters."""
        starts = [start if self._bytes(start) <= budget else 0]
        starts += [self._filled(0, budget, power) for power in SIZE_POWERS]
        found = [self._improved(one, budget) for one in dict.fromkeys(starts)]
        return min(found, key=lambda one: (self.cost(one), self._bytes(one), one))

    def cost(self, indexes: int) -> float:
        """What the workload is taken to cost, writes included."""
        reads = sum(
            weight * self._query_cost(number, indexes)
            for number, weight in enumerate(self._weights)
        )
        return reads + sum(self._prices[place].write_cost for place in bits(indexes))

    def _read(self, number: int, query: str) -> None:
        base, savings, useful = self._bases[number], [], 0
        for answer in self._costs.used(query):
            if answer.used and answer.cost < base:
                tables = 0
                for place in bits(answer.used):
                    tables |= self._table[place]
                savings.append(_Saving(answer.used, tables, base - answer.cost))
                useful |= answer.used
        savings.sort(key=lambda one: (-one.gain, one.used.bit_count(), one.used))
        self._savings.append(savings)
        self._useful.append(useful)
        for place in bits(useful):
            self._readers.setdefault(place, []).append(number)

    def _find_moves(self) -> list[int]:
        moves = {1 << place for place in self._readers}
        for savings in self._savings:
            moves.update(saving.used for saving in savings)
        return sorted(moves)

    def _query_cost(self, number: int, indexes: int) -> float:
        at_hand = indexes & self._useful[number]
        memory = self._memory[number]
        known = memory.get(at_hand)
        if known is None:
            known = memory[at_hand] = self._estimated(number, at_hand)
        return known

    def _estimated(self, number: int, at_hand: int) -> float:
        low, high = self._costs.bounds(self._queries[number], at_hand)
        if low >= high or not at_hand:
            return high
        saved, tables = 0.0, 0
        for saving in self._savings[number]:
            if not saving.used & ~at_hand and not saving.tables & tables:
                saved += saving.gain
                tables |= saving.tables
        return min(high, max(low, self._bases[number] - saved))

    def _gain(self, indexes: int, changed: int) -> float:
        """What it saves to have `changed` instead of `indexes`, writes included."""
        numbers: set[int] = set()
        gain = 0.0
        for place in bits(indexes ^ changed):
            numbers.update(self._readers.get(place, ()))
            sign = -1 if changed >> place & 1 else 1
            gain += sign * self._prices[place].write_cost
        # In order: sums of floats depend on it.
        for number in sorted(numbers):
            before = self._query_cost(number, indexes)
            gain += self._weights[number] * (before - self._query_cost(number, changed))
        return gain

    def _bytes(self, indexes: int) -> float:
        return sum(self._prices[place].bytes for place in bits(indexes))

    def _filled(self, indexes: int, budget: float, power: float, banned: int = 0) -> int:
        """Adds what gains most for its size, as long as there is room. Gains shrink as the set
        grows, so that those of earlier rounds serve as bounds (lazy greedy, Minoux 1978).
        """
        room = budget - self._bytes(indexes)
        waiting: list[tuple[float, int]] = []
        for move in self._moves:
            score = self._score(indexes, move, room, power) if not move & banned else 0.0
            if score > 0:
                waiting.append((score, move))
        while waiting:
            waiting.sort(key=lambda one: (-one[0], one[1]))
            place = self._refreshed(waiting, indexes, room, power)
            if place is None:
                break
            _, move = waiting.pop(place)
            indexes |= move
            room = budget - self._bytes(indexes)
        return indexes

    def _refreshed(
        self, waiting: list[tuple[float, int]], indexes: int, room: float, power: float
    ) -> int | None:
        """Where the best move of now is; scores looked at on the way are brought up to date."""
        best: tuple[float, int] | None = None
        for place, (score, move) in enumerate(waiting):
            if best is not None and score <= best[0]:
                break
            now = self._score(indexes, move, room, power)
            waiting[place] = (now, move)
            if now > 0 and (best is None or now > best[0]):
                best = (now, place)
        return best[1] if best is not None else None

    def _score(self, indexes: int, move: int, room: float, power: float) -> float:
        new = move & ~indexes
        size = self._bytes(new)
        if not new or size > room:
            return 0.0
        gain = self._gain(indexes, indexes | new)
        if gain < self._least * new.bit_count():
            return 0.0
        return gain / float(size**power)

    def _improved(self, indexes: int, budget: float) -> int:
        for _ in range(MOST_PASSES):
            before = indexes
            indexes = self._pruned(indexes)
            for exchange in (self._taken_out, self._put_in):
                indexes = exchange(indexes, budget)
            if indexes == before:
                break
        return indexes

    def _pruned(self, indexes: int) -> int:
        """Without those that gain nothing beside the others."""
        for place in bits(indexes):
            without = indexes & ~(1 << place)
            if self._gain(without, indexes) < self._least:
                indexes = without
        return indexes

    def _taken_out(self, indexes: int, budget: float) -> int:
        """Fills the room that there is, then that of each index in turn."""
        for banned in (0, *(1 << place for place in bits(indexes))):
            if banned & ~indexes:
                continue
            changed = self._filled(indexes & ~banned, budget, 1.0, banned)
            changed = self._filled(changed, budget, 1.0)
            if self._gain(indexes, changed) > self._least:
                indexes = changed
        return indexes

    def _put_in(self, indexes: int, budget: float) -> int:
        """Adds each move in turn, and lets go what is least useful for its size until it fits."""
        for move in self._moves:
            if not move & ~indexes or self._bytes(move) > budget:
                continue
            if self._gain(indexes, indexes | move) <= self._least:
                continue
            changed = self._fitted(indexes | move, budget, move)
            if changed != indexes and self._gain(indexes, changed) > self._least:
                indexes = self._filled(changed, budget, 1.0)
        return indexes

    def _fitted(self, indexes: int, budget: float, kept: int) -> int:
        while self._bytes(indexes) > budget and indexes & ~kept:
            losses = []
            for place in bits(indexes & ~kept):
                without = indexes & ~(1 << place)
                loss = self._gain(without, indexes) / self._prices[place].bytes
                losses.append((loss, place))
            indexes &= ~(1 << min(losses)[1])
        return indexes
