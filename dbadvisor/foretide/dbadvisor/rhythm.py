"""How reads of a query and changes of its tables come in time, and what a cache makes of it.

Counters that are read once a minute show which minutes are busy, and not what happens within one.
There a cache lives: of reads that come in bursts far more find an answer than of as many that come
one by one. So counters of a few statements are looked at again and again for a while (`pulses`).

Counts are chance's doing in part. What is taken for the rhythm has the variance that is left when
that of chance is taken away: constrained empirical Bayes (Ghosh, "Constrained Bayes estimation with
applications", JASA 1992). For traffic without a rhythm nothing is left.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate, pairwise

from foretide.dbadvisor.hit_rate import Popularity, binned

STEPS = 8  # that a TTL is cut into, if it is not looked at more finely for other reasons
CHANGES_SECONDS = 2.0  # where tables change, no step is longer
MOST_STEPS = 1200
# Where in a minute one may have begun that was looked at closely, and by which share numbers of
# reads are about the same.
BEGINNINGS, ALIKE = 12, 0.15
SHIFT, MEETING = 15.0, 2.0  # s, and standard deviations
MOST_COUPLED = 2.0  # reads: an application asks once, or twice
SIGNIFICANT = 2.5  # standard deviations: from there on it is no chance
# Steps between reads and the changes they come with; from the others follows what is there anyway.
_LATE = 0.2  # of a step, that a look may be
_NEAR, _MIDDLE, _FAR = (-1, 0, 1), (-4, -3, -2, 2, 3, 4), (-7, -6, -5, 5, 6, 7)
_SLOPE = (3 - 2 / 3) / 3  # from the middle ones to the near ones, in distances of far from middle
_NOISE = math.sqrt(3 + 9 * ((1 + _SLOPE) ** 2 + _SLOPE**2) / 6)  # of that sum, against one lag

Shape = tuple[float, Sequence[float], Sequence[float]]  # all reads, and reads and changes in steps


@dataclass(frozen=True, slots=True)
class Counts:
    """Reads, and changes of the tables behind them, in stretches of `step` s, one after another."""

    step: float
    reads: tuple[float, ...]
    changes: tuple[float, ...]

    @property
    def seconds(self) -> float:
        return self.step * len(self.reads)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """`slow`: counts of long stretches, of a minute or so, over the last time; `fine`: of short
    ones, over as long as somebody has looked so closely; `day`: of a quarter of an hour or so, over
    hours or a day, if that is longer. `counted`: the short ones as they were counted, where `fine`
    is what they would be at another time of the day: which changes come together shows there alone.
    """

    slow: Counts
    fine: Counts | None = None
    day: Counts | None = None
    counted: Counts | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """What is expected in each of a row of steps of `step` s. Changes come `clump` at a time, as
    far as can be told in `moment` s. `coupled`: how many reads come together with a change.
    """

    step: float
    reads: tuple[float, ...]
    changes: tuple[float, ...]
    moment: float
    clump: float = 1.0
    coupled: float = 0.0


def counted(seen: Sequence[tuple[float, float, float]], step: float) -> Counts | None:
    """Counts from counters: (moment in s, reads so far, changes so far), in the order of time.

    What comes between two looks that are about a step apart belongs to one step as a whole: to
    share it out would take some of its chance away. What comes in longer is taken to come evenly.
    None if it is less than two steps.
    """
    if len(seen) < 2:
        return None
    number = int((seen[-1][0] - seen[0][0]) / step + _LATE)
    if number < 2:
        return None
    sums: tuple[list[float], list[float]] = ([0.0] * number, [0.0] * number)
    for (at, *before), (until, *after) in pairwise(seen):
        begin, end = (at - seen[0][0]) / step, (until - seen[0][0]) / step
        if abs(end - begin - 1) < 2 * _LATE:
            begin = min(int((begin + end) / 2), number - 1)
            end = begin + 1
        for column, had, has in zip(sums, before, after, strict=True):
            _spread(column, begin, end, has - had)
    return Counts(step, tuple(sums[0]), tuple(sums[1]))


def _spread(column: list[float], begin: float, end: float, amount: float) -> None:
    """Adds an amount to the steps from `begin` to `end`, evenly."""
    if amount <= 0 or end <= begin:
        return
    for place in range(int(begin), min(math.ceil(end), len(column))):
        column[place] += amount * (min(end, place + 1) - max(begin, place)) / (end - begin)


def pace(rhythm: Rhythm, ttl: float) -> Pace:
    """The rhythm in steps of which a TTL (s) is a whole number, and no more than that needs.

    A minute gets the shape of one that was looked at closely, with about as many reads. Has it more
    of them, it was busy for longer, and no busier than anything that was looked at.
    """
    slow, fine = rhythm.slow, rhythm.fine and _as_usual(rhythm.fine)
    number = _steps(rhythm, ttl)
    step = ttl / number
    each = max(1, round(slow.step / step))
    scale = each * step / slow.step  # what so many steps do not fill exactly keeps its rate
    levels = list(zip(leveled(slow.reads), leveled(slow.changes), strict=True))
    by_reads = sorted(range(len(levels)), key=lambda place: (slow.reads[place], place))
    shapes = _shapes(fine, step, each)
    shape_of = {
        place: _alike(shapes, scale * levels[place][0], rank) for rank, place in enumerate(by_reads)
    }
    most = max(max(some) for _, some, _ in shapes) if fine is not None else math.inf
    busiest = max((changes for _, _, changes in shapes), key=sum)
    reads: list[float] = []
    changes: list[float] = []
    for place in _places(by_reads, each, short=ttl * 4 <= slow.step):
        level, level_too = levels[place]
        _, shape, shape_too = shape_of[place]
        reads += _shaped(scale * level, shape, most)
        changes += _shaped(scale * level_too, shape_too if sum(shape_too) > 0 else busiest)
    if fine is None:
        return Pace(step, tuple(reads), tuple(changes), step)
    seen = rhythm.counted or rhythm.fine or fine
    return Pace(step, tuple(reads), tuple(changes), fine.step, clump(seen), coupling(seen))


@lru_cache(maxsize=64)
def _as_usual(fine: Counts) -> Counts:
    """With changes later by as much as makes them meet as many reads as they do on average: where
    few busy times of either were seen, it is by chance which of them met, unless they meet far
    more often than at any other distance, or hardly ever (a test by shifts: surrogates).
    """
    number, apart = len(fine.reads), round(SHIFT / fine.step)
    if not sum(fine.changes) or number < 4 * apart or coupling(fine):
        return fine
    wide = max(1, apart // 3)
    reads = [sum(fine.reads[begin : begin + wide]) for begin in range(0, number, wide)]

    def met(shift: int) -> float:
        changes = _later(fine.changes, shift)
        return sum(
            some * sum(changes[place * wide : (place + 1) * wide])
            for place, some in enumerate(reads)
        )

    shifts = range(2 * apart, number - 2 * apart, apart)
    others = [met(shift) for shift in shifts]
    mean = sum(others) / len(others)
    spread = math.sqrt(sum((each - mean) ** 2 for each in others) / len(others))
    if abs(met(0) - mean) > MEETING * spread:
        return fine
    usual = min(zip(others, shifts, strict=True), key=lambda each: abs(each[0] - mean))
    return replace(fine, changes=tuple(_later(fine.changes, usual[1])))


def _later(counts: Sequence[float], steps: int) -> Sequence[float]:
    return (*counts[-steps:], *counts[:-steps]) if steps else counts


def _steps(rhythm: Rhythm, ttl: float) -> int:
    """Into how many steps a TTL is cut."""
    longest = CHANGES_SECONDS if any(rhythm.slow.changes) else rhythm.slow.step
    step = min(max(min(ttl / STEPS, longest), ttl / (MOST_STEPS / 2)), rhythm.slow.step)
    if rhythm.fine is not None:
        step = max(step, rhythm.fine.step)
    return max(1, round(ttl / step))


def _places(by_reads: Sequence[int], each: int, *, short: bool) -> list[int]:
    """Which long stretches are gone through: the last ones in their order; where a TTL is short
    against them, so that order does not matter, some of each sort.
    """
    number = len(by_reads)
    most = max(4, MOST_STEPS // each)
    if not short:
        return list(range(max(0, number - 2 * most), number))
    if number <= most:
        return list(range(number))
    return [by_reads[(2 * place + 1) * number // (2 * most)] for place in range(most)]


def _shapes(fine: Counts | None, step: float, each: int) -> list[Shape]:
    """Reads and changes in the `each` steps of a long stretch, wherever it may have begun."""
    if fine is None:
        return [(float(each), [1.0] * each, [1.0] * each)]
    reads, changes = (
        _resampled(leveled(column), fine.step, step) for column in (fine.reads, fine.changes)
    )
    if len(reads) < each:
        reads, changes = (
            [column[place % len(column)] for place in range(each)] for column in (reads, changes)
        )
    begins = range(0, len(reads) - each + 1, max(1, each // BEGINNINGS))
    parts = [(reads[begin : begin + each], changes[begin : begin + each]) for begin in begins]
    return sorted(((sum(some), some, others) for some, others in parts), key=lambda one: one[0])


def _alike(shapes: Sequence[Shape], reads: float, number: int) -> Shape:
    """One of those with about so many reads; another one for another number."""
    nearest = min(abs(some - reads) for some, _, _ in shapes)
    near = [one for one in shapes if abs(one[0] - reads) <= nearest + ALIKE * reads]
    return near[number % len(near)]


def _resampled(counts: Sequence[float], step: float, other: float) -> list[float]:
    """As many, in steps of another length."""
    number = max(1, int(len(counts) * step / other + 1e-6))
    column = [0.0] * number
    for place, count in enumerate(counts):
        _spread(column, place * step / other, (place + 1) * step / other, count)
    return column


def _shaped(level: float, shape: Sequence[float], most: float = math.inf) -> list[float]:
    """An amount, shared out, with no more in a step than `most`: what is too much for the busy ones
    makes those around them busy. (All alike, if it is too much for all.)
    """
    total, number = sum(shape), len(shape)
    if total <= 0 or level >= most * number:
        return [level / number] * number
    found = [min(level * part / total, most) for part in shape]
    full = [place for place, each in enumerate(found) if each >= most]
    left = level - sum(found)
    if full and left > 0:
        for place in sorted(range(number), key=lambda one: min(abs(one - each) for each in full)):
            more = min(left, most - found[place])
            found[place] += more
            left -= more
    return found


def leveled(counts: Sequence[float]) -> list[float]:
    """What is expected in each step, if only that varies which chance (Poisson) leaves over.

    At each scale apart, from halves of the whole down to single steps: a burst of many steps with
    few reads in each shows at its own scale, and the steps within it are chance's (Kolaczyk,
    "Bayesian multiscale models for Poisson processes", JASA 1999).
    """
    sums = [0.0, *accumulate(counts)]
    expected = {(0, len(counts)): sums[-1]}
    found = [0.0] * len(counts)
    while expected:
        halves = []
        for begin, end in expected:
            if end - begin == 1:
                found[begin] = expected[begin, end]
            else:
                halves.append((begin, (begin + end) // 2, end))
        kept = _kept(sums, halves)
        below = {}
        for begin, middle, end in halves:
            total, share = sums[end] - sums[begin], (middle - begin) / (end - begin)
            if total > 0:
                share += kept * ((sums[middle] - sums[begin]) / total - share)
            below[begin, middle] = expected[begin, end] * share
            below[middle, end] = expected[begin, end] * (1 - share)
        expected = below
    return found


def _kept(sums: Sequence[float], halves: Sequence[tuple[int, int, int]]) -> float:
    """How much of the differences between halves is no chance, so that their variance fits."""
    seen = chance = 0.0
    for begin, middle, end in halves:
        total, share = sums[end] - sums[begin], (middle - begin) / (end - begin)
        seen += (sums[middle] - sums[begin] - total * share) ** 2
        chance += total * share * (1 - share)
    return math.sqrt(max(0.0, seen - chance) / seen) if seen > 0 else 0.0


def clump(fine: Counts) -> float:
    """How many changes come at a time: more in a moment than in those shortly before and after, as
    otherwise they are busy times.
    """
    changes = fine.changes
    total = sum(changes)
    if not total:
        return 1.0
    around = sum(
        count * (changes[place - 2] + changes[place + 2]) / 2
        for place, count in enumerate(changes)
        if 2 <= place < len(changes) - 2
    )
    return max(1.0, (sum(count * count for count in changes) - around) / total)


def coupling(fine: Counts) -> float:
    """How many reads come together with a change, and would not without it: an application that
    looks at what it has just written, or reads before it writes.
    """
    reads, changes = fine.reads, fine.changes
    number = len(reads)
    if not sum(changes) or number < 20:
        return 0.0
    mean, mean_too = sum(reads) / number, sum(changes) / number
    off, off_too = [each - mean for each in reads], [each - mean_too for each in changes]

    def covariance(lag: int) -> float:
        places = range(max(0, -lag), number - max(0, lag))
        return sum(off_too[place] * off[place + lag] for place in places) / number

    # Busy times that both share show at any small distance, and less and less evenly; what comes
    # together, at none alone.
    middle, far = (sum(map(covariance, lags)) / len(lags) for lags in (_MIDDLE, _FAR))
    usual = middle + _SLOPE * (middle - far)
    together = sum(covariance(lag) - usual for lag in _NEAR)
    spread = math.sqrt(
        sum(each * each for each in off) * sum(each * each for each in off_too) / number**3
    )
    if together < SIGNIFICANT * spread * _NOISE:
        return 0.0
    return min(together / mean_too, mean / mean_too, MOST_COUPLED)


def begun(fine: Counts, following: float, apart: Sequence[float]) -> Counts:
    """With reads that begin something alone: so many others follow each, these seconds later. When
    a busy time is over, it is they that still come.
    """
    late = [int(each / fine.step + 0.5) for each in apart]
    each_of = following / max(len(late), 1)
    first = list(fine.reads)
    for place in range(len(first)):
        for other in (place + step for step in late):
            if other < len(first):
                first[other] = max(0.0, first[other] - each_of * first[place])
    return replace(fine, reads=tuple(first))


def unchanged(fine: Counts, seconds: float) -> float:
    """After which share of reads no change comes within so many seconds, just as it was seen: reads
    in the middle of a step, changes anywhere in it. At the end it goes on as at the beginning.
    """
    number, reads = len(fine.reads), sum(fine.reads)
    if not reads:
        return 1.0
    sums = [0.0, *accumulate(fine.changes * 2)]
    kept, later = 0.0, min(seconds / fine.step, number - 1.0)
    for here, some in enumerate(fine.reads):
        end = here + 0.5 + later
        last = int(end)
        if not some or sums[last] - sums[min(here + 1, last)] > 0:
            continue
        if last == here:
            kept += some * (1 - later) ** fine.changes[here]
        else:
            parts = 0.5 ** fine.changes[here] * (1 - (end - last)) ** fine.changes[last % number]
            kept += some * parts
    return kept / reads


def answered(popularity: Popularity, paced: Pace, ttl: float, thinned: float = 1.0) -> float:
    """Which share of reads a cache answers that sees `thinned` of them, with such a TTL (s).

    For Poisson traffic whose rate is known at any moment it is exact, as hits = 1 - loads / reads,
    and a key is loaded by the first read that finds it gone: whether it is there follows from the
    loads of the last TTL, less what changes have dropped.
    """
    reads = sum(paced.reads)
    if reads <= 0:
        return 0.0
    number = max(1, round(ttl / paced.step))
    loads = 0.0
    for share, keys in binned(popularity).groups:
        loads += keys * _loads(share * thinned, paced, number)
    return min(1.0, max(0.0, 1 - loads / (reads * thinned)))


def _loads(share: float, paced: Pace, number: int) -> float:
    """How often one key is loaded in all steps. Its answer lives for `number` steps."""
    asked = [
        share * max(0.0, reads - paced.coupled * changes)
        for reads, changes in zip(paced.reads, paced.changes, strict=True)
    ]
    at_once = _at_least_one(share, paced.coupled)
    moment = min(1.0, paced.moment / paced.step)
    dropped = [
        changes * _felt(paced.clump, reads * moment)
        for reads, changes in zip(asked, paced.changes, strict=True)
    ]
    steps = len(asked)
    gone, killed, loads = 1.0, 0.0, 0.0  # `gone`: how likely it is that the key is not there
    made: list[float] = []
    kills: list[float] = []
    for place in range(number + steps):
        here = place % steps
        read, drop = asked[here], dropped[here]
        ending = 0.0
        if place >= number:
            ending = made[place - number] * math.exp(kills[place - number] - killed)
        both = read + drop
        if both > 1e-9:
            # Within a step a key comes and goes as a Markov chain of two states does.
            end = (drop * (1 - at_once) + ending) / both
            faded = -math.expm1(-both)
            loaded = read * (end + (gone - end) * faded / both)
            gone += (end - gone) * faded
        else:
            loaded = 0.0
            gone += ending
        gone = min(1.0, max(0.0, gone))
        loaded += at_once * paced.changes[here]
        made.append(loaded)
        kills.append(killed)
        killed += drop
        if place >= number:
            loads += loaded
    return loads


def _at_least_one(share: float, coupled: float) -> float:
    """How likely it is that one of the reads that come with a change is of a key."""
    if coupled <= 1:
        return min(1.0, share * coupled)
    return -math.expm1(coupled * math.log1p(-share)) if share < 1 else 1.0


def _felt(clump: float, reads: float) -> float:
    """Which share of changes that come `clump` at a time drops something: after each, somebody must
    have read again. `reads`: how many come in that moment.
    """
    if clump <= 1:
        return 1.0
    return (1 + (clump - 1) * reads / (reads + clump)) / clump
