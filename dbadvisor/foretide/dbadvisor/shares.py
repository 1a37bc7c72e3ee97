"""How reads spread over keys, estimated from how often each key was seen in a sample of them.

A key that was seen once may be read ten times less often than that suggests, a thousand more may
not have been seen at all, and of keys that are all alike some are seen three times and others
never. So it is asked which mixture of frequencies makes such counts most likely: the nonparametric
maximum likelihood of a mixture of Poisson distributions, of which zero cannot be seen (Norris and
Pollock, "Nonparametric MLE for Poisson species abundance models", 1998), by the EM algorithm.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import mul

from foretide.dbadvisor.hit_rate import Groups, Popularity

# Counts up to here are chance's doing in good part; what was seen more often is as often as that.
BY_CHANCE = 24
# What is looked for: from keys that are seen in one of a hundred such samples, in steps of a half
# octave. Still rarer ones make no difference to what so large a sample can tell of.
RAREST = 0.01
STEP = math.sqrt(2)
ROUNDS = 100
# With as few keys as there may be, each is expected to be seen so often, or more.
FEWEST_EXPECTED = 0.6
SLACK = 1 + 1e-6  # of sums of floating point


def estimated(counts: Iterable[int], most_keys: float = math.inf) -> Popularity:
    """From how often each key was seen. `most_keys` there can be, if that is known.

    Raises:
        ValueError: nothing was seen.
    """
    seen = Counter(count for count in counts if count > 0)
    n = sum(count * keys for count, keys in seen.items())
    if n == 0:
        raise ValueError("no read was seen")
    known = sum(seen.values())
    rarest = RAREST
    groups = _shares(seen, n, rarest)
    while _number(groups) > max(most_keys, known) * SLACK:
        rarest *= STEP
        if rarest > BY_CHANCE:
            groups = tuple((count / n, float(keys)) for count, keys in seen.items())
            break
        groups = _shares(seen, n, rarest)
    fewest = _shares(seen, n, max(rarest, FEWEST_EXPECTED))
    if not known <= _number(fewest) < _number(groups):
        fewest = ()
    return Popularity(_sorted(groups), n, _sorted(fewest))


def _sorted(groups: Groups) -> Groups:
    return tuple(sorted(groups, reverse=True))


def _number(groups: Groups) -> float:
    return sum(keys for _, keys in groups)


def _shares(seen: Counter[int], n: int, rarest: float) -> Groups:
    """Groups of keys, none of which is expected less often than `rarest` in the sample."""
    found = [(count / n, float(keys)) for count, keys in seen.items() if count > BY_CHANCE]
    few = {count: keys for count, keys in sorted(seen.items()) if count <= BY_CHANCE}
    if few:
        expected = [rarest]
        while expected[-1] < max(few):
            expected.append(expected[-1] * STEP)
        weights = _weights(few, expected)
        keys = sum(few.values())
        found += [
            (each / n, keys * weight / -math.expm1(-each))
            for each, weight in zip(expected, weights, strict=True)
            if keys * weight > 1e-6
        ]
    total = sum(share * keys for share, keys in found)
    return tuple((share / total, keys) for share, keys in found)


def _weights(few: dict[int, int], expected: Sequence[float]) -> list[float]:
    """Which share of the keys that were seen is expected how often."""
    likely = [
        [
            math.exp(count * math.log(each) - each - math.lgamma(count + 1)) / -math.expm1(-each)
            for each in expected
        ]
        for count in few
    ]
    # By the frequency that is expected, too: `map` of `mul` is what Python does fastest.
    columns = list(zip(*likely, strict=True))
    shares = [keys / sum(few.values()) for keys in few.values()]
    weights = [1 / len(expected)] * len(expected)
    for _ in range(ROUNDS):
        scales = [
            share / sum(map(mul, row, weights)) for row, share in zip(likely, shares, strict=True)
        ]
        weights = [
            weight * sum(map(mul, column, scales))
            for column, weight in zip(columns, weights, strict=True)
        ]
    return weights
