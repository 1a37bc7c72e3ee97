"""Local time of a workload as arrays: what a clock and a calendar on its wall would show.

People rise at 7 also after the clocks have changed, so a daily pattern lives in local time. All
here is numpy and zoneinfo; times are Unix seconds, zones are IANA names.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DAY = 86_400
# 1970-01-01 was a Thursday; Monday is 0.
_EPOCH_WEEKDAY = 3


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """Local time at each of n instants (all arrays have shape n).

    `second`: since local midnight by the wall clock, 0…86399. `weekday`: 0 is Monday.
    `day`: local days since 1970-01-01. `year_position`: 0 at New Year's midnight, below 1.
    `offset`: what local time is ahead of UTC, in seconds.
    """

    second: Ints
    weekday: Ints
    day: Ints
    year_position: Values
    offset: Ints


def local_clock(times: Values, time_zone: str) -> Clock:
    """The local clock at `times` (Unix seconds, in any order).

    Raises:
        zoneinfo.ZoneInfoNotFoundError: there is no zone of that name.
    """
    offset = utc_offsets(times, time_zone)
    local = np.floor(np.asarray(times, dtype=float)).astype(np.int64) + offset
    day = local // DAY
    year = day.astype("datetime64[D]").astype("datetime64[Y]")
    begins = year.astype("datetime64[D]").astype(np.int64)
    ends = (year + 1).astype("datetime64[D]").astype(np.int64)
    since = (local - begins * DAY) / DAY
    return Clock(local % DAY, (day + _EPOCH_WEEKDAY) % 7, day, since / (ends - begins), offset)


def utc_offsets(times: Values, time_zone: str) -> Ints:
    """What local time is ahead of UTC at each of the times, in seconds (shape: n)."""
    at = np.asarray(times, dtype=float)
    if at.size == 0:
        return np.zeros(0, dtype=np.int64)
    first, last = int(at.min()), int(at.max()) + 1
    changes, offsets = _transitions(first // DAY, -(-last // DAY), time_zone)
    return np.asarray(offsets, dtype=np.int64)[np.searchsorted(changes, at, side="right")]


def days_back(times: Values, days: Ints | int, time_zone: str) -> Values:
    """The instants at which the wall clock showed the same time `days` days before (shape: n).

    An hour that does not exist there, or exists twice, is taken as the first offset has it.
    """
    at = np.asarray(times, dtype=float)
    before = at - np.asarray(days) * DAY
    shift = utc_offsets(at, time_zone) - utc_offsets(before, time_zone)
    return np.asarray(before + shift)


@lru_cache(maxsize=64)
def _transitions(
    first_day: int, last_day: int, time_zone: str
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The instants in first…last day at which the offset changes, and the offsets between them."""
    zone = ZoneInfo(time_zone)
    changes: list[int] = []
    offsets = [_offset(first_day * DAY, zone)]
    for day in range(first_day, last_day + 1):
        end = (day + 1) * DAY
        if _offset(end, zone) != offsets[-1]:
            changes.append(_change(day * DAY, end, zone))
            offsets.append(_offset(end, zone))
    return tuple(changes), tuple(offsets)


def _change(start: int, end: int, zone: ZoneInfo) -> int:
    """The first second after `start` with the offset of `end`, by bisection."""
    after = _offset(end, zone)
    while end - start > 1:
        middle = (start + end) // 2
        start, end = (start, middle) if _offset(middle, zone) == after else (middle, end)
    return end


def _offset(at: int, zone: ZoneInfo) -> int:
    ahead = datetime.fromtimestamp(at, zone).utcoffset()
    return int(ahead.total_seconds()) if ahead else 0
