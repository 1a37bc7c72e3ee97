"""How often a cache would answer, from how reads spread over their keys, and how often they come.

A key is a query with its constants. Reads of one key are taken to come independently of one
another (a Poisson process), and so are changes of the tables behind it. An answer that is loaded
lives for L seconds on average: the TTL, or until a change, whichever is first. Then a key that is
read r times a second is loaded once for 1 + rL reads, and all others are hits. It is Che's
approximation for a cache that is ruled by time (Fofack et al., "Performance evaluation of
hierarchical TTL-based cache networks", 2014), where it is exact.
"""

import math
from dataclasses import dataclass, replace

Groups = tuple[tuple[float, float], ...]

BINS_PER_DOUBLING = 2
FEW_GROUPS = 8  # they stay as they are
# A sample of n reads tells what n reads see, and about twice as many: Orlitsky et al., "Optimal
# prediction of the number of unseen species" (PNAS, 2016). Beyond that rare keys are guesswork.
FORESIGHT = 2.0
CLUSTERED = 1.5  # reads that come together tell as much as fewer that come one by one
FOUR_OF_FIVE = 1.28  # standard deviations: so many of all cases lie within


@dataclass(frozen=True, slots=True)
class Popularity:
    """How reads spread over keys: groups of (share of one key, number of such keys), the largest
    share first. The shares of all keys add up to 1. `sample`: how many reads that
    is known from (infinity: it is not estimated). `fewest`: the same with as few keys as there may
    be after such a sample, if that makes a difference. `samples`: how many of that size there were,
    which together tell of what is read as often in each.
    """

    groups: Groups
    sample: float = math.inf
    fewest: Groups = ()
    samples: float = 1.0

    @property
    def keys(self) -> float:
        return sum(number for _, number in self.groups)

    @property
    def at_most_hits(self) -> "Popularity":
        """With as few keys as there may be."""
        return replace(self, groups=self.fewest) if self.fewest else self


ONE_KEY = Popularity(((1.0, 1.0),))


def uniform(keys: float) -> Popularity:
    """All keys alike: with so many keys, nothing has fewer hits."""
    return Popularity(((1.0 / max(keys, 1.0), max(keys, 1.0)),))


def both(one: Popularity, other: Popularity) -> Popularity:
    """Of pairs of keys, if they are chosen independently: then there are most of them."""
    few, few_too = one.at_most_hits.groups, other.at_most_hits.groups
    return binned(
        Popularity(
            _pairs(one.groups, other.groups),
            min(one.sample, other.sample),
            _pairs(few, few_too) if one.fewest or other.fewest else (),
        )
    )


def _pairs(groups: Groups, others: Groups) -> Groups:
    return tuple(
        sorted(
            (
                (share * share_too, number * number_too)
                for share, number in groups
                for share_too, number_too in others
            ),
            reverse=True,
        )
    )


def binned(popularity: Popularity) -> Popularity:
    """The same in few groups: of keys whose shares are nearly the same."""
    return replace(popularity, groups=_binned(popularity.groups), fewest=_binned(popularity.fewest))


def _binned(groups: Groups) -> Groups:
    if len(groups) <= FEW_GROUPS:
        return groups
    bins: dict[int, tuple[float, float]] = {}
    for share, number in groups:
        if share > 0:
            place = round(math.log2(share) * BINS_PER_DOUBLING)
            mass, keys = bins.get(place, (0.0, 0.0))
            bins[place] = (mass + share * number, keys + number)
    return tuple(sorted(((mass / keys, keys) for mass, keys in bins.values()), reverse=True))


def lifetime(ttl: float, changes: float) -> float:
    """How long an answer lives on average, s, if its tables change so many times a second."""
    return ttl if changes * ttl < 1e-9 else -math.expm1(-changes * ttl) / changes


def hit_rate(popularity: Popularity, reads: float, life: float) -> float:
    """Which share of `reads` a second is answered from the cache, if answers live for `life` s."""
    hits = 0.0
    for share, keys in popularity.groups:
        expected = share * reads * life
        hits += share * keys * expected / (1 + expected)
    return min(hits, 1.0)


def bounds(popularity: Popularity, reads: float, life: float) -> tuple[float, float]:
    """Between what the hit rate is. In a lifetime come more reads than the sample can tell of? At
    least as many are hits as in a shorter life; and no more than if there were only as many keys as
    there must be.
    """
    told = popularity.sample * FORESIGHT / reads if reads > 0 else life
    if life <= told:
        hits = hit_rate(popularity, reads, life)
        return hits, hits
    least = hit_rate(popularity, reads, told)
    return least, max(least, hit_rate(popularity.at_most_hits, reads, life))


def of_a_sample(hits: float, popularity: Popularity) -> float:
    """How far a hit rate may be off, as that of so many reads which were chosen by chance."""
    reads = popularity.sample * popularity.samples
    if popularity.samples > 1:
        reads /= CLUSTERED**2
    return FOUR_OF_FIVE * math.sqrt(max(0.0, hits * (1 - hits)) / max(reads, 1.0))
