"""Where whole advices go: to the store, which has room for them; a status has their first lines."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from foretide.store.client import StoreAddress
from foretide.store.errors import StoreError
from foretide.store.report_client import ReportClient
from foretide.store.reports import Report, Reports, Subject

from ..conditions import STORE, Condition
from ..store_settings import StoreSettings

logger = logging.getLogger(__name__)

KIND = "DatabaseAdvisor"
CONTENT_TYPE = "application/json"


class StoreConnection(Reports, Protocol):
    """`Reports` that is closed when it is not needed any more."""

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class ReportKeeper:
    """Sends each report once: the next one comes within hours, and says more."""

    def __init__(
        self,
        settings: Callable[[], StoreSettings | None],
        *,
        connect: Callable[[StoreAddress], StoreConnection] = ReportClient,
    ) -> None:
        """`settings` is asked at each use: they may change."""
        self._settings = settings
        self._connect = connect
        self._failure: StoreError | None = None

    async def keep(self, namespace: str, name: str, at: float, data: bytes) -> str | None:
        """The store's path for a report that is kept now; None without a store, or if it does not
        take it.
        """
        settings = self._settings()
        if settings is None:
            return None
        report = Report(Subject(KIND, namespace, name), at, data, CONTENT_TYPE)
        before = self._failure
        try:
            # Reading certificates takes longer than the event loop may stand.
            client = await asyncio.to_thread(self._connect, settings.address)
            try:
                number = await client.put(report)
            finally:
                await client.aclose()
        except StoreError as error:
            self._failure = error
            if before is None or before.reason != error.reason:
                logger.warning("The store does not take reports: %s", error.message)
            return None
        self._failure = None
        if before is not None:
            logger.info("The store takes reports again.")
        return f"/v1/reports/{number}"

    def condition(self) -> Condition | None:
        """How it stands with the store; None without one."""
        if self._settings() is None:
            return None
        if self._failure is not None:
            return Condition(STORE, False, self._failure.reason, self._failure.message)
        return Condition(STORE, True, "Reachable", "")
