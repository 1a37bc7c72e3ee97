"""Raw profiles are kept for a day; what is merged of them, five minutes in one, for longer.

The operator does it: the store cannot read profiles.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from foretide.profiling import codec
from foretide.profiling.profile import BadProfile, merge
from foretide.profiling.window import Window
from foretide.store.errors import StoreRefused, StoreUnavailable
from foretide.store.profile_client import ProfileClient
from foretide.store.profiles import (
    MERGE_STEP,
    KeptProfile,
    Kind,
    Profile,
    ProfiledWorkload,
    ProfileQuery,
    Profiles,
    Target,
    every,
)

from ..links import Link
from ..store_settings import StoreSettings
from ..thinking import Think, ThinkingFailed, in_thread
from .sender import ProfileConnection

logger = logging.getLogger(__name__)

_PERIOD = 300.0
# Raw profiles come when their minute is over; those of a store that was away come later still, and
# are merged again with what was there.
_LATE = 180.0
_FIRST_LOOK, _LATER_LOOKS = 86_400.0, 7_200.0
_JOBS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Job:
    """A step of a workload's container and version that is to be merged: start ≤ t < end."""

    target: Target
    start: float
    end: float
    windows: int


def plan(raw: Iterable[KeptProfile], merged: Iterable[KeptProfile], *, now: float) -> list[Job]:
    """What is to be merged: steps that are over and have more raw windows than were merged.

    All pods are merged together, and what makes them differ is left out of the merged target: it is
    always the same, however many pods there were.
    """
    windows: dict[tuple[int, tuple[str, str, str, str]], int] = defaultdict(int)
    for one in raw:
        step = int(one.start // MERGE_STEP)
        if (step + 1) * MERGE_STEP + _LATE <= now:
            windows[step, _named(one.target)] += one.windows
    known = {(int(one.start // MERGE_STEP), _named(one.target)): one.windows for one in merged}
    return [
        Job(
            Target(namespace, workload, container, version=version),
            float(step * MERGE_STEP),
            float((step + 1) * MERGE_STEP),
            count,
        )
        for (step, (namespace, workload, container, version)), count in sorted(windows.items())
        if count > known.get((step, (namespace, workload, container, version)), 0)
    ]


def merged(job: Job, raw: Sequence[KeptProfile]) -> Profile | None:
    """The merged profile of raw ones with their data; None if none of them can be read."""
    windows: list[Window] = []
    by_process: dict[tuple[str, str], list[Window]] = defaultdict(list)
    for one in raw:
        try:
            by_process[one.target.pod, one.process] += codec.unpack_windows(one.data or b"")
        except BadProfile as error:
            logger.error("Profile %d of %s cannot be merged: %s.", one.id, one.target, error)
    for of_process in by_process.values():
        windows += _once(of_process)
    if not windows:
        return None
    return Profile(
        target=job.target,
        kind=Kind.MERGED,
        start=job.start,
        end=max(job.end, max(window.started_at + window.seconds for window in windows)),
        data=codec.pack_profile(merge(windows)),
        content_type=codec.CONTENT_TYPE,
        windows=len(windows),
    )


def _once(windows: Iterable[Window]) -> list[Window]:
    """Windows of one process without those that overlap an earlier one: where two Profilers have
    profiled it, each has measured the same seconds.
    """
    found: list[Window] = []
    for window in sorted(windows, key=lambda one: one.started_at):
        # Windows follow one another closely, and clocks are read at either end.
        if not found or window.started_at >= found[-1].started_at + 0.9 * found[-1].seconds:
            found.append(window)
    return found


class ProfileMerger:
    """Merges what is due in the store that the settings name, if they name one."""

    def __init__(
        self,
        settings: Callable[[], StoreSettings | None],
        *,
        connect: Callable[[StoreSettings], ProfileConnection] = lambda it: ProfileClient(
            it.address
        ),
        clock: Callable[[], float] = time.time,
        think: Think = in_thread,
    ) -> None:
        """`settings` is asked at each use, so that they can change."""
        self._link = Link("The store", "merged profiles", settings, connect)
        self._clock = clock
        self._think = think
        self._looked: set[tuple[str, str, str]] = set()
        # What was merged of a step, so that raw ones which cannot be read are not tried for ever.
        self._tried: dict[tuple[float, tuple[str, str, str, str]], int] = {}

    async def run(self) -> None:
        """Merge every few minutes, for ever."""
        while True:
            try:
                await self.merge_due()
            except Exception:
                logger.exception("merging profiles failed unexpectedly")
            await asyncio.sleep(_PERIOD)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._link.disconnect()

    async def merge_due(self) -> int:
        """Merge what is due, as far as the store is there; returns how many profiles that made."""
        now = self._clock()
        if not self._link.is_configured:
            await self._link.disconnect()
            return 0
        if not self._link.is_due(now):
            return 0
        made = 0
        self._tried = {key: n for key, n in self._tried.items() if key[0] > now - 2 * _FIRST_LOOK}
        try:
            store = await self._link.connected()
            for workload in await store.workloads():
                if workload.kind is Kind.RAW:
                    made += await self._merge(store, workload, now)
            self._link.recovered()
        except StoreUnavailable as error:
            await self._link.failed(error, now)
        except StoreRefused as error:
            await self._link.failed(StoreUnavailable(error.reason, error.message), now)
        return made

    async def _merge(self, store: Profiles, workload: ProfiledWorkload, now: float) -> int:
        named = (workload.namespace, workload.workload, workload.container)
        back = _LATER_LOOKS if named in self._looked else _FIRST_LOOK
        first = (now - back) // MERGE_STEP * MERGE_STEP
        raw, known = [
            [one async for one in every(store, _query(named, kind, first, now))]
            for kind in (Kind.RAW, Kind.MERGED)
        ]
        jobs = [
            job
            for job in await asyncio.to_thread(lambda: plan(raw, known, now=now))
            if job.windows > self._tried.get((job.start, _named(job.target)), 0)
        ]
        made = 0
        for job in jobs[:_JOBS_AT_ONCE]:
            query = _query(named, Kind.RAW, job.start, job.end, version=job.target.version)
            raw = [one async for one in every(store, query, data=True)]
            # Before: what cannot be done must not be tried for ever.
            self._tried[job.start, _named(job.target)] = job.windows
            try:
                profile = await self._think(job.windows, merged, job, raw)
            except ThinkingFailed as error:
                logger.error("Profiles of %s cannot be merged: %s.", job.target, error)
                continue
            if profile is not None:
                await store.put([profile])
                made += 1
        if len(jobs) <= _JOBS_AT_ONCE:
            self._looked.add(named)
        return made


def _query(
    named: tuple[str, str, str],
    kind: Kind,
    start: float,
    end: float,
    *,
    version: str | None = None,
) -> ProfileQuery:
    namespace, workload, container = named
    return ProfileQuery(
        namespace=namespace,
        workload=workload,
        container=container,
        version=version,
        kind=kind,
        start=start,
        end=end,
    )


def _named(target: Target) -> tuple[str, str, str, str]:
    return target.namespace, target.workload, target.container, target.version
