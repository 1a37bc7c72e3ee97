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
    """A rise between the halves of a span, `half` grid steps each."""

    half: int
    earlier: float
    later: float
    slope: float
    noise: float
    needed: float

    @property
    def certainty(self) -> float:
        """The rise as a multiple of its noise."""
        rise = self.later - self.earlier
        if self.noise > 0:
            return rise / self.noise
        return math.inf if rise > 0 else 0.0

    @property
    def certain(self) -> bool:
        """Whether it is more than noise."""
        return self.certainty >= self.needed


def detect(
    readings: Sequence[tuple[float, float]],
    *,
    now: float,
    lead_time: float,
    limits: SurgeLimits = DEFAULT_LIMITS,
) -> Surge | None:
    """The surge that `readings` of (Unix seconds, demand) show at `now`, None when there is none.

    Times ascend; an hour of readings is best, and those before a gap are not used. `lead_time` is
    in seconds. It takes less than 0.1 ms.
    """
    if len(readings) < 2 * _SMALLEST_HALF:
        return None
    grid, step = _on_grid(readings[-_MOST_READINGS:], now)
    if len(grid) < 2 * _SMALLEST_HALF:
        return None
    rises = _rises(grid, step, limits.significance)
    growing = [rise for rise in rises if rise.certain and not _is_jump(grid, rise)]
    if not growing:
        return None
    steepest = max(growing, key=lambda rise: rise.slope)
    newest = rises[0]
    # The last two minutes are noisy: only what they rule out is taken away.
    slope = min(steepest.slope, newest.slope + newest.noise / (newest.half * step))
    if slope <= 0:
        return None
    # Medians stand for the middle of their half: the line through them ends half a half later.
    level = steepest.later + steepest.slope * steepest.half * step / 2
    come = level - _median(grid[-round(_LEVEL_SPAN / step) :])
    gain = min(_coming(steepest, slope, level, lead_time, step), _COMING_PER_COME * max(0.0, come))
    if gain < limits.min_gain * level:
        return None
    predicted = min(level + gain, limits.max_factor * level, max(limits.max_demand, level))
    return Surge(slope, predicted, max(0.0, 1 - _Z95 / steepest.certainty))


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


def _rises(grid: Values, step: float, significance: float) -> list[_Rise]:
    """The rises over the spans that fit, shortest first."""
    sums = np.concatenate(([0.0], np.cumsum(grid)))
    moves = np.diff(grid)
    single = _spread(moves - _median(moves)) / math.sqrt(2)
    tail = grid[-max(2 * round(_SPANS[-1] / 2 / step), 2 * _SMALLEST_HALF) :].tolist()
    rises: list[_Rise] = []
    for span in _SPANS:
        half = max(_SMALLEST_HALF, round(span / 2 / step))
        if 2 * half > len(grid):
            break
        if rises and half == rises[-1].half:
            continue
        earlier, later = _middle(tail[-2 * half : -half]), _middle(tail[-half:])
        # What independent readings would give, as far as the readings reach for no more.
        noise = single * math.sqrt(2 / half)
        totals = sums[half:] - sums[:-half]
        all_rises = (totals[half:] - totals[:-half]) / half
        pairs = len(all_rises) - 2 * half
        if pairs >= 2 * half:
            second = all_rises[2 * half :] - all_rises[: -2 * half]
            noise = max(noise, _spread(second) / math.sqrt(2))
        independent = pairs / (2 * half)
        if rises and independent < 4:
            # Of correlated readings a longer mean is hardly steadier than a shorter one.
            noise = max(noise, rises[-1].noise)
        needed = significance * (1 + 4 / max(1.0, independent))
        slope = (later - earlier) / (half * step)
        rises.append(_Rise(half, earlier, later, slope, noise, needed))
    return rises


def _is_jump(grid: Values, rise: _Rise) -> bool:
    """Whether most of a rise came in a single step, beyond what noise may do."""
    noise = rise.noise * math.sqrt(rise.half / 2)
    jump = float(np.diff(grid[-2 * rise.half :]).max())
    return jump - _JUMP_NOISE * noise > _JUMP_SHARE * (rise.later - rise.earlier)


def _coming(rise: _Rise, slope: float, level: float, lead_time: float, step: float) -> float:
    """Growth over the lead time, halfway between a straight line and a constant rate."""
    straight = slope * lead_time
    if rise.earlier <= 0:
        return straight
    rate = math.log(rise.later / rise.earlier) / (rise.half * step) * (slope / rise.slope)
    return (straight + level * math.expm1(min(10.0, rate * lead_time))) / 2


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
