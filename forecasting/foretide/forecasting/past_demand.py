"""The history that one fit works on: from Prometheus, and before that from the store."""

import math
from dataclasses import dataclass

import numpy as np

from . import history
from .demand import Undecided
from .series import Series, Values
from .worker import FitRequest

MINUTE = 60.0
DAY = 86_400.0
ROLLUP = 300.0
# So much is enough by the minute; what is longer ago is coarser.
_MOST_BY_MINUTE = 14 * DAY
# For so long a plan is looked for by replay.
_SAMPLED = 7 * DAY
# What holidays do is seen once a year: events are learned from more than a fit needs.
_FOR_EVENTS = 400 * DAY
# So much the store keeps unless told otherwise. A season that has been seen twice is surer.
_MOST_STORED = 731 * DAY


@dataclass(frozen=True, slots=True, eq=False)
class PastDemand:
    """Peaks by the minute, and on the forecast's grid for as long as the request says.

    `samples` is what was known of demand at the end of each minute, on the grid of the minutes.
    `years` is all that is known, on a grid of five minutes or the forecast's; `longest` what of it
    events are learned from; `rollups` what of it came from Prometheus, in five minutes. `trouble`
    says why the store could not be used.
    """

    minutes: Series
    samples: Series
    coarse: Series
    longest: Series
    years: Series
    rollups: Series
    trouble: Undecided | None = None


def gather(request: FitRequest) -> PastDemand | Undecided:
    """Fetch it. The store is no condition: without it there is what Prometheus has."""
    grid, start = grid_of(request.step), request.now - request.history
    recent = max(start, request.now - _MOST_BY_MINUTE)
    minutes = _fetch(request, recent, request.now, MINUTE)
    if isinstance(minutes, Undecided):
        return minutes
    coarse, rollups = minutes.coarser(grid), minutes.coarser(ROLLUP)
    if recent > start and isinstance(older := _fetch(request, start, recent, grid), Series):
        coarse = after(older, coarse)
    longest, years, trouble = coarse, coarse, None
    if request.stored is not None:
        stored = request.stored.extend(rollups, request.now - max(request.history, _MOST_STORED))
        if isinstance(stored, Undecided):
            trouble = stored
        else:
            years = stored
            longest = stored.between(request.now - max(request.history, _FOR_EVENTS), stored.end)
            if grid % ROLLUP == 0:
                coarse = after(stored.coarser(grid).between(start, request.now), coarse)
            minutes = held_before(minutes, stored, recent)
    samples = _samples(request, minutes)
    return PastDemand(minutes, samples, coarse, longest, years, rollups, trouble)


def grid_of(step: float) -> float:
    """The step of the forecast's grid: whole minutes."""
    return MINUTE * max(1, round(step / MINUTE))


def after(older: Series, recent: Series) -> Series:
    """One series of two on the same grid; the recent one counts from its beginning on."""
    count = round((recent.start - older.start) / recent.step)
    if count <= 0:
        return recent
    values = np.full(count, math.nan)
    known = min(count, len(older))
    values[:known] = older.values[:known]
    return Series(older.start, recent.step, np.concatenate((values, recent.values)))


def held_before(minutes: Series, coarse: Series, start: float) -> Series:
    """Minutes from `start` on: before the first that is known, each step's peak is held.

    A Prometheus that has lost its past would otherwise have to learn for days again, and a peak of
    five minutes says nearly as much as one of a minute.
    """
    part = coarse.between(start, minutes.start)
    if not part.known:
        return minutes
    held: Values = np.repeat(part.values, round(coarse.step / MINUTE))
    return after(Series(part.start, MINUTE, held), minutes)


def _samples(request: FitRequest, minutes: Series) -> Series:
    """What a scaler saw in the last days; before that, and where it cannot be had, the peaks."""
    values = minutes.values.copy()
    if request.lookahead is None:
        return Series(minutes.start, MINUTE, values)
    start = max(minutes.start, request.now - _SAMPLED)
    seen = history.fetch_samples(
        request.source, request.query, start=start, end=request.now, step=MINUTE
    )
    if isinstance(seen, Series):
        first = round((seen.start - minutes.start) / MINUTE)
        part = values[max(0, first) : max(0, first + len(seen))]
        known = seen.values[max(0, -first) :][: len(part)]
        part[: len(known)] = np.where(np.isfinite(known), known, part[: len(known)])
    return Series(minutes.start, MINUTE, values)


def _fetch(request: FitRequest, start: float, end: float, step: float) -> Series | Undecided:
    return history.fetch_peaks(request.source, request.query, start=start, end=end, step=step)
