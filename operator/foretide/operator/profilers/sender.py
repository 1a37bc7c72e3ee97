"""Profiles on their way to the store. While it is away they wait, and the operator works on."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from foretide.profiling import codec
from foretide.store.errors import StoreRefused, StoreUnavailable
from foretide.store.profile_client import ProfileClient
from foretide.store.profiles import Kind, Profile, Profiles

from ..links import Link
from ..rollups import NOT_CONFIGURED, StoreState
from ..store_settings import StoreSettings
from .bundles import Bundle
from .outbox import Outbox

logger = logging.getLogger(__name__)

_AT_ONCE_BYTES = 4 * 1024 * 1024
_AT_ONCE = 200
_LAST_WORD = 5.0
# What one profile can be refused for; any other refusal is of the whole request.
_BAD_PROFILE = ("BadKey", "BadLabel", "BadTime", "BadValue", "InFuture", "ProfileTooLarge")


class ProfileConnection(Profiles, Protocol):
    """`Profiles` that is closed when it is not needed any more."""

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class ProfileSender:
    """Packs bundles of windows, and sends them to the store that the settings name, if any."""

    def __init__(
        self,
        settings: Callable[[], StoreSettings | None],
        *,
        connect: Callable[[StoreSettings], ProfileConnection] = lambda it: ProfileClient(
            it.address
        ),
        clock: Callable[[], float] = time.time,
        outbox: Outbox[Profile] | None = None,
    ) -> None:
        """`settings` is asked at each use, so that they can change."""
        self._link = Link("The store", "profiles", settings, connect)
        self._clock = clock
        self._outbox = Outbox[Profile]() if outbox is None else outbox
        self._sending = asyncio.Lock()
        self._refused = 0
        self._refusal = ""

    async def add(self, bundles: Sequence[Bundle]) -> None:
        """Let these wait to be sent; nothing is kept where no store is configured."""
        if not self._link.is_configured:
            return
        for bundle in bundles:
            # Packing takes some milliseconds, and the event loop goes on meanwhile.
            profile = await asyncio.to_thread(profile_of, bundle)
            self._outbox.put(profile, len(profile.data), self._clock())

    async def flush(self, *, everything: bool = False) -> None:
        """Send what waits, if the store is not known to be away; with `everything`, at once."""
        async with self._sending:
            now = self._clock()
            self._outbox.trim(now)
            await self._link.send(now, self._deliver_all, everything=everything)

    async def aclose(self) -> None:
        """Try to send what there is, for a few seconds, and close the connection."""
        try:
            async with asyncio.timeout(_LAST_WORD):
                await self.flush(everything=True)
        except TimeoutError:
            logger.warning("%d profiles could not be sent any more.", len(self._outbox))
        finally:
            await self._link.disconnect()

    def state(self) -> StoreState:
        """How sending goes; `waiting` and the others count minutes of a process."""
        waiting, dropped = len(self._outbox), self._outbox.dropped
        figures = (waiting, dropped, self._refused)
        if not self._link.is_configured:
            return StoreState("NotConfigured", NOT_CONFIGURED, *figures)
        lost = f", {dropped} were dropped" if dropped else ""
        if (failure := self._link.failure) is not None:
            text = f"the store does not take profiles: {failure.message}; {waiting} wait{lost}"
            return StoreState(failure.reason, text, *figures)
        if self._refused:
            text = f"the store has refused {self._refused} profiles: {self._refusal}"
            return StoreState("Refused", text, *figures)
        return StoreState("Reachable", f"the store takes profiles{lost}", *figures)

    async def _deliver_all(self) -> None:
        while self._link.is_configured and len(self._outbox):
            batch, upto = self._outbox.take(_AT_ONCE_BYTES, _AT_ONCE)
            await self._deliver(batch)
            self._outbox.settle(upto)
            self._link.recovered()

    async def _deliver(self, batch: Sequence[Profile]) -> None:
        """Send; of what is refused, find out which profiles are meant, and send the others."""
        try:
            await (await self._link.connected()).put(batch)
        except StoreRefused as error:
            if error.reason not in _BAD_PROFILE:
                # A store of a version that knows no profiles, say: it will pass, they are good.
                raise StoreUnavailable(error.reason, error.message) from None
            if len(batch) > 1:
                half = len(batch) // 2
                await self._deliver(batch[:half])
                await self._deliver(batch[half:])
                return
            if error.reason == "InFuture" and batch[0].end <= self._clock():
                raise StoreUnavailable(error.reason, error.message) from None  # the clocks differ
            self._refused += 1
            if error.message != self._refusal:
                logger.error("The store refuses a profile: %s", error.message)
            self._refusal = error.message


def profile_of(bundle: Bundle) -> Profile:
    """A bundle as the store keeps it: its windows, packed, so that comparisons have them."""
    return Profile(
        target=bundle.target,
        kind=Kind.RAW,
        start=bundle.start,
        end=bundle.end,
        data=codec.pack_windows(bundle.windows),
        content_type=codec.CONTENT_TYPE,
        windows=len(bundle.windows),
        process=str(bundle.pid),
    )
