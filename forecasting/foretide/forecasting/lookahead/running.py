"""Figures over windows of minutes, for thousands of moments at once.

A window is joined from halves of halves, so that all moments together cost a dozen additions of
arrays. In contrast to differences of running sums, what comes out depends on nothing outside of the
window, to the last digit: a moment is told the same among many as alone, and equal demand is told
as equal.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..series import Values

Indices = npt.NDArray[np.int64]
Join = Callable[[Values, Values], Values]


@dataclass(frozen=True, slots=True, eq=False)
class Running:
    """A stretch of demand, NaN where nothing is known, and the moments `at` (n) within it.

    `known` is 1 where something is and else 0, `zeros` are the values with 0 where nothing is.
    """

    values: Values
    known: Values
    zeros: Values
    at: Indices

    @classmethod
    def around(cls, values: Values, at: Indices, *, before: int, after: int = 0) -> "Running":
        """The moments of `values` with so many minutes before and after them."""
        if not len(at):
            return cls(np.empty(0), np.empty(0), np.empty(0), at)
        first, last = int(at.min()) - before, int(at.max()) + after
        # What lies outside of the series is not known either.
        inside = values[max(0, first) : max(0, last)]
        padded = np.full(last - first, np.nan)
        skipped = max(0, -first)
        padded[skipped : skipped + len(inside)] = inside
        known = np.isfinite(padded)
        return cls(padded, known.astype(float), np.where(known, padded, 0.0), at - first)

    def mean(self, start: int, end: int) -> Values:
        """The mean of what is known from `start` to `end` of each moment; NaN where nothing is."""
        return self._mean(self.zeros, start, end)

    def spread(self, start: int, end: int) -> Values:
        """The standard deviation of what is known."""
        mean = self._mean(self.zeros, start, end)
        square = self._mean(self.zeros * self.zeros, start, end)
        return np.sqrt(np.maximum(0.0, square - mean * mean))

    def highest(self, start: int, end: int) -> Values:
        """The maximum of what is known; NaN where nothing is."""
        return self._over(self.values, start, end, np.fmax)

    def lowest(self, start: int, end: int) -> Values:
        """The minimum of what is known; NaN where nothing is."""
        return self._over(self.values, start, end, np.fmin)

    def peak(self, start: int, end: int) -> Values:
        """The maximum; NaN where not all of it is known."""
        return self._over(self.values, start, end, np.maximum)

    def _mean(self, values: Values, start: int, end: int) -> Values:
        count = self._over(self.known, start, end, np.add)
        total = self._over(values, start, end, np.add)
        return np.where(count > 0, total / np.maximum(count, 1.0), np.nan)

    def _over(self, values: Values, start: int, end: int, join: Join) -> Values:
        """`values[at + start : at + end]`, joined."""
        return _joined(values, end - start, join)[self.at + start]


def _joined(values: Values, width: int, join: Join) -> Values:
    """`values[i : i + width]` joined for each i at which there are so many."""
    part, size = values, 1
    found: Values | None = None
    done = 0
    while size <= width:
        if width & size:
            found = part if found is None else join(found[: len(part) - done], part[done:])
            done += size
        if (size := 2 * size) <= width:
            half = size // 2
            part = join(part[:-half], part[half:])
    assert found is not None
    return found[: len(values) - width + 1]
