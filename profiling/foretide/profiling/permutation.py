"""Are two groups of units different, and in which of many values? A studentised permutation test.

The statistic is Welch's t: permuting it stays right where the groups' variances differ (Janssen,
Statistics & Probability Letters 36, 1997), as they do at different rates of sampling. The largest
of all values' statistics in each permutation corrects for their number, and knows how they hang
together (Westfall and Young, "Resampling-Based Multiple Testing", 1993): Holm's bound, which does
not, would need more units than half a minute has.
"""

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

_MOST_EXACT = 3_000
_DRAWN = 2_000


@dataclass(frozen=True)
class Tested:
    """`t` of each value (positive: it has grown), its corrected p, and the standard error of its
    difference; `critical` is the |t| that the largest of all exceeds in `alpha` of permutations.
    """

    t: Values
    p: Values
    error: Values
    critical: float


def least_p(before: int, after: int) -> float:
    """The smallest p that so many units can give (two-sided)."""
    ways = comb(before + after, before)
    return (2 if before == after else 1) / ways


def permuted(
    before: Values,
    after: Values,
    weights: tuple[Values, Values],
    floor: Values,
    alpha: float = 0.05,
    inflation: float = 1.0,
    seed: int = 0,
) -> Tested:
    """Compare the weighted means of two groups (units × values).

    `weights` are those of each group's units, above 0: they stay with a unit that is shuffled.
    `floor`: the least standard error of each difference, from how coarse the values are: without
    it a function that was seen twice, in one group, would look as sure as can be. `inflation`: how
    much larger errors are because units resemble their neighbours, which shuffled ones do not.
    """
    units = _Units(np.vstack([before, after]), np.concatenate(weights))
    first, total = len(before), len(units.values)
    t, error = _welch(units, _labels(first, total), floor)
    t, error = t / inflation, error * inflation
    drawn = _assignments(first, total, seed)
    largest = np.empty(len(drawn))
    for start in range(0, len(drawn), 500):
        other, _ = _welch(units, drawn[start : start + 500], floor)
        largest[start : start + 500] = np.abs(other).max(axis=1)
    # The observed one counts as one of the permutations (Phipson and Smyth, SAGMB 9, 2010).
    exact = comb(total, first) <= _MOST_EXACT
    extra = 0 if exact else 1
    beyond = (largest[:, None] >= np.abs(t[0])[None, :] - 1e-9).sum(axis=0)
    p = (beyond + extra) / (len(drawn) + extra)
    ordered = np.sort(largest)[::-1]
    critical = float(ordered[min(int(alpha * len(drawn)), len(ordered) - 1)])
    return Tested(t[0], p, error[0], critical)


def _labels(first: int, total: int) -> Values:
    labels = np.zeros((1, total))
    labels[0, :first] = 1.0
    return labels


def _assignments(first: int, total: int, seed: int) -> Values:
    """Which units are in the first group, a row for each permutation; all, where there are few."""
    if comb(total, first) <= _MOST_EXACT:
        chosen = np.array(list(combinations(range(total), first)))
        labels = np.zeros((len(chosen), total))
        np.put_along_axis(labels, chosen, 1.0, axis=1)
        return labels
    order = np.random.default_rng(seed).random((_DRAWN, total)).argsort(axis=1)
    return (order < first).astype(np.float64)


class _Units:
    """All units' values, their weights, and what is needed of both again and again."""

    def __init__(self, values: Values, weights: Values) -> None:
        self.values = values
        self.weights = weights / weights.mean()
        self.squares = values**2


def _welch(units: _Units, labels: Values, floor: Values) -> tuple[Values, Values]:
    """t and standard errors (permutations × values) of the second group against the first.

    The error of a weighted mean is that of the ratio of two sums (Cochran, "Sampling Techniques",
    1977, section 6.4).
    """
    groups = []
    for chosen in (labels, 1.0 - labels):
        count = chosen.sum(axis=1, keepdims=True)
        once = chosen * units.weights
        twice = once * units.weights
        whole = once.sum(axis=1, keepdims=True)
        mean = once @ units.values / whole
        spread = (
            twice @ units.squares
            - 2 * mean * (twice @ units.values)
            + mean**2 * twice.sum(axis=1, keepdims=True)
        )
        error = np.maximum(spread, 0.0) / whole**2 * count / np.maximum(count - 1, 1)
        groups.append((mean, error))
    (before, first), (after, second) = groups
    error = np.maximum(np.sqrt(first + second), floor)
    difference = after - before
    # A value that is the same in all units differs in none.
    return np.divide(difference, error, out=np.zeros_like(difference), where=error > 0), error
