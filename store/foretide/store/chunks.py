"""Six hours of roll-ups as one compressed value of a database.

A row for each roll-up would cost 45 bytes in SQLite and 90 in PostgreSQL; a chunk costs a tenth
of that, and a year is read in 1,460 rows. Pure functions; the repository does the locking.
"""

import math
import sys
import zlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import repeat

from .rollups import STEP, Columns, Rollup, rounded

SIZE = 72
SECONDS = SIZE * STEP
_FORMAT = b"\x01"


class CorruptChunk(ValueError):
    """The bytes are not a chunk that this version can read."""


def slot_of(start: float) -> int:
    """The number of the chunk that a time belongs to."""
    return math.floor(start / SECONDS)


@dataclass(slots=True)
class Chunk:
    """Columns of `SIZE` roll-ups; where `samples` is 0, there is none."""

    samples: "array[int]" = field(default_factory=lambda: array("H", bytes(2 * SIZE)))
    mean: "array[float]" = field(default_factory=lambda: array("f", bytes(4 * SIZE)))
    max: "array[float]" = field(default_factory=lambda: array("f", bytes(4 * SIZE)))
    last: "array[float]" = field(default_factory=lambda: array("f", bytes(4 * SIZE)))


def read(
    chunks: Iterable[tuple[int, bytes]], start: float, end: float, *, peaks_only: bool = False
) -> Columns:
    """The roll-ups in start ≤ t < end of chunks (number and bytes) that ascend.

    Raises:
        CorruptChunk: one cannot be read.
    """
    starts: list[int] = []
    samples: list[int] = []
    values: tuple[list[float], list[float], list[float]] = ([], [], [])
    for slot, data in chunks:
        chunk, base = unpack(data), slot * SECONDS
        first = math.ceil(max(0.0, (start - base) / STEP))
        last = math.ceil(min(SIZE, (end - base) / STEP))
        places = [place for place in range(first, last) if chunk.samples[place]]
        starts += [base + place * STEP for place in places]
        samples += [chunk.samples[place] for place in places]
        for kept, column in zip(values, (chunk.mean, chunk.max, chunk.last), strict=True):
            if peaks_only and column is not chunk.max:
                kept += repeat(math.nan, len(places))
            else:
                kept += [rounded(column[place]) for place in places]
    return Columns(starts, samples, *values)


def merge(data: bytes | None, rollups: Iterable[Rollup]) -> tuple[bytes, int]:
    """Put roll-ups of one chunk's time into it; returns its bytes and how many changed it.

    A roll-up replaces one that knows less (`Rollup.rank`), and is otherwise left out.
    """
    chunk, changed = unpack(data) if data else Chunk(), 0
    for rollup in rollups:
        place = rollup.start % SECONDS // STEP
        kept = (chunk.samples[place], not math.isnan(chunk.mean[place]))
        if chunk.samples[place] and rollup.rank <= kept:
            continue
        chunk.samples[place] = rollup.samples
        # In single precision, which holds more than the six digits that are read.
        chunk.mean[place] = rollup.mean
        chunk.max[place] = rollup.max
        chunk.last[place] = rollup.last
        changed += 1
    return (pack(chunk) if changed or not data else data), changed


def pack(chunk: Chunk) -> bytes:
    """The chunk's bytes: each column's first bytes together, then the second ones (they compress
    well, unlike the last bytes of a number), and all of it deflated.
    """
    columns = (chunk.samples, chunk.mean, chunk.max, chunk.last)
    planes = [
        raw[place :: column.itemsize]
        for column in columns
        for raw in (_little_endian(column),)
        for place in range(column.itemsize)
    ]
    return _FORMAT + zlib.compress(b"".join(planes))


def unpack(data: bytes) -> Chunk:
    """The chunk that bytes stand for.

    Raises:
        CorruptChunk: they stand for none.
    """
    if data[:1] != _FORMAT:
        raise CorruptChunk("a chunk of roll-ups in a format that this version does not know")
    try:
        raw = zlib.decompress(data[1:])
    except zlib.error:
        raise CorruptChunk("a chunk of roll-ups is damaged") from None
    chunk, offset = Chunk(), 0
    columns: tuple[array[int] | array[float], ...]
    columns = (chunk.samples, chunk.mean, chunk.max, chunk.last)
    if len(raw) != sum(SIZE * column.itemsize for column in columns):
        raise CorruptChunk("a chunk of roll-ups is damaged")
    for column in columns:
        mixed = bytearray(SIZE * column.itemsize)
        for place in range(column.itemsize):
            mixed[place :: column.itemsize] = raw[offset : offset + SIZE]
            offset += SIZE
        column[:] = array(column.typecode, bytes(mixed))
        if sys.byteorder == "big":
            column.byteswap()
    return chunk


def _little_endian(column: "array[int] | array[float]") -> bytes:
    if sys.byteorder == "little":
        return column.tobytes()
    swapped = array(column.typecode, column)
    swapped.byteswap()
    return swapped.tobytes()
