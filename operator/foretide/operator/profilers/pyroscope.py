"""Profiles on their way to Pyroscope, where one is configured: a copy, so what fails is dropped
after a while and no more than told.
"""

import asyncio
import base64
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from foretide.profiling.profile import merge
from foretide.store import access
from foretide.store.errors import StoreUnavailable

from ..links import Link
from ..pyroscope_settings import PyroscopeSettings
from ..rollups import StoreState
from .bundles import Bundle
from .folding import Ingest, requests_of
from .outbox import Outbox

logger = logging.getLogger(__name__)

_LAST_WORD = 3.0
_LONGEST_WAIT = 900.0
_MOST_BYTES = 16 * 1024 * 1024
# Statuses that another attempt may change; the others are about what was sent.
_PASSING = (401, 403, 404, 407, 408, 425, 429)


class PyroscopePush:
    """Sends requests to one Pyroscope; `aclose` when done."""

    def __init__(
        self,
        settings: PyroscopeSettings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Prepare the client.

        Raises:
            StoreUnavailable: the CA's file cannot be used.
        """
        self._settings = settings
        self._client = httpx.AsyncClient(
            base_url=settings.url.rstrip("/") + "/",
            timeout=settings.timeout,
            transport=transport,
            verify=access.trust(settings.url, settings.ca_file),
        )

    async def send(self, request: Ingest) -> bool:
        """Push; False where Pyroscope refuses this one for what is in it.

        Raises:
            StoreUnavailable: it cannot be reached, or takes nothing now.
        """
        headers = _headers(self._settings)
        try:
            async with asyncio.timeout(2 * self._settings.timeout):
                response = await self._client.post(
                    "ingest",
                    params=dict(request.params),
                    content=request.body,
                    headers=headers,
                )
        except (httpx.TimeoutException, TimeoutError):
            raise StoreUnavailable("Unreachable", "Pyroscope does not answer in time") from None
        except httpx.HTTPError as error:
            text = " ".join(str(error).split())[:200] or type(error).__name__
            raise StoreUnavailable("Unreachable", f"cannot reach Pyroscope: {text}") from None
        status = response.status_code
        if status in (401, 403):
            raise StoreUnavailable("Unauthorized", "Pyroscope refuses the credentials")
        if status >= 500 or status in _PASSING or 300 <= status < 400:
            raise StoreUnavailable("NotTaken", f"Pyroscope answers with HTTP status {status}")
        if status >= 400:
            logger.error("Pyroscope refuses a profile with HTTP status %d.", status)
        return status < 400

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()


class PyroscopeSender:
    """Merges bundles of windows and pushes them where the settings name a Pyroscope."""

    def __init__(
        self,
        settings: Callable[[], PyroscopeSettings | None],
        *,
        connect: Callable[[PyroscopeSettings], PyroscopePush] = PyroscopePush,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`settings` is asked at each use, so that they can change."""
        self._link = Link("Pyroscope", "profiles", settings, connect)
        self._clock = clock
        self._outbox = Outbox[Ingest](longest_wait=_LONGEST_WAIT, most_bytes=_MOST_BYTES)
        self._sending = asyncio.Lock()
        self._refused = 0

    async def add(self, bundles: Sequence[Bundle]) -> None:
        """Let these wait to be pushed; nothing is kept where no Pyroscope is configured."""
        if not self._link.is_configured:
            return
        for bundle in bundles:
            for request in await asyncio.to_thread(_requests, bundle):
                self._outbox.put(request, len(request.body), self._clock())

    async def flush(self, *, everything: bool = False) -> None:
        """Push what waits, if Pyroscope is not known to be away; with `everything`, at once."""
        async with self._sending:
            now = self._clock()
            self._outbox.trim(now)
            await self._link.send(now, self._deliver_all, everything=everything)

    async def _deliver_all(self) -> None:
        while self._link.is_configured and len(self._outbox):
            (request,), upto = self._outbox.take(0, 1)
            push = await self._link.connected()
            self._refused += not await push.send(request)
            self._outbox.settle(upto)
            self._link.recovered()

    async def aclose(self) -> None:
        """Try to push what there is, for a few seconds, and close the connection."""
        try:
            async with asyncio.timeout(_LAST_WORD):
                await self.flush(everything=True)
        except TimeoutError:
            logger.warning("Some profiles could not be pushed to Pyroscope any more.")
        finally:
            await self._link.disconnect()

    def state(self) -> StoreState:
        """How pushing goes."""
        figures = (len(self._outbox), self._outbox.dropped, self._refused)
        if not self._link.is_configured:
            return StoreState("NotConfigured", "no Pyroscope is configured", *figures)
        lost = f"; {figures[1]} were dropped" if figures[1] else ""
        if (failure := self._link.failure) is not None:
            text = f"{failure.message}; {figures[0]} pushes wait{lost}"
            return StoreState(failure.reason, text, *figures)
        if self._refused:
            text = f"Pyroscope has refused {self._refused} profiles; the log has the statuses"
            return StoreState("Refused", text, *figures)
        return StoreState("Reachable", f"Pyroscope takes profiles{lost}", *figures)


def _requests(bundle: Bundle) -> list[Ingest]:
    return requests_of(bundle.target, merge(bundle.windows))


def _headers(settings: PyroscopeSettings) -> dict[str, str]:
    """What goes along; secrets are read at each use, so that they can be rotated.

    Raises:
        StoreUnavailable: a file cannot be read.
    """
    headers = {"Content-Type": "text/plain"}
    if settings.tenant is not None:
        headers["X-Scope-OrgID"] = settings.tenant
    if settings.bearer_token_file is not None:
        headers["Authorization"] = f"Bearer {_secret(settings.bearer_token_file)}"
    if settings.basic_auth is not None:
        pair = f"{settings.basic_auth.username}:{_secret(settings.basic_auth.password_file)}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return headers


def _secret(file: Path) -> str:
    return access.read_secret(file, reason="CredentialsMissing", what="secret")
