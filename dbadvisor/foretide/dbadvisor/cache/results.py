"""What a query has answered, as PostgreSQL sent it: bytes, from which each reader makes own rows.

So no two readers share an object that one of them might change, the size is known exactly, the
types and the row factory are those of the reader's connection, and nothing is unpickled.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer

Cells = tuple[bytes | None, ...]
# What a row and a cell take in memory beside their bytes (CPython, 64 bits; rounded up).
ROW_BYTES, CELL_BYTES = 56, 42
_NULL = 0xFFFFFFFF
_COLUMN = struct.Struct("!IiiIii")
_COUNT = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class Result:
    """The columns of an answer and its rows, in the format that each column has."""

    columns: tuple[pq.PGresAttDesc, ...]
    rows: tuple[Cells, ...]

    @property
    def size(self) -> int:
        """About how many bytes it takes in memory."""
        cells = sum(len(cell) for row in self.rows for cell in row if cell is not None)
        each = ROW_BYTES + CELL_BYTES * len(self.columns)
        return cells + each * (len(self.rows) + 4)


def taken(result: pq.abc.PGresult) -> Result:
    """What is in psycopg's result, copied."""
    width = range(result.nfields)
    columns = tuple(
        pq.PGresAttDesc(
            result.fname(i) or b"",
            result.ftable(i),
            result.ftablecol(i),
            result.fformat(i),
            result.ftype(i),
            result.fsize(i),
            result.fmod(i),
        )
        for i in width
    )
    value = result.get_value
    return Result(columns, tuple(tuple(value(r, c) for c in width) for r in range(result.ntuples)))


def rows_of(result: Result, cursor: Any, row_factory: Callable[[Any], Any] | None) -> list[Any]:
    """The rows as `cursor.fetchall()` would have given them after it had run the query itself.

    `cursor` is an unused one of the reader's connection; row factories look at its result for the
    names of the columns. `row_factory` None means the connection's own.
    """
    empty = cursor.connection.pgconn.make_empty_result(pq.ExecStatus.TUPLES_OK)
    empty.set_attributes(list(result.columns))
    cursor.pgresult = empty
    make = (row_factory or cursor.row_factory)(cursor)
    transformer = Transformer.from_context(cursor)
    loaders = [
        transformer.get_loader(column.typid, pq.Format(column.format)).load
        for column in result.columns
    ]
    return [
        make(
            tuple(
                None if cell is None else load(cell)
                for load, cell in zip(loaders, row, strict=True)
            )
        )
        for row in result.rows
    ]


def packed(result: Result) -> bytes:
    """As bytes: numbers of columns and rows, the columns, then each cell with its length."""
    parts = [_COUNT.pack(len(result.columns)), _COUNT.pack(len(result.rows))]
    for name, *numbers in result.columns:
        parts += [_COUNT.pack(len(name)), name, _COLUMN.pack(*_ordered(numbers))]
    for row in result.rows:
        for cell in row:
            if cell is None:
                parts.append(_COUNT.pack(_NULL))
            else:
                parts += [_COUNT.pack(len(cell)), cell]
    return b"".join(parts)


def _ordered(numbers: Sequence[int]) -> tuple[int, ...]:
    table, column, form, kind, length, modifier = numbers
    return (table, column, form, kind, length, modifier)


def unpacked(data: bytes) -> Result:
    """The result of `packed`.

    Raises:
        psycopg.DataError: these are not bytes that `packed` has made.
    """
    try:
        return _unpacked(data)
    except (struct.error, ValueError) as error:
        raise psycopg.DataError("what the cache holds cannot be read") from error


def _unpacked(data: bytes) -> Result:
    place = 0

    def number() -> int:
        nonlocal place
        place += 4
        return int(_COUNT.unpack_from(data, place - 4)[0])

    def text(length: int) -> bytes:
        nonlocal place
        place += length
        if place > len(data):
            raise ValueError("it ends too early")
        return data[place - length : place]

    width, height = number(), number()
    columns = []
    for _ in range(width):
        name = text(number())
        columns.append(pq.PGresAttDesc(name, *_COLUMN.unpack(text(_COLUMN.size))))
    rows = []
    for _ in range(height):
        lengths_and_cells = []
        for _ in range(width):
            length = number()
            lengths_and_cells.append(None if length == _NULL else text(length))
        rows.append(tuple(lengths_and_cells))
    if place != len(data):
        raise ValueError("it goes on after its end")
    return Result(tuple(columns), tuple(rows))
