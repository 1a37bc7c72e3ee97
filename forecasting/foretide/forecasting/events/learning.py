"""Learning what events do to demand from their past occurrences.

The measure is the log of demand ÷ a baseline, the demand that a model without events expects,
less what that ratio has been on the days before: an event must not answer for a drift.

1. *Day shape.* A holiday makes a day somewhat like a day off. How much is one number, by least
   squares of the log ratio on the difference of the usual weekdays (days.py).
2. *Level.* The median of what is left, for each occurrence; the median of occurrences.
3. *Profile.* The medians of what is left at each position within the event.

Each is shrunk in the manner of empirical Bayes (Efron & Morris 1973): n occurrences weigh
n ÷ (n + k) against what the next wider pool says, the widest against no effect at all.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from foretide.forecasting.series import Series

from .days import Floats
from .effects import CORE, POSITIONS, RAMP, KeyEffect, LearnedEffects, positions
from .model import Event, EventCalendar, Kind
from .past import Past, prepare
from .pools import Pools

# Effects (logs) of events differ from one another by about so much before any has been seen.
_TYPICAL = 0.3
_FINE = 0.2
_MOST_ALIKE = 1.5
# How much of an occurrence must be known for it to count.
_KNOWN = 0.5
_RISING = (np.arange(RAMP) + 0.5) / RAMP
# The share of the level at each position, as long as nothing else is known.
_SHARE = np.concatenate([_RISING, np.ones(CORE), _RISING[::-1]])


def learn(
    history: Series,
    baseline: Floats,
    calendar: EventCalendar,
    *,
    time_zone: str = "UTC",
    quantile: float = 0.975,
) -> LearnedEffects:
    """What the events of the calendar did to demand.

    `baseline` (shape: that of the history) is what a model without events says for the same
    steps, NaN where it says nothing. Declared effects are learned as well, for comparison.

    Raises:
        ValueError: the shapes differ.
    """
    if baseline.shape != history.values.shape:
        raise ValueError(f"baseline has shape {baseline.shape}, not {history.values.shape}")
    empty = LearnedEffects(time_zone=time_zone, quantile=quantile)
    events = list(calendar.occurrences(history.start, history.end))
    if not events or not np.isfinite(history.values * baseline).any():
        return empty
    past = prepare(history, baseline, calendar, events, time_zone)
    day_shapes = _day_shapes(past)
    found: Pools[_Occurrence] = Pools()
    for event in events:
        if (seen := _look(past, event, day_shapes)) is not None:
            found.add(event, seen)
    z = NormalDist().inv_cdf(quantile)
    return LearnedEffects(
        keys={effect.key: effect for effect in _effects(found, day_shapes, past, z)},
        week=tuple(past.week.ravel().tolist()),
        time_zone=time_zone,
        quantile=quantile,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Occurrence:
    """What one occurrence shows, in logs: all in all, its level, and each position less that."""

    total: float
    level: float
    bins: Floats


@dataclass(frozen=True, slots=True)
class _Likeness:
    """A holiday's days as a least-squares problem: log ratio = share × difference of weekdays."""

    product: float
    square: float


def _day_shapes(past: Past) -> dict[str, float]:
    """By key and pool, how much holidays make a day like a day off."""
    usable = (past.shape != 0) & np.isfinite(past.ratio)
    sums: dict[tuple[str, float], tuple[Event, float, float]] = {}
    for day in np.unique(past.clock.day[usable]):
        event = past.days.holiday_near(int(day))
        if event is None:
            continue
        steps = usable & (past.clock.day == day)
        _, product, square = sums.get((event.key, event.start), (event, 0.0, 0.0))
        sums[event.key, event.start] = (
            event,
            product + float(past.shape[steps] @ past.ratio[steps]),
            square + float(past.shape[steps] @ past.shape[steps]),
        )
    likenesses: Pools[_Likeness] = Pools()
    for event, product, square in sums.values():
        likenesses.add(event, _Likeness(product, square))
    found = likenesses.shrunk(_least_squares, doubt=0.0)
    return {name: float(np.clip(value, 0.0, _MOST_ALIKE)) for name, value in found.items()}


def _least_squares(_: str, seen: list[_Likeness]) -> float:
    return sum(one.product for one in seen) / sum(one.square for one in seen)


def _look(past: Past, event: Event, day_shapes: dict[str, float]) -> _Occurrence | None:
    """What one occurrence shows; None where too little of it is known."""
    steps = slice(*np.searchsorted(past.times, [event.begins, event.ceases]))
    at = positions(event, past.times[steps])
    ratio = past.ratio[steps]
    inside = (at >= RAMP) & (at < RAMP + CORE)
    known = inside & np.isfinite(ratio)
    step = past.times[1] - past.times[0] if len(past.times) > 1 else math.inf
    if known.sum() < max(1.0, _KNOWN * (event.end - event.start) / step):
        return None
    left = ratio
    if event.kind is Kind.HOLIDAY:
        left = ratio - day_shapes.get(event.key, 0.0) * past.shape[steps]
    level = float(np.median(left[known]))
    bins = np.full(POSITIONS, np.nan)
    for position in np.unique(at[np.isfinite(left)]):
        bins[position] = np.median(left[(at == position) & np.isfinite(left)])
    return _Occurrence(float(np.median(ratio[known])), level, bins - level * _SHARE)


def _effects(
    found: "Pools[_Occurrence]", day_shapes: dict[str, float], past: Past, z: float
) -> Iterator[KeyEffect]:
    doubt = (past.day_noise / _TYPICAL) ** 2
    totals = found.shrunk(lambda _, seen: _median(one.total for one in seen), doubt=doubt)
    levels = found.shrunk(lambda _, seen: _median(one.level for one in seen), doubt=doubt)
    bins = found.shrunk(
        lambda _, seen: _nanmedian([one.bins for one in seen]),
        doubt=(past.noise / _FINE) ** 2,
    )
    variances = found.shrunk(
        lambda name, seen: float(np.mean([(one.level - levels[name]) ** 2 for one in seen])),
        doubt=0.0,
        widest=_TYPICAL**2,
    )
    for name, seen in found.members.items():
        # What the forecast's own quantile covers already must not be added once more.
        own = math.hypot(past.noise, math.sqrt(variances[name] * (1 + 1 / len(seen))))
        spread = z * (own - past.noise)
        level = float(levels[name])
        profile = level * _SHARE + bins[name]
        yield KeyEffect(
            key=name,
            occurrences=len(seen),
            median=float(np.exp(totals[name])),
            upper=float(np.exp(totals[name] + spread)),
            profile=tuple(profile.tolist()),
            spread=spread,
            day_shape=day_shapes.get(name, 0.0),
        )


def _median(values: Iterable[float]) -> float:
    return float(np.median(list(values)))


def _nanmedian(rows: list[Floats]) -> Floats:
    table = np.stack(rows)
    empty = ~np.isfinite(table).any(axis=0)
    table[:, empty] = 0.0
    return np.where(empty, np.nan, np.nanmedian(table, axis=0))
