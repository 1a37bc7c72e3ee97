"""Windows of an earlier time, from the store: what a Profiler's `baseline` with a period is."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from foretide.profiling import codec
from foretide.profiling.profile import BadProfile
from foretide.profiling.window import Window
from foretide.store.errors import StoreRefused
from foretide.store.profile_client import ProfileClient, every
from foretide.store.profiles import KeptProfile, Kind, ProfileQuery

from ..store_settings import StoreSettings
from .bundles import SECONDS
from .sender import ProfileConnection

MOST_WINDOWS = 2_000
_KEPT = 4


@dataclass(frozen=True, slots=True)
class Period:
    """Whose windows are meant, and of when: start ≤ t < end in Unix seconds.

    `labels` are those that a target must have; None leaves open what it is.
    """

    namespace: str
    start: float
    end: float
    workload: str | None = None
    container: str | None = None
    labels: tuple[tuple[str, str], ...] = ()


class History:
    """Reads windows from the store that the settings name. The last few periods stay in memory."""

    def __init__(
        self,
        settings: Callable[[], StoreSettings | None],
        *,
        connect: Callable[[StoreSettings], ProfileConnection] = lambda it: ProfileClient(
            it.address
        ),
    ) -> None:
        """`settings` is asked at each use, so that they can change."""
        self._settings = settings
        self._connect = connect
        self._known: OrderedDict[Period, Sequence[Window]] = OrderedDict()

    async def windows(self, period: Period, *, now: float) -> Sequence[Window]:
        """The windows that began in a period, by start; none where none were kept.

        Raises:
            StoreError: no store is configured (`StoreMissing`), the period is longer than can be
                held in memory (`PeriodTooLong`), or the store does not answer.
        """
        if (known := self._known.get(period)) is not None:
            self._known.move_to_end(period)
            return known
        settings = self._settings()
        if settings is None:
            raise StoreRefused("StoreMissing", "a period before needs the store: configure one")
        store = await asyncio.to_thread(self._connect, settings)
        try:
            found = await _read(store, period)
        finally:
            await store.aclose()
        # What has just been is still on its way to the store, and what was not there may come yet.
        if found and period.end < now - 2 * SECONDS - 3_600:
            self._known[period] = found
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return found


async def _read(store: ProfileConnection, period: Period) -> list[Window]:
    query = ProfileQuery(
        namespace=period.namespace,
        workload=period.workload,
        container=period.container,
        kind=Kind.RAW,
        # A profile is named by the begin of its minute.
        start=period.start - SECONDS,
        end=period.end,
    )
    windows: list[Window] = []
    async for one in every(store, query, data=True):
        if not _is_meant(one, period):
            continue
        fresh = await asyncio.to_thread(_unpack, one)
        windows += [it for it in fresh if period.start <= it.started_at < period.end]
        if len(windows) > MOST_WINDOWS:
            raise StoreRefused(
                "PeriodTooLong",
                f"the period has more than {MOST_WINDOWS} windows: choose a shorter one",
            )
    return sorted(windows, key=lambda window: window.started_at)


def _is_meant(one: KeptProfile, period: Period) -> bool:
    return all(one.target.labels.get(name) == value for name, value in period.labels)


def _unpack(one: KeptProfile) -> Sequence[Window]:
    try:
        return codec.unpack_windows(one.data or b"")
    except BadProfile as error:
        raise StoreRefused(
            "BadProfile", f"profile {one.id} in the store cannot be read: {error}"
        ) from None
