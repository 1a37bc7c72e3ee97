"""Roll-ups of demand on their way to the store.

Each tick puts a sample in; every five minutes they become a roll-up, which is sent in the
background. While the store is away roll-ups wait in memory for a day, and the operator works on.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from foretide.store.client import StoreClient
from foretide.store.errors import StoreRefused, StoreUnavailable
from foretide.store.rollups import (
    LARGEST_VALUE,
    STEP,
    Rollups,
    SeriesKey,
    fingerprint,
)

from .links import Link
from .rollup_collector import Collector, Taken
from .store_settings import StoreSettings

logger = logging.getLogger(__name__)

NOT_CONFIGURED = "no store is configured"
_PERIOD = 15.0
_LAST_WORD = 5.0
# What one roll-up can be refused for; any other refusal is of the whole request.
_BAD_ROLLUP = ("BadKey", "BadTime", "BadValue", "InFuture")


def series_key(namespace: str, name: str, metric: str, *, source: str, query: str) -> SeriesKey:
    """The key of a resource's metric; another query, or another source, is another series."""
    return SeriesKey(namespace, name, metric, fingerprint(source, query))


@dataclass(frozen=True, slots=True)
class StoreState:
    """How sending goes, for a condition and metrics. `reason` is Reachable when all is well."""

    reason: str
    message: str
    waiting: int = 0
    dropped: int = 0
    refused: int = 0

    def __str__(self) -> str:
        return self.message


class StoreConnection(Rollups, Protocol):
    """`Rollups` that is closed when it is not needed any more."""

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class RollupSender:
    """Collects roll-ups and sends them to the store that the settings name, if they name one."""

    def __init__(
        self,
        settings: Callable[[], StoreSettings | None],
        *,
        connect: Callable[[StoreSettings], StoreConnection] = lambda it: StoreClient(it.address),
        clock: Callable[[], float] = time.time,
        collector: Collector | None = None,
    ) -> None:
        """`settings` is asked at each use, so that they can change."""
        self._link = Link("The store", "roll-ups", settings, connect)
        self._clock = clock
        self._collector = collector or Collector()
        self._sending = asyncio.Lock()
        self._refused = 0
        self._refusal = ""

    def observe(self, key: SeriesKey, at: float, value: float) -> None:
        """Take in a sample of demand; cheap, and nothing is sent yet."""
        if self._link.is_configured and 0 <= value <= LARGEST_VALUE:
            self._collector.observe(key, at, value)

    async def run(self) -> None:
        """Send what there is, every few seconds, for ever."""
        while True:
            try:
                await self.flush()
            except Exception:
                logger.exception("sending roll-ups failed unexpectedly")
            await asyncio.sleep(_PERIOD)

    async def flush(self, *, everything: bool = False) -> None:
        """Send the roll-ups that are complete, if the store is not known to be away.

        With `everything`, those too that are not complete, and at once.
        """
        async with self._sending:
            now = self._clock()
            self._collector.close_due(now, everything=everything)
            await self._link.send(now, self._deliver_all, everything=everything)

    async def aclose(self) -> None:
        """Try to send what there is, for a few seconds, and close the connection."""
        try:
            async with asyncio.timeout(_LAST_WORD):
                await self.flush(everything=True)
        except TimeoutError:
            logger.warning("%d roll-ups could not be sent any more.", self._collector.waiting)
        finally:
            await self._link.disconnect()

    def state(self) -> StoreState:
        """How sending goes."""
        figures = (self._collector.waiting, self._collector.dropped, self._refused)
        if not self._link.is_configured:
            return StoreState("NotConfigured", NOT_CONFIGURED, *figures)
        waiting, dropped, _ = figures
        kept = f"{waiting} roll-ups wait" + (f", {dropped} were dropped" if dropped else "")
        if (failure := self._link.failure) is not None:
            text = f"the store does not take roll-ups: {failure.message}; {kept}"
            return StoreState(failure.reason, text, *figures)
        if self._refused:
            text = f"the store has refused {self._refused} roll-ups: {self._refusal}"
            return StoreState("Refused", text, *figures)
        text = "the store takes roll-ups" + (f"; {dropped} were dropped" if dropped else "")
        return StoreState("Reachable", text, *figures)

    async def _deliver_all(self) -> None:
        while self._link.is_configured and (taken := self._collector.take()):
            await self._deliver(taken)
            self._link.recovered()

    async def _deliver(self, taken: Taken) -> None:
        """Send; of what is refused, find out which roll-ups are meant, and send the others."""
        try:
            await (await self._link.connected()).write(taken.batch)
        except StoreRefused as error:
            if error.reason not in _BAD_ROLLUP:
                # Two versions that do not understand each other: it will pass, the demand is good.
                raise StoreUnavailable(error.reason, error.message) from None
            if len(taken) > 1:
                for half in taken.halves():
                    await self._deliver(half)
                return
            if error.reason == "InFuture" and taken.newest <= self._clock() + STEP:
                raise StoreUnavailable(error.reason, error.message) from None  # the clocks differ
            self._refused += len(taken)
            if error.message != self._refusal:
                logger.error("The store refuses a roll-up: %s", error.message)
            self._refusal = error.message
        self._collector.settle(taken)
