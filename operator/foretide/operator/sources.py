"""The Prometheus sources in force, by name, with a client for each that is in use."""

import asyncio
import logging
from collections.abc import Callable

from foretide.forecasting.prometheus import DemandSource, PrometheusDemand, PrometheusSource

from .settings import SettingsHolder, SourceSettings

logger = logging.getLogger(__name__)


class Sources:
    """Clients are made when first asked for, and anew when their settings have changed."""

    def __init__(
        self,
        settings: SettingsHolder,
        *,
        connect: Callable[[PrometheusSource], DemandSource] = PrometheusDemand,
    ) -> None:
        self._settings = settings
        self._connect = connect
        self._clients: dict[str, tuple[SourceSettings, DemandSource]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def settings(self, name: str) -> PrometheusSource | None:
        """The source as the administrator declared it, None when there is none of that name."""
        declared = self._settings.current.sources.get(name)
        return None if declared is None else declared.to_source()

    async def get(self, name: str) -> DemandSource | None:
        """A client for the source, None when there is none of that name, or its CA is missing."""
        declared = self._settings.current.sources.get(name)
        known = self._clients.get(name)
        if declared is None or (known is not None and known[0] != declared):
            self._drop(name)
            known = None
        if declared is None:
            return None
        if known is None:
            try:
                # Reading the system's certificates takes longer than the event loop may stand.
                client = await asyncio.to_thread(self._connect, declared.to_source())
            except OSError as error:
                # OpenSSL's errors name no file.
                path = declared.ca_file or error.filename
                logger.error("Source %s: cannot read %s: %s", name, path, error)
                return None
            # Of several that were made at the same time, the first is everybody's.
            known = self._clients.setdefault(name, (declared, client))
        return known[1]

    async def aclose(self) -> None:
        """Close all clients."""
        for name in list(self._clients):
            self._drop(name)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _drop(self, name: str) -> None:
        _, client = self._clients.pop(name, (None, None))
        if isinstance(client, PrometheusDemand):
            task = asyncio.ensure_future(client.aclose())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
