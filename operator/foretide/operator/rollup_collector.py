"""Samples of demand become roll-ups, which wait in memory until they are sent. No I/O."""

import math
from array import array
from dataclasses import dataclass, field

from foretide.store.rollups import STEP, Columns, Rollup, SeriesKey

LONGEST_WAIT = 86_400.0
MOST_WAITING = 500_000  # 40 bytes each
_SENT_AT_ONCE = 10_000
_GRACE = 30.0  # a series without a new sample is closed so long after the end of its five minutes
_FIELDS = len(Rollup._fields)


@dataclass(slots=True)
class _Open:
    """The five minutes that samples of a series come for now."""

    start: int
    samples: int
    total: float
    peak: float
    last: float
    at: float

    def close(self) -> Rollup:
        # A sum of equal values may round to more than its parts.
        mean = min(self.total / self.samples, self.peak)
        return Rollup(self.start, self.samples, mean, self.peak, self.last)


@dataclass(slots=True)
class _Queue:
    """Closed roll-ups of a series, five numbers each, and how many have left it so far."""

    numbers: "array[float]" = field(default_factory=lambda: array("d"))
    left: int = 0

    def __len__(self) -> int:
        return len(self.numbers) // _FIELDS

    @property
    def oldest(self) -> float:
        return self.numbers[0] if self.numbers else math.inf

    def put(self, rollup: Rollup) -> None:
        self.numbers.extend(rollup)

    def peek(self, count: int) -> Columns:
        part = self.numbers[: count * _FIELDS]
        start, samples, mean, peak, last = (part[place::_FIELDS] for place in range(_FIELDS))
        return Columns([int(at) for at in start], [int(n) for n in samples], mean, peak, last)

    def drop(self, count: int) -> int:
        """Let the first ones go; returns how many those were."""
        count = max(0, min(count, len(self)))
        del self.numbers[: count * _FIELDS]
        self.left += count
        return count


@dataclass(frozen=True, slots=True)
class Taken:
    """A part of what waits, for sending; `upto` says how far it reaches into each series."""

    batch: dict[SeriesKey, Columns]
    upto: dict[SeriesKey, int]

    def __len__(self) -> int:
        return sum(map(len, self.batch.values()))

    @property
    def newest(self) -> int:
        """When the last of them begins (Unix seconds)."""
        return max(max(columns.start) for columns in self.batch.values())

    def halves(self) -> "list[Taken]":
        """The same in two parts: some series each or, if it is one, earlier and later roll-ups."""
        if len(self.batch) > 1:
            keys = list(self.batch)
            parts = [keys[: len(keys) // 2], keys[len(keys) // 2 :]]
            return [
                Taken({key: self.batch[key] for key in part}, {key: self.upto[key] for key in part})
                for part in parts
            ]
        ((key, columns),) = self.batch.items()
        half = len(columns) // 2
        return [
            Taken({key: columns[:half]}, {key: self.upto[key] - len(columns) + half}),
            Taken({key: columns[half:]}, self.upto),
        ]


class Collector:
    """Makes roll-ups of samples, and keeps them until they are sent."""

    def __init__(self, *, longest_wait: float = LONGEST_WAIT, most: int = MOST_WAITING) -> None:
        """Roll-ups wait for `longest_wait` seconds at most, and `most` of them; older ones go."""
        self._longest_wait = longest_wait
        self._most = most
        self._open: dict[SeriesKey, _Open] = {}
        self._queues: dict[SeriesKey, _Queue] = {}
        self.waiting = 0
        self.dropped = 0

    def observe(self, key: SeriesKey, at: float, value: float) -> None:
        """Take in a sample: demand (finite, not negative) at a time in Unix seconds."""
        start = int(at // STEP) * STEP
        now = self._open.get(key)
        if now is None or start != now.start:  # a clock that was set back begins anew, too
            if now is not None:
                self._close(key)
            self._open[key] = _Open(start, 1, value, value, value, at)
        elif at > now.at:  # else the same sample, seen again
            now.samples += 1
            now.total += value
            now.peak = max(now.peak, value)
            now.last, now.at = value, at

    def close_due(self, now: float, *, everything: bool = False) -> None:
        """Close what gets no more samples, and drop what has waited too long."""
        for key in [
            key
            for key, current in self._open.items()
            if everything or not -STEP <= now - current.start < STEP + _GRACE
        ]:
            self._close(key)
        self._trim(now - self._longest_wait)
        while self.waiting > self._most:
            self._trim(min(queue.oldest for queue in self._queues.values()) + STEP)

    def take(self, most: int = _SENT_AT_ONCE) -> Taken | None:
        """The next roll-ups to send, None when there are none; they wait until `settle`."""
        batch: dict[SeriesKey, Columns] = {}
        upto: dict[SeriesKey, int] = {}
        room = most
        for key, queue in self._queues.items():
            if room <= 0:
                break
            batch[key] = queue.peek(room)
            upto[key] = queue.left + len(batch[key])
            room -= len(batch[key])
        return Taken(batch, upto) if batch else None

    def settle(self, taken: Taken) -> None:
        """What was taken has been sent, or refused for good: it waits no more."""
        for key, upto in taken.upto.items():
            if (queue := self._queues.get(key)) is not None:
                self._let_go(key, upto - queue.left)

    def _close(self, key: SeriesKey) -> None:
        self._queues.setdefault(key, _Queue()).put(self._open.pop(key).close())
        self.waiting += 1

    def _trim(self, before: float) -> None:
        for key, queue in list(self._queues.items()):
            while queue.oldest < before:
                self.dropped += self._let_go(key, 1)

    def _let_go(self, key: SeriesKey, count: int) -> int:
        queue = self._queues[key]
        gone = queue.drop(count)
        self.waiting -= gone
        if not len(queue):
            del self._queues[key]
        return gone
