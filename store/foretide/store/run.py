"""Running the store as a service: opening, serving, sweeping, and a clean stop."""

import asyncio
import contextlib
import logging
import signal
import ssl
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from .database import Location
from .errors import StoreError, StoreUnavailable
from .repository import Repository
from .service import Service, Token

logger = logging.getLogger(__name__)

SWEEP_EVERY = 6 * 3_600.0
RELOAD_EVERY = 3_600.0
_SHUTDOWN = 20.0


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How to serve. `keep_rollups` in seconds; port 0 takes a free one."""

    database: Location
    token_file: Path
    host: str
    port: int
    keep_rollups: float
    tls_cert: Path | None = None
    tls_key: Path | None = None
    port_file: Path | None = None


async def serve(options: ServeOptions) -> None:
    """Serve until SIGTERM or SIGINT; what has begun is finished.

    Raises:
        StoreError: the token, the certificate or the database cannot be used.
        OSError: the address is not to be had.
    """
    token = Token(options.token_file)
    token.read()
    trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if options.tls_cert else None
    if trust is not None:
        _load_certificate(trust, options)
    repository = await Repository.open(options.database)
    service = Service(repository, token, repository.ping)
    runner = web.AppRunner(
        service.application(), access_log=None, shutdown_timeout=_SHUTDOWN, handle_signals=False
    )
    background = [asyncio.create_task(_keep_swept(repository, options.keep_rollups))]
    if trust is not None:
        background.append(asyncio.create_task(_follow_certificate(trust, options)))
    try:
        await runner.setup()
        await web.TCPSite(runner, options.host, options.port, ssl_context=trust).start()
        port = runner.addresses[0][1]
        if options.port_file is not None:
            options.port_file.write_text(f"{port}\n", encoding="utf-8")
        logger.info("The store is on port %d, in %s.", port, options.database)
        await _signalled()
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await runner.cleanup()
        await repository.aclose()


def _load_certificate(context: ssl.SSLContext, options: ServeOptions) -> None:
    assert options.tls_cert is not None
    try:
        context.load_cert_chain(options.tls_cert, options.tls_key)
    except OSError:  # OpenSSL's errors name no file
        raise StoreUnavailable(
            "CertificateMissing", f"cannot read a certificate and its key from {options.tls_cert}"
        ) from None


async def _follow_certificate(context: ssl.SSLContext, options: ServeOptions) -> None:
    """Take over a renewed certificate for new connections, for ever."""
    while True:
        await asyncio.sleep(RELOAD_EVERY)
        try:
            _load_certificate(context, options)
        except StoreUnavailable as error:
            logger.warning("The old certificate stays: %s", error.message)


async def _keep_swept(repository: Repository, keep: float) -> None:
    """Delete what is too old, now and every few hours, for ever."""
    while True:
        try:
            if hours := await repository.sweep(keep):
                logger.info("Deleted %d hours of roll-ups that were too old.", hours)
        except StoreError as error:
            logger.warning("Old roll-ups could not be deleted: %s", error.message)
        except Exception:
            logger.exception("deleting old roll-ups failed unexpectedly")
        await asyncio.sleep(SWEEP_EVERY)


async def _signalled() -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
