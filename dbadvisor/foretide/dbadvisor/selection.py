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

from foretide.dbadvisor.search import LEAST_GAIN, Search, Weighed
from foretide.dbadvisor.whatif import Costs, bits

MOST_PEELS = 6
# Of the sets that were used together, how many are also asked about index by index.
MOST_TAKEN_APART = 3
MOST_ROUNDS = 12
# The first sets of indexes that were used together are also asked about without each one.
MOST_DISSECTED = 2
MOST_TOGETHER = 6
# Candidates of at most this share of the budget are tried once more beside the set found.
SMALL = 0.25


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

    `weights` are those of the queries to look at. What could not matter to the whole is left at
    that.
    """
    bases = {}
    for query in sorted(weights):
        answer = costs.cost(query, 0)
        if answer is not None and weights[query] > 0:
            bases[query] = answer.cost
    least = LEAST_GAIN * sum(weights[query] * base for query, base in bases.items())
    helped = []
    for query, base in bases.items():
        sets = _peel(costs, query, base - least / weights[query])
        if sets:
            helped.append(query)
        for used in sets[:MOST_TAKEN_APART]:
            if used.bit_count() > 1:
                for place in bits(used):
                    costs.cost(query, 1 << place)
        for used in sets[:MOST_DISSECTED]:
            if 2 < used.bit_count() <= MOST_TOGETHER:
                for place in bits(used):
                    costs.cost(query, used & ~(1 << place))
    return helped


def _peel(costs: Costs, query: str, enough: float) -> list[int]:
    """The sets of candidates that plans used when they had the choice, each without the candidates
    that those before used; as long as the plan costs no more than `enough`.
    """
    left = costs.relevant(query)
    sets = []
    for _ in range(MOST_PEELS):
        answer = costs.cost(query, left)
        if answer is None or not answer.used or answer.cost > enough:
            break
        sets.append(answer.used)
        if len(sets) <= MOST_DISSECTED and answer.used.bit_count() > 1:
            for place in bits(answer.used):
                costs.cost(query, left & ~(1 << place))
        left &= ~answer.used
    return sets


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
    search = Search(costs, weights, prices, explore(costs, weights))
    best, best_cost = 0, search.learn(0)
    tried: set[int] = set()
    widened = False
    for _ in range(MOST_ROUNDS):
        found = search.best(budget, best or start)
        if found in tried:
            if widened:
                break
            widened = True
            search.widen(best, _small(prices, budget * SMALL))
            continue
        tried.add(found)
        cost = search.learn(found)
        if cost < best_cost:
            best, best_cost = found, cost
    return _told(costs, weights, prices, best)


def _small(prices: Sequence[Weighed], most: float) -> int:
    return sum(1 << place for place, price in enumerate(prices) if price.bytes <= most)


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
