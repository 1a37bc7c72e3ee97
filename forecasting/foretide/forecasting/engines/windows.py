"""Means over windows of a history, for many windows at once."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from ..series import Values
from .base import Ints


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Running sums over a history with gaps: a mean over any window costs two look-ups.

    `sums` and `counts` have one entry more than the history; `last` is the newest known value
    before each index (NaN before the first).
    """

    sums: Values
    counts: Values
    last: Values

    @classmethod
    def over(cls, values: Values) -> Self:
        """Running sums over `values`, of which those that are not finite count as unknown."""
        known = np.isfinite(values)
        filled = np.where(known, values, 0.0)
        newest = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
        last = np.where(newest >= 0, filled[newest], np.nan) if len(values) else filled
        return cls(
            np.concatenate(([0.0], np.cumsum(filled))),
            np.concatenate(([0.0], np.cumsum(known))),
            np.concatenate(([np.nan], last)),
        )

    def mean(self, start: Ints, end: Ints) -> Values:
        """The mean of what is known in start…end (end excluded); NaN where nothing is."""
        top = len(self.sums) - 1
        first = np.clip(start, 0, top)
        after = np.maximum(np.clip(end, 0, top), first)
        count = self.counts[after] - self.counts[first]
        total = self.sums[after] - self.sums[first]
        return np.asarray(total / np.where(count > 0, count, np.nan))
