"""Windows of an earlier time, from the store: what a Profiler's `baseline` with a period is."""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from foretide.profiling import codec
from foretide.profiling.profile import BadProfile
from foretide.profiling.window import Window
from foretide.store.errors import StoreError, StoreRefused
from foretide.store.profile_client import ProfileClient
from foretide.store.profiles import KeptProfile, Kind, ProfileQuery, every

from ..store_settings import StoreSettings
from .bundles import SECONDS
from .sender import ProfileConnection

MOST_WINDOWS = 2_000
# What has just been is still on its way to the store, and what was not there may come yet: that is
# asked for again after so many seconds, as is a store that did not answer.
_LATE, _ASK_AGAIN = 3_720.0, 30.0
_MOST_PERIODS = 100


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
    """Reads windows from the store that the settings name. The last periods stay in memory, as many
    as have `MOST_WINDOWS` windows together.
    """

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
        self._known: OrderedDict[Period, tuple[float, Sequence[Window] | StoreError]] = (
            OrderedDict()
        )

    async def windows(self, period: Period, *, now: float) -> Sequence[Window]:
        """The windows that began in a period, by start; none where none were kept.

        Raises:
            StoreError: no store is configured (`StoreMissing`), the period is longer than can be
                held in memory (`PeriodTooLong`), or the store does not answer.
        """
        settings = self._settings()
        if settings is None:
            raise StoreRefused("StoreMissing", "a period before needs the store: configure one")
        until, found = self._known.get(period, (-math.inf, ()))
        if now >= until:
            found = await self._ask(settings, period)
            final = found and not isinstance(found, StoreError) and period.end < now - _LATE
            self._known[period] = math.inf if final else now + _ASK_AGAIN, found
            self._let_go()
        self._known.move_to_end(period)
        if isinstance(found, StoreError):
            raise found.with_traceback(None)
        return found

    async def _ask(self, settings: StoreSettings, period: Period) -> Sequence[Window] | StoreError:
        try:
            store = await asyncio.to_thread(self._connect, settings)
            try:
                return await _read(store, period)
            finally:
                await store.aclose()
        except StoreError as error:
            return error

    def _let_go(self) -> None:
        held = [0 if isinstance(it, StoreError) else len(it) for _, it in self._known.values()]
        while len(held) > 1 and (sum(held) > MOST_WINDOWS or len(held) > _MOST_PERIODS):
            self._known.popitem(last=False)
            del held[0]


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
