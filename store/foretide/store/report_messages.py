"""Reports as they go over HTTP, as JSON; their bytes in base64. Times are Unix seconds.

POST   /v1/reports     ReportMessage → ReportPut
GET    /v1/reports     [?namespace][&kind][&name] → ReportsAnswer
GET    /v1/reports/ID  → KeptReportMessage, with its data
DELETE /v1/reports     ?namespace&kind&name → ReportsDeleted
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Self

from .errors import StoreRefused
from .messages import Known, Message, Part
from .reports import KeptReport, Report, Subject


class Described(Message):
    """All but the bytes."""

    kind: Part
    namespace: Part
    name: Part
    at: Known
    content_type: Part

    @property
    def subject(self) -> Subject:
        """Whose it is."""
        return Subject(self.kind, self.namespace, self.name)


class ReportMessage(Described):
    """A report to keep."""

    data: str

    @classmethod
    def of(cls, report: Report) -> Self:
        """The message for one."""
        data = base64.b64encode(report.data).decode()
        return cls.model_construct(None, **_described(report), data=data)

    def report(self) -> Report:
        """The same for the rest of the code. Raises `StoreRefused`."""
        return Report(self.subject, self.at, _decoded(self.data), self.content_type)


class ReportPut(Message):
    """The id of a report that is kept now."""

    id: int


class KeptReportMessage(Described):
    """A report that is kept."""

    id: int
    size: int
    data: str | None = None

    @classmethod
    def of(cls, kept: KeptReport) -> Self:
        """The message for one."""
        data = None if kept.data is None else base64.b64encode(kept.data).decode()
        return cls.model_construct(None, **_described(kept), id=kept.id, size=kept.size, data=data)

    def kept(self) -> KeptReport:
        """The same for the rest of the code. Raises `StoreRefused`."""
        data = None if self.data is None else _decoded(self.data)
        return KeptReport(self.id, self.subject, self.at, self.content_type, self.size, data)


class ReportsAnswer(Message):
    """Reports, the newest first."""

    reports: list[KeptReportMessage]

    @classmethod
    def of(cls, found: Iterable[KeptReport]) -> Self:
        """The message for these."""
        return cls.model_construct(reports=[KeptReportMessage.of(kept) for kept in found])


class ReportsDeleted(Message):
    """How many reports were deleted."""

    deleted: int


def _described(report: Report | KeptReport) -> dict[str, object]:
    return {
        "kind": report.subject.kind,
        "namespace": report.subject.namespace,
        "name": report.subject.name,
        "at": report.at,
        "content_type": report.content_type,
    }


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise StoreRefused("Malformed", "a report's data is not base64") from None
