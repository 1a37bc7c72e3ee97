"""The set of indexes that is advised: the cheapest one, without what is not worth an index."""

from collections.abc import Callable, Mapping, Sequence

from foretide.dbadvisor import selection, simplifying
from foretide.dbadvisor.estimates import Weighed
from foretide.dbadvisor.selection import Benefit, Selection
from foretide.dbadvisor.whatif import WhatIf

# An index must save so much of the time of the queries that it helps: estimates are no finer.
LEAST_CUT = 0.01


def choose(
    source: WhatIf,
    weights: Mapping[str, float],
    prices: Sequence[Weighed],
    budget: float,
    least_share: float,
    *,
    start: int = 0,
    stop: Callable[[], bool] = lambda: False,
) -> Selection:
    """The set for a budget (bytes). `least_share`: of the workload's time, what an index must save,
    and what all plainer ones together may lose. `start`: the indexes to begin with. Once `stop`
    says so, it is the best set that is known by then.
    """
    found = selection.select(source, weights, prices, budget, start=start, stop=stop)
    found = _worth_it(source, weights, prices, found, least_share)
    indexes = simplifying.plainer(
        source,
        source.candidates,
        weights,
        prices,
        found,
        least_share * found.before,
        stop,
    )
    if indexes == found.indexes:
        return found
    plainer = selection.told(source, weights, prices, indexes)
    return _worth_it(source, weights, prices, plainer, least_share)


def _worth_it(
    source: WhatIf,
    weights: Mapping[str, float],
    prices: Sequence[Weighed],
    found: Selection,
    least_share: float,
) -> Selection:
    """Without indexes that save too little. What one does others may do as well, so that the rest
    is looked at anew when one has gone.
    """
    while True:
        least = least_share * found.before
        poor = [
            one
            for one in found.benefits
            if one.gain < max(least, LEAST_CUT * (one.gain + _cost(one, found, weights)))
        ]
        if not poor:
            return found
        left = found.indexes & ~(1 << poor[-1].candidate)
        found = selection.told(source, weights, prices, left)


def _cost(benefit: Benefit, found: Selection, weights: Mapping[str, float]) -> float:
    """Of the queries that an index helps, all together."""
    return sum(weights[name] * found.costs_after[name] for name in benefit.queries)
