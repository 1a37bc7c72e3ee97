"""The store over HTTP: `Rollups` for an event loop, and the part of it that a worker process needs.

Needs httpx and pydantic only.
"""

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx

from . import access, messages, wire
from .rollups import Batch, Columns, SeriesInfo, SeriesKey, Written


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """Where the store is. The token is a file, read at each use, so that it can be rotated."""

    url: str
    token_file: Path
    ca_file: Path | None = None
    timeout: float = 10.0

    def headers(self) -> dict[str, str]:
        """The headers to send.

        Raises:
            StoreUnavailable: the token's file cannot be read.
        """
        token = access.read_secret(self.token_file, reason="TokenMissing", what="token")
        return {"Authorization": f"Bearer {token}"}

    def trust(self) -> ssl.SSLContext | bool:
        """What the HTTP client is to verify certificates with.

        Raises:
            StoreUnavailable: the CA's file cannot be used.
        """
        return access.trust(self.url, self.ca_file)

    @property
    def base(self) -> str:
        """The URL, so that paths can be put after it."""
        return self.url.rstrip("/") + "/"


class Connection:
    """Sends requests to a store and reads its answers; `aclose` when done."""

    def __init__(
        self, address: StoreAddress, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """Prepare the client.

        Raises:
            StoreUnavailable: the CA's file cannot be used.
        """
        self._address = address
        self._client = httpx.AsyncClient(
            base_url=address.base,
            timeout=address.timeout,
            transport=transport,
            verify=address.trust(),
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def send(self, kind: type[wire.M], request: wire.Request) -> wire.M:
        """The answer to a request. Raises `StoreRefused` and `StoreUnavailable`."""
        headers = self._address.headers()
        try:
            # The client's own timeout is for each read: a trickle would go on for ever.
            async with (
                asyncio.timeout(2 * self._address.timeout),
                self._client.stream(
                    request.method,
                    request.path,
                    params=request.params,
                    content=request.content,
                    headers=headers,
                ) as response,
            ):
                body = bytearray()
                async for part in response.aiter_bytes():
                    body += part
                    wire.limit(body)
        except (httpx.HTTPError, TimeoutError) as error:
            raise wire.unreachable(error) from None
        return wire.parse(kind, wire.checked(response.status_code, bytes(body)))


class Client:
    """What the clients of all parts of the store have in common; `aclose` when done."""

    def __init__(
        self, address: StoreAddress, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """Prepare the client.

        Raises:
            StoreUnavailable: the CA's file cannot be used.
        """
        self._connection = Connection(address, transport=transport)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connection.aclose()


class StoreClient(Client):
    """`Rollups` over HTTP; `aclose` when done."""

    async def write(self, batch: Batch) -> Written:
        """See `Rollups`; a batch too large for one request goes in several, each kept or not."""
        answers = [
            await self._connection.send(messages.WriteAnswer, request)
            for request in wire.write_requests(batch)
        ]
        return wire.summed(answers)

    async def read(
        self, key: SeriesKey, start: float, end: float, *, peaks_only: bool = False
    ) -> Columns:
        """See `Rollups`."""
        answers = [
            await self._connection.send(messages.ReadAnswer, request)
            for request in wire.read_requests(key, start, end, peaks_only=peaks_only)
        ]
        return wire.joined(answers)

    async def series(
        self, namespace: str | None = None, name: str | None = None
    ) -> list[SeriesInfo]:
        """See `Rollups`."""
        request = wire.Request("GET", "v1/series", wire.given(namespace=namespace, name=name))
        return (await self._connection.send(messages.SeriesAnswer, request)).infos()

    async def delete(
        self, namespace: str, name: str, metric: str | None = None, fingerprint: str | None = None
    ) -> int:
        """See `Rollups`."""
        params = wire.given(namespace=namespace, name=name, metric=metric, fingerprint=fingerprint)
        request = wire.Request("DELETE", "v1/series", params)
        return (await self._connection.send(messages.DeleteAnswer, request)).deleted


class SyncStoreClient:
    """Reading and writing for code without an event loop. A context manager."""

    def __init__(
        self, address: StoreAddress, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        """Prepare the client.

        Raises:
            StoreUnavailable: the CA's file cannot be used.
        """
        self._address = address
        self._client = httpx.Client(
            base_url=address.base,
            timeout=address.timeout,
            transport=transport,
            verify=address.trust(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def write(self, batch: Batch) -> Written:
        """As `StoreClient.write`."""
        answers = [
            self._send(messages.WriteAnswer, request) for request in wire.write_requests(batch)
        ]
        return wire.summed(answers)

    def read(
        self, key: SeriesKey, start: float, end: float, *, peaks_only: bool = False
    ) -> Columns:
        """As `Rollups.read`."""
        answers = [
            self._send(messages.ReadAnswer, request)
            for request in wire.read_requests(key, start, end, peaks_only=peaks_only)
        ]
        return wire.joined(answers)

    def _send(self, kind: type[wire.M], request: wire.Request) -> wire.M:
        headers = self._address.headers()
        try:
            with self._client.stream(
                request.method,
                request.path,
                params=request.params,
                content=request.content,
                headers=headers,
            ) as response:
                body = bytearray()
                for part in response.iter_bytes():
                    body += part
                    wire.limit(body)
        except httpx.HTTPError as error:
            raise wire.unreachable(error) from None
        return wire.parse(kind, wire.checked(response.status_code, bytes(body)))
