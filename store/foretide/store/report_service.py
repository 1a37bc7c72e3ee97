"""The part of the HTTP API that is about reports (see `report_messages`)."""

import asyncio
import logging
from collections import Counter

from aiohttp import web
from pydantic import ValidationError

from . import messages
from . import report_messages as wire
from .answers import answer, wanted
from .errors import StoreRefused
from .reports import Report, Reports, Subject

logger = logging.getLogger(__name__)

_ALL = {"namespace", "kind", "name"}


class ReportRoutes:
    """The handlers. What they count is added to `counts`."""

    def __init__(self, reports: Reports, counts: Counter[tuple[str, str]]) -> None:
        self._reports = reports
        self._counts = counts

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Make them answer."""
        router.add_route("POST", "/v1/reports", self._put)
        router.add_route("GET", "/v1/reports", self._find)
        router.add_route("DELETE", "/v1/reports", self._delete)
        router.add_route("GET", "/v1/reports/{id:[0-9]{1,18}}", self._get)

    async def _put(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            report = await asyncio.to_thread(_parse, body)
        except ValidationError as error:
            raise StoreRefused("Malformed", messages.explain(error)) from None
        number = await self._reports.put(report)
        self._counts["reports_received", ""] += 1
        return answer(wire.ReportPut(id=number))

    async def _find(self, request: web.Request) -> web.Response:
        # A name that is misspelt would widen what is found.
        if unknown := sorted(set(request.query) - _ALL):
            raise StoreRefused("Malformed", f"there is no parameter {unknown[0][:60]!r}")
        given = {name: request.query[name] for name in _ALL if name in request.query}
        response = answer(wire.ReportsAnswer.of(await self._reports.find(**given)))
        response.enable_compression()
        return response

    async def _get(self, request: web.Request) -> web.Response:
        found = await self._reports.get(int(request.match_info["id"]))
        if found is None:
            raise StoreRefused("NoReport", "the store keeps no report of this number")
        return answer(wire.KeptReportMessage.of(found))

    async def _delete(self, request: web.Request) -> web.Response:
        subject = Subject(
            wanted(request, "kind"), wanted(request, "namespace"), wanted(request, "name")
        )
        deleted = await self._reports.delete(subject)
        logger.info("Deleted %d reports of %s.", deleted, subject)
        return answer(wire.ReportsDeleted(deleted=deleted))


def _parse(body: bytes) -> Report:
    return wire.ReportMessage.model_validate_json(body).report()
