"""Reports: what was found out about a resource at one moment, and the door to where they are kept.

A report's bytes are opaque here: its content type says who can read them. Times are Unix seconds,
kept to the millisecond.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .errors import StoreRefused
from .profiles import CONTENT_TYPE, FIRST_TIME
from .rollups import CLOCK_SKEW

LARGEST_REPORT = 8 * 1024 * 1024
# Of each resource; the oldest go.
MOST_REPORTS = 100
LONGEST_LIST = 1_000


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose a report is: a resource by its kind, namespace and name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Report:
    """A report to keep."""

    subject: Subject
    at: float
    data: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class KeptReport:
    """A report that is kept; `size` in bytes. `data` is None where it was not asked for."""

    id: int
    subject: Subject
    at: float
    content_type: str
    size: int
    data: bytes | None = None


class Reports(Protocol):
    """Where reports are kept. All methods raise `StoreRefused` and `StoreUnavailable`."""

    async def put(self, report: Report) -> int:
        """Keep one; its id. One of the same subject and time is replaced: what is sent twice
        changes nothing.
        """
        ...

    async def find(
        self, namespace: str | None = None, kind: str | None = None, name: str | None = None
    ) -> Sequence[KeptReport]:
        """The reports that are meant, without their data, the newest first; a thousand at most."""
        ...

    async def get(self, number: int) -> KeptReport | None:
        """One report with its data, by its id; None if there is no such one."""
        ...

    async def delete(self, subject: Subject) -> int:
        """Delete all of a resource; how many there were."""
        ...


def check(report: Report, *, now: float) -> None:
    """Look for what no correct sender sends.

    Raises:
        StoreRefused: with what is wrong.
    """
    subject = report.subject
    parts = (subject.kind, subject.namespace, subject.name)
    if not all(1 <= len(part) <= 253 and part.isprintable() for part in parts):
        raise StoreRefused("BadKey", "kind, namespace and name have 1 to 253 printable characters")
    if not (math.isfinite(report.at) and FIRST_TIME <= report.at < 99_999_999_999):
        raise StoreRefused("BadTime", "at is a time after the year 2000, in Unix seconds")
    if report.at > now + CLOCK_SKEW:
        raise StoreRefused("InFuture", f"it is {report.at - now:.0f} s ahead; are clocks right?")
    if not 1 <= len(report.data) <= LARGEST_REPORT:
        raise StoreRefused(
            "BadValue", f"it has {len(report.data)} bytes; 1 to {LARGEST_REPORT} are possible"
        )
    if not (len(report.content_type) <= 253 and CONTENT_TYPE.fullmatch(report.content_type)):
        raise StoreRefused("BadValue", "content_type is no media type, such as application/json")
