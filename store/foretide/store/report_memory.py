"""Reports in memory: for tests, and for what need not last."""

import time
from collections.abc import Callable
from dataclasses import replace

from .reports import LONGEST_LIST, MOST_REPORTS, KeptReport, Report, Subject, check


class MemoryReports:
    """`Reports` without a database."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._kept: dict[tuple[Subject, float], KeptReport] = {}
        self._number = 0

    async def put(self, report: Report) -> int:
        """See `Reports`."""
        check(report, now=self._clock())
        key = (report.subject, round(report.at, 3))
        known = self._kept.get(key)
        if known is None:
            self._number += 1
        number = self._number if known is None else known.id
        size = len(report.data)
        self._kept[key] = KeptReport(
            number, report.subject, key[1], report.content_type, size, report.data
        )
        mine = sorted(
            (key for key in self._kept if key[0] == report.subject), key=lambda key: key[1]
        )
        for old in mine[:-MOST_REPORTS]:
            del self._kept[old]
        return number

    async def find(
        self, namespace: str | None = None, kind: str | None = None, name: str | None = None
    ) -> list[KeptReport]:
        """See `Reports`."""
        found = [
            replace(kept, data=None)
            for kept in self._kept.values()
            if namespace in (None, kept.subject.namespace)
            and kind in (None, kept.subject.kind)
            and name in (None, kept.subject.name)
        ]
        return sorted(found, key=lambda kept: (-kept.at, -kept.id))[:LONGEST_LIST]

    async def get(self, number: int) -> KeptReport | None:
        """See `Reports`."""
        return next((kept for kept in self._kept.values() if kept.id == number), None)

    async def delete(self, subject: Subject) -> int:
        """See `Reports`."""
        doomed = [key for key in self._kept if key[0] == subject]
        for key in doomed:
            del self._kept[key]
        return len(doomed)
