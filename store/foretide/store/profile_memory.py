"""Profiles in memory: for tests, and for what need not last."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby

from .profiles import (
    Deleted,
    Kept,
    KeptProfile,
    Page,
    Profile,
    ProfiledWorkload,
    ProfileQuery,
    Target,
    check,
    check_delete,
    check_query,
)


class MemoryProfiles:
    """`Profiles` without a database. All of a query is one page, unless `page` says how many."""

    def __init__(self, *, clock: Callable[[], float] = time.time, page: int = 1_000_000) -> None:
        self._clock = clock
        self._page = page
        self._kept: dict[tuple[object, ...], KeptProfile] = {}
        self._number = 0

    async def put(self, profiles: Sequence[Profile]) -> Kept:
        """See `Profiles`."""
        check(profiles, now=self._clock())
        changed = set()
        for profile in profiles:
            start, end = round(profile.start, 3), round(profile.end, 3)
            key = (*_named(profile.target), profile.kind, start, profile.process)
            known = self._kept.get(key)
            if known is not None and profile.windows <= known.windows:
                continue
            if known is None:
                self._number += 1
            self._kept[key] = KeptProfile(
                id=self._number if known is None else known.id,
                target=replace(profile.target, labels=dict(profile.target.labels)),
                kind=profile.kind,
                start=start,
                end=end,
                windows=profile.windows,
                process=profile.process,
                content_type=profile.content_type,
                size=len(profile.data),
                data=profile.data,
            )
            changed.add(key)
        return Kept(len(profiles), len(changed))

    async def find(
        self, query: ProfileQuery, *, after: str | None = None, data: bool = False
    ) -> Page:
        """See `Profiles`."""
        check_query(query)
        found = self._wanted(query)
        first = int(after or 0)
        page = found[first : first + self._page]
        more = first + self._page < len(found)
        shown = page if data else [replace(profile, data=None) for profile in page]
        return Page(shown, str(first + self._page) if more else None)

    async def get(self, number: int) -> KeptProfile | None:
        """See `Profiles`."""
        return next((profile for profile in self._kept.values() if profile.id == number), None)

    async def delete(self, query: ProfileQuery) -> Deleted:
        """See `Profiles`."""
        check_delete(query)
        doomed = self._wanted(query)
        numbers = {profile.id for profile in doomed}
        self._kept = {key: kept for key, kept in self._kept.items() if kept.id not in numbers}
        return Deleted(len(doomed), sum(profile.size for profile in doomed))

    async def workloads(self, namespace: str | None = None) -> list[ProfiledWorkload]:
        """See `Profiles`."""

        def of(profile: KeptProfile) -> tuple[str, str, str, str]:
            target = profile.target
            return target.namespace, target.workload, target.container, profile.kind

        wanted = self._wanted(ProfileQuery(namespace=namespace))
        return [_summary(list(group)) for _, group in groupby(sorted(wanted, key=of), key=of)]

    async def aclose(self) -> None:
        """As the others have it; nothing is lost by it."""

    def _wanted(self, query: ProfileQuery) -> list[KeptProfile]:
        found = [
            profile
            for profile in self._kept.values()
            if query.start <= profile.start < query.end
            and query.kind in (None, profile.kind)
            and query.namespace in (None, profile.target.namespace)
            and query.workload in (None, profile.target.workload)
            and query.container in (None, profile.target.container)
            and query.pod in (None, profile.target.pod)
            and query.version in (None, profile.target.version)
        ]
        return sorted(found, key=lambda profile: (profile.start, profile.id))


def _named(target: Target) -> tuple[object, ...]:
    labels = tuple(sorted(target.labels.items()))
    return target.namespace, target.workload, target.container, target.pod, target.version, labels


def _summary(group: list[KeptProfile]) -> ProfiledWorkload:
    target = group[0].target
    return ProfiledWorkload(
        namespace=target.namespace,
        workload=target.workload,
        container=target.container,
        kind=group[0].kind,
        pods=len({profile.target.pod for profile in group}),
        profiles=len(group),
        size=sum(profile.size for profile in group),
        first=min(profile.start for profile in group),
        last=max(profile.end for profile in group),
    )
