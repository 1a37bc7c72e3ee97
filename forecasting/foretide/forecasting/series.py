"""Demand on a regular grid: what every model, replay and roll-up works on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Demand in the unit of the user's query, one value for each `step` seconds.

    `values[i]` (shape: n) stands for the time from `start + i * step` to `start + (i + 1) * step`
    in Unix seconds; NaN where nothing is known. What a value is of its step (peak, mean, last
    sample) is said by whoever makes the series.
    """

    start: float
    step: float
    values: Values

    @classmethod
    def from_samples(
        cls, times: Sequence[float] | Values, values: Sequence[float] | Values, step: float
    ) -> "Series":
        """The peak of the samples within each step, on a grid of multiples of `step`.

        Steps without a finite, non-negative sample are NaN. Times must ascend.

        Raises:
            ValueError: there is no usable sample, or the step is not positive.
        """
        if step <= 0:
            raise ValueError(f"step must be positive, not {step}")
        at, sampled = np.asarray(times, dtype=float), np.asarray(values, dtype=float)
        usable = np.isfinite(sampled) & (sampled >= 0)
        at, sampled = at[usable], sampled[usable]
        if at.size == 0:
            raise ValueError("no finite, non-negative samples")
        slots = np.floor(at / step + 1e-9).astype(np.int64)
        grid = np.full(int(slots[-1] - slots[0]) + 1, -math.inf)
        np.maximum.at(grid, slots - slots[0], sampled)
        return cls(float(slots[0] * step), step, np.where(np.isneginf(grid), np.nan, grid))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def end(self) -> float:
        """When the last step ends (Unix seconds)."""
        return self.start + self.step * len(self.values)

    @property
    def times(self) -> Values:
        """When each step begins (Unix seconds)."""
        return self.start + self.step * np.arange(len(self.values), dtype=float)

    @property
    def known(self) -> int:
        """How many steps have a value."""
        return int(np.isfinite(self.values).sum())

    def between(self, start: float, end: float) -> "Series":
        """The steps that lie wholly within start…end."""
        first = max(0, math.ceil((start - self.start) / self.step - 1e-9))
        last = min(len(self.values), math.floor((end - self.start) / self.step + 1e-9))
        return Series(
            self.start + first * self.step, self.step, self.values[first : max(first, last)]
        )

    def coarser(self, step: float) -> "Series":
        """The peak of each longer step, which must be a multiple of this one's.

        Raises:
            ValueError: it is not a multiple.
        """
        ratio = step / self.step
        if abs(ratio - round(ratio)) > 1e-9 or ratio < 1:
            raise ValueError(f"{step} s is not a multiple of {self.step} s")
        if round(ratio) == 1:
            return self
        usable = np.isfinite(self.values)
        if not usable.any():
            return Series(self.start, step, self.values[:0])
        return Series.from_samples(self.times[usable], self.values[usable], step)
