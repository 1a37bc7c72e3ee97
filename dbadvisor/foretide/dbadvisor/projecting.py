"""The hit rate of a cache that is not there yet, for one query and one TTL."""

import math
from dataclasses import dataclass, replace
from functools import partial

from foretide.dbadvisor.hit_rate import (
    CLUSTERED,
    FORESIGHT,
    Popularity,
    bounds,
    hit_rate,
    lifetime,
    of_a_sample,
)
from foretide.dbadvisor.popularity import Repeats
from foretide.dbadvisor.rhythm import (
    Counts,
    Rhythm,
    answered,
    begun,
    clump,
    leveled,
    pace,
    unchanged,
)

# Times of a day are told apart by steps of so many times as usual, and so many of them.
READS, CHANGES = (1.6, 4), (3.0, 2)
# Of what was seen, as much as that is looked at to tell which way to project is right; and what may
# be wrong there by chance.
CHECKED_LIVES, UNEXPLAINED = 3.0, 0.03
# Standard deviations: a change drops all answers, so that much hangs on how many were seen.
NINETEEN_OF_TWENTY = 1.96
FEWEST_CHANGES = 10  # that were seen from close by, to tell how they come between reads


@dataclass(frozen=True, slots=True)
class Traffic:
    """Reads of a query and changes of its tables in a second, and how they come in time (None: one
    by one, as far as is known). `caches`: how many there are that share the reads, by chance.
    """

    reads: float
    changes: float
    rhythm: Rhythm | None = None
    caches: float = 1.0


def projected(
    repeats: Repeats, traffic: Traffic, ttl: float, *, invalidated: bool
) -> tuple[float, float]:
    """Between what the hit rate is, from 0 to 1. `invalidated`: answers are dropped when their
    tables change. It is wider where more comes in a lifetime than the sample can tell of, where few
    changes were seen, or few reads from close by, or where rare keys are missing in the sample.
    """
    least, most = _projected(repeats, traffic, ttl, invalidated=invalidated)
    if repeats.lost:
        scattered = (0.0, 0.0)
        if repeats.scattered is not None:
            scattered = _projected(
                Repeats(repeats.scattered), traffic, ttl, invalidated=invalidated
            )
        least = min(least, scattered[0])
    return least, most


def _projected(
    repeats: Repeats, traffic: Traffic, ttl: float, *, invalidated: bool
) -> tuple[float, float]:
    reads = traffic.reads / max(traffic.caches, 1)
    changes = traffic.changes if invalidated else 0.0
    life = lifetime(ttl, changes)
    rhythm = traffic.rhythm
    felt = changes / (clump(rhythm.fine) if rhythm and rhythm.fine else 1.0)
    replayed = None
    # One hour's executions are not a day's.
    day = rhythm.day if rhythm else None
    if rhythm and traffic.caches <= 1 and (day is None or repeats.seconds > day.seconds / 2):
        replayed = repeats.replayed(lifetime(ttl, felt))
    if replayed is None and repeats.executed and not repeats.grain and 0 < repeats.seen < 1:
        return _checked(repeats, traffic, ttl, life, invalidated=invalidated)
    popularity = repeats.while_living(life)
    if replayed is not None:
        least = most = replayed
    elif repeats.is_beyond(life) or (rhythm and repeats.comes_evenly(ttl)):
        # Answers that no change drops live for all of the TTL.
        return 0.0, 1.0
    elif rhythm is None:
        least, most = bounds(popularity, reads, life)
        return _widened(least, most, of_a_sample((least + most) / 2, popularity))
    else:
        seen = rhythm if invalidated else _unchanged(rhythm)
        least, most = _answered(popularity, traffic, seen, ttl)
    assert rhythm is not None
    doubt = _of_few_changes(popularity, reads, ttl, felt, rhythm)
    if replayed is None:
        hits = (least + most) / 2
        doubt = max(doubt, _of_few_reads(hits, ttl, rhythm), of_a_sample(hits, popularity))
    return _widened(least, most, doubt)


def _checked(
    repeats: Repeats, traffic: Traffic, ttl: float, life: float, *, invalidated: bool
) -> tuple[float, float]:
    """By visits, if that foresees what a cache would have answered of the executions that were
    seen, or else by what is read while answers live. (The check is as of Gelman et al., "Posterior
    predictive assessment of model fitness", 1996.) What is wrong there may be so, of all reads, by
    as many times as there are more of them.
    """
    plain = repeats.plain
    within = min(life, repeats.seconds / CHECKED_LIVES)
    lately = traffic.rhythm and replace(_unchanged(traffic.rhythm), day=None)
    sample = Traffic(traffic.reads, 0.0, lately, 1 / repeats.seen)
    seen = repeats.answered(within)
    for model in (repeats, plain) if repeats.visits else (plain,):
        least, most = _by(model, sample, within, invalidated=False)
        off = max(0.0, abs((least + most) / 2 - seen) - UNEXPLAINED)
        if not off or model is plain:
            break
    return _widened(*_by(model, traffic, ttl, invalidated=invalidated), off / repeats.seen)


def _by(
    repeats: Repeats, traffic: Traffic, ttl: float, *, invalidated: bool
) -> tuple[float, float]:
    if repeats.visits is None or repeats.firsts is None:
        return _projected(repeats, traffic, ttl, invalidated=invalidated)
    visits, firsts, rhythm = repeats.visits, repeats.firsts, traffic.rhythm
    fine = rhythm.fine if rhythm else None
    if invalidated and fine and sum(fine.changes) >= FEWEST_CHANGES:
        kept = partial(unchanged, begun(fine, visits.after_first, visits.apart))
    else:
        changes = traffic.changes / (clump(fine) if fine else 1.0)
        kept = partial(_unchanged_evenly, changes if invalidated else 0.0)
    found: list[float] = []
    # The first read of a visit finds an answer or not; those that follow it find one.
    for more in visits.following(ttl, kept, 1 / max(traffic.caches, 1)):
        rarer = replace(traffic, caches=max(traffic.caches, 1) * (1 + more))
        first = _projected(firsts, rarer, ttl, invalidated=invalidated)
        found += (1 - (1 - hits) / (1 + more) for hits in first)
    return min(found), max(found)


def _unchanged_evenly(changes: float, seconds: float) -> float:
    return math.exp(-changes * seconds)


def _widened(least: float, most: float, doubt: float) -> tuple[float, float]:
    return max(0.0, least - doubt), min(1.0, most + doubt)


def _answered(
    popularity: Popularity, traffic: Traffic, rhythm: Rhythm, ttl: float
) -> tuple[float, float]:
    """As `hit_rate.bounds`, for traffic with a rhythm: of each level of a day, by its reads."""
    thinned = 1 / max(traffic.caches, 1)
    least = most = 0.0
    for weight, level in levels(rhythm):
        reads = thinned * sum(level.slow.reads) / level.slow.seconds
        told = popularity.sample * FORESIGHT / reads if reads > 0 else ttl
        if told >= lifetime(ttl, sum(level.slow.changes) / level.slow.seconds):
            low = high = answered(popularity, pace(level, ttl), ttl, thinned)
        else:
            low = answered(popularity, pace(level, told), told, thinned)
            high = answered(popularity.at_most_hits, pace(level, ttl), ttl, thinned)
        least += weight * low
        most += weight * max(low, high)
    return least, most


def levels(rhythm: Rhythm) -> list[tuple[float, Rhythm]]:
    """A day's times, as far as reads or changes come more or less often then, with their shares of
    all reads: each has the rhythm that was seen lately, with as many reads and changes as come
    then. Just that rhythm where nothing is known of a day.
    """
    day = rhythm.day
    if day is None:
        return [(1.0, rhythm)]
    reads, changes = leveled(day.reads), leveled(day.changes)
    mean, mean_too = sum(reads) / len(reads), sum(changes) / len(changes)
    found: dict[tuple[int, int], list[int]] = {}
    for place in range(len(reads)):
        level = (_level(reads[place], mean, *READS), _level(changes[place], mean_too, *CHANGES))
        found.setdefault(level, []).append(place)
    result = []
    for _, places in sorted(found.items()):
        some, seconds = sum(reads[place] for place in places), len(places) * day.step
        rates = (some / seconds, sum(changes[place] for place in places) / seconds)
        if some > 0:
            result.append((some / sum(reads), _at_rates(rhythm, *rates)))
    return result


def _level(amount: float, mean: float, times: float, most: int) -> int:
    """How many `times` as much as usual it is, up to `most` either way."""
    if amount <= 0 or mean <= 0:
        return -most
    return max(-most, min(most, round(math.log(amount / mean, times))))


def _at_rates(rhythm: Rhythm, reads: float, changes: float) -> Rhythm:
    """With so many reads and changes in a second on average."""
    slow, fine = rhythm.slow, rhythm.fine
    more = reads * slow.seconds / sum(slow.reads)
    if sum(slow.changes) > 0:
        more_too = changes * slow.seconds / sum(slow.changes)
    else:
        more_too = 1.0
        slow = replace(slow, changes=(changes * slow.step,) * len(slow.changes))

    def times(counts: Counts) -> Counts:
        return replace(
            counts,
            reads=tuple(more * each for each in counts.reads),
            changes=tuple(more_too * each for each in counts.changes),
        )

    return Rhythm(times(slow), times(fine) if fine else None, counted=fine)


def _of_few_changes(
    popularity: Popularity, reads: float, ttl: float, changes: float, rhythm: Rhythm
) -> float:
    """How far it moves the hit rate that chance has made more changes, or fewer, than usual."""
    number = changes * (rhythm.day or rhythm.slow).seconds
    if number <= 0:
        return 0.0
    far = NINETEEN_OF_TWENTY / math.sqrt(max(number, 1.0))
    rates = (changes * (1 + far), changes * max(0.0, 1 - far))
    low, high = (hit_rate(popularity, reads, lifetime(ttl, rate)) for rate in rates)
    return (high - low) / 2


def _of_few_reads(hits: float, ttl: float, rhythm: Rhythm) -> float:
    """How uncertain a rhythm is that was seen in few reads, for a TTL that lives within it."""
    if rhythm.fine is None or ttl >= rhythm.slow.step:
        return 0.0
    return CLUSTERED * math.sqrt(hits * (1 - hits) / max(sum(rhythm.fine.reads), 1.0))


def _unchanged(rhythm: Rhythm) -> Rhythm:
    """The same, where nothing changes."""
    slow, fine, day = (
        each and replace(each, changes=(0.0,) * len(each.changes))
        for each in (rhythm.slow, rhythm.fine, rhythm.day)
    )
    assert slow is not None
    return Rhythm(slow, fine, day)
