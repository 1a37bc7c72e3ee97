"""Reads of one key that come together: a visitor's, who reads the same again, or a request's.

Visits come as chance has it, each with a few reads (a cluster process: Neyman and Scott,
"Statistical approach to problems of cosmology", 1958). The first read of a visit may find an answer
or not, as a read that comes by itself; the others find what the first has loaded. Where a cache
lives longer than a visit, all depends on how many reads a visit has, and of those a sample shows
some. What it does show as it is, however small it is, is how far reads of a key are apart, as pairs
of them are thinned out alike at each distance (Daley and Vere-Jones, "An introduction to the theory
of point processes", 2003, 11.3); and how many reads a visit must have had follows from how many of
them were seen, by the likeliest mixture (as in `shares`).

Distances are counted in reads, of all keys: so busy times, in which everything comes closer
together, are no visits.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from foretide.dbadvisor.executed import Execution, Parameters
from foretide.dbadvisor.hit_rate import CLUSTERED, FOUR_OF_FIVE

# Of keys that are visited for more of the time than that, visits cannot be told apart.
SPARSE = 0.1
# After a visit, for so many times as long, its key is so many times less likely to be read. (One of
# twelve reads that are taken for a visit's is there by chance then: as much as may be uncertain.)
AFTERWARDS, APART, FAR_APART = 4.0, 12.0, 20.0
FEWEST = 30  # reads that follow others, and visits of three or more, to tell something from
MOST_READS = 64  # of a key: of those that are read more often, visits are no great matter
FINEST = 25  # distances that are told apart
STEP = 1.2  # from one number of reads that is looked for to the next
ROUNDS = 200
MOST_OF, LASTS = 0.9, 2.0  # of the distances, and how much longer than these visits are

Place = tuple[int, float]  # which of all executions it was, and when (s)


@dataclass(frozen=True, slots=True)
class Visits:
    """`firsts`: one execution for each visit that was seen. `sizes`: how many reads visits have,
    with the share of visits that do. `after`: how many reads of a visit follow one of its reads, on
    average of all of them, and `apart` (s, in order) how far they are from that. `pure`: the share
    of these that has not come together by chance. `off`: by which share of itself all this may be
    off. `told`: whether enough was seen to tell visits of two reads from those of many.
    """

    firsts: tuple[Execution, ...]
    sizes: tuple[tuple[float, float], ...]
    after: float
    apart: tuple[float, ...]
    pure: float
    off: float
    told: bool

    @property
    def seconds(self) -> float:
        """How long nearly all of them last."""
        return LASTS * self.apart[int(len(self.apart) * MOST_OF)]

    @property
    def after_first(self) -> float:
        """How many reads follow the first of a visit, on average."""
        return _following_first(self.sizes, 1.0)

    def following(
        self, ttl: float, unchanged: Callable[[float], float], share: float = 1.0
    ) -> tuple[float, float]:
        """Between what the number of reads is that find what another one of their visit has loaded,
        for each that loads. Answers live for `ttl` s, or until a change: `unchanged` says how
        likely there is none within so many seconds of a read. `share`: of the reads that come to
        this cache, by chance.
        """
        kept = sum(unchanged(each) for each in self.apart if each < ttl)
        lasting = kept / len(self.apart)
        any_read = self.pure * share * self.after * lasting
        if not self.told:
            # From visits of very different sizes to visits that are all alike.
            return any_read * (1 - self.off), any_read * (1 + lasting) * (1 + self.off)
        # All others follow the first of a visit, which loads if answers outlive the visit; while
        # they are short-lived, any of its reads may load.
        first = _following_first(self.sizes, share)
        likely = any_read * (1 + lasting * max(0.0, first / (share * self.after) - 1))
        return likely * (1 - self.off), likely * (1 + self.off)


def _following_first(sizes: Iterable[tuple[float, float]], share: float) -> float:
    """Of visits of which one read comes at least, if only a share of all does."""
    reads = come = 0.0
    for size, weight in sizes:
        reads += weight * size * share
        come += weight * _comes(size, share)
    return reads / come - 1


def _comes(size: float, share: float) -> float:
    """How likely it is that one of so many reads is seen, at least."""
    return 1.0 if share >= 1 else -math.expm1(size * math.log1p(-share))


def visits(executed: Sequence[Execution], seen: float) -> Visits | None:
    """What executions in the order of time show, which are that share of all, chosen by chance one
    by one. None where reads of a key do not come together, as far as can be told.
    """
    if not 0 < seen <= 1:
        return None
    places: dict[Parameters, list[Place]] = defaultdict(list)
    for number, each in enumerate(executed):
        places[each.parameters].append((number, each.at))
    least, gap = _longest_pause(list(places.values()), len(executed))
    if least < APART:
        return None
    sparse = {
        key: some
        for key, some in places.items()
        if len(some) <= MOST_READS and _covered(some, gap) <= SPARSE * len(executed)
    }
    found = [visit for some in sparse.values() for visit in _split(some, gap)]
    reads = sum(len(visit) for visit in found)
    apart = sorted(later - at for visit in found for (_, at), (_, later) in combinations(visit, 2))
    counted = Counter(len(visit) for visit in found)
    return Visits(
        tuple(_firsts(executed, places, sparse, gap, reads / len(found))),
        _sizes(counted, seen),
        len(apart) / (reads * seen),
        tuple(apart[:: len(apart) // FINEST + 1]),
        1 - 1 / least,
        min(1.0, FOUR_OF_FIVE * CLUSTERED / math.sqrt(len(apart))),
        sum(number for size, number in counted.items() if size > 2) >= FEWEST,
    )


def _longest_pause(keys: Sequence[Sequence[Place]], number: int) -> tuple[float, int]:
    """How many times less likely a read of a key is after a visit than within it, and the longest
    pause within, in reads: the longest one with which hardly any come together by chance, or else
    where visits are told best. 0 where nothing is told.
    """
    found, gap = (0.0, 0), number // 8
    while gap:
        # By how often they are read alone: how they come must not matter for the choice.
        most = min(SPARSE * number / gap, MOST_READS)
        some = [places for places in keys if len(places) <= most]
        found = max(found, (_apart(some, number, gap), gap))
        if found[0] >= FAR_APART:
            break
        gap //= 2
    return found


def _covered(places: Sequence[Place], gap: int) -> int:
    """In how much of the time, counted in reads, another read of the key belongs to a visit."""
    return gap + sum(min(after - before, gap) for (before, _), (after, _) in pairwise(places))


def _apart(keys: Iterable[Sequence[Place]], number: int, gap: int) -> float:
    """How many times as likely a key is read again within so many reads as in those after them."""
    near = far = 0
    at_risk = at_risk_later = 0.0
    longer = gap * AFTERWARDS
    for places in keys:
        for (here, _), (there, _) in pairwise([*places, (number, 0.0)]):
            pause = there - here
            at_risk += min(pause, gap)
            at_risk_later += min(max(pause - gap, 0), longer - gap)
            if there < number:
                near += pause <= gap
                far += gap < pause <= longer
    if near < FEWEST or not at_risk_later:
        return 0.0
    return near / at_risk * at_risk_later / (far + 1)


def _split(places: Sequence[Place], gap: int) -> Iterator[list[Place]]:
    """The visits that reads of a key are."""
    visit = [places[0]]
    for before, here in pairwise(places):
        if here[0] - before[0] > gap:
            yield visit
            visit = []
        visit.append(here)
    yield visit


def _firsts(
    executed: Sequence[Execution],
    places: Mapping[Parameters, Sequence[Place]],
    sparse: Mapping[Parameters, Sequence[Place]],
    gap: int,
    size: float,
) -> list[Execution]:
    """One for each visit. Those of keys that are always visited cannot be told apart: they have as
    many reads as those of others.
    """
    kept: list[int] = []
    for key, some in places.items():
        if key in sparse:
            kept += [visit[0][0] for visit in _split(some, gap)]
        else:
            kept += [
                number
                for place, (number, _) in enumerate(some)
                if int((place + 1) / size) > int(place / size)
            ]
    return [executed[number] for number in sorted(kept)]


def _sizes(seen: Mapping[int, int], share: float) -> tuple[tuple[float, float], ...]:
    """The likeliest numbers of reads in a visit, by how many of them were seen: a mixture of
    binomial distributions, of which zero cannot be seen.
    """
    if share >= 1:
        return tuple((float(size), number / sum(seen.values())) for size, number in seen.items())
    sizes = [1.0]
    while sizes[-1] < 2 * max(seen) / share:
        sizes.append(math.ceil(max(sizes[-1] + 1, sizes[-1] * STEP)))
    likely = {
        count: [_binomial(count, size, share) / _comes(size, share) for size in sizes]
        for count in seen
    }
    weights = [1 / len(sizes)] * len(sizes)
    for _ in range(ROUNDS):
        sums = [0.0] * len(sizes)
        for count, visits in seen.items():
            parts = [one * weight for one, weight in zip(likely[count], weights, strict=True)]
            scale = visits / sum(parts)
            for place, part in enumerate(parts):
                sums[place] += scale * part
        weights = [each / sum(seen.values()) for each in sums]
    some = [weight / _comes(size, share) for size, weight in zip(sizes, weights, strict=True)]
    return tuple((size, each / sum(some)) for size, each in zip(sizes, some, strict=True))


def _binomial(count: int, size: float, share: float) -> float:
    """How likely it is that just so many of a visit's reads are seen."""
    if count > size:
        return 0.0
    return math.exp(
        math.lgamma(size + 1)
        - math.lgamma(count + 1)
        - math.lgamma(size - count + 1)
        + count * math.log(share)
        + (size - count) * math.log1p(-share)
    )
