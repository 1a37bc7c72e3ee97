"""Both sides of a comparison on one scale: what each function costs for the same work.

Shares alone mislead: where one function gets cheaper, all others' shares grow. With the number of
requests costs are CPU seconds a request. Without, the scale is the one on which most of the program
costs what it did (the idea of Anders and Huber, Genome Biology 11, 2010, for counts of genes).
Either way neither the rate of sampling nor the length of a profile enters.

Pieces are call paths that have a share of their own, so that they add up to the whole: functions do
not, and one that all others call (a parser, a template) would hide what changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .attribution import Function
from .permutation import Tested, permuted
from .units import Path, Unit, blocks

Values = npt.NDArray[np.float64]

# Functions with less than this share of the CPU time on both sides cannot matter, ...
_TOO_SMALL = 0.005
# ... those on nearly every stack say nothing, ...
_EVERYWHERE = 0.98
# ... and a call path with less belongs to its caller's piece.
_PIECE = 0.03
# A sample is 0 or 1, but neighbours agree: how much more its mean varies than if they did not.
_DESIGN_EFFECT = 1.5
# Units so far apart may still resemble each other.
_LAGS = 3
# In squared standard errors: what it takes to call a piece changed (p = 0.001), ...
_PRICE = 10.8
# ... and how much better it must fit that cost has moved than that a few pieces changed: the
# first asks for a coincidence, 1 to 20.
_PRIOR = 6.0


@dataclass(frozen=True)
class Measured:
    """Means and tests of `functions` (total costs), and then of `pieces`.

    `shares` and `own` (of functions only) are of the CPU time, `costs` for the same work, a row for
    each side. `tested` is of costs, `plain` of what was measured: the same, where requests are
    known. `ratio`: what the same work costs AFTER, BEFORE = 1.
    """

    functions: tuple[Function, ...]
    pieces: tuple[Path, ...]
    shares: tuple[Values, Values]
    own: tuple[Values, Values]
    costs: tuple[Values, Values]
    tested: Tested
    plain: Tested
    ratio: float

    @property
    def whole(self) -> float:
        """What everything cost BEFORE."""
        return float(self.costs[0][len(self.functions) :].sum()) or 1.0


def units_of(
    before: list[Unit], after: list[Unit], pods: int
) -> tuple[Sequence[Unit], Sequence[Unit]]:
    """Pods, where either side has so many of them, else blocks of time."""
    by_source = [_by_source(units) for units in (before, after)]
    if min(len(units) for units in by_source) >= pods:
        return by_source[0], by_source[1]
    return blocks(before, after)


def measure(
    before: Sequence[Unit],
    after: Sequence[Unit],
    requests: tuple[float, float] | None,
    seconds: tuple[float, float],
    alpha: float,
) -> Measured:
    """`requests`: those served in the `seconds` of windows of either side."""
    sides = _without_renamed_callers((before, after))
    functions, pieces = _functions(sides), _pieces(sides)
    values = [np.hstack([_totals(s, functions), _of_pieces(s, pieces)]) for s in sides]
    weights = [_weights(units, per_request=requests is not None) for units in sides]
    own = [_mean(_owns(side, functions), w) for side, w in zip(sides, weights, strict=True)]
    both = (weights[0], weights[1])
    floors = _floors(sides, values, weights)
    inflation = _inflation(sides, values)
    if requests is None:
        plain = permuted(values[0], values[1], both, floors, alpha, inflation)
        scale = _scale(values, weights, plain, len(functions))
        costs = [values[0], values[1] * scale]
        tested = permuted(costs[0], costs[1], both, floors * max(scale, 1.0), alpha, inflation)
        ratio = scale
    else:
        # Of each unit the CPU seconds a request: its use over its side's rate of requests.
        each = [
            np.array([[unit.cpu_seconds / unit.seconds] for unit in units]) * length / count
            for units, length, count in zip(sides, seconds, requests, strict=True)
        ]
        costs = [share * used for share, used in zip(values, each, strict=True)]
        largest = max(float(used.mean()) for used in each)
        plain = tested = permuted(costs[0], costs[1], both, floors * largest, alpha, inflation)
        ratio = float(each[1].mean() / each[0].mean())
    return Measured(
        functions,
        pieces,
        (_mean(values[0], weights[0]), _mean(values[1], weights[1])),
        (own[0], own[1]),
        (_mean(costs[0], weights[0]), _mean(costs[1], weights[1])),
        tested,
        plain,
        ratio,
    )


def _by_source(units: Sequence[Unit]) -> list[Unit]:
    summed: dict[str, Unit] = {}
    for unit in units:
        summed[unit.source] = summed[unit.source] + unit if unit.source in summed else unit
    return list(summed.values())


def _stack_shares(units: Sequence[Unit]) -> dict[Path, float]:
    cpu = sum(unit.cpu_seconds for unit in units)
    sums: dict[Path, float] = {}
    for unit in units:
        for path, spent in unit.stacks.items():
            sums[path] = sums.get(path, 0.0) + spent / cpu
    return sums


def _without_renamed_callers(sides: Sequence[Sequence[Unit]]) -> Sequence[Sequence[Unit]]:
    """The stacks without what is on nearly all of one side's and on none of the other's.

    An entry point under another name is no change, and must not hide those below it.
    """
    first, second = (_function_shares(units) for units in sides)
    renamed = {
        name
        for name in first.keys() | second.keys()
        if abs(first.get(name, 0.0) - second.get(name, 0.0)) >= _EVERYWHERE
    }
    if not renamed:
        return sides
    return [
        [replace(unit, stacks=_without(unit.stacks, renamed)) for unit in units] for units in sides
    ]


def _without(stacks: dict[Path, float], functions: set[Function]) -> dict[Path, float]:
    sums: dict[Path, float] = {}
    for path, spent in stacks.items():
        kept = tuple(name for name in path if name not in functions)
        sums[kept] = sums.get(kept, 0.0) + spent
    return sums


def _function_shares(units: Sequence[Unit]) -> dict[Function, float]:
    shares: dict[Function, float] = {}
    for path, share in _stack_shares(units).items():
        for name in set(path):
            shares[name] = shares.get(name, 0.0) + share
    return shares


def _functions(sides: Sequence[Sequence[Unit]]) -> tuple[Function, ...]:
    """Functions with a share that can matter on either side, and not on every stack of both."""
    totals = [_function_shares(units) for units in sides]
    found = [
        (name, [of_side.get(name, 0.0) for of_side in totals])
        for name in {name for of_side in totals for name in of_side}
    ]
    return tuple(
        sorted(name for name, both in found if max(both) >= _TOO_SMALL and min(both) < _EVERYWHERE)
    )


def _pieces(sides: Sequence[Sequence[Unit]]) -> tuple[Path, ...]:
    """Call paths with a share of their own on either side; the empty one takes what is left."""
    found: set[Path] = {()}
    for units in sides:
        sums: dict[Path, float] = {}
        for path, share in _stack_shares(units).items():
            for length in range(1, len(path) + 1):
                sums[path[:length]] = sums.get(path[:length], 0.0) + share
        found.update(path for path, share in sums.items() if share >= _PIECE)
    return tuple(sorted(found))


def _totals(units: Sequence[Unit], functions: Sequence[Function]) -> Values:
    """Each function's share of each unit's CPU time (units × functions), called ones included."""
    places = {name: at for at, name in enumerate(functions)}
    values = np.zeros((len(units), len(functions)))
    for row, unit in enumerate(units):
        for path, spent in unit.stacks.items():
            for name in set(path):
                if name in places:
                    values[row, places[name]] += spent / unit.cpu_seconds
    return values


def _owns(units: Sequence[Unit], functions: Sequence[Function]) -> Values:
    """The same of self time."""
    places = {name: at for at, name in enumerate(functions)}
    values = np.zeros((len(units), len(functions)))
    for row, unit in enumerate(units):
        for path, spent in unit.stacks.items():
            if path and path[-1] in places:
                values[row, places[path[-1]]] += spent / unit.cpu_seconds
    return values


def _of_pieces(units: Sequence[Unit], pieces: Sequence[Path]) -> Values:
    """Each piece's share of each unit's CPU time (units × pieces): they add up to 1."""
    places = {path: at for at, path in enumerate(pieces)}
    values = np.zeros((len(units), len(pieces)))
    for row, unit in enumerate(units):
        for path, spent in unit.stacks.items():
            length = len(path)
            while path[:length] not in places:
                length -= 1
            values[row, places[path[:length]]] += spent / unit.cpu_seconds
    return values


def _weights(units: Sequence[Unit], per_request: bool) -> Values:
    """How much each unit counts: by its samples at work, as its shares are the surer the more there
    are. For costs a request each second of the profile counts as much as any other, whatever was
    used in it, and only how often it was looked at makes a difference.
    """
    used = [unit.cpu_seconds / unit.seconds if per_request else 1.0 for unit in units]
    seen = np.array([unit.samples / use for unit, use in zip(units, used, strict=True)])
    # A unit with no sample at work of its own has its shares from others.
    return np.maximum(seen, 0.1 * float(seen.mean())) if seen.any() else np.ones(len(units))


def _mean(values: Values, weights: Values) -> Values:
    mean: Values = np.average(values, axis=0, weights=weights)
    return mean


def _floors(
    sides: Sequence[Sequence[Unit]], values: Sequence[Values], weights: Sequence[Values]
) -> Values:
    """The least standard error that so many samples leave, of each difference of shares."""
    counts = [max(sum(unit.samples for unit in units), 1.0) for units in sides]
    means = [_mean(side, weight) for side, weight in zip(values, weights, strict=True)]
    pooled = np.clip((means[0] + means[1]) / 2, 0.0, 1.0)
    # A share of 0 may be one that was missed.
    least = np.maximum(pooled * (1 - pooled), 1.0 / min(counts))
    floor: Values = np.sqrt(_DESIGN_EFFECT * least * (1 / counts[0] + 1 / counts[1]))
    return floor


def _scale(
    values: Sequence[Values], weights: Sequence[Values], plain: Tested, functions: int
) -> float:
    """What shares after must be multiplied with so that most of the program costs what it did.

    Either a few pieces got cheaper or dearer, and all others' shares were scaled alike; or cost
    has moved between pieces, and all others' shares are what they were (scale 1). Each is as good
    as the squared errors of the pieces that it says are unchanged, with a price for each that it
    says has changed. As shares add up to 1, cost that has moved has one change less to choose.
    """
    one, other = (
        _mean(side, weight)[functions:] for side, weight in zip(values, weights, strict=True)
    )
    error = plain.error[functions:]

    def misfit(scale: float) -> float:
        return float(np.minimum(((other * scale - one) / error) ** 2, _PRICE).sum())

    scale = min(_candidates(one, other), key=misfit, default=1.0)
    moved = misfit(1.0)
    if np.any(((other - one) / error) ** 2 > _PRICE):
        moved -= _PRICE
    return 1.0 if moved + _PRIOR < misfit(scale) else scale


def _candidates(one: Values, other: Values) -> list[float]:
    """The ratios of pieces that lie next to each other by their ratios, taken together."""
    known = (one > 0) & (other > 0)
    one, other = one[known], other[known]
    order = (one / other).argsort()
    befores = np.concatenate([[0.0], one[order].cumsum()])
    afters = np.concatenate([[0.0], other[order].cumsum()])
    count = len(order)
    return [
        float((befores[end] - befores[start]) / (afters[end] - afters[start]))
        for start in range(count)
        for end in range(start + 1, count + 1)
    ]


def _inflation(sides: Sequence[Sequence[Unit]], values: Sequence[Values]) -> float:
    """How much larger the error of a mean is than independent units would have it.

    Bartlett's weights on autocorrelations (Newey and West, Econometrica 55, 1987), pooled over
    both sides and all values: shuffled units do not resemble their neighbours any more.
    """
    total = np.zeros(_LAGS + 1)
    points = 0
    for units, side in zip(sides, values, strict=True):
        centred = side - side.mean(axis=0)
        spread = centred.std(axis=0)
        centred = centred[:, spread > 1e-12] / spread[spread > 1e-12]
        sources = np.array([unit.source for unit in units])
        for lag in range(min(_LAGS, len(units) - 1) + 1):
            same = sources[lag:] == sources[: len(units) - lag]
            products = centred[lag:] * centred[: len(units) - lag]
            total[lag] += float(products[same].sum())
        points += len(units)
    if total[0] <= 0:
        return 1.0
    # The mean is estimated from the same units, which makes neighbours look less alike than they
    # are: by 1/n (Kendall, Biometrika 41, 1954).
    alike = total[1:] / total[0] + len(sides) / points
    weights = 1 - np.arange(1, _LAGS + 1) / (_LAGS + 1)
    return float(np.sqrt(max(1.0, 1 + 2 * (weights * alike).sum())))
