"""Roll-ups in memory: for tests, and for what need not last."""

import time
from collections.abc import Callable

from .rollups import (
    Batch,
    Columns,
    Rollup,
    SeriesInfo,
    SeriesKey,
    Written,
    as_kept,
    check,
    check_key,
    check_range,
)


class MemoryRollups:
    """`Rollups` without a database."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._kept: dict[SeriesKey, dict[int, Rollup]] = {}

    async def write(self, batch: Batch) -> Written:
        """See `Rollups`."""
        check(batch, now=self._clock())
        changed = 0
        for key, columns in batch.items():
            for rollup in columns:
                kept = self._kept.setdefault(key, {})
                if rollup.start not in kept or rollup.rank > kept[rollup.start].rank:
                    kept[rollup.start] = rollup._replace(
                        mean=as_kept(rollup.mean),
                        max=as_kept(rollup.max),
                        last=as_kept(rollup.last),
                    )
                    changed += 1
        return Written(sum(map(len, batch.values())), changed)

    async def read(
        self, key: SeriesKey, start: float, end: float, *, peaks_only: bool = False
    ) -> Columns:
        """See `Rollups`."""
        check_key(key)
        check_range(start, end)
        kept = self._kept.get(key, {})
        rollups = [kept[at] for at in sorted(at for at in kept if start <= at < end)]
        if peaks_only:
            unknown = float("nan")
            rollups = [rollup._replace(mean=unknown, last=unknown) for rollup in rollups]
        return Columns.of(rollups)

    async def series(
        self, namespace: str | None = None, name: str | None = None
    ) -> list[SeriesInfo]:
        """See `Rollups`."""
        return [
            SeriesInfo(key, min(kept), max(kept))
            for key, kept in sorted(self._kept.items())
            if namespace in (None, key.namespace) and name in (None, key.name)
        ]

    async def delete(
        self, namespace: str, name: str, metric: str | None = None, fingerprint: str | None = None
    ) -> int:
        """See `Rollups`."""
        doomed = [
            key
            for key in self._kept
            if (key.namespace, key.name) == (namespace, name)
            and metric in (None, key.metric)
            and fingerprint in (None, key.fingerprint)
        ]
        for key in doomed:
            del self._kept[key]
        return len(doomed)

    async def aclose(self) -> None:
        """As the others have it; nothing is lost by it."""
