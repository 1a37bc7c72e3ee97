"""Profiles as they go over HTTP, as JSON; their bytes in base64. Times are Unix seconds.

POST   /v1/profiles     PutRequest → PutAnswer
GET    /v1/profiles     [?namespace][&workload][&container][&pod][&version][&kind][&start][&end]
                        [&data=true][&after] → FindAnswer
GET    /v1/profiles/ID  → KeptMessage, with its data
DELETE /v1/profiles     ?namespace&workload[&…] → ProfilesDeleted
GET    /v1/workloads    [?namespace] → WorkloadsAnswer
"""

import base64
import binascii
from collections.abc import Iterable, Sequence
from typing import Self

from .errors import StoreRefused
from .messages import Known, Message
from .profiles import (
    KeptProfile,
    Kind,
    Page,
    Profile,
    ProfiledWorkload,
    Target,
)


class Described(Message):
    """All but the bytes. `kind` is raw or merged."""

    namespace: str
    workload: str
    container: str
    pod: str = ""
    version: str = ""
    labels: dict[str, str] = {}
    kind: str
    start: Known
    end: Known
    windows: int = 1
    process: str = ""
    content_type: str

    @property
    def target(self) -> Target:
        """Whose it is."""
        return Target(
            self.namespace, self.workload, self.container, self.pod, self.version, self.labels
        )


class PutMessage(Described):
    """A profile to keep."""

    data: str

    @classmethod
    def of(cls, profile: Profile) -> Self:
        """The message for one."""
        return cls.model_construct(
            None,
            **_described(profile),
            data=base64.b64encode(profile.data).decode(),
        )

    def profile(self) -> Profile:
        """The same for the rest of the code.

        Raises:
            StoreRefused: its kind or its data is none.
        """
        return Profile(
            target=self.target,
            kind=kind_of(self.kind),
            start=self.start,
            end=self.end,
            data=_decoded(self.data),
            content_type=self.content_type,
            windows=self.windows,
            process=self.process,
        )


class PutRequest(Message):
    """Profiles to keep."""

    profiles: list[PutMessage]

    @classmethod
    def of(cls, profiles: Iterable[Profile]) -> Self:
        """The message for these."""
        return cls.model_construct(profiles=[PutMessage.of(profile) for profile in profiles])

    def batch(self) -> list[Profile]:
        """The same for the rest of the code. Raises `StoreRefused`."""
        return [message.profile() for message in self.profiles]


class PutAnswer(Message):
    """How many profiles came, and how many changed what is kept."""

    received: int
    changed: int


class KeptMessage(Described):
    """A profile that is kept."""

    id: int
    size: int
    data: str | None = None

    @classmethod
    def of(cls, kept: KeptProfile) -> Self:
        """The message for one."""
        data = None if kept.data is None else base64.b64encode(kept.data).decode()
        return cls.model_construct(None, **_described(kept), id=kept.id, size=kept.size, data=data)

    def kept(self) -> KeptProfile:
        """The same for the rest of the code.

        Raises:
            StoreRefused: its kind or its data is none.
        """
        return KeptProfile(
            id=self.id,
            target=self.target,
            kind=kind_of(self.kind),
            start=self.start,
            end=self.end,
            windows=self.windows,
            process=self.process,
            content_type=self.content_type,
            size=self.size,
            data=None if self.data is None else _decoded(self.data),
        )


class FindAnswer(Message):
    """A page of profiles; `after` is what to ask for the next one with, `null` at the end."""

    profiles: list[KeptMessage]
    after: str | None

    @classmethod
    def of(cls, page: Page) -> Self:
        """The message for a page."""
        profiles = [KeptMessage.of(profile) for profile in page.profiles]
        return cls.model_construct(profiles=profiles, after=page.after)

    def page(self) -> Page:
        """The same for the rest of the code. Raises `StoreRefused`."""
        return Page([message.kept() for message in self.profiles], self.after)


class ProfilesDeleted(Message):
    """How many profiles were deleted, and their bytes."""

    deleted: int
    size: int


class WorkloadMessage(Message):
    """What is kept of a workload's container, of one kind."""

    namespace: str
    workload: str
    container: str
    kind: str
    pods: int
    profiles: int
    size: int
    first: Known
    last: Known


class WorkloadsAnswer(Message):
    """What is kept of which workloads."""

    workloads: list[WorkloadMessage]

    @classmethod
    def of(cls, found: Sequence[ProfiledWorkload]) -> Self:
        """The message for these."""
        return cls(
            workloads=[
                WorkloadMessage(
                    namespace=one.namespace,
                    workload=one.workload,
                    container=one.container,
                    kind=str(one.kind),
                    pods=one.pods,
                    profiles=one.profiles,
                    size=one.size,
                    first=one.first,
                    last=one.last,
                )
                for one in found
            ]
        )

    def found(self) -> list[ProfiledWorkload]:
        """The same for the rest of the code. Raises `StoreRefused`."""
        return [
            ProfiledWorkload(**{**message.model_dump(), "kind": kind_of(message.kind)})
            for message in self.workloads
        ]


def kind_of(text: str) -> Kind:
    """The kind that a word stands for.

    Raises:
        StoreRefused: it stands for none.
    """
    try:
        return Kind(text)
    except ValueError:
        raise StoreRefused("Malformed", f"kind is {' or '.join(Kind)}") from None


def _described(profile: Profile | KeptProfile) -> dict[str, object]:
    target = profile.target
    return {
        "namespace": target.namespace,
        "workload": target.workload,
        "container": target.container,
        "pod": target.pod,
        "version": target.version,
        "labels": dict(target.labels),
        "kind": str(profile.kind),
        "start": profile.start,
        "end": profile.end,
        "windows": profile.windows,
        "process": profile.process,
        "content_type": profile.content_type,
    }


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise StoreRefused("Malformed", "a profile's data is not base64") from None
