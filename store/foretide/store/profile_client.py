"""Profiles over HTTP. Needs httpx and pydantic only."""

from collections.abc import Iterator, Sequence
from urllib.parse import quote

from . import profile_messages as messages
from . import wire
from .client import Client
from .errors import StoreRefused
from .messages import LARGEST_REQUEST
from .profiles import (
    LARGEST_PUT,
    Deleted,
    Kept,
    KeptProfile,
    Page,
    Profile,
    ProfiledWorkload,
    ProfileQuery,
)

_ABOUT = 2_000  # bytes of a profile in a request beside its data, at the most as a rule
_ROOM = LARGEST_REQUEST * 3 // 4


class ProfileClient(Client):
    """`Profiles` over HTTP; `aclose` when done."""

    async def put(self, profiles: Sequence[Profile]) -> Kept:
        """See `Profiles`; what is too large for one request goes in several, each kept or not."""
        received = changed = 0
        for part in split(profiles):
            content = messages.PutRequest.of(part).model_dump_json().encode()
            request = wire.Request("POST", "v1/profiles", content=content)
            answer = await self._connection.send(messages.PutAnswer, request)
            received, changed = received + answer.received, changed + answer.changed
        return Kept(received, changed)

    async def find(
        self, query: ProfileQuery, *, after: str | None = None, data: bool = False
    ) -> Page:
        """See `Profiles`."""
        params = _params(query) | wire.given(after=after, data="true" if data else None)
        request = wire.Request("GET", "v1/profiles", params)
        answer = await self._connection.send(messages.FindAnswer, request)
        try:
            return answer.page()
        except StoreRefused:
            raise wire.not_the_store() from None

    async def get(self, number: int) -> KeptProfile | None:
        """See `Profiles`."""
        request = wire.Request("GET", f"v1/profiles/{quote(str(number))}")
        try:
            return (await self._connection.send(messages.KeptMessage, request)).kept()
        except StoreRefused as error:
            if error.reason == "NoProfile":
                return None
            raise

    async def delete(self, query: ProfileQuery) -> Deleted:
        """See `Profiles`."""
        request = wire.Request("DELETE", "v1/profiles", _params(query))
        answer = await self._connection.send(messages.ProfilesDeleted, request)
        return Deleted(answer.deleted, answer.size)

    async def workloads(self, namespace: str | None = None) -> list[ProfiledWorkload]:
        """See `Profiles`."""
        request = wire.Request("GET", "v1/workloads", wire.given(namespace=namespace))
        answer = await self._connection.send(messages.WorkloadsAnswer, request)
        try:
            return answer.found()
        except StoreRefused:
            raise wire.not_the_store() from None


def split(profiles: Sequence[Profile]) -> Iterator[list[Profile]]:
    """The same in lists that a request holds."""
    part: list[Profile] = []
    used = 0
    for profile in profiles:
        size = len(profile.data) + _ABOUT
        if part and (used + size > _ROOM - _ABOUT or len(part) == LARGEST_PUT):
            yield part
            part, used = [], 0
        part.append(profile)
        used += size
    if part:
        yield part


def _params(query: ProfileQuery) -> dict[str, str]:
    return wire.given(
        namespace=query.namespace,
        workload=query.workload,
        container=query.container,
        pod=query.pod,
        version=query.version,
        kind=None if query.kind is None else str(query.kind),
        start=f"{query.start:.3f}",
        end=f"{query.end:.3f}",
    )
