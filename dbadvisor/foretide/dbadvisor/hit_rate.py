"""How often a cache would answer, from how reads spread over their keys, and how often they come.

A key is a query with its constants. Reads of one key are taken to come independently of one
another (a Poisson process), and so are changes of the tables behind it. An answer that is loaded
lives for L seconds on average: the TTL, or until a change, whichever is first. Then a key that is
read r times a second is loaded once for 1 + rL reads, and all others are hits. It is Che's
approximation for a cache that is ruled by time (Fofack et al., "Performance evaluation of
hierarchical TTL-based cache networks", 2014), where it is exact.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

BINS_PER_DOUBLING = 4
# A sample of n reads tells what n reads see, and about twice as many: Orlitsky et al., "Optimal
# prediction of the number of unseen species" (PNAS, 2016). Beyond that rare keys are guesswork.
FORESIGHT = 2.0


@dataclass(frozen=True, slots=True)
class Popularity:
    """How reads spread over keys: groups of (share of one key, number of such keys), the largest
    share first. The shares of all keys add up to 1. `sample`: how many reads that
    is known from (infinity: it is not estimated).
    """

    groups: tuple[tuple[float, float], ...]
    sample: float = math.inf

    @property
    def keys(self) -> float:
        return sum(number for _, number in self.groups)


ONE_KEY = Popularity(((1.0, 1.0),))


def uniform(keys: float) -> Popularity:
    """All keys alike: with so many keys, nothing has fewer hits."""
    return Popularity(((1.0 / max(keys, 1.0), max(keys, 1.0)),))


def estimated(counts: Iterable[int], most_keys: float = math.inf) -> Popularity:
    """From how often each key was seen in a sample of reads, which are few of all keys as a rule.

    A key that was seen once may be read ten times less often than that suggests, and a thousand
    more may not have been seen at all. Shares are drawn down, and what is unseen gets the rest:
    Chao et al., "Unveiling the species-rank abundance distribution by generalizing the Good-Turing
    sample coverage theory" (Ecology, 2015). `most_keys` there can be, if that is known.

    Raises:
        ValueError: nothing was seen.
    """
    seen = Counter(count for count in counts if count > 0)
    n = sum(count * keys for count, keys in seen.items())
    if n == 0:
        raise ValueError("no read was seen")
    known = sum(seen.values())
    unseen = max(0.0, min(_unseen(seen, n), most_keys - known))
    missing = _missing_share(seen, n) if unseen else 0.0
    weighed = sum(
        keys * (count / n) * (1 - count / n) ** n for count, keys in seen.items() if count < n
    )
    drawn = missing / weighed if weighed else 0.0
    shares = {
        count: max(0.0, count / n * (1 - drawn * (1 - count / n) ** n)) if count < n else 1.0
        for count in seen
    }
    total = sum(shares[count] * keys for count, keys in seen.items())
    groups = [(shares[count] * (1 - missing) / total, float(seen[count])) for count in seen]
    if unseen:
        groups.append((missing / unseen, unseen))
    return Popularity(tuple(sorted(groups, reverse=True)), n)


def _unseen(seen: Counter[int], n: int) -> float:
    """How many keys were not seen: Chao's lower bound ("Chao1")."""
    once, twice = seen[1], seen[2]
    if twice:
        return (n - 1) / n * once * once / (2 * twice)
    return (n - 1) / n * once * (once - 1) / 2


def _missing_share(seen: Counter[int], n: int) -> float:
    """Which share of reads goes to keys that were not seen."""
    once, twice = seen[1], seen[2]
    if not once:
        return 0.0
    if twice:
        return once / n * ((n - 1) * once / ((n - 1) * once + 2 * twice))
    return once / n * ((n - 1) * (once - 1) / ((n - 1) * (once - 1) + 2))


def both(one: Popularity, other: Popularity) -> Popularity:
    """Of pairs of keys, if they are chosen independently: then there are most of them."""
    bins: dict[int, tuple[float, float]] = {}
    for share, number in one.groups:
        for share_too, number_too in other.groups:
            product, many = share * share_too, number * number_too
            if product > 0:
                place = round(math.log2(product) * BINS_PER_DOUBLING)
                mass, keys = bins.get(place, (0.0, 0.0))
                bins[place] = (mass + product * many, keys + many)
    groups = [(mass / keys, keys) for mass, keys in bins.values()]
    sample = min(one.sample, other.sample)
    return Popularity(tuple(sorted(groups, reverse=True)), sample)


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
    return hit_rate(popularity, reads, min(life, told)), hit_rate(popularity, reads, life)
