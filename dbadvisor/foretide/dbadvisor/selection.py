"""Which of the candidates to create under a storage budget, for the whole workload.

Two loops. The inner one (`search.py`) asks nobody: from what is known of each query, the cheapest
set within the budget is searched for. The outer one asks what that set really costs each query,
which adds to what is known, and searches again until nothing changes. So few questions are asked
(the what-if calls are what takes the time), and indexes that help only together are found: a plan
that was made with all candidates at hand names them.

First questions for each query: all its candidates at once, then all but those that the plan used,
and so on until none is used; what was never used need not be looked at again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foretide.dbadvisor.search import Search, Weighed
from foretide.dbadvisor.whatif import Costs, bits

MOST_PEELS = 12
MOST_ROUNDS = 8
# A set of indexes used together is also asked about without each one, if it is not larger.
MOST_TOGETHER = 6


@dataclass(frozen=True, slots=True)
class Benefit:
    """What one index of the chosen set is good for: what would be lost without it alone (with the
    writes that this would save), and which queries are cheaper with it.
    """

    candidate: int
    gain: float
    queries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """The chosen set, and weighted costs before and after. `before` and `after` by query are
    unweighted; queries that could not be planned are missing in them.
    """

    indexes: int
    bytes: float
    before: float
    after: float
    write_cost: float
    costs_before: Mapping[str, float]
    costs_after: Mapping[str, float]
    benefits: tuple[Benefit, ...] = ()


def explore(costs: Costs, weights: Mapping[str, float]) -> list[str]:
    """Asks the first questions for each query; the queries that some candidate would help.

    `weights` are those of the queries to look at; the order of questions is that of their ids.
    """
    helped = []
    for query in sorted(weights):
        base = costs.cost(query, 0)
        if base is None or weights[query] <= 0:
            continue
        useful = _peel(costs, query)
        if not useful:
            continue
        helped.append(query)
        for place in bits(useful):
            costs.cost(query, 1 << place)
        for answer in list(costs.used(query)):
            if 2 < answer.used.bit_count() <= MOST_TOGETHER:
                for place in bits(answer.used):
                    costs.cost(query, answer.used & ~(1 << place))
    return helped


def _peel(costs: Costs, query: str) -> int:
    """The candidates that a plan used when it had the choice, those used before taken away."""
    left = costs.relevant(query)
    useful = 0
    for _ in range(MOST_PEELS):
        answer = costs.cost(query, left)
        if answer is None or not answer.used:
            break
        useful |= answer.used
        left &= ~answer.used
    return useful


def select(
    costs: Costs,
    weights: Mapping[str, float],
    prices: Sequence[Weighed],
    budget: float,
    *,
    start: int = 0,
) -> Selection:
    """The best set found within `budget` bytes. `start` is a set to begin with, such as that of
    a smaller budget. `prices` are by candidate.
    """
    helped = explore(costs, weights)
    best, best_cost = 0, _true_cost(costs, weights, prices, 0, helped)
    tried: set[int] = set()
    found = start
    for _ in range(MOST_ROUNDS):
        model = Search(costs, weights, prices, helped)
        found = model.best(budget, found)
        if found in tried:
            break
        tried.add(found)
        cost = _true_cost(costs, weights, prices, found, helped)
        if cost < best_cost:
            best, best_cost = found, cost
    return _told(costs, weights, prices, best)


def _true_cost(
    costs: Costs,
    weights: Mapping[str, float],
    prices: Sequence[Weighed],
    indexes: int,
    queries: Sequence[str],
) -> float:
    total = sum(prices[place].write_cost for place in bits(indexes))
    for query in queries:
        answer = costs.cost(query, indexes)
        if answer is not None:
            total += weights[query] * answer.cost
    return total


def _told(
    costs: Costs, weights: Mapping[str, float], prices: Sequence[Weighed], indexes: int
) -> Selection:
    before: dict[str, float] = {}
    after: dict[str, float] = {}
    for query in sorted(weights):
        base, now = costs.cost(query, 0), costs.cost(query, indexes)
        if base is not None and now is not None:
            before[query], after[query] = base.cost, now.cost
    benefits = []
    for place in bits(indexes):
        gain, better = -prices[place].write_cost, []
        for query in sorted(after):
            if costs.relevant(query) >> place & 1:
                without = costs.cost(query, indexes & ~(1 << place))
                if without is not None and without.cost > after[query]:
                    gain += weights[query] * (without.cost - after[query])
                    better.append(query)
        benefits.append(Benefit(place, gain, tuple(better)))
    return Selection(
        indexes,
        sum(prices[place].bytes for place in bits(indexes)),
        sum(weights[query] * cost for query, cost in before.items()),
        sum(weights[query] * cost for query, cost in after.items()),
        sum(prices[place].write_cost for place in bits(indexes)),
        before,
        after,
        tuple(sorted(benefits, key=lambda one: (-one.gain, one.candidate))),
    )
