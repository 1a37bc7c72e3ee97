"""The door to Prometheus' HTTP API, for demand now. History goes through `history`, in a worker.

Anything that speaks the API will do: Prometheus, Thanos, Mimir, VictoriaMetrics.
"""

import asyncio
import base64
import errno
import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx

from .demand import Demand, Unavailable, reading

_LONGEST_MESSAGE = 300
_LARGEST_ANSWER = 256 * 1024
# What a URL may hold before its host: a Prometheus that reads from elsewhere may show it.
_CREDENTIALS = re.compile(r"://[^/\s@]*@")


@dataclass(frozen=True, slots=True)
class PrometheusSource:
    """An administrator's Prometheus endpoint.

    Secrets are files, read at each use, so that a rotated one is picked up and none is ever held
    in configuration, status or a traceback.
    """

    url: str
    bearer_token_file: Path | None = None
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 10.0

    def request_headers(self) -> dict[str, str]:
        """The headers to send, credentials among them.

        Raises:
            OSError: a file with a secret cannot be read, or holds what no header can carry.
        """
        headers = dict(self.headers)
        if self.bearer_token_file is not None:
            token = _secret(self.bearer_token_file)
            # What a header cannot carry is found here: HTTP libraries show it in their error.
            if not (token.isascii() and token.isprintable()):
                raise _unusable(self.bearer_token_file)
            headers["Authorization"] = f"Bearer {token}"
        elif self.username is not None:
            password = _secret(self.password_file) if self.password_file else ""
            pair = base64.b64encode(f"{self.username}:{password}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        return headers


class DemandSource(Protocol):
    """What the decision needs of a metric source: demand now."""

    async def demand_now(self, query: str, *, now: float, stale_after: float) -> Demand:
        """The query's only value; every failure is an `Unavailable`, never an exception."""
        ...


class PrometheusDemand:
    """`DemandSource` over HTTP. One instance for each source; `aclose` when done."""

    def __init__(
        self, source: PrometheusSource, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """Prepare the client.

        Raises:
            OSError: the CA file cannot be read.
        """
        self._source = source
        self._client = httpx.AsyncClient(
            base_url=source.url.rstrip("/") + "/",
            timeout=source.timeout,
            transport=transport,
            verify=_trust(source),
            limits=httpx.Limits(max_connections=50, max_keepalive_connections=20),
        )

    async def demand_now(self, query: str, *, now: float, stale_after: float) -> Demand:
        """See `DemandSource`."""
        form = {
            **self._source.params,
            "query": query,
            # No time is sent: by Prometheus' own clock now is now, whatever ours says.
            # Prometheus answers with samples of up to 5 minutes ago unless told otherwise, and
            # shows the time of evaluation instead of theirs: this is what finds a stale series.
            "lookback_delta": f"{stale_after:g}s",
            # A query that selects everything must not flood the operator: two are too many.
            "limit": "2",
        }
        try:
            # The client's own timeout is for each read: a trickle would go on for ever.
            async with asyncio.timeout(self._source.timeout):
                status, body = await self._post("api/v1/query", form)
        except (httpx.TimeoutException, TimeoutError):
            return Unavailable("Unreachable", f"no answer within {self._source.timeout:g} s")
        except httpx.HTTPError as error:
            return Unavailable("Unreachable", f"cannot connect: {_short(error)}")
        except OSError as error:
            return Unavailable("CredentialsMissing", f"cannot read {error.filename}")
        if body is None:
            return Unavailable("SeveralSeries", "the answer is far too large, use sum(…)")
        if status != 200:
            return refusal(status, body)
        try:
            return parse_instant(json.loads(body)["data"], now=now, stale_after=stale_after)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return Unavailable("NotPrometheus", "the answer is not one of Prometheus' API")

    async def _post(self, path: str, form: Mapping[str, str]) -> tuple[int, bytes | None]:
        """Status and body of the answer; None for a body larger than any that could be right."""
        async with self._client.stream(
            "POST",
            path,
            data=dict(form),
            headers=self._source.request_headers(),
        ) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _LARGEST_ANSWER:
                    return response.status_code, None
            return response.status_code, bytes(body)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()


def parse_instant(data: Mapping[str, Any], *, now: float, stale_after: float) -> Demand:
    """Read the `data` of an instant query's answer: exactly one value is wanted.

    Raises:
        ValueError, KeyError, TypeError, IndexError: the data is not what the API documents.
    """
    kind, result = data["resultType"], data["result"]
    if kind == "scalar":
        sample = result
    elif kind != "vector":
        return Unavailable("NotAVector", f"the query answers a {kind}; an instant vector is wanted")
    elif not result:
        return Unavailable("Empty", "the query answers nothing: no series, or none that is fresh")
    elif len(result) > 1:
        return Unavailable(
            "SeveralSeries", "the query answers more than one series, wrap it in sum(…)"
        )
    elif "value" not in result[0]:
        return Unavailable("NotAVector", "the query answers a native histogram, not a number")
    else:
        sample = result[0]["value"]
    return reading(float(sample[1]), float(sample[0]), now=now, stale_after=stale_after)


def _trust(source: PrometheusSource) -> ssl.SSLContext | bool:
    if source.ca_file is not None:
        return ssl.create_default_context(cafile=str(source.ca_file))
    # Loading the system's certificates costs some 100 ms, for nothing where there is no TLS.
    return not source.url.lower().startswith("http:")


def refusal(status: int, body: bytes) -> Unavailable:
    """What an answer says that is not 200: Prometheus' own message, as far as there is one."""
    try:
        payload = json.loads(body)
        message = str(payload["error"])
        kind = payload.get("errorType")
    except (ValueError, KeyError, TypeError, AttributeError):
        message, kind = f"HTTP status {status}", None
    if status in (401, 403):
        return Unavailable("Unauthorized", "Prometheus refuses the source's credentials")
    if kind == "bad_data" or status in (400, 414):
        return Unavailable("QueryInvalid", _short(message))
    return Unavailable("QueryFailed", _short(message))


def _short(text: object) -> str:
    line = _CREDENTIALS.sub("://", " ".join(str(text).split()))
    return line if len(line) <= _LONGEST_MESSAGE else line[: _LONGEST_MESSAGE - 1] + "…"


def _secret(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise _unusable(path) from None


def _unusable(path: Path) -> OSError:
    return OSError(errno.EINVAL, "not a secret in plain text", str(path))
