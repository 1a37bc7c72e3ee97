"""Reports in a database: the one implementation of `Reports` that lasts."""

import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, delete, select

from .reports import LONGEST_LIST, MOST_REPORTS, KeptReport, Report, Subject, check
from .schema import reports
from .sessions import Database

_SHOWN = (
    reports.c.id,
    reports.c.kind,
    reports.c.namespace,
    reports.c.name,
    reports.c.at,
    reports.c.content_type,
    reports.c.size,
)


class ReportRepository:
    """`Reports` on SQLite or PostgreSQL."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        """Reports in a database that is open."""
        self._database = database
        self._clock = clock

    async def put(self, report: Report) -> int:
        """See `Reports`."""
        check(report, now=self._clock())
        row = {
            "kind": report.subject.kind,
            "namespace": report.subject.namespace,
            "name": report.subject.name,
            "at": round(report.at * 1_000),
            "size": len(report.data),
            "content_type": report.content_type,
            "data": report.data,
        }
        insert = self._database.insert(reports).values(row)
        upsert = insert.on_conflict_do_update(
            index_elements=[
                reports.c.namespace,
                reports.c.kind,
                reports.c.name,
                reports.c.at,
            ],
            set_={name: insert.excluded[name] for name in ("size", "content_type", "data")},
        ).returning(reports.c.id)
        mine = _of(report.subject)
        newest = (
            select(reports.c.id)
            .where(*mine)
            .order_by(reports.c.at.desc(), reports.c.id.desc())
            .limit(MOST_REPORTS)
        )
        async with self._database.writing() as connection:
            number = (await connection.execute(upsert)).scalar_one()
            await connection.execute(delete(reports).where(*mine, reports.c.id.not_in(newest)))
        return int(number)

    async def find(
        self, namespace: str | None = None, kind: str | None = None, name: str | None = None
    ) -> list[KeptReport]:
        """See `Reports`."""
        given = {reports.c.namespace: namespace, reports.c.kind: kind, reports.c.name: name}
        statement = (
            select(*_SHOWN)
            .where(*(column == value for column, value in given.items() if value is not None))
            .order_by(reports.c.at.desc(), reports.c.id.desc())
            .limit(LONGEST_LIST)
        )
        async with self._database.reading() as connection:
            rows = (await connection.execute(statement)).all()
        return [_kept(row, None) for row in rows]

    async def get(self, number: int) -> KeptReport | None:
        """See `Reports`."""
        statement = select(*_SHOWN, reports.c.data).where(reports.c.id == number)
        async with self._database.reading() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else _kept(row, row.data)

    async def delete(self, subject: Subject) -> int:
        """See `Reports`."""
        doomed = delete(reports).where(*_of(subject)).returning(reports.c.id)
        async with self._database.writing() as connection:
            return len((await connection.execute(doomed)).all())

    async def sweep(self, keep: float) -> int:
        """Delete those that are older than so many seconds; how many there were."""
        before = int((self._clock() - keep) * 1_000)
        doomed = delete(reports).where(reports.c.at < before).returning(reports.c.id)
        async with self._database.writing() as connection:
            return len((await connection.execute(doomed)).all())


def _of(subject: Subject) -> list[ColumnElement[bool]]:
    return [
        reports.c.namespace == subject.namespace,
        reports.c.kind == subject.kind,
        reports.c.name == subject.name,
    ]


def _kept(row: Any, data: bytes | None) -> KeptReport:
    subject = Subject(row.kind, row.namespace, row.name)
    return KeptReport(row.id, subject, row.at / 1_000, row.content_type, row.size, data)
