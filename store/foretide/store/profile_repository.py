"""Profiles in a database: the one implementation of `Profiles` that lasts."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from .database import Conflict
from .errors import StoreRefused
from .profile_rows import (
    best_of_each,
    identity,
    kept_profile,
    milliseconds,
    profile_row,
    target_row,
)
from .profiles import (
    LARGEST_PROFILE,
    MERGE_STEP,
    Deleted,
    Kept,
    KeptProfile,
    Kind,
    Page,
    Profile,
    ProfiledWorkload,
    ProfileQuery,
    Target,
    check,
    check_delete,
    check_query,
)
from .retention import Retention, Step, oldest
from .schema import profile_targets as targets
from .schema import profiles
from .sessions import Database

_PAGE = 1_000
_PAGE_WITH_DATA = 200
_PAGE_BYTES = LARGEST_PROFILE
_NEW_TARGET = 3_600  # seconds in which a target may be without profiles: its first one comes soon
_TARGET = (
    targets.c.namespace,
    targets.c.workload,
    targets.c.container,
    targets.c.pod,
    targets.c.version,
    targets.c.labels,
)
_SHOWN = (
    profiles.c.id,
    *_TARGET,
    profiles.c.kind,
    profiles.c.start,
    profiles.c.end,
    profiles.c.windows,
    profiles.c.process,
    profiles.c.content_type,
    profiles.c.size,
)


class ProfileRepository:
    """`Profiles` on SQLite or PostgreSQL, with a retention."""

    def __init__(
        self,
        database: Database,
        *,
        retention: Retention | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Profiles in a database that is open; kept as long as `retention` says, if it says so."""
        self.database = database
        self._retention = retention
        self._clock = clock
        self._grown = 0

    async def put(self, batch: Sequence[Profile]) -> Kept:
        """See `Profiles`. Deletes the oldest ones when it has written much."""
        check(batch, now=self._clock())
        if not batch:
            return Kept(0, 0)
        chosen = best_of_each(batch)
        changed = await self.database.repeat(lambda: self._put(chosen))
        self._grown += sum(len(profile.data) for profile in chosen)
        # So the space is never exceeded by more than a fiftieth, however fast profiles come.
        if self._retention is not None and self._grown > self._retention.size // 50:
            await self.sweep()
        return Kept(len(batch), changed)

    async def _put(self, batch: Sequence[Profile]) -> int:
        async with self.database.writing() as connection:
            ids = await self._target_ids(connection, [profile.target for profile in batch])
            insert = self.database.insert(profiles)
            new = insert.excluded
            upsert = insert.on_conflict_do_update(
                index_elements=[
                    profiles.c.target_id,
                    profiles.c.kind,
                    profiles.c.start,
                    profiles.c.process,
                ],
                set_={
                    name: new[name] for name in ("end", "windows", "size", "content_type", "data")
                },
                where=new.windows > profiles.c.windows,
            ).returning(profiles.c.id)
            rows = [profile_row(profile, ids[identity(profile.target)]) for profile in batch]
            return len((await connection.execute(upsert, rows)).all())

    async def _target_ids(
        self, connection: AsyncConnection, wanted: Iterable[Target]
    ) -> dict[str, int]:
        """The ids of targets by their identity, made if there are none. They stay until the end of
        the transaction.
        """
        by_identity = {identity(target): target for target in wanted}
        identities = sorted(by_identity)
        query = (
            select(targets.c.identity, targets.c.id)
            .where(targets.c.identity.in_(identities))
            .order_by(targets.c.identity)
            .with_for_update(read=True, key_share=True)
        )
        ids = {row.identity: row.id for row in await connection.execute(query)}
        if missing := [one for one in identities if one not in ids]:
            now = int(self._clock())
            rows = [target_row(by_identity[one], now) for one in missing]
            await connection.execute(self.database.insert(targets).on_conflict_do_nothing(), rows)
            ids = {row.identity: row.id for row in await connection.execute(query)}
        if len(ids) < len(identities):
            raise Conflict("Conflict", "a target was deleted while profiles of it were written")
        return ids

    async def find(
        self, query: ProfileQuery, *, after: str | None = None, data: bool = False
    ) -> Page:
        """See `Profiles`."""
        check_query(query)
        conditions = [*_wanted(query), *_later(after)]
        most = _PAGE_WITH_DATA if data else _PAGE
        statement = (
            select(*_SHOWN)
            .join(targets)
            .where(*conditions)
            .order_by(profiles.c.start, profiles.c.id)
            .limit(most + 1)
        )
        async with self.database.reading() as connection:
            rows = (await connection.execute(statement)).all()
            shown = rows[: _fitting(rows[:most])] if data else rows[:most]
            contents: dict[int, bytes] = {}
            if data and shown:
                numbers = [row.id for row in shown]
                loaded = await connection.execute(
                    select(profiles.c.id, profiles.c.data).where(profiles.c.id.in_(numbers))
                )
                contents = {row.id: row.data for row in loaded}
        more = len(rows) > len(shown)
        # One that was deleted between the two looks is left out.
        found = [
            kept_profile(row, contents.get(row.id))
            for row in shown
            if not data or row.id in contents
        ]
        return Page(found, f"{shown[-1].start}-{shown[-1].id}" if more else None)

    async def get(self, number: int) -> KeptProfile | None:
        """See `Profiles`."""
        statement = select(*_SHOWN, profiles.c.data).join(targets).where(profiles.c.id == number)
        async with self.database.reading() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else kept_profile(row, row.data)

    async def delete(self, query: ProfileQuery) -> Deleted:
        """See `Profiles`."""
        check_delete(query)
        of_query = select(profiles.c.id).join(targets).where(*_wanted(query))
        doomed = delete(profiles).where(profiles.c.id.in_(of_query)).returning(profiles.c.size)
        async with self.database.writing() as connection:
            sizes = (await connection.execute(doomed)).scalars().all()
        return Deleted(len(sizes), sum(sizes))

    async def workloads(self, namespace: str | None = None) -> list[ProfiledWorkload]:
        """See `Profiles`."""
        named = (targets.c.namespace, targets.c.workload, targets.c.container, profiles.c.kind)
        statement = (
            select(
                *named,
                func.count(func.distinct(targets.c.pod)),
                func.count(),
                func.sum(profiles.c.size),
                func.min(profiles.c.start),
                func.max(profiles.c.end),
            )
            .select_from(profiles.join(targets))
            .group_by(*named)
            .order_by(*named)
        )
        if namespace is not None:
            statement = statement.where(targets.c.namespace == namespace)
        async with self.database.reading() as connection:
            rows = (await connection.execute(statement)).all()
        return [
            ProfiledWorkload(
                namespace=row[0],
                workload=row[1],
                container=row[2],
                kind=Kind(row[3]),
                pods=row[4],
                profiles=row[5],
                size=int(row[6]),
                first=row[7] / 1_000,
                last=row[8] / 1_000,
            )
            for row in rows
        ]

    async def sweep(self) -> Deleted:
        """Delete what the retention does not keep, the oldest first, and targets without any."""
        if self._retention is None:
            return Deleted(0, 0)
        number = profiles.c.start // (MERGE_STEP * 1_000)
        steps = select(profiles.c.kind, number, func.sum(profiles.c.size)).group_by(
            profiles.c.kind, number
        )
        now = self._clock()
        async with self.database.reading() as connection:
            found = [
                Step(Kind(row[0]), int(row[1]), int(row[2]))
                for row in await connection.execute(steps)
            ]
        first = oldest(now, self._retention, found)
        gone: list[int] = []
        async with self.database.writing() as connection:
            for kind, before in first.items():
                doomed = delete(profiles).where(
                    profiles.c.kind == kind, profiles.c.start < int(before * 1_000)
                )
                sizes = await connection.execute(doomed.returning(profiles.c.size))
                gone += sizes.scalars().all()
            await connection.execute(
                delete(targets).where(
                    ~exists().where(profiles.c.target_id == targets.c.id),
                    targets.c.created_at < now - _NEW_TARGET,
                )
            )
        self._grown = 0
        return Deleted(len(gone), sum(gone))


def _wanted(query: ProfileQuery) -> list[ColumnElement[bool]]:
    given = {
        targets.c.namespace: query.namespace,
        targets.c.workload: query.workload,
        targets.c.container: query.container,
        targets.c.pod: query.pod,
        targets.c.version: query.version,
        profiles.c.kind: None if query.kind is None else str(query.kind),
    }
    conditions = [column == value for column, value in given.items() if value is not None]
    start, end = milliseconds(query.start), milliseconds(query.end)
    return [*conditions, profiles.c.start >= start, profiles.c.start < end]


def _later(after: str | None) -> list[ColumnElement[bool]]:
    """Those behind the place that a page named."""
    if after is None:
        return []
    start, dash, number = after.partition("-")
    if not (dash and len(after) < 40 and start.isdecimal() and number.isdecimal()):
        raise StoreRefused("Malformed", "after is what the page before has said, or left out")
    at = int(start)
    later = and_(profiles.c.start == at, profiles.c.id > int(number))
    return [or_(profiles.c.start > at, later)]


def _fitting(rows: Sequence[Any]) -> int:
    """How many of the first rows have no more data than a page holds; one at least."""
    total = 0
    for place, row in enumerate(rows):
        total += row.size
        if place and total > _PAGE_BYTES:
            return place
    return len(rows)
