"""Where the windows of pods go: to the store, and to Pyroscope, in the background."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from urllib.parse import urlencode

from foretide.profiling.window import Window
from foretide.store.profiles import Target

from ..pyroscope_settings import PyroscopeSettings
from ..rollups import StoreState
from ..store_settings import StoreSettings
from .bundles import SECONDS, Bundles
from .pyroscope import PyroscopeSender
from .sender import ProfileSender

logger = logging.getLogger(__name__)

_PERIOD = 15.0


def reference(namespace: str, kept_as: Collection[Target], windows: Sequence[Window]) -> str:
    """The store's path for the profiles of windows that were kept as these targets.

    Raw profiles are there for a day; it names no more than what all of them have in common.
    """
    # Profiles are named by the begin of their minute.
    start = min(window.started_at for window in windows) // SECONDS * SECONDS
    asked = {"namespace": namespace}
    for name in ("workload", "container"):
        values = {getattr(target, name) for target in kept_as}
        if len(values) == 1 and (value := values.pop()):
            asked[name] = value
    asked["start"] = f"{start:.0f}"
    asked["end"] = f"{math.ceil(max(it.started_at + it.seconds for it in windows))}"
    return f"/v1/profiles?{urlencode(asked)}"


class ProfileKeeper:
    """Takes windows in as they come; `run` sends them, minute by minute."""

    def __init__(
        self,
        store: Callable[[], StoreSettings | None],
        pyroscope: Callable[[], PyroscopeSettings | None],
        *,
        clock: Callable[[], float] = time.time,
        sender: ProfileSender | None = None,
        pusher: PyroscopeSender | None = None,
        observe: Callable[[str, StoreState], None] = lambda destination, state: None,
    ) -> None:
        """`store` and `pyroscope` are asked at each use, so that settings can change; `observe` is
        told how sending goes, now and then.
        """
        self._observe = observe
        self._clock = clock
        self._bundles = Bundles()
        self._settings = (store, pyroscope)
        self._sender = sender or ProfileSender(store, clock=clock)
        self._pusher = pusher or PyroscopeSender(pyroscope, clock=clock)

    def keep(self, target: Target, windows: Iterable[Window]) -> None:
        """Take in windows of a target; cheap, and the same ones may come again within a minute."""
        if any(settings() is not None for settings in self._settings):
            for window in windows:
                self._bundles.add(target, window)

    async def run(self) -> None:
        """Send what there is, every few seconds, for ever."""
        while True:
            try:
                await self.flush()
            except Exception:
                logger.exception("sending profiles failed unexpectedly")
            await asyncio.sleep(_PERIOD)

    async def flush(self, *, everything: bool = False) -> None:
        """Send the minutes that are over; with `everything`, those too that are not, at once."""
        due = self._bundles.close_due(self._clock(), everything=everything)
        await asyncio.gather(self._sender.add(due), self._pusher.add(due))
        # One that does not answer must not keep the other waiting.
        await asyncio.gather(
            self._sender.flush(everything=everything), self._pusher.flush(everything=everything)
        )
        self._observe("store", self._sender.state())
        self._observe("pyroscope", self._pusher.state())

    async def aclose(self) -> None:
        """Try to send what there is, for a few seconds, and close all connections."""
        due = self._bundles.close_due(self._clock(), everything=True)
        await asyncio.gather(self._sender.add(due), self._pusher.add(due))
        await asyncio.gather(self._sender.aclose(), self._pusher.aclose())

    def store_state(self) -> StoreState:
        """How sending to the store goes, for a condition and metrics."""
        return self._sender.state()

    def pyroscope_state(self) -> StoreState:
        """How pushing to Pyroscope goes."""
        return self._pusher.state()
