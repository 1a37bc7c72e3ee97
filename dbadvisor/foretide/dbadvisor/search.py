"""The cheapest set of indexes within a budget, by what is known of the queries so far.

Nothing is asked here. What a query costs with a set that was not asked about lies between bounds
(`Costs.bounds`); within them it is hoped that an index that begins with the same key is as good as
one that was asked about, and that indexes on different tables save what they save each. `learn`
asks what a set really costs, and what has become of such hopes.

Greedy additions by gain for each byte, of single indexes and of sets that were used together; then
exchanges: one index is taken out and the room filled anew, or one is put in and the least useful
ones go, until neither helps.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from foretide.dbadvisor.snapshot import IndexKey, Relation
from foretide.dbadvisor.whatif import Costs, bits

# A gain smaller than this share of the workload's cost is not worth an index.
LEAST_GAIN = 1e-4
MOST_PASSES = 12
# Greedy runs differ in how much size counts: none of these is best everywhere.
SIZE_POWERS = (1.0, 0.6, 0.3)
MOST_STARTS = 2
MOST_MOVES = 120


@dataclass(frozen=True, slots=True)
class Weighed:
    """A candidate's table and first key, and its price: bytes, and what its upkeep at writes costs
    in the unit of benefits.
    """

    table: Relation
    first: IndexKey
    bytes: float
    write_cost: float = 0.0
    alone: bool = False  # it has one key and nothing more


@dataclass(frozen=True, slots=True)
class _Saving:
    """What a set of indexes saves a query, all of them together; tables and families as masks."""

    used: int
    tables: int
    families: int
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
        names = {name: place for place, name in enumerate(sorted({one.table for one in prices}))}
        self._table = [1 << names[price.table] for price in prices]
        families: dict[tuple[Relation, IndexKey], int] = {}
        for price in prices:
            families.setdefault((price.table, price.first), len(families))
        self._family = [1 << families[(price.table, price.first)] for price in prices]
        self._members = [0] * len(families)
        for place, family in enumerate(self._family):
            self._members[family.bit_length() - 1] |= 1 << place
        self._alone = sum(1 << place for place, price in enumerate(prices) if price.alone)
        self._bases = [costs.bounds(query, 0)[1] for query in queries]
        total = sum(w * base for w, base in zip(self._weights, self._bases, strict=True))
        self._least = LEAST_GAIN * total
        self._hopes = [1.0] * len(queries)
        self._sizes: dict[int, float] = {}
        self._memory: list[dict[int, float]] = [{} for _ in queries]
        self._savings: list[list[_Saving]] = [[] for _ in queries]
        self._useful = [0] * len(queries)
        self._moves: list[int] = []
        self._read(range(len(queries)))

    def learn(self, indexes: int) -> float:
        """Asks what a set really costs, and corrects the picture by it; the cost of the workload.

        How much of what indexes on different tables would save together comes true is learned for
        each query: without that, the search would be lured by one set after the other that differ
        in nothing that matters.
        """
        total = sum(self._prices[place].write_cost for place in bits(indexes))
        changed = []
        for number, query in enumerate(self._queries):
            at_hand = indexes & self._useful[number]
            high = self._costs.bounds(query, at_hand)[1]
            hoped = self._added_up(number, at_hand)
            answer = self._costs.cost(query, indexes)
            true = self._bases[number] if answer is None else answer.cost
            total += self._weights[number] * true
            if hoped < high - 1e-6 * self._bases[number] or true < high:
                changed.append(number)
                if hoped < high:
                    came_true = min(1.0, max(0.0, (high - true) / (high - hoped)))
                    self._hopes[number] = (self._hopes[number] + came_true) / 2
        self._read(changed)
        return total

    def widen(self, indexes: int, others: int) -> None:
        """Asks what plans would take of `others` beside a set, whatever these need of room."""
        for query in self._queries:
            self._costs.cost(query, indexes | others)
        self._read(range(len(self._queries)))

    def best(self, budget: float, start: int = 0) -> int:
        """A set that no addition or exchange betters. With a set to start from, it alone is
        improved; otherwise what several greedy runs find is.
        """
        self._moves = self._promising(budget)
        if start and self._bytes(start) <= budget:
            return self._improved(start, budget)
        starts = dict.fromkeys(self._filled(0, budget, power) for power in SIZE_POWERS)
        ranked = sorted(starts, key=lambda one: (self.cost(one), one))
        found = [self._improved(one, budget) for one in ranked[:MOST_STARTS]]
        return min(found, key=lambda one: (self.cost(one), self._bytes(one), one))

    def cost(self, indexes: int) -> float:
        """What the workload is taken to cost, writes included."""
        reads = sum(
            weight * self._query_cost(number, indexes)
            for number, weight in enumerate(self._weights)
        )
        return reads + sum(self._prices[place].write_cost for place in bits(indexes))

    def _read(self, numbers: Iterable[int]) -> None:
        """Takes in what has become known of some queries."""
        for number in numbers:
            base, savings = self._bases[number], []
            for cost, used in self._costs.used(self._queries[number]):
                if used and cost < base:
                    tables = self._union(used, self._table)
                    families = self._union(used, self._family)
                    savings.append(_Saving(used, tables, families, base - cost))
            savings.sort(key=lambda one: (-one.gain, one.used.bit_count(), one.used))
            self._savings[number] = savings
            self._memory[number] = {}
        seen = self._alone
        for savings in self._savings:
            for saving in savings:
                seen |= saving.used
        for number, savings in enumerate(self._savings):
            self._useful[number] = (
                self._related(savings) & seen & self._costs.relevant(self._queries[number])
            )
        self._readers: dict[int, list[int]] = {}
        for number, useful in enumerate(self._useful):
            for place in bits(useful):
                self._readers.setdefault(place, []).append(number)
        self._everything = self._find_moves()
        self._near = {move: self._nearby(move) for move in self._everything}
        self._gains: dict[int, dict[int, float]] = {move: {} for move in self._everything}

    def _related(self, savings: Iterable[_Saving]) -> int:
        """All candidates that begin as those do that saved something."""
        families = 0
        for saving in savings:
            families |= saving.families
        related = 0
        for family in bits(families):
            related |= self._members[family]
        return related

    def _union(self, indexes: int, masks: Sequence[int]) -> int:
        found = 0
        for place in bits(indexes):
            found |= masks[place]
        return found

    def _find_moves(self) -> list[int]:
        """Single candidates, sets used together, and the same with the smallest of each family."""
        moves = {1 << place for place in self._readers}
        smallest: dict[int, int] = {}
        for savings in self._savings:
            for saving in savings:
                moves.add(saving.used)
                small = 0
                for family in bits(saving.families):
                    if family not in smallest:
                        places = [p for p in bits(self._members[family]) if p in self._readers]
                        smallest[family] = min(places, key=lambda p: (self._prices[p].bytes, p))
                    small |= 1 << smallest[family]
                moves.add(small)
        return sorted(moves)

    def _promising(self, budget: float) -> list[int]:
        """The moves worth trying again and again: all single candidates that would do anything, and
        the sets that would do most, by each measure of what size counts for. Of sets there are
        thousands, most of them much alike.
        """
        gains = {}
        for move in self._everything:
            size = self._bytes(move)
            if size <= budget:
                gain = self._gain_of(move, 0)
                if gain >= self._least * move.bit_count():
                    gains[move] = (gain, size)
        kept = {move for move in gains if move.bit_count() == 1}
        together = [move for move in gains if move.bit_count() > 1]
        for power in SIZE_POWERS:
            ranked = sorted(
                together, key=lambda one: (-gains[one][0] / gains[one][1] ** power, one)
            )
            kept.update(ranked[:MOST_MOVES])
        return sorted(kept)

    def _nearby(self, move: int) -> int:
        """The indexes on which depends what a move gains: those of the queries that it concerns."""
        near = 0
        for place in bits(move):
            for number in self._readers[place]:
                near |= self._useful[number]
        return near

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
        hoped = self._added_up(number, at_hand)
        return max(low, high - self._hopes[number] * max(0.0, high - hoped))

    def _added_up(self, number: int, at_hand: int) -> float:
        """The cost if indexes that begin alike were as good as each other, and those on different
        tables saved all that they save without each other.
        """
        saved, tables = 0.0, 0
        families = self._union(at_hand, self._family)
        for saving in self._savings[number]:
            if not saving.families & ~families and not saving.tables & tables:
                saved += saving.gain
                tables |= saving.tables
        return self._bases[number] - saved

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

    def _gain_of(self, move: int, indexes: int) -> float:
        known = self._gains[move]
        beside = indexes & self._near[move]
        gain = known.get(beside)
        if gain is None:
            gain = known[beside] = self._gain(indexes, indexes | move)
        return gain

    def _bytes(self, indexes: int) -> float:
        size = self._sizes.get(indexes)
        if size is None:
            size = sum(self._prices[place].bytes for place in bits(indexes))
            self._sizes[indexes] = size
        return size

    def _loss(self, place: int, without: int) -> float:
        """What is lost without one index."""
        move = 1 << place
        return self._gain_of(move, without) if move in self._gains else 0.0

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
        gain = self._gain_of(move, indexes)
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
            if self._loss(place, without) < self._least:
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
            if self._gain_of(move, indexes) <= self._least:
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
                loss = self._loss(place, without) / self._prices[place].bytes
                losses.append((loss, place))
            indexes &= ~(1 << min(losses)[1])
        return indexes
