"""Calibrated quantiles from an outlook: conformal prediction on walk-forward errors.

Errors that a model made where it had not looked, in units of its own scale, say how far a quantile
lies from the middle (split conformal: Vovk, Gammerman & Shafer 2005). The size of errors depends
on the time of day, their quantiles on the lead.

A thousand errors a day ahead within a week are no thousand independent errors, but some seven.
So outer quantiles are widened as Student's t is against the normal, by the number of spans that
long that were seen; without it, coverage falls short most where leads are long.

Where errors have lately been larger than they were, the levels themselves are moved (adaptive
conformal inference: Gibbs & Candès 2021), block by block, until what was promised is kept.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Self

import numpy as np

from ..calendar import local_clock
from ..series import Values
from .base import DAY, HOUR, Context, Ints, Outlook, hats, knots
from .walk_forward import Errors

_HOURS = 24
# Days of evidence by which a time of day's own error counts as much as that of all day.
_DAYS_TO_DIFFER = 3.0
# The same for a bias of the median.
_DAYS_TO_SHIFT = 7.0
# Errors closer to one another than this count as one, however short the lead.
_APART = 12 * HOUR
_WIDEST = 1.8
# Of what a block of errors missed its level by, so much moves the level; and how far it may go.
_GAIN = 0.02
_BLOCK = 6 * HOUR
_OUTERMOST = 0.9995


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """How an outlook becomes quantiles.

    `profile` (shape: 24) multiplies the scale by the local hour of the target; `factors` (shape:
    levels × knots) says how many of these scales each level lies off the middle.
    """

    time_zone: str
    at: Values
    levels: tuple[float, ...]
    profile: Values
    factors: Values

    @classmethod
    def of(cls, errors: Errors, context: Context, step: float, *, final: bool = True) -> Self:
        """Learn from errors; without any, all levels are the middle.

        What goes into a mixture that is calibrated itself is not `final`: it is neither widened
        nor adapted.
        """
        at = knots(step, context.horizon)
        levels = tuple(sorted({*context.levels, 0.5, context.quantile}))
        share = hats(errors.leads, at)
        raw = errors.standardised
        typical = share @ _by_knot(np.abs(raw), share)
        hours = _hours(errors.times, context.time_zone)
        days = errors.span / DAY
        profile = _profile(np.abs(raw) / np.maximum(typical, 1e-300), hours, days)
        sample = [
            Sample.of(raw / profile[hours], share[:, knot], errors.times) for knot in range(len(at))
        ]
        blocks = np.maximum(at * step, _BLOCK)
        factors = np.stack(
            [
                one.quantiles(one.adapted(levels, block) if final else np.asarray(levels))
                for one, block in zip(sample, blocks, strict=True)
            ],
            axis=1,
        )
        middle = levels.index(0.5)
        factors[middle] *= days / (days + _DAYS_TO_SHIFT)
        if final:
            wider = widening(levels, errors.span / np.maximum(at * step, _APART))
            factors = factors[middle] + (factors - factors[middle]) * wider
        return cls(context.time_zone, at, levels, profile, np.sort(factors, axis=0))

    def quantiles(self, outlook: Outlook, leads: Ints, times: Values) -> Values:
        """Quantiles of demand at pairs with these leads and target times (levels × pairs)."""
        width = outlook.scale * self.profile[_hours(times, self.time_zone)]
        factors = (hats(leads, self.at) @ self.factors.T).T
        return np.maximum(outlook.location + width * factors, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Weighted errors near one knot (all of shape: errors), in the order of their size.

    `position` is the share of the weight that lies below each; `times` are when they came.
    """

    values: Values
    weights: Values
    position: Values
    times: Values

    @classmethod
    def of(cls, values: Values, weights: Values, times: Values) -> Self:
        """Those with any weight."""
        near = np.flatnonzero(weights > 0)
        order = near[np.argsort(values[near], kind="stable")]
        weight = weights[order]
        position = (np.cumsum(weight) - weight / 2) / max(float(weight.sum()), 1e-300)
        return cls(values[order], weight, position, times[order])

    def quantiles(self, levels: Values) -> Values:
        """Quantiles at these levels; 0 where there is nothing."""
        if len(self.values) < 2:
            return np.zeros(len(levels))
        return np.asarray(np.interp(levels, self.position, self.values))

    def adapted(self, levels: tuple[float, ...], block: float) -> Values:
        """The levels, moved by how each block of `block` seconds was covered; the median stays."""
        moved = np.asarray(levels, dtype=float)
        if not len(self.values):
            return moved
        when = ((self.times - self.times.min()) // block).astype(np.int64)
        total = np.bincount(when, self.weights)
        for number in np.flatnonzero(total):
            inside = when == number
            below = self.position[inside, None] <= moved
            covered = self.weights[inside] @ below / total[number]
            moved = moved + _GAIN * (np.asarray(levels) - covered)
            moved = np.clip(moved, 1 - _OUTERMOST, _OUTERMOST)
        return np.where(np.asarray(levels) == 0.5, 0.5, np.sort(moved))


def widening(levels: tuple[float, ...], independent: Values) -> Values:
    """How much farther out each level lies for so many errors (levels × those counts; 1 or more).

    Student's t ÷ the normal, with one degree of freedom less than there are errors, by the
    expansion of Hill (1970); times √(1 + 1/n), as a new value is to be foreseen and no mean.
    """
    degrees = np.maximum(independent - 1.0, 1.0)
    z = np.array([NormalDist().inv_cdf(level) for level in levels])[:, None]
    t_over_z = 1 + (z**2 + 1) / (4 * degrees) + (5 * z**4 + 16 * z**2 + 3) / (96 * degrees**2)
    wider = t_over_z * np.sqrt(1 + 1 / np.maximum(independent, 1.0))
    return np.minimum(np.where(z == 0, 1.0, wider), _WIDEST)


def _by_knot(sizes: Values, share: Values) -> Values:
    weight = share.sum(axis=0)
    mean = (share * sizes[:, None]).sum(axis=0) / np.maximum(weight, 1e-12)
    overall = float(sizes.mean()) if len(sizes) else 1.0
    return np.where(weight > 0, mean, overall)


def _hours(times: Values, time_zone: str) -> Ints:
    return np.asarray(local_clock(times, time_zone).second // 3_600)


def _profile(size: Values, hours: Ints, days: float) -> Values:
    """How large errors are at each hour of the day, smoothed, shrunk to 1, and 1 on average."""
    total = _smooth(np.bincount(hours, size, _HOURS))
    count = _smooth(np.bincount(hours, minlength=_HOURS))
    overall = float(size.mean()) if len(size) else 0.0
    if overall <= 0 or not math.isfinite(overall):
        return np.ones(_HOURS)
    mean = np.where(count > 0, total / np.maximum(count, 1e-12), overall)
    own = days / (days + _DAYS_TO_DIFFER)
    return np.asarray((own * mean + (1 - own) * overall) / overall)


def _smooth(by_hour: Values | Ints) -> Values:
    return np.asarray((np.roll(by_hour, 1) + 2 * by_hour + np.roll(by_hour, -1)) / 4)
