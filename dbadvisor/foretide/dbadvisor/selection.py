"""Which of the candidates to create under a storage budget, for the whole workload.

Two loops. The inner one (`search.py`) asks nobody: from what is known of each query, the cheapest
set within the budget is searched for. The outer one asks what that set really costs each query,
which adds to what is known, and searches again until nothing changes. So few questions are asked
(the what-if calls are what takes the time), and indexes that help only together are found: a plan
that was made with all candidates at hand names them.

First questions for each query: all its candidates at once that fit, then all but those that the
plan used, and so on; what was never used need not be looked at again. The same with plain indexes
alone: what is best for one query hides what many could share.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from foretide.dbadvisor.estimates import Weighed
from foretide.dbadvisor.search import LEAST_GAIN, Search
from foretide.dbadvisor.whatif import Answer, Costs, bits

# How wide the indexes are that a query is asked about, and how often each time.
WIDTHS = (99, 2, 1)
MOST_PEELS = 3
# Of the sets that were used together, how many are also asked about index by index; and how many
# times the least gain the query must promise.
MOST_TAKEN_APART = 4
WORTH_TAKING_APART = 5.0
MOST_ROUNDS = 12
# The first sets of indexes that were used together are also asked about without each one.
MOST_DISSECTED = 2
WORTH_DISSECTING = 20.0
MOST_TOGETHER = 6
# Candidates of at most this share of the budget are tried once more beside the set found.
SMALL = 0.25
# How many times the budget is tried, to say what would be enough.
LARGER = (1.5, 2.0, 3.0, 5.0, 10.0)


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


@dataclass(frozen=True, slots=True)
class Beyond:
    """What there would be without the budget: so many bytes, which save `gain` more (weighted)."""

    bytes: float
    gain: float


def explore(
    costs: Costs,
    weights: Mapping[str, float],
    levels: Sequence[int],
    stop: Callable[[], bool] = lambda: False,
) -> list[str]:
    """Asks the first questions for each query; the queries that some candidate would help.

    `weights` are those of the queries to look at, `levels` the sets of candidates that they are
    asked about, one after the other. What could not matter to the whole is left at that, and what
    matters little is not asked about in detail. Once `stop` says so, those that cost least are left
    out.
    """
    bases = {}
    for query in sorted(weights):
        answer = costs.cost(query, 0)
        if answer is not None and weights[query] > 0:
            bases[query] = answer.cost
    least = LEAST_GAIN * sum(weights[query] * base for query, base in bases.items())
    helped = []
    for query, base in sorted(bases.items(), key=lambda one: -weights[one[0]] * one[1]):
        if stop():
            break
        enough = base - least / weights[query]
        sets: list[Answer] = []
        left = costs.proposed(query)
        for level in levels if enough > 0 else ():
            found = _peel(costs, query, left & level, enough)
            sets += found
            for one in found:
                left &= ~one.used
        if sets:
            helped.append(query)
            gain = weights[query] * (base - min(one.cost for one in sets))
            _take_apart(costs, query, [one.used for one in sets], gain / least)
    return sorted(helped)


def _peel(costs: Costs, query: str, left: int, enough: float) -> list[Answer]:
    """The sets of candidates that plans used when they had the choice, each without the candidates
    that those before used; as long as the plan costs no more than `enough`.
    """
    sets: list[Answer] = []
    while len(sets) < MOST_PEELS:
        answer = costs.cost(query, left)
        if answer is None or not answer.used or answer.cost > enough:
            break
        sets.append(answer)
        left &= ~answer.used
    return sets


def _take_apart(costs: Costs, query: str, sets: Sequence[int], matters: float) -> None:
    """What single indexes are worth of those that were used together. `matters`: how many times the
    least gain the query promises.
    """
    together = 0
    for used in sets:
        together |= used
    if matters >= WORTH_TAKING_APART:
        for used in sets[:MOST_TAKEN_APART]:
            for place in bits(used) if used.bit_count() > 1 else ():
                costs.cost(query, 1 << place)
    if matters >= WORTH_DISSECTING:
        for used in sets[:MOST_DISSECTED]:
            for place in bits(used) if 1 < used.bit_count() <= MOST_TOGETHER else ():
                costs.cost(query, together & ~(1 << place))
                costs.cost(query, used & ~(1 << place))


def _levels(prices: Sequence[Weighed], budget: float) -> list[int]:
    """All that fits; then plainer indexes, which are smaller, and of use to more queries than what
    is best for one.
    """
    return [
        sum(
            1 << place
            for place, price in enumerate(prices)
            if price.bytes <= budget and price.width <= width
        )
        for width in WIDTHS
    ]


def select(
    costs: Costs,
    weights: Mapping[str, float],
    prices: Sequence[Weighed],
    budget: float,
    *,
    start: int = 0,
    stop: Callable[[], bool] = lambda: False,
) -> Selection:
    """The best set found within `budget` bytes. `start` is a set to begin with, such as that of
    a smaller budget. `prices` are by candidate. Once `stop` says so, it is the best found so far.
    """
    helped = explore(costs, weights, _levels(prices, budget), stop)
    search = Search(costs, weights, prices, helped)
    best, best_cost = 0, search.learn(0)
    tried: set[int] = set()
    widened = False
    for number in range(MOST_ROUNDS):
        if number and stop():
            break
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
    return told(costs, weights, prices, best)


def beyond(
    costs: Costs,
    weights: Mapping[str, float],
    prices: Sequence[Weighed],
    chosen: Selection,
    budget: float,
    *,
    worth: float,
    stop: Callable[[], bool] = lambda: False,
) -> Beyond:
    """What the budget has kept from being chosen: the first of some larger ones that saves as much
    as none would, but for `worth`. The search's guess is enough, and that alone is asked about.
    """
    helped = explore(costs, weights, _levels(prices, math.inf), stop)
    search = Search(costs, weights, prices, helped)
    found = search.best(math.inf, chosen.indexes)
    enough = search.cost(found) + worth
    for times in LARGER:
        smaller = search.best(times * budget, chosen.indexes)
        if search.cost(smaller) <= enough:
            found = smaller
            break
    size = sum(prices[place].bytes for place in bits(found))
    return Beyond(size, search.learn(chosen.indexes) - search.learn(found))


def _small(prices: Sequence[Weighed], most: float) -> int:
    return sum(1 << place for place, price in enumerate(prices) if price.bytes <= most)


def told(
    costs: Costs, weights: Mapping[str, float], prices: Sequence[Weighed], indexes: int
) -> Selection:
    """What a set does: asks what each query costs with it, and without each of its indexes."""
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
