"""What is read while an answer lives, from executions that were seen with their moments.

The answers of a cache are replayed on the executions that were seen, which are a sample. Whether
keys have times of their own, at the distance of an answer's life, shows in that: with the same keys
shuffled over the same moments there would be more hits, or fewer (a permutation test). If so, what
follows a load while its answer lives is no sample of all reads of the key, but of those about then:
how often keys are read then is the likeliest mixture of frequencies (as in `shares`), each seen in
as many reads of all keys as came in that life.
"""

import math
import random
import statistics
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from foretide.dbadvisor.executed import Execution, Parameters
from foretide.dbadvisor.hit_rate import Groups, Popularity

SHUFFLES, SIGNIFICANT, DIFFERENT = 6, 4.0, 0.01
RAREST, FEWEST_EXPECTED, STEP, ROUNDS = 0.01, 0.6, math.sqrt(2), 60
EXACT = 16  # up to here reads in a life are told apart one by one
FORESIGHT = 1.25  # lives, of which together a sample can tell
Life = tuple[int, int]  # reads of the key after its load, and of all keys


def hits(moments: Sequence[float], keys: Sequence[Parameters], life: float) -> float:
    """The share of these reads that find an answer which lives so long (s), but for the first ones,
    whose answers may have been there.
    """
    until: dict[Parameters, float] = {}
    found = reads = 0
    begun = moments[0] + life
    for at, key in zip(moments, keys, strict=True):
        hit = at < until.get(key, -math.inf)
        if not hit:
            until[key] = at + life
        if at >= begun:
            found, reads = found + hit, reads + 1
    return found / reads if reads else 0.0


def against_chance(executed: Sequence[Execution], life: float) -> float:
    """How often reads find an answer, against how often they would if keys had no times of their
    own; 1 where it may be chance.
    """
    if len(executed) < 2:
        return 1.0
    moments = [each.at for each in executed]
    keys = [each.parameters for each in executed]
    seen = hits(moments, keys, life)
    chance = random.Random(1)
    shuffled = []
    for _ in range(SHUFFLES):
        chance.shuffle(keys)
        shuffled.append(hits(moments, keys, life))
    usual = statistics.fmean(shuffled)
    noise = math.sqrt(max(seen * (1 - seen), 1 / len(keys)) / len(keys))
    spread = max(statistics.stdev(shuffled), noise / 2)
    if abs(seen - usual) <= max(SIGNIFICANT * spread, DIFFERENT):
        return 1.0
    return seen / usual if usual else math.inf


def popularity(
    executed: Sequence[Execution], life: float, most_keys: float = math.inf
) -> Popularity | None:
    """How reads spread over keys while an answer lives; None where none was seen to its end."""
    lives = _lives(executed, life)
    if not lives:
        return None
    rarest = RAREST
    while True:
        groups = _shares(lives, rarest)
        if sum(number for _, number in groups) <= most_keys or rarest >= FEWEST_EXPECTED:
            break
        rarest *= STEP
    fewest = _shares(lives, max(rarest, FEWEST_EXPECTED))
    reads = sum((1 + own) * number for (own, _), number in lives.items())
    sample = FORESIGHT * sum((1 + own) * every * n for (own, every), n in lives.items()) / reads
    return Popularity(groups, max(sample, 1.0), fewest, max(1.0, reads / max(sample, 1.0)))


def _lives(executed: Sequence[Execution], life: float) -> Counter[Life]:
    """Of all loads whose answers have ended."""
    moments = [each.at for each in executed]
    until: dict[Parameters, float] = {}
    begun: dict[Parameters, tuple[int, int]] = {}  # where, and how often it was read since
    found = Counter[Life]()

    def ended(where: int, own: int) -> None:
        end = moments[where] + life
        if end <= moments[-1]:
            found[_about(own), _about(bisect_left(moments, end) - where - 1)] += 1

    for place, each in enumerate(executed):
        key = each.parameters
        if each.at < until.get(key, -math.inf):
            where, own = begun[key]
            begun[key] = (where, own + 1)
            continue
        if key in begun:
            ended(*begun[key])
        until[key], begun[key] = each.at + life, (place, 0)
    for where, own in begun.values():
        ended(where, own)
    return found


def _about(number: int) -> int:
    """The same, of large ones two or three digits in base two: what is near counts together."""
    if number <= EXACT:
        return number
    unit = 1 << (number.bit_length() - 4)
    return round(number / unit) * unit


def _shares(lives: Counter[Life], rarest: float) -> Groups:
    """Groups of keys by their share of all reads while they are read."""
    longest = max(every for _, every in lives)
    shares = [rarest / max(longest, 1)]
    most = max((own + 1) / max(every, 1) for own, every in lives)
    while shares[-1] < min(most, 1.0):
        shares.append(min(1.0, shares[-1] * STEP))
    likely = []
    for own, every in lives:
        logs = [own * math.log(each) - each * every for each in shares]
        top = max(logs)
        likely.append([math.exp(each - top) for each in logs])
    weights = [1 / len(shares)] * len(shares)
    total = sum(lives.values())
    reads = weights
    for _ in range(ROUNDS):
        sums, reads = [0.0] * len(shares), [0.0] * len(shares)
        for row, ((own, _), number) in zip(likely, lives.items(), strict=True):
            parts = [one * weight for one, weight in zip(row, weights, strict=True)]
            scale = number / sum(parts)
            for place, part in enumerate(parts):
                sums[place] += scale * part
                reads[place] += scale * part * (1 + own)
        weights = [each / total for each in sums]
    all_reads = sum(reads)
    found = [
        (share, some / all_reads / share) for share, some in zip(shares, reads, strict=True) if some
    ]
    return tuple(sorted(found, reverse=True))
