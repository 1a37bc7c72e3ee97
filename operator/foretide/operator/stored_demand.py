"""Demand from the store as forecasts take it: roll-ups as a series, joined with Prometheus'.

Pure but for `StoredDemand`, which a worker process uses: it pickles, and blocks.
"""

import math
from dataclasses import dataclass

import numpy as np

from foretide.forecasting.demand import Undecided
from foretide.forecasting.series import Series
from foretide.store.client import StoreAddress, SyncStoreClient
from foretide.store.errors import StoreError
from foretide.store.rollups import STEP, Columns, SeriesKey, Written

NO_ROLLUPS = Undecided("NoRollups", "the store has no history of this query yet")
# How far apart the samples are, in seconds, that stand behind the peaks of a history.
SAMPLE_EVERY = 15.0
_LONGEST_STEP = 3_600.0


@dataclass(frozen=True, slots=True)
class StoredDemand:
    """The store for code without an event loop."""

    address: StoreAddress

    def history(self, key: SeriesKey, start: float, end: float) -> Series | Undecided:
        """The peaks of each five minutes that begin in start ≤ t < end, or why there are none."""
        try:
            with SyncStoreClient(self.address) as client:
                return to_series(client.read(key, start, end, peaks_only=True))
        except StoreError as error:
            return Undecided(error.reason, f"store: {error.message}")

    def record(
        self, key: SeriesKey, series: Series, *, sample_every: float = SAMPLE_EVERY
    ) -> Written | Undecided:
        """Keep a history of peaks (see `rollups_of`), or say why that failed. May be repeated."""
        try:
            columns = rollups_of(series, sample_every=sample_every)
            with SyncStoreClient(self.address) as client:
                return client.write({key: columns})
        except StoreError as error:
            return Undecided(error.reason, f"store: {error.message}")
        except ValueError as error:
            return Undecided("StepTooLong", str(error))


def to_series(columns: Columns) -> Series | Undecided:
    """The peaks of roll-ups on their grid of `STEP` seconds; NaN where there is none."""
    if not len(columns):
        return NO_ROLLUPS
    places = (np.asarray(columns.start, dtype=np.int64) - columns.start[0]) // STEP
    values = np.full(int(places[-1]) + 1, math.nan)
    values[places] = columns.max
    return Series(float(columns.start[0]), float(STEP), values)


def rollups_of(series: Series, *, sample_every: float = SAMPLE_EVERY) -> Columns:
    """Roll-ups for a history of peaks: mean and last are not known.

    `samples` is what stands behind the steps that have a value, so that a roll-up of which the
    operator has seen every sample itself is not replaced, and one that it has seen a part of is.

    Raises:
        ValueError: five minutes are not a multiple of the step.
    """
    peaks, seconds = _coarser(series, STEP)
    known = np.flatnonzero(np.isfinite(peaks.values))
    samples = np.maximum(1, np.rint(seconds[known] / max(sample_every, 1.0))).astype(int)
    unknown = [math.nan] * len(known)
    starts = np.rint(peaks.start + known * peaks.step).astype(int)
    values = peaks.values[known].tolist()
    return Columns(starts.tolist(), samples.tolist(), unknown, values, unknown)


def join(old: Series, recent: Series) -> Series:
    """One series of peaks from two that may overlap: the recent one wins where it knows.

    The step is the smallest that is a multiple of both. Where the recent series knows only a part
    of such a step, its peak there is the larger of the two, as neither has seen all of it.

    Raises:
        ValueError: there is no such step of an hour or less.
    """
    if old.step % 1 or recent.step % 1:
        raise ValueError("both steps must be whole seconds")
    step = float(math.lcm(int(old.step), int(recent.step)))
    if step > max(_LONGEST_STEP, old.step, recent.step):
        raise ValueError(f"steps of {old.step:g} s and {recent.step:g} s do not fit together")
    past, _ = _coarser(old, step)
    fresh, seconds = _coarser(recent, step)
    filled = [series for series in (past, fresh) if len(series)]
    if len(filled) < 2:
        return filled[0] if filled else Series(recent.start, step, recent.values[:0])
    start = min(past.start, fresh.start)
    size = round((max(past.end, fresh.end) - start) / step)
    values = np.full(size, math.nan)
    _on(values, past, start)[:] = past.values
    overlap = _on(values, fresh, start)
    whole = seconds >= step - 1e-6
    overlap[:] = np.where(whole, fresh.values, np.fmax(overlap, fresh.values))
    return Series(start, step, values)


def _on(values: np.ndarray, series: Series, start: float) -> np.ndarray:
    """The part of a grid's values that the series covers."""
    first = round((series.start - start) / series.step)
    return values[first : first + len(series)]


def _coarser(series: Series, step: float) -> tuple[Series, np.ndarray]:
    """The peaks of longer steps, and how many seconds of each are known."""
    known = series.times[np.isfinite(series.values)]
    peaks = series.coarser(step)
    if not len(known):
        return Series(series.start, step, series.values[:0]), np.zeros(0)
    if peaks.start % step:  # it was on a grid of its own
        peaks = Series.from_samples(series.times, series.values, step)
    slots = np.floor((known - peaks.start) / step + 1e-9).astype(np.int64)
    return peaks, np.bincount(slots, minlength=len(peaks)) * series.step
