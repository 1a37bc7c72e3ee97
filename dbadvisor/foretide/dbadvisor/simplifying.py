"""Plainer indexes in the chosen set, where these do nearly as well.

The search takes what is cheapest by however little: a column more, something included, one index
for each of two queries that could share one. Whoever keeps a database wants few indexes, and plain
ones, which serve queries to come, too. So what an index has beyond a plainer one, and two have
beyond one, must be worth it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.estimates import Weighed
from foretide.dbadvisor.selection import Selection
from foretide.dbadvisor.whatif import Costs, bits

# Of what the indexes that change gain, a change may lose so much.
MOST_LOST = 0.05
MOST_TRIED = 100


class _Move(NamedTuple):
    """Indexes that go, the one that comes for them, and the bytes that this saves."""

    gone: tuple[int, ...]
    come: int
    bytes: float

    def made(self, indexes: int) -> int:
        for place in self.gone:
            indexes &= ~(1 << place)
        return indexes | 1 << self.come


def plainer(
    costs: Costs,
    candidates: Sequence[Candidate],
    weights: Mapping[str, float],
    prices: Sequence[Weighed],
    chosen: Selection,
    most_lost: float,
    stop: Callable[[], bool] = lambda: False,
) -> int:
    """A set that takes less room, and loses no more than `most_lost` in all (in the unit of the
    weights). Once `stop` says so, it is the plainest that is known by then.
    """
    gains = {one.candidate: max(0.0, one.gain) for one in chosen.benefits}
    indexes, left = chosen.indexes, most_lost
    loss_of = _Loss(costs, weights, prices)
    tried = 0
    found = True
    while found:
        found = False
        for move in sorted(
            _moves(candidates, prices, indexes), key=lambda one: (-one.bytes, one.gone, one.come)
        ):
            if tried >= MOST_TRIED or stop():
                return indexes
            tried += 1
            most = min(left, MOST_LOST * min(gains[place] for place in move.gone))
            loss = loss_of(indexes, move, most)
            if loss > most:
                continue
            gains[move.come] = sum(gains.pop(place) for place in move.gone) - loss
            indexes, left, found = move.made(indexes), left - max(0.0, loss), True
            break
    return indexes


@dataclass(frozen=True)
class _Loss:
    """What a move loses, in the unit of the weights."""

    costs: Costs
    weights: Mapping[str, float]
    prices: Sequence[Weighed]

    def __call__(self, indexes: int, move: _Move, most: float) -> float:
        """As much as is known once it is more than `most`: plans take nearly all of the time, and
        few moves are made. Queries that use what goes come first, as these are those that lose.
        """
        made = move.made(indexes)
        lost = self.prices[move.come].write_cost
        lost -= sum(self.prices[place].write_cost for place in move.gone)
        gone = sum(1 << place for place in move.gone)
        known = {query: self.costs.cost(query, indexes) for query in sorted(self.weights)}
        there = [(query, answer) for query, answer in known.items() if answer is not None]
        there.sort(key=lambda one: (not one[1].used & gone, -self.weights[one[0]] * one[1].cost))
        for query, before in there:
            after = self.costs.cost(query, made)
            if after is not None:
                lost += self.weights[query] * (after.cost - before.cost)
            if lost > most:
                break
        return lost


def _moves(
    candidates: Sequence[Candidate], prices: Sequence[Weighed], indexes: int
) -> Iterator[_Move]:
    """One with fewer columns for one of the set; one for two of them."""
    there = list(bits(indexes))
    read = [_columns(one) for one in candidates]
    for place in there:
        for other in _alike(candidates, place, indexes):
            saved = prices[place].bytes - prices[other].bytes
            if read[other] < read[place] and saved > 0:
                yield _Move((place,), other, saved)
    for one, two in combinations(there, 2):
        if not _are_alike(candidates[one], candidates[two]):
            continue
        for other in _alike(candidates, one, indexes):
            saved = prices[one].bytes + prices[two].bytes - prices[other].bytes
            begins = candidates[other].keys[0] in (candidates[one].keys[0], candidates[two].keys[0])
            if begins and read[other] <= read[one] | read[two] and saved > 0:
                yield _Move((one, two), other, saved)


def _alike(candidates: Sequence[Candidate], place: int, indexes: int) -> Iterator[int]:
    """Those that hold the same rows and are not of the set."""
    for other, candidate in enumerate(candidates):
        if not indexes >> other & 1 and _are_alike(candidate, candidates[place]):
            yield other


def _are_alike(one: Candidate, other: Candidate) -> bool:
    return one.table == other.table and one.predicate == other.predicate


def _columns(candidate: Candidate) -> frozenset[str]:
    return frozenset((*(key.column or key.expression or "" for key in candidate.keys),)) | {
        *candidate.include
    }
