"""The derivative signal: demand that grows now, faster than its own noise explains. Pure.

A surge that no history foretold is met by going on with its growth over the lead time. Readings
come every few seconds and are noisy, so three questions are asked first.

**Does it grow?** For the last 2, 4 and 8 minutes the median of the later half is compared with that
of the earlier half (robust against a spike). The rise must be several times its own noise: that is
how much the difference between two such means varies from one pair to the next, over all readings
given. These are second differences, the Hadamard variance of clock analysis (Baugh 1971), which is
blind to a steady trend, and tells the truth about correlated readings too: `rate(…[2m])` asked for
every 15 seconds wanders smoothly, and looks like growth to a test that takes readings for
independent ones. Few readings tell little of the noise, so more is asked of the rise then: give an
hour of them. A single jump is no growth: demand itself answers it at once.

**How far does it go?** Halfway between a straight line and a constant rate of growth, as the two
cannot be told apart in time. It is bounded three times: growth to come is at most twice what has
come above the median of the last ten minutes, the whole at most `max_factor` times demand now, and
at most `max_demand`.

**Does it still grow?** As soon as the last two minutes fall behind, the slope is theirs, and when
growth has stopped there is no surge. What was added is held by the stabilisation window.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

_SPANS = (120.0, 240.0, 480.0)
_FINEST = 15.0
_SMALLEST_HALF = 3
_MOST_READINGS = 400
_LEVEL_SPAN = 600.0
_COMING_PER_COME = 2.0
# A jump that makes up this share of a rise, beyond what noise may do, is not growth.
_JUMP_SHARE = 0.6
_JUMP_NOISE = 3.5
_Z95 = 1.645
_ENOUGH_PAIRS = 4


@dataclass(frozen=True, slots=True)
class SurgeLimits:
    """How readily a surge is seen, and how far it may be extrapolated.

    `max_factor` bounds the prediction as a multiple of demand now, `max_demand` absolutely (what
    the most replicas carry). A gain of less than `min_gain`, as a share of demand now, is not worth
    a change of replicas. `significance` is the rise in terms of its noise.
    """

    max_factor: float = 2.0
    max_demand: float = math.inf
    min_gain: float = 0.1
    significance: float = 5.0


DEFAULT_LIMITS = SurgeLimits()


@dataclass(frozen=True, slots=True)
class Surge:
    """Demand grows by `slope` a second, and is `predicted` after the lead time.

    `confidence` is the share of the slope that is beyond the noise at 95 % (0-1).
    """

    slope: float
    predicted: float
    confidence: float


@dataclass(frozen=True, slots=True)
class _Rise:
    """A rise between the medians of a span's halves, of `half` steps and `seconds` each."""

    half: int
    seconds: float
    earlier: float
    later: float

    @property
    def slope(self) -> float:
        """Growth a second."""
        return (self.later - self.earlier) / self.seconds

    @property
    def level(self) -> float:
        """Demand now by the line through the medians, which stand for the middle of their half."""
        return self.later + (self.later - self.earlier) / 2

    def certainty(self, noise: float) -> float:
        """The rise as a multiple of its noise."""
        rise = self.later - self.earlier
        if noise > 0:
            return rise / noise
        return math.inf if rise > 0 else 0.0

    def coming(self, slope: float, lead_time: float) -> float:
        """Growth over the lead time, halfway between a straight line and a constant rate.

        `slope` is what is left of the rise's own.
        """
        straight = slope * lead_time
        if self.earlier <= 0 or self.slope <= 0:
            return straight
        rate = math.log(self.later / self.earlier) / self.seconds * (slope / self.slope)
        return (straight + self.level * math.expm1(min(10.0, rate * lead_time))) / 2


def detect(
    readings: Sequence[tuple[float, float]],
    *,
    now: float,
    lead_time: float,
    limits: SurgeLimits = DEFAULT_LIMITS,
) -> Surge | None:
    """The surge that `readings` of (Unix seconds, demand) show at `now`, None when there is none.

    Times ascend; an hour of readings is best, and those before a gap are not used. `lead_time` is
    in seconds. It takes a tenth of a millisecond, and less where nothing grows.
    """
    if len(readings) < 2 * _SMALLEST_HALF:
        return None
    grid, step = _on_grid(readings[-_MOST_READINGS:], now)
    rises = _rises(grid, step)
    if not any(_worthwhile(rise, rise.slope, lead_time, limits) for rise in rises):
        return None
    noises = _noises(grid, rises)
    growing = [
        (rise, rise.certainty(noise))
        for rise, (noise, doubt) in zip(rises, noises, strict=True)
        if rise.certainty(noise) >= limits.significance * doubt and not _is_jump(grid, rise, noise)
    ]
    if not growing:
        return None
    steepest, certainty = max(growing, key=lambda one: one[0].slope)
    # The last two minutes are noisy: only what they rule out is taken away.
    slope = min(steepest.slope, rises[0].slope + noises[0][0] / rises[0].seconds)
    if slope <= 0 or not _worthwhile(steepest, slope, lead_time, limits):
        return None
    level = steepest.level
    come = max(0.0, level - _median(grid[-round(_LEVEL_SPAN / step) :]))
    gain = min(steepest.coming(slope, lead_time), _COMING_PER_COME * come)
    if gain < limits.min_gain * level:
        return None
    predicted = min(level + gain, limits.max_factor * level, max(limits.max_demand, level))
    return Surge(slope, predicted, max(0.0, 1 - _Z95 / certainty))


def _worthwhile(rise: _Rise, slope: float, lead_time: float, limits: SurgeLimits) -> bool:
    return rise.slope > 0 and rise.coming(slope, lead_time) >= limits.min_gain * rise.level


def _on_grid(readings: Sequence[tuple[float, float]], now: float) -> tuple[Values, float]:
    """The readings since the last gap on a regular grid that ends with the newest; its step."""
    at = np.fromiter((reading[0] for reading in readings), float, len(readings))
    values = np.fromiter((reading[1] for reading in readings), float, len(readings))
    usual = max(_FINEST, _median(np.diff(at[-9:])))
    longest = max(6 * _FINEST, 2.5 * usual)
    if now - at[-1] > longest:
        return values[:0], usual
    gaps = np.flatnonzero(np.diff(at) > longest)
    if gaps.size:
        at, values = at[gaps[-1] + 1 :], values[gaps[-1] + 1 :]
    steps = int((at[-1] - at[0]) / usual + 1e-6)
    grid = np.interp(at[-1] - usual * np.arange(steps, -1, -1.0), at, values)
    return grid, usual


def _rises(grid: Values, step: float) -> list[_Rise]:
    """The rises over the spans that fit, shortest first."""
    tail = grid[-max(round(_SPANS[-1] / step) + 1, 2 * _SMALLEST_HALF) :].tolist()
    rises: list[_Rise] = []
    for span in _SPANS:
        half = max(_SMALLEST_HALF, round(span / 2 / step))
        if 2 * half > len(tail):
            break
        if not rises or half > rises[-1].half:
            earlier, later = _middle(tail[-2 * half : -half]), _middle(tail[-half:])
            rises.append(_Rise(half, half * step, earlier, later))
    return rises


def _noises(grid: Values, rises: list[_Rise]) -> list[tuple[float, float]]:
    """How much each rise varies by itself, and by which factor that is to be doubted."""
    sums = np.zeros(len(grid) + 1)
    np.cumsum(grid, out=sums[1:])
    moves = np.diff(grid)
    single = _spread(moves - _median(moves)) / math.sqrt(2)
    noises: list[tuple[float, float]] = []
    for half in (rise.half for rise in rises):
        # What independent readings would have; more where enough of them show it.
        noise = single * math.sqrt(2 / half)
        totals = sums[half:] - sums[:-half]
        all_rises = totals[half:] - totals[:-half]
        pairs = len(all_rises) - 2 * half
        if pairs >= 2 * half:
            second = all_rises[2 * half :] - all_rises[: -2 * half]
            noise = max(noise, _spread(second) / half / math.sqrt(2))
        independent = pairs / (2 * half)
        if noises and independent < _ENOUGH_PAIRS:
            # Of correlated readings a longer mean is hardly steadier than a shorter one.
            noise = max(noise, noises[-1][0])
        noises.append((noise, 1 + _ENOUGH_PAIRS / max(1.0, independent)))
    return noises


def _is_jump(grid: Values, rise: _Rise, noise: float) -> bool:
    """Whether most of a rise came in a single step, beyond what noise may do."""
    single = noise * math.sqrt(rise.half / 2)
    jump = float(np.diff(grid[-2 * rise.half :]).max())
    return jump - _JUMP_NOISE * single > _JUMP_SHARE * (rise.later - rise.earlier)


def _spread(values: Values) -> float:
    """The standard deviation, by the median and the 90th percentile of what is off zero.

    The latter is for readings most of which are the same: their median difference is none at all.
    """
    last = len(values) - 1
    middle, high = last // 2, round(0.9 * last)
    ordered = np.partition(np.abs(values), (middle, high))
    return max(1.4826 * float(ordered[middle]), 0.608 * float(ordered[high]))


def _median(values: Values) -> float:
    middle = len(values) // 2
    return float(np.partition(values, middle)[middle])


def _middle(values: list[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return (ordered[middle] + ordered[-middle - 1]) / 2
