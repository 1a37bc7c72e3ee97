"""The cheapest set of indexes within a budget, by what is known of the queries so far.

Nothing is asked here but by `learn` and `widen`; what sets that were not asked about would cost is
estimated (`estimates.py`).

Greedy additions by gain for each byte, of single indexes and of sets that were used together; or,
from the other end, all indexes that any plan used, without the least useful ones until the rest
fits. Then exchanges: one index is taken out and the room filled anew, or one is put in and the
least useful ones go, until neither helps.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence

from foretide.dbadvisor.estimates import Estimate, Kinds, Weighed
from foretide.dbadvisor.whatif import Costs, bits

# A gain smaller than this share of the workload's cost is not worth an index.
LEAST_GAIN = 1e-4
MOST_PASSES = 12
# Greedy runs differ in how much size counts: none of these is best everywhere.
SIZE_POWERS = (1.0, 0.6, 0.3)
MOST_STARTS = 2
MOST_MOVES = 60
# Exchanges that are tried until one helps: those that promise most.
MOST_PUT_IN = 20
MOST_TAKEN_OUT = 10


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
        self._kinds = Kinds(prices)
        self._alone = sum(1 << place for place, price in enumerate(prices) if price.width == 1)
        self._estimates = [Estimate(self._kinds, costs.answers(query)) for query in queries]
        total = sum(w * one.base for w, one in zip(self._weights, self._estimates, strict=True))
        self._least = LEAST_GAIN * total
        self._sizes: dict[int, float] = {}
        self._moves: list[int] = []
        self._look_around()

    def learn(self, indexes: int) -> float:
        """Asks what a set really costs, and learns from it; the cost of the workload."""
        total = sum(self._prices[place].write_cost for place in bits(indexes))
        for number, query in enumerate(self._queries):
            estimate = self._estimates[number]
            at_hand = indexes & self._useful[number]
            answer = self._costs.cost(query, indexes)
            true = estimate.base if answer is None else answer.cost
            total += self._weights[number] * true
            if estimate.learn(at_hand, true):
                estimate.read(self._costs.answers(query))
        self._look_around()
        return total

    def widen(self, indexes: int, others: int) -> None:
        """Asks what plans would take of `others` beside a set, whatever these need of room."""
        for number, query in enumerate(self._queries):
            self._costs.cost(query, indexes | (others & self._costs.proposed(query)))
            self._estimates[number].read(self._costs.answers(query))
        self._look_around()

    def best(self, budget: float, start: int = 0) -> int:
        """A set that no addition or exchange betters. With a set to start from, it alone is
        improved; otherwise the best of what greedy runs find, from nothing and from everything.
        """
        self._moves = self._promising(budget)
        if start and self._bytes(start) <= budget:
            return self._improved(start, budget)
        starts = dict.fromkeys(self._filled(0, budget, power) for power in SIZE_POWERS)
        starts[self._fitted(self._used, budget, 0)] = None
        ranked = sorted(starts, key=lambda one: (self.cost(one), one))
        found = [self._improved(one, budget) for one in ranked[:MOST_STARTS]]
        return min(found, key=lambda one: (self.cost(one), self._bytes(one), one))

    def cost(self, indexes: int) -> float:
        """What the workload is taken to cost, writes included."""
        reads = sum(
            weight * self._estimates[number].cost(indexes & self._useful[number])
            for number, weight in enumerate(self._weights)
        )
        return reads + sum(self._prices[place].write_cost for place in bits(indexes))

    def _look_around(self) -> None:
        """Which candidates matter to which queries, and what can be added, by what is known now."""
        self._used = 0
        for estimate in self._estimates:
            for saving in estimate.savings:
                self._used |= saving.used
        seen = self._alone | self._used
        self._useful = []
        self._readers: dict[int, list[int]] = {}
        for number, estimate in enumerate(self._estimates):
            families = 0
            for saving in estimate.savings:
                families |= saving.families
            relevant = self._costs.relevant(self._queries[number])
            self._useful.append(self._kinds.alike(families) & seen & relevant)
            for place in bits(self._useful[number]):
                self._readers.setdefault(place, []).append(number)
        # With all that is of use: more cannot help a query that costs no more than that.
        self._floors = [
            estimate.cost(useful)
            for estimate, useful in zip(self._estimates, self._useful, strict=True)
        ]
        self._everything = self._find_moves()
        self._concerned: dict[int, list[int]] = {}
        self._near: dict[int, int] = {}
        self._gains: dict[int, dict[int, float]] = {}

    def _find_moves(self) -> list[int]:
        """Single candidates, sets used together, and the same with the smallest of each family."""
        moves = {1 << place for place in self._readers}
        smallest: dict[int, int] = {}
        for estimate in self._estimates:
            for saving in estimate.savings:
                moves.add(saving.used)
                small = 0
                for family in bits(saving.families):
                    if family not in smallest:
                        places = [
                            p for p in bits(self._kinds.members[family]) if p in self._readers
                        ]
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

    def _gain(self, indexes: int, changed: int) -> float:
        """What it saves to have `changed` instead of `indexes`, writes included."""
        gain = 0.0
        for place in bits(indexes ^ changed):
            sign = -1 if changed >> place & 1 else 1
            gain += sign * self._prices[place].write_cost
        only_more = not indexes & ~changed
        for number in self._concerned_by(indexes ^ changed):
            useful, estimate = self._useful[number], self._estimates[number]
            before = estimate.cost(indexes & useful)
            if only_more and before <= self._floors[number]:
                continue
            after = estimate.cost(changed & useful)
            if before != after:
                gain += self._weights[number] * (before - after)
        return gain

    def _concerned_by(self, indexes: int) -> list[int]:
        """The queries that could make use of these. In order: sums of floats depend on it."""
        known = self._concerned.get(indexes)
        if known is None:
            found: set[int] = set()
            for place in bits(indexes):
                found.update(self._readers.get(place, ()))
            known = self._concerned[indexes] = sorted(found)
        return known

    def _gain_of(self, move: int, indexes: int) -> float:
        """What it saves to add a move, which depends on the indexes alone that are of use to the
        same queries.
        """
        known = self._gains.get(move)
        if known is None:
            known, near = {}, 0
            for number in self._concerned_by(move):
                near |= self._useful[number]
            self._gains[move], self._near[move] = known, near
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

    def _loss(self, place: int, indexes: int) -> float:
        """What is lost without one of the indexes."""
        return self._gain_of(1 << place, indexes & ~(1 << place))

    def _filled(self, indexes: int, budget: float, power: float, banned: int = 0) -> int:
        """Adds what gains most for its size, as long as there is room. Gains shrink as the set
        grows, so that those of earlier rounds serve as bounds (lazy greedy, Minoux 1978).
        """
        room = budget - self._bytes(indexes)
        waiting: list[tuple[float, int]] = []
        for move in self._moves:
            score = self._score(indexes, move, room, power) if not move & banned else 0.0
            if score > 0:
                waiting.append((-score, move))
        heapq.heapify(waiting)
        while waiting:
            _, move = heapq.heappop(waiting)
            score = self._score(indexes, move, room, power)
            if score <= 0:
                continue
            if waiting and (-score, move) > waiting[0]:
                heapq.heappush(waiting, (-score, move))
                continue
            indexes |= move
            room = budget - self._bytes(indexes)
        return indexes

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
            for exchange in (self._put_in, self._taken_out):
                indexes = exchange(indexes, budget)
                if indexes != before:
                    break
            if indexes == before:
                break
        return indexes

    def _pruned(self, indexes: int) -> int:
        """Without those that gain nothing beside the others."""
        for place in bits(indexes):
            if self._loss(place, indexes) < self._least:
                indexes &= ~(1 << place)
        return indexes

    def _taken_out(self, indexes: int, budget: float) -> int:
        """Fills the room that there is, then that of the least useful indexes in turn."""
        indexes = self._filled(indexes, budget, 1.0)
        places = sorted(
            bits(indexes), key=lambda place: (self._loss_by_size(place, indexes), place)
        )
        for place in places[:MOST_TAKEN_OUT]:
            banned = 1 << place
            changed = self._filled(indexes & ~banned, budget, 1.0, banned)
            if self._gain(indexes, changed) > self._least:
                return changed
        return indexes

    def _put_in(self, indexes: int, budget: float) -> int:
        """Adds moves, and lets go what is least useful for its size until they fit; those first
        that promise most.
        """
        for move in self._wanted(indexes, budget):
            if move & ~indexes and self._gain_of(move, indexes) > self._least:
                changed = self._fitted(indexes | move, budget, move)
                if changed != indexes and self._gain(indexes, changed) > self._least:
                    indexes = self._filled(changed, budget, 1.0)
        return indexes

    def _wanted(self, indexes: int, budget: float) -> list[int]:
        """The moves that gain most beside a set, less what must go for them at least: by what each
        index is worth now, and nothing if the move begins as it does.
        """
        ranked = []
        losses = sorted((self._loss_by_size(place, indexes), place) for place in bits(indexes))
        for move in self._moves:
            if not move & ~indexes or self._bytes(move) > budget:
                continue
            gain = self._gain_of(move, indexes)
            if gain > self._least:
                excess = self._bytes(indexes | move) - budget
                gain -= self._least_loss(losses, move, excess) if excess > 0 else 0.0
            if gain > self._least:
                ranked.append((-gain, move))
        return [move for _, move in sorted(ranked)[:MOST_PUT_IN]]

    def _least_loss(self, losses: Iterable[tuple[float, int]], move: int, excess: float) -> float:
        """What must be lost at least to make room for a move."""
        families = self._kinds.families_of(move)
        lost = 0.0
        for _, place in losses:
            if self._kinds.family[place] & families:
                excess -= self._prices[place].bytes
        for loss, place in losses:
            if excess <= 0:
                break
            if not self._kinds.family[place] & families:
                size = min(excess, self._prices[place].bytes)
                lost += loss * size
                excess -= size
        return lost

    def _fitted(self, indexes: int, budget: float, kept: int) -> int:
        """Without what is least useful for its size. What an index is worth only grows as others
        go, so that what was found before serves as a bound.
        """
        waiting = [(self._loss_by_size(place, indexes), place) for place in bits(indexes & ~kept)]
        heapq.heapify(waiting)
        while self._bytes(indexes) > budget and waiting:
            _, place = heapq.heappop(waiting)
            loss = self._loss_by_size(place, indexes)
            if waiting and loss > waiting[0][0]:
                heapq.heappush(waiting, (loss, place))
            else:
                indexes &= ~(1 << place)
        return indexes

    def _loss_by_size(self, place: int, indexes: int) -> float:
        return self._loss(place, indexes) / self._prices[place].bytes
