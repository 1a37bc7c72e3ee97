"""The part of the HTTP API that is about profiles (see `profile_messages`)."""

import asyncio
import logging
from collections import Counter

from aiohttp import web
from pydantic import ValidationError

from . import messages
from . import profile_messages as wire
from .answers import answer, number
from .errors import StoreRefused
from .profiles import Page, Profile, ProfileQuery, Profiles

logger = logging.getLogger(__name__)

_PARTS = ("namespace", "workload", "container", "pod", "version")
_ALL = {*_PARTS, "kind", "start", "end", "data", "after"}


class ProfileRoutes:
    """The handlers. What they count is added to `counts`."""

    def __init__(self, profiles: Profiles, counts: Counter[tuple[str, str]]) -> None:
        self._profiles = profiles
        self._counts = counts

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Make them answer."""
        router.add_route("POST", "/v1/profiles", self._put)
        router.add_route("GET", "/v1/profiles", self._find)
        router.add_route("DELETE", "/v1/profiles", self._delete)
        router.add_route("GET", "/v1/profiles/{id:[0-9]{1,18}}", self._get)
        router.add_route("GET", "/v1/workloads", self._workloads)

    async def _put(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            batch = await asyncio.to_thread(_parse, body)
        except ValidationError as error:
            raise StoreRefused("Malformed", messages.explain(error)) from None
        received, changed = await self._profiles.put(batch)
        self._counts["profiles_received", ""] += received
        self._counts["profiles_changed", ""] += changed
        self._counts["profile_bytes_received", ""] += sum(len(one.data) for one in batch)
        return answer(wire.PutAnswer(received=received, changed=changed))

    async def _find(self, request: web.Request) -> web.Response:
        query = _query(request)
        if (data := request.query.get("data", "false")) not in ("true", "false"):
            raise StoreRefused("Malformed", "data is true or false")
        page = await self._profiles.find(
            query, after=request.query.get("after"), data=data == "true"
        )
        return await asyncio.to_thread(_page, page)

    async def _get(self, request: web.Request) -> web.Response:
        found = await self._profiles.get(int(request.match_info["id"]))
        if found is None:
            raise StoreRefused("NoProfile", "the store keeps no profile of this number")
        return answer(wire.KeptMessage.of(found))

    async def _delete(self, request: web.Request) -> web.Response:
        query = _query(request)
        gone = await self._profiles.delete(query)
        logger.info("Deleted %d profiles of %s/%s.", gone.profiles, query.namespace, query.workload)
        return answer(wire.ProfilesDeleted(deleted=gone.profiles, size=gone.size))

    async def _workloads(self, request: web.Request) -> web.Response:
        found = await self._profiles.workloads(request.query.get("namespace"))
        response = answer(wire.WorkloadsAnswer.of(found))
        response.enable_compression()
        return response


def _query(request: web.Request) -> ProfileQuery:
    # A name that is misspelt would widen what is deleted.
    if unknown := sorted(set(request.query) - _ALL):
        raise StoreRefused("Malformed", f"there is no parameter {unknown[0][:60]!r}")
    given = {name: request.query[name] for name in _PARTS if name in request.query}
    times = {name: number(request, name) for name in ("start", "end") if name in request.query}
    kind = wire.kind_of(request.query["kind"]) if "kind" in request.query else None
    return ProfileQuery(**given, **times, kind=kind)  # type: ignore[arg-type]


def _parse(body: bytes) -> list[Profile]:
    return wire.PutRequest.model_validate_json(body).batch()


def _page(page: Page) -> web.Response:
    response = answer(wire.FindAnswer.of(page))
    if not any(profile.data for profile in page.profiles):
        response.enable_compression()  # data is compressed already
    return response
