"""The store's HTTP API (see `messages`, `profile_messages` and `report_messages`)."""

import asyncio
import hmac
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from pydantic import ValidationError

from . import messages
from .answers import answer, failure, number, status_of, wanted
from .errors import StoreError, StoreRefused, StoreUnavailable
from .messages import LARGEST_REQUEST, LONGEST_READ
from .profile_service import ProfileRoutes
from .profiles import LARGEST_PUT, Profiles
from .report_service import ReportRoutes
from .reports import Reports
from .rollups import LARGEST_BATCH, Columns, Rollups, SeriesKey, check_range

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SHORTEST_TOKEN = 16
_READY_TIMEOUT = 5.0
_METHODS = ("GET", "POST", "DELETE")
_KEY = ("namespace", "name", "metric", "fingerprint")


class Token:
    """A bearer token in a file that is read at each use, so that it can be rotated."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> bytes:
        """The token.

        Raises:
            StoreUnavailable: the file cannot be read, or holds no good token.
        """
        try:
            token = self._file.read_bytes().strip()
        except OSError as error:
            message = f"cannot read the token's file {self._file}: {error.strerror}"
            raise StoreUnavailable("TokenMissing", message) from None
        if len(token) < SHORTEST_TOKEN:
            message = f"the token in {self._file} is shorter than {SHORTEST_TOKEN} characters"
            raise StoreUnavailable("TokenMissing", message)
        return token

    def opens(self, request: web.Request) -> bool:
        """Whether a request brings it along."""
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        return hmac.compare_digest(given, b"Bearer " + self.read())


class Service:
    """The handlers. `ping` raises `StoreUnavailable` while the database is away."""

    def __init__(
        self,
        rollups: Rollups,
        token: Token,
        ping: Callable[[], Awaitable[None]],
        *,
        profiles: Profiles | None = None,
        reports: Reports | None = None,
    ) -> None:
        self._rollups = rollups
        self._token = token
        self._ping = ping
        self.counts: Counter[tuple[str, str]] = Counter()
        self._profiles = None if profiles is None else ProfileRoutes(profiles, self.counts)
        self._reports = None if reports is None else ReportRoutes(reports, self.counts)

    def application(self) -> web.Application:
        """The web application, to be run by aiohttp."""
        application = web.Application(
            client_max_size=LARGEST_REQUEST, middlewares=[self._answer_errors, self._guard]
        )
        add = application.router.add_route
        add("POST", "/v1/rollups", self._write)
        add("GET", "/v1/rollups", self._read)
        add("GET", "/v1/series", self._series)
        add("DELETE", "/v1/series", self._delete)
        if self._profiles is not None:
            self._profiles.add_to(application.router)
        if self._reports is not None:
            self._reports.add_to(application.router)
        add("GET", "/healthz", self._healthz)
        add("GET", "/readyz", self._readyz)
        add("GET", "/metrics", self._metrics)
        return application

    @web.middleware
    async def _answer_errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except StoreError as error:
            response = failure(status_of(error), error.reason, error.message)
            if isinstance(error, StoreUnavailable):
                response.headers["Retry-After"] = "10"
                logger.warning("%s %s: %s", request.method, request.path, error.message)
        except web.HTTPRequestEntityTooLarge:
            response = failure(
                413,
                "TooLarge",
                f"a request has at most {LARGEST_REQUEST} bytes, {LARGEST_BATCH} roll-ups "
                f"and {LARGEST_PUT} profiles",
            )
        except web.HTTPException as error:
            response = failure(error.status, error.reason.replace(" ", ""), error.reason)
        except Exception:
            logger.exception("%s %s failed unexpectedly", request.method, request.path)
            response = failure(500, "Internal", "the store failed; its log says why")
        # A name that anybody may choose is no label.
        method = request.method if request.method in _METHODS else "other"
        self.counts["requests", f'method="{method}",status="{response.status}"'] += 1
        return response

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        open_to_all = request.match_info.handler in (self._healthz, self._readyz, self._metrics)
        if not open_to_all and not self._token.opens(request):
            return failure(401, "Unauthorized", "the bearer token is missing or wrong")
        return await handler(request)

    async def _write(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            # Tens of thousands of figures take their time: other requests go on meanwhile.
            batch = await asyncio.to_thread(_parse, body)
        except ValidationError as error:
            raise StoreRefused("Malformed", messages.explain(error)) from None
        received, changed = await self._rollups.write(batch)
        self.counts["rollups_received", ""] += received
        self.counts["rollups_changed", ""] += changed
        return answer(messages.WriteAnswer(received=received, changed=changed))

    async def _read(self, request: web.Request) -> web.Response:
        query = request.query
        key = SeriesKey(*(wanted(request, name) for name in _KEY))
        start, end = (number(request, name) for name in ("start", "end"))
        check_range(start, end)
        if end - start > LONGEST_READ + 1:
            days = LONGEST_READ // 86_400
            raise StoreRefused("TooLarge", f"read {days} days at once at most")
        if (columns := query.get("columns")) not in (None, "max"):
            raise StoreRefused("Malformed", "columns is max, or left out")
        peaks_only = columns == "max"
        found = await self._rollups.read(key, start, end, peaks_only=peaks_only)
        message = await asyncio.to_thread(messages.ReadAnswer.of, found, peaks_only=peaks_only)
        response = await asyncio.to_thread(answer, message)
        response.enable_compression()
        return response

    async def _series(self, request: web.Request) -> web.Response:
        query = request.query
        found = await self._rollups.series(query.get("namespace"), query.get("name"))
        response = answer(messages.SeriesAnswer.of(found))
        response.enable_compression()
        return response

    async def _delete(self, request: web.Request) -> web.Response:
        query = request.query
        deleted = await self._rollups.delete(
            wanted(request, "namespace"),
            wanted(request, "name"),
            query.get("metric"),
            query.get("fingerprint"),
        )
        logger.info("Deleted %d series of %s/%s.", deleted, query["namespace"], query["name"])
        return answer(messages.DeleteAnswer(deleted=deleted))

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        self._token.read()
        try:
            async with asyncio.timeout(_READY_TIMEOUT):
                await self._ping()
        except TimeoutError:
            raise StoreUnavailable("DatabaseAway", "the database does not answer") from None
        return web.Response(text="ok\n")

    async def _metrics(self, request: web.Request) -> web.Response:
        lines = [
            f"foretide_store_{name}_total{{{labels}}} {count}\n"
            for (name, labels), count in sorted(self.counts.items())
        ]
        return web.Response(text="".join(lines))


def _parse(body: bytes) -> dict[SeriesKey, Columns]:
    return messages.WriteRequest.model_validate_json(body).batch()
