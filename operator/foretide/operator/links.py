"""A connection to what may be away: when to try again, and what to say meanwhile.

The store is one such thing, Pyroscope another.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from foretide.store.errors import StoreError, StoreUnavailable

logger = logging.getLogger(__name__)

FIRST_RETRY, LAST_RETRY = 15.0, 300.0


class Closable(Protocol):
    """What is closed when it is not needed any more."""

    async def aclose(self) -> None:
        """Close all connections."""
        ...


S = TypeVar("S")
C = TypeVar("C", bound=Closable)


class Link(Generic[S, C]):
    """Connects to what the settings name, if anything; waits ever longer where it is away."""

    def __init__(
        self,
        whom: str,
        what: str,
        settings: Callable[[], S | None],
        connect: Callable[[S], C],
    ) -> None:
        """`whom` gets `what`, for the log; `settings` is asked at each use: they may change."""
        self._whom = whom
        self._what = what
        self._settings = settings
        self._connect = connect
        self._client: tuple[S, C] | None = None
        self._failures = 0
        self._retry_at = 0.0
        self.failure: StoreError | None = None

    @property
    def is_configured(self) -> bool:
        """Whether the settings name one."""
        return self._settings() is not None

    def is_due(self, now: float) -> bool:
        """Whether it is time to try, or to try again."""
        return not now < self._retry_at <= now + LAST_RETRY

    async def send(
        self, now: float, deliver: Callable[[], Awaitable[None]], *, everything: bool
    ) -> None:
        """Deliver, if it is not known to be away; with `everything`, at once."""
        if not self.is_configured:
            await self.disconnect()
            return
        if not everything and not self.is_due(now):
            return
        try:
            await deliver()
        except StoreUnavailable as error:
            await self.failed(error, now)

    async def connected(self) -> C:
        """The connection for sending, made anew where the settings have changed.

        Raises:
            StoreUnavailable: none is configured, or its certificates cannot be read.
        """
        settings = self._settings()
        if self._client is not None and self._client[0] != settings:
            await self.disconnect()
        if settings is None:
            raise StoreUnavailable("NotConfigured", "it is not configured any more")
        if self._client is None:
            # Reading certificates takes longer than the event loop may stand.
            self._client = (settings, await asyncio.to_thread(self._connect, settings))
        return self._client[1]

    async def disconnect(self) -> None:
        """Close the connection; the next use makes another."""
        client, self._client = self._client, None
        if client is not None:
            await client[1].aclose()

    def recovered(self) -> None:
        """Something was sent."""
        if self.failure is not None:
            logger.info("%s takes %s again.", self._whom, self._what)
        self.failure, self._failures, self._retry_at = None, 0, 0.0

    async def failed(self, error: StoreUnavailable, now: float) -> None:
        """Nothing can be sent now."""
        if self.failure is None or self.failure.reason != error.reason:
            logger.warning(
                "%s does not take %s, they wait: %s", self._whom, self._what, error.message
            )
        delay = min(LAST_RETRY, FIRST_RETRY * 2 ** min(self._failures, 10))
        self.failure, self._failures = error, self._failures + 1
        self._retry_at = now + delay * random.uniform(0.8, 1.0)
        await self.disconnect()  # the next attempt reads certificates anew
