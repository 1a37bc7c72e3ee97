"""Roll-ups in a database: the one implementation of `Rollups` that lasts.

The service puts HTTP in front of it; `foretide` on a laptop uses it as it is.
"""

import asyncio
import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar

from sqlalchemy import Row, delete, exists, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from . import chunks as packing
from .database import Conflict, Location
from .rollups import (
    Batch,
    Columns,
    Rollup,
    SeriesInfo,
    SeriesKey,
    Written,
    check,
    check_key,
    check_range,
)
from .schema import chunks, series
from .sessions import Database

T = TypeVar("T")

logger = logging.getLogger(__name__)
Place = tuple[int, int]  # series_id, slot: the primary key of a chunk

# A statement of either database has 32,766 parameters at the most.
_PARAMETERS = 20_000
_IDENTITY = (series.c.namespace, series.c.name, series.c.metric, series.c.fingerprint)


class Repository:
    """`Rollups` on SQLite or PostgreSQL. Any number of processes may use one database.

    Writers take turns series by series (PostgreSQL: row locks, always in the same order) or
    altogether (SQLite), so that what one has read is still true when it writes.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        """Roll-ups in a database that is open, to be closed by whoever has opened it."""
        self.database = database
        self._clock = clock

    @classmethod
    async def open(
        cls,
        database: str | Location,
        *,
        clock: Callable[[], float] = time.time,
        lock_timeout: float = 10.0,
    ) -> Self:
        """Open a database for roll-ups alone; errors as by `Database.open`."""
        return cls(await Database.open(database, lock_timeout=lock_timeout), clock=clock)

    async def aclose(self) -> None:
        """Close all connections to the database."""
        await self.database.aclose()

    async def ping(self) -> None:
        """Raise `StoreUnavailable` if the database does not answer."""
        await self.database.ping()

    async def write(self, batch: Batch) -> Written:
        """See `Rollups`."""
        check(batch, now=self._clock())
        batch = {key: columns for key, columns in sorted(batch.items()) if len(columns)}
        received = sum(map(len, batch.values()))
        if not batch:
            return Written(0, 0)
        return Written(received, await self.database.repeat(lambda: self._write(batch)))

    async def _write(self, batch: Batch) -> int:
        """Write once; returns how many roll-ups changed what is kept."""
        async with self.database.writing() as connection:
            ids = await self._lock_series(connection, list(batch))
            fresh: dict[Place, list[Rollup]] = defaultdict(list)
            for key, columns in batch.items():
                series_id = ids[key]
                for rollup in columns:
                    fresh[series_id, rollup.start // packing.SECONDS].append(rollup)
            kept = await _load(connection, list(fresh))
            # Packing takes its time, and other requests go on meanwhile.
            rows, changed = await asyncio.to_thread(_merge, fresh, kept)
            if rows:
                await connection.execute(self._upsert_chunks(), rows)
        return changed

    async def read(
        self, key: SeriesKey, start: float, end: float, *, peaks_only: bool = False
    ) -> Columns:
        """See `Rollups`."""
        check_key(key)
        check_range(start, end)
        query = (
            select(chunks.c.slot, chunks.c.data)
            .join(series)
            .where(tuple_(*_IDENTITY) == tuple_(*_parts(key)))
            .where(chunks.c.slot.between(packing.slot_of(start), packing.slot_of(end)))
            .order_by(chunks.c.slot)
        )
        async with self.database.reading() as connection:
            rows = (await connection.execute(query)).all()
        pairs = [(row.slot, row.data) for row in rows]
        return await asyncio.to_thread(_unpack, pairs, start, end, peaks_only=peaks_only)

    async def series(
        self, namespace: str | None = None, name: str | None = None
    ) -> list[SeriesInfo]:
        """See `Rollups`."""
        bounds = [
            select(order(chunks.c.slot)).where(chunks.c.series_id == series.c.id).scalar_subquery()
            for order in (func.min, func.max)
        ]
        query = select(series.c.id, *_IDENTITY, *bounds).order_by(*_IDENTITY)
        if namespace is not None:
            query = query.where(series.c.namespace == namespace)
        if name is not None:
            query = query.where(series.c.name == name)
        async with self.database.reading() as connection:
            rows = [row for row in (await connection.execute(query)).all() if row[5] is not None]
            places = {(row.id, slot) for row in rows for slot in row[5:7]}
            ends = await _load(connection, list(places))
        return [_info(row, ends) for row in rows]

    async def delete(
        self, namespace: str, name: str, metric: str | None = None, fingerprint: str | None = None
    ) -> int:
        """See `Rollups`."""
        given = zip(_IDENTITY, (namespace, name, metric, fingerprint), strict=True)
        doomed = delete(series).where(*(column == value for column, value in given if value))
        async with self.database.writing() as connection:
            return (await connection.execute(doomed)).rowcount

    async def sweep(self, keep: float) -> int:
        """Delete roll-ups older than `keep` seconds, six hours at a time; returns how many hours
        of series that were. Series that have nothing left go too.
        """
        now = self._clock()
        oldest = packing.slot_of(now - keep)
        async with self.database.writing() as connection:
            gone = await connection.execute(delete(chunks).where(chunks.c.slot < oldest))
            await connection.execute(
                delete(series).where(
                    ~exists().where(chunks.c.series_id == series.c.id),
                    # One that another writer has just made is about to get its first chunk.
                    series.c.created_at < now - 3_600,
                )
            )
        return gone.rowcount * packing.SECONDS // 3_600

    async def _lock_series(
        self, connection: AsyncConnection, keys: Sequence[SeriesKey]
    ) -> dict[SeriesKey, int]:
        """The ids of series, made if there are none; nobody else writes to them until the end of
        the transaction.

        The keys must ascend, and making comes before locking: two writers that lock in different
        orders would wait for each other for ever.
        """
        ids = await self._select_ids(connection, keys, lock=False)
        if missing := [key for key in keys if key not in ids]:
            columns = [column.name for column in _IDENTITY]
            rows = [
                dict(zip(columns, _parts(key), strict=True), created_at=int(self._clock()))
                for key in missing
            ]
            await connection.execute(self.database.insert(series).on_conflict_do_nothing(), rows)
        ids = await self._select_ids(connection, keys, lock=True)
        if len(ids) < len(keys):
            raise Conflict("Conflict", "a series was deleted while it was written to")
        return ids

    async def _select_ids(
        self, connection: AsyncConnection, keys: Sequence[SeriesKey], *, lock: bool
    ) -> dict[SeriesKey, int]:
        ids: dict[SeriesKey, int] = {}
        for part in _slices(keys, _PARAMETERS // 4):
            query = (
                select(series.c.id, *_IDENTITY)
                .where(tuple_(*_IDENTITY).in_([_parts(key) for key in part]))
                .order_by(*_IDENTITY)
            )
            if lock:
                query = query.with_for_update(key_share=True)
            ids |= {SeriesKey(*row[1:]): row.id for row in await connection.execute(query)}
        return ids

    def _upsert_chunks(self) -> Any:
        statement = self.database.insert(chunks)
        return statement.on_conflict_do_update(
            index_elements=[chunks.c.series_id, chunks.c.slot],
            set_={"data": statement.excluded.data},
        )


def _parts(key: SeriesKey) -> tuple[str, str, str, str]:
    return key.namespace, key.name, key.metric, key.fingerprint


def _info(row: Row[Any], ends: Mapping[Place, bytes]) -> SeriesInfo:
    """From a row of id, key, first and last slot, and the chunks that these slots are of."""
    series_id, namespace, name, metric, fingerprint, first, last = tuple(row)
    pairs = [(slot, ends[series_id, slot]) for slot in sorted({first, last})]
    found = _unpack(pairs, -math.inf, math.inf).start or [first * packing.SECONDS]
    return SeriesInfo(SeriesKey(namespace, name, metric, fingerprint), found[0], found[-1])


async def _load(connection: AsyncConnection, places: Sequence[Place]) -> dict[Place, bytes]:
    """The chunks at these places, as far as there are any."""
    found: dict[Place, bytes] = {}
    place = tuple_(chunks.c.series_id, chunks.c.slot)
    for part in _slices(places, _PARAMETERS // 2):
        query = select(chunks.c.series_id, chunks.c.slot, chunks.c.data).where(place.in_(part))
        found |= {(row.series_id, row.slot): row.data for row in await connection.execute(query)}
    return found


def _merge(
    fresh: Mapping[Place, list[Rollup]], kept: Mapping[Place, bytes]
) -> tuple[list[dict[str, Any]], int]:
    """The rows to write, and how many roll-ups changed them."""
    rows, changed = [], 0
    for (series_id, slot), rollups in fresh.items():
        known = kept.get((series_id, slot))
        # One that is damaged would keep all series from being written, for ever.
        sound = known if known is not None and _is_sound(known) else None
        data, news = packing.merge(sound, rollups)
        if news:
            rows.append({"series_id": series_id, "slot": slot, "data": data})
            changed += news
    return rows, changed


def _unpack(
    rows: Sequence[tuple[int, bytes]], start: float, end: float, *, peaks_only: bool = False
) -> Columns:
    """The roll-ups of chunks; what is damaged is told, and becomes a gap."""
    try:
        return packing.read(rows, start, end, peaks_only=peaks_only)
    except packing.CorruptChunk:
        sound = [row for row in rows if _is_sound(row[1])]
        return packing.read(sound, start, end, peaks_only=peaks_only)


def _is_sound(data: bytes) -> bool:
    try:
        packing.unpack(data)
    except packing.CorruptChunk as error:
        logger.error("6 hours of a series are damaged: %s.", error)
        return False
    return True


def _slices(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[first : first + size] for first in range(0, len(items), size))
