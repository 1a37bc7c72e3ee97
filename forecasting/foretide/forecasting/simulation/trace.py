"""A demand trace as a replay sees it: what comes, and what a scaler knows of it when."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..series import Series, Values

MINUTE = 60.0
# Of stamps that keep to a beat, on a circle of one step, the mean is so long at least.
_BEAT = 0.5
# What the 0.999 quantile of demand needs, where nobody says what one replica carries.
PEAK_REPLICAS = 50


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Demand on a grid of at most a minute, and the load that one replica carries safely.

    A value of the original trace is held until the next one; it is known at the first scrape after
    its step has ended (`scrape` seconds lie between two; 0: at once), and `lag` seconds later.
    `coarse` says that the original steps were longer than a minute.
    """

    name: str
    demand: Series
    per_replica: float
    lag: float = 0.0
    coarse: bool = False
    scrape: float = 0.0

    @classmethod
    def of(
        cls,
        name: str,
        times: "Values | Sequence[float]",
        values: "Values | Sequence[float]",
        *,
        peak_replicas: int = PEAK_REPLICAS,
        lag: float = 0.0,
        scrape: float = 0.0,
    ) -> "Trace":
        """A trace of samples, with a safe load such that its 0.999 quantile needs `peak_replicas`.

        Times are Unix seconds and ascend.

        Raises:
            ValueError: the samples cannot be used; the message says why.
        """
        at, sampled = np.asarray(times, dtype=float), np.asarray(values, dtype=float)
        if at.size < 2:
            raise ValueError("a trace needs two samples at least")
        step = usual_step(at)
        series = Series.from_samples(_steadied(at, step), sampled, step)
        # Whole steps in a minute, and none longer than the samples': no peak may be lost.
        finest = MINUTE if step > MINUTE else MINUTE / math.ceil(MINUTE / step - 1e-9)
        demand = held(series, finest)
        highest = float(np.nanquantile(demand.values, 0.999))
        if highest <= 0:
            raise ValueError("there is no demand in it")
        return cls(name, demand, highest / peak_replicas, lag, step > MINUTE, scrape)

    @property
    def days(self) -> float:
        """How long it is."""
        return len(self.demand) * self.demand.step / 86_400

    def minutes(self) -> Series:
        """The peak of each minute, on whole minutes."""
        return self.demand.coarser(MINUTE)

    @property
    def late(self) -> float:
        """For how long (seconds) the peak of a whole minute is not known yet, at the most."""
        inside = self.scrape > 0 and MINUTE % self.scrape > 0
        return self.lag + (self.scrape if inside else 0.0)

    def known_at(self, moments: Values) -> Values:
        """The newest demand that is known at each moment (Unix seconds); NaN inside gaps."""
        scraped = moments - self.lag
        if self.scrape > 0:
            scraped = np.floor(scraped / self.scrape + 1e-9) * self.scrape
        last = np.floor((scraped - self.demand.start) / self.demand.step + 1e-9) - 1
        inside = (last >= 0) & (last < len(self.demand))
        index = np.clip(last, 0, len(self.demand) - 1).astype(int)
        return np.where(inside, self.demand.values[index], np.nan)


def usual_step(times: Values) -> float:
    """The step of a trace in seconds: the most frequent distance between its samples.

    Where none is frequent, as stamps jitter, it is the middle one.
    """
    found = np.round(np.diff(times))
    distances, counts = np.unique(found, return_counts=True)
    usual = int(np.argmax(counts))
    clear = 2 * counts[usual] >= len(found)
    return float(max(1.0, distances[usual] if clear else np.round(np.median(np.diff(times)))))


def _steadied(times: Values, step: float) -> Values:
    """Times moved alike, by half a step at most, so that each step holds one sample.

    Stamps a few seconds around the full minute would leave one minute without a sample, and put
    two into the next. Those that are on no beat at all stay where they are.
    """
    turns = np.exp(2j * np.pi * times / step).mean()
    if abs(turns) < _BEAT:
        return times
    # Rounded, as a hair before the full step is the next one.
    beat = round(float(np.angle(turns)) / (2 * np.pi) * step, 3) % step
    return times + (step / 2 - beat)


def held(series: Series, step: float) -> Series:
    """The series on a finer grid, each value held over its step.

    A step whose length is no multiple of `step` is cut at the grid.
    """
    count = math.floor((series.end - series.start) / step + 1e-9)
    start = math.ceil(series.start / step) * step
    moments = start + step * np.arange(count)
    index = np.floor((moments - series.start) / series.step + 1e-9).astype(int)
    return Series(start, step, series.values[np.clip(index, 0, len(series) - 1)])
