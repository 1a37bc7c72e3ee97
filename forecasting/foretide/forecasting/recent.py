"""The last week of demand by the minute, kept up to date tick by tick.

A forecast of the coming minutes looks back on recent demand and on what came at this time on
earlier days. Asking Prometheus for all that at each tick would cost more than everything else, so
the worker brings it along with each model and the ticks go on from there.
"""

import math

import numpy as np

from .lookahead.features import fill_gaps
from .series import Series

MINUTE = 60.0
# Ten days and some: a prediction looks back a week, and the next fit may be late.
_KEPT = 10 * 1_440 + 300
_LONGEST_GAP = 10


class RecentDemand:
    """Peaks by the minute of one series. Single precision: a week is 40 kB."""

    def __init__(self) -> None:
        self._first = 0
        self._values = np.empty(0, dtype=np.float32)

    def __len__(self) -> int:
        return len(self._values)

    def seed(self, history: Series) -> None:
        """Take over history by the minute. What ticks have seen since it ended stays.

        Raises:
            ValueError: it is not by the minute.
        """
        if history.step != MINUTE:
            raise ValueError(f"history must be by the minute, not {history.step:g} s")
        first = round(history.start / MINUTE)
        ends = first + len(history)
        newer = self._values[max(0, ends - self._first) :] if len(self._values) else self._values
        gap = max(0, self._first - ends)
        joined = (history.values.astype(np.float32), np.full(gap, np.nan, np.float32), newer)
        self._values = np.concatenate(joined)[-_KEPT:]
        self._first = first + sum(map(len, joined)) - len(self._values)

    def add(self, value: float, at: float) -> None:
        """A reading of demand at a time (Unix seconds)."""
        minute = math.floor(at / MINUTE)
        if not len(self._values) or minute < self._first or minute - self._end > _KEPT:
            # The first one, or the clock has jumped: what was there is of no use.
            self._first, self._values = minute, np.array([value], dtype=np.float32)
            return
        missing = minute - self._end + 1
        if missing > 0:
            more = np.full(missing, np.nan, dtype=np.float32)
            self._values = np.concatenate((self._values, more))
            if len(self._values) > _KEPT + 60:  # now and then, as it copies
                self._first += len(self._values) - _KEPT
                self._values = self._values[-_KEPT:]
        place = minute - self._first
        self._values[place] = np.fmax(self._values[place], value)

    def known(self, now: float) -> Series | None:
        """Demand until `now`, gaps of up to ten minutes held; None when nothing is known.

        The end lies on the nearest whole minute: the minute that has just begun counts once half
        of it has passed, and what has been seen of it before counts for the one before.
        """
        if not len(self._values):
            return None
        end = round(now / MINUTE)
        count = end - self._first
        if count <= 0 or end - self._end > _LONGEST_GAP:
            return None
        values = self._values.astype(float)
        if count < len(values):
            values[count - 1] = np.fmax(values[count - 1], values[count])
            values = values[:count]
        elif count > len(values):
            values = np.concatenate((values, np.full(count - len(values), np.nan)))
        return Series(self._first * MINUTE, MINUTE, fill_gaps(values))

    @property
    def _end(self) -> int:
        return self._first + len(self._values)
