"""Roll-ups of demand: what is kept of each five minutes, and the door to where it is kept.

A roll-up says of the samples within `STEP` seconds how many there were, their mean, their maximum
and the last one. Values are kept with six significant digits, in the unit of the user's query.
"""

import hashlib
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from .errors import StoreRefused

STEP = 300
MOST_SAMPLES = 65_535
LARGEST_VALUE = 1e30
LARGEST_BATCH = 50_000
# Clocks differ a little, between machines that keep them right.
CLOCK_SKEW = 300
_FIRST_TIME = 946_684_800  # 2000-01-01: anything before is no time of a measurement
_MILLISECONDS = 100_000_000_000
_SINGLE = struct.Struct("<f")
_SMALLEST_VALUE = 1e-30  # single precision loses its digits below 1e-38


@dataclass(frozen=True, slots=True, order=True)
class SeriesKey:
    """What tells a demand series from all others in a cluster.

    A resource that is deleted and made again under its name goes on with its series; one whose
    query or source changes begins another, told apart by `fingerprint`.
    """

    namespace: str
    name: str
    metric: str
    fingerprint: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name} {self.metric} ({self.fingerprint})"


def fingerprint(source: str, query: str) -> str:
    """16 hexadecimal digits for the name of a source and a query on it."""
    return hashlib.sha256(f"{source}\0{query.strip()}".encode()).hexdigest()[:16]


class Rollup(NamedTuple):
    """One roll-up: `start` in Unix seconds, a multiple of `STEP`; of `samples` samples.

    `mean` and `last` are NaN where only the maximum is known.
    """

    start: int
    samples: int
    mean: float
    max: float
    last: float

    @property
    def rank(self) -> tuple[int, bool]:
        """How much it knows: of two roll-ups of the same time, the one that knows more is kept."""
        return self.samples, not math.isnan(self.mean)


@dataclass(frozen=True, slots=True)
class Columns:
    """Roll-ups of one series as columns of equal length, as `Rollup` has them."""

    start: Sequence[int] = ()
    samples: Sequence[int] = ()
    mean: Sequence[float] = ()
    max: Sequence[float] = ()
    last: Sequence[float] = ()

    @classmethod
    def of(cls, rollups: Sequence[Rollup]) -> "Columns":
        """The same, from rows."""
        return cls(
            [rollup.start for rollup in rollups],
            [rollup.samples for rollup in rollups],
            [rollup.mean for rollup in rollups],
            [rollup.max for rollup in rollups],
            [rollup.last for rollup in rollups],
        )

    def __len__(self) -> int:
        return len(self.start)

    def __iter__(self) -> Iterator[Rollup]:
        columns = (self.start, self.samples, self.mean, self.max, self.last)
        return map(Rollup._make, zip(*columns, strict=True))

    def __getitem__(self, part: slice) -> "Columns":
        return Columns(
            self.start[part], self.samples[part], self.mean[part], self.max[part], self.last[part]
        )


Batch = Mapping[SeriesKey, Columns]


class Written(NamedTuple):
    """How many roll-ups were received, and how many of them changed what is kept."""

    received: int
    changed: int


@dataclass(frozen=True, slots=True)
class SeriesInfo:
    """A series that is kept, with the starts of its first and its last roll-up."""

    key: SeriesKey
    first: int
    last: int


class Rollups(Protocol):
    """Where roll-ups are kept. All methods raise `StoreRefused` and `StoreUnavailable`."""

    async def write(self, batch: Batch) -> Written:
        """Keep all of the batch or, with an error, nothing.

        Of two roll-ups of the same time the one with more samples is kept, the older one where
        they have as many: a batch that is sent twice changes nothing.
        """
        ...

    async def read(
        self, key: SeriesKey, start: float, end: float, *, peaks_only: bool = False
    ) -> Columns:
        """The roll-ups that begin in start ≤ t < end (Unix seconds), ascending.

        With `peaks_only`, mean and last are left out (NaN): a forecast needs no more.
        """
        ...

    async def series(
        self, namespace: str | None = None, name: str | None = None
    ) -> list[SeriesInfo]:
        """The series that are kept, by key."""
        ...

    async def delete(
        self, namespace: str, name: str, metric: str | None = None, fingerprint: str | None = None
    ) -> int:
        """Delete a resource's series, all or those named; returns how many there were."""
        ...


def rounded(value: float) -> float:
    """A value of single precision as it is read: six significant digits, which are all it has."""
    return float(f"{value:.6g}") if not value < _SMALLEST_VALUE else 0.0


def as_kept(value: float) -> float:
    """What is read of a value that is written."""
    return rounded(_SINGLE.unpack(_SINGLE.pack(value))[0])


def check(batch: Batch, *, now: float) -> None:
    """Look for what no correct sender sends.

    Raises:
        StoreRefused: with the first thing that is wrong, and where.
    """
    total = sum(map(len, batch.values()))
    if total > LARGEST_BATCH:
        raise StoreRefused("TooLarge", f"{total} roll-ups; send {LARGEST_BATCH} at once at most")
    for key, columns in batch.items():
        check_key(key)
        lengths = {
            len(column)
            for column in (columns.samples, columns.mean, columns.max, columns.last, columns.start)
        }
        if len(lengths) > 1:
            raise StoreRefused("Malformed", f"{key}: the columns differ in length")
        for place, rollup in enumerate(columns):
            if (wrong := _fault(rollup, now)) is not None:
                reason, message = wrong
                raise StoreRefused(reason, f"{key}: roll-up {place}: {message}")


def check_key(key: SeriesKey) -> None:
    """Raise `StoreRefused` if a part of the key is empty, too long or not printable."""
    for part in (key.namespace, key.name, key.metric, key.fingerprint):
        if not (0 < len(part) <= 253 and part.isprintable()):
            raise StoreRefused(
                "BadKey", "each part of a series' key has 1 to 253 printable characters"
            )


def check_range(start: float, end: float) -> None:
    """Raise `StoreRefused` if these are no times in Unix seconds."""
    if not (math.isfinite(start) and math.isfinite(end)):
        raise StoreRefused("BadTime", "start and end must be finite numbers: Unix seconds")
    if max(start, end) >= _MILLISECONDS:
        raise StoreRefused("BadTime", "start or end looks like milliseconds; seconds are wanted")


def _fault(rollup: Rollup, now: float) -> tuple[str, str] | None:
    start, samples, mean, peak, last = rollup
    if start >= _MILLISECONDS:
        return "BadTime", f"start {start} looks like milliseconds; Unix seconds are wanted"
    if start < _FIRST_TIME or start % STEP:
        return "BadTime", f"start {start} is not a multiple of {STEP} after the year 2000"
    if start > now + CLOCK_SKEW:
        return "InFuture", f"start {start} is {start - now:.0f} s ahead; are the clocks right?"
    if not 1 <= samples <= MOST_SAMPLES:
        return "BadValue", f"samples is {samples}; 1 to {MOST_SAMPLES} is possible"
    if not 0 <= peak <= LARGEST_VALUE:
        return "BadValue", f"max is {peak}; demand is finite, not negative and at most 1e30"
    # A mean that is summed up may exceed the maximum by a rounding error.
    for name, value in (("mean", mean), ("last", last)):
        if not (math.isnan(value) or 0 <= value <= peak * (1 + 1e-9)):
            return "BadValue", f"{name} is {value}; 0 to max ({peak}) is possible"
    return None
