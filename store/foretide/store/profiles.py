"""Profiles: what is kept of a process in a stretch of time, and the door to where it is kept.

A profile's bytes are opaque here: its content type says who can read them. Raw ones are kept for
a short time, those that were merged from them for longer. Times are Unix seconds, kept to the
millisecond.
"""

import math
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from .errors import StoreRefused, StoreUnavailable
from .rollups import CLOCK_SKEW, check_range

LARGEST_PROFILE = 8 * 1024 * 1024
LARGEST_PUT = 1_000
LONGEST_PROFILE = 86_400.0
MOST_LABELS = 32
# What is merged is merged, and what is deleted is deleted, in whole steps of this many seconds:
# so that no merged profile is of a time of which a part of the raw ones is still there.
MERGE_STEP = 300
FIRST_TIME = 946_684_800  # 2000-01-01
CONTENT_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]*/[a-z0-9][a-z0-9.+-]*(; ?[a-z0-9]+=[a-z0-9.-]+)*")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")


class Kind(StrEnum):
    """RAW as it was measured; MERGED from raw ones, to be kept for longer."""

    RAW = "raw"
    MERGED = "merged"


@dataclass(frozen=True, slots=True)
class Target:
    """Whose a profile is. `version` tells releases of a workload apart, such as an image's digest.

    For a merged profile of several pods, `pod` is empty.
    """

    namespace: str
    workload: str
    container: str
    pod: str = ""
    version: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.workload} {self.pod or 'all pods'} {self.container}"


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile to keep: of start ≤ t < end. `windows` says how many windows are in `data`.

    `process` tells processes of one container apart; empty where there is one, or where several
    were merged.
    """

    target: Target
    kind: Kind
    start: float
    end: float
    data: bytes
    content_type: str
    windows: int = 1
    process: str = ""


@dataclass(frozen=True, slots=True)
class KeptProfile:
    """A profile that is kept; `size` in bytes. `data` is None where it was not asked for."""

    id: int
    target: Target
    kind: Kind
    start: float
    end: float
    windows: int
    process: str
    content_type: str
    size: int
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class ProfileQuery:
    """Which profiles: those that begin in start ≤ t < end, and have what is not None."""

    namespace: str | None = None
    workload: str | None = None
    container: str | None = None
    pod: str | None = None
    version: str | None = None
    kind: Kind | None = None
    start: float = 0.0
    end: float = 99_999_999_999.0


class Kept(NamedTuple):
    """How many profiles were received, and how many of them changed what is kept."""

    received: int
    changed: int


class Deleted(NamedTuple):
    """How many profiles were deleted, and their bytes."""

    profiles: int
    size: int


@dataclass(frozen=True, slots=True)
class Page:
    """Profiles by start; `after`, if not None, is where the next page begins."""

    profiles: Sequence[KeptProfile]
    after: str | None = None


@dataclass(frozen=True, slots=True)
class ProfiledWorkload:
    """What is kept of a workload's container, of one kind. `size` in bytes; `first` and `last` are
    when the earliest begins and the latest ends.
    """

    namespace: str
    workload: str
    container: str
    kind: Kind
    pods: int
    profiles: int
    size: int
    first: float
    last: float


class Profiles(Protocol):
    """Where profiles are kept. All methods raise `StoreRefused` and `StoreUnavailable`."""

    async def put(self, profiles: Sequence[Profile]) -> Kept:
        """Keep all of them or, with an error, none.

        Of two with the same target, process, kind and start, the one with more windows is kept,
        the older one where they have as many: what is sent twice changes nothing.
        """
        ...

    async def find(
        self, query: ProfileQuery, *, after: str | None = None, data: bool = False
    ) -> Page:
        """A page of the profiles that are meant, by start. It is short where `data` is large."""
        ...

    async def get(self, number: int) -> KeptProfile | None:
        """One profile with its data, by its id; None if there is no such one."""
        ...

    async def delete(self, query: ProfileQuery) -> Deleted:
        """Delete those that are meant: of one workload at least."""
        ...

    async def workloads(self, namespace: str | None = None) -> list[ProfiledWorkload]:
        """What is kept of which workloads, by name."""
        ...


async def every(
    profiles: Profiles, query: ProfileQuery, *, data: bool = False
) -> AsyncIterator[KeptProfile]:
    """The profiles of all pages, by start.

    Raises:
        StoreUnavailable: the pages do not end.
    """
    after: str | None = None
    while True:
        page = await profiles.find(query, after=after, data=data)
        for profile in page.profiles:
            yield profile
        if page.after is None:
            return
        if page.after == after:
            raise StoreUnavailable("NotTheStore", "the store gives the same page again and again")
        after = page.after


def check(profiles: Sequence[Profile], *, now: float) -> None:
    """Look for what no correct sender sends.

    Raises:
        StoreRefused: with the first thing that is wrong, and where.
    """
    if len(profiles) > LARGEST_PUT:
        raise StoreRefused(
            "TooLarge", f"{len(profiles)} profiles; send {LARGEST_PUT} at once at most"
        )
    for place, profile in enumerate(profiles):
        if (wrong := _fault(profile, now)) is not None:
            reason, message = wrong
            raise StoreRefused(reason, f"profile {place}: {message}")


def check_query(query: ProfileQuery) -> None:
    """Raise `StoreRefused` if its times are none."""
    check_range(query.start, query.end)


def check_delete(query: ProfileQuery) -> None:
    """Raise `StoreRefused` if what is to be deleted is not of one workload."""
    check_query(query)
    if not (query.namespace and query.workload):
        raise StoreRefused(
            "Malformed", "say of which namespace and workload profiles are to be deleted"
        )


def _fault(profile: Profile, now: float) -> tuple[str, str] | None:
    return _named_wrong(profile) or _timed_wrong(profile, now) or _filled_wrong(profile)


def _named_wrong(profile: Profile) -> tuple[str, str] | None:
    target = profile.target
    wanted = (target.namespace, target.workload, target.container)
    if not all(wanted) or not all(
        _short(part) for part in (*wanted, target.pod, target.version, profile.process)
    ):
        return "BadKey", (
            "namespace, workload and container have 1 to 253 printable characters; pod, version "
            "and process as many or none"
        )
    if len(target.labels) > MOST_LABELS:
        return "BadLabel", f"{len(target.labels)} labels; {MOST_LABELS} at most"
    for name, value in target.labels.items():
        if not (_LABEL.fullmatch(name) and _short(name) and _short(value)):
            return "BadLabel", (
                "a label's name has letters, digits and _./-, its value printable characters, "
                "253 of each at most"
            )
    return None


def _timed_wrong(profile: Profile, now: float) -> tuple[str, str] | None:
    start, end = profile.start, profile.end
    if not (math.isfinite(start) and math.isfinite(end)):
        return "BadTime", "start and end must be finite numbers: Unix seconds"
    if start < FIRST_TIME:
        return "BadTime", f"start {start:.0f} is not after the year 2000"
    if start > 99_999_999_999:
        return "BadTime", f"start {start:.0f} looks like milliseconds; Unix seconds are wanted"
    if not 0 < end - start <= LONGEST_PROFILE:
        return (
            "BadTime",
            f"it lasts {end - start:.3f} s; more than 0 s and a day at most is possible",
        )
    if end > now + CLOCK_SKEW:
        return "InFuture", f"its end is {end - now:.0f} s ahead; are the clocks right?"
    return None


def _filled_wrong(profile: Profile) -> tuple[str, str] | None:
    if not profile.data:
        return "BadValue", "it is empty"
    if len(profile.data) > LARGEST_PROFILE:
        return "ProfileTooLarge", (
            f"it has {len(profile.data)} bytes; {LARGEST_PROFILE} at most: send shorter windows"
        )
    if not 1 <= profile.windows < 2**31:
        return "BadValue", f"windows is {profile.windows}; 1 or more"
    if not (len(profile.content_type) <= 253 and CONTENT_TYPE.fullmatch(profile.content_type)):
        return "BadValue", "content_type is no media type, such as application/octet-stream"
    return None


def _short(text: str) -> bool:
    return len(text) <= 253 and (not text or text.isprintable())
