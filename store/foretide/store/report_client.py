"""Reports over HTTP. Needs httpx and pydantic only."""

from . import report_messages as messages
from . import wire
from .client import Client
from .errors import StoreRefused
from .reports import KeptReport, Report, Subject


class ReportClient(Client):
    """`Reports` over HTTP; `aclose` when done."""

    async def put(self, report: Report) -> int:
        """See `Reports`."""
        content = messages.ReportMessage.of(report).model_dump_json().encode()
        request = wire.Request("POST", "v1/reports", content=content)
        return (await self._connection.send(messages.ReportPut, request)).id

    async def find(
        self, namespace: str | None = None, kind: str | None = None, name: str | None = None
    ) -> list[KeptReport]:
        """See `Reports`."""
        params = wire.given(namespace=namespace, kind=kind, name=name)
        request = wire.Request("GET", "v1/reports", params)
        answer = await self._connection.send(messages.ReportsAnswer, request)
        return [message.kept() for message in answer.reports]

    async def get(self, number: int) -> KeptReport | None:
        """See `Reports`."""
        request = wire.Request("GET", f"v1/reports/{number}")
        try:
            return (await self._connection.send(messages.KeptReportMessage, request)).kept()
        except StoreRefused as error:
            if error.reason == "NoReport":
                return None
            raise

    async def delete(self, subject: Subject) -> int:
        """See `Reports`."""
        params = wire.given(kind=subject.kind, namespace=subject.namespace, name=subject.name)
        request = wire.Request("DELETE", "v1/reports", params)
        return (await self._connection.send(messages.ReportsDeleted, request)).deleted
