"""Running the store as a service: opening, serving, sweeping, and a clean stop."""

import asyncio
import contextlib
import logging
import signal
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from .database import Location
from .errors import StoreError, StoreUnavailable
from .profile_repository import ProfileRepository
from .report_repository import ReportRepository
from .repository import Repository
from .retention import DAY, Retention
from .service import Service, Token
from .sessions import Database

logger = logging.getLogger(__name__)

SWEEP_EVERY = 6 * 3_600.0
SWEEP_PROFILES_EVERY = 300.0
RELOAD_EVERY = 3_600.0
_SHUTDOWN = 20.0


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How to serve. `keep_rollups` and `keep_reports` in seconds, `retention` of profiles; port 0
    takes a free one.
    """

    database: Location
    token_file: Path
    host: str
    port: int
    keep_rollups: float
    keep_reports: float = 365 * DAY
    retention: Retention = field(default_factory=Retention)
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
    database = await Database.open(options.database)
    repository = Repository(database)
    profiles = ProfileRepository(database, retention=options.retention)
    reports = ReportRepository(database)
    service = Service(repository, token, database.ping, profiles=profiles, reports=reports)
    runner = web.AppRunner(
        service.application(), access_log=None, shutdown_timeout=_SHUTDOWN, handle_signals=False
    )
    background = [
        asyncio.create_task(_keep_swept(lambda: _sweep(repository, options), SWEEP_EVERY)),
        asyncio.create_task(_keep_swept(lambda: _sweep_profiles(profiles), SWEEP_PROFILES_EVERY)),
        asyncio.create_task(_keep_swept(lambda: _sweep_reports(reports, options), SWEEP_EVERY)),
    ]
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
        await database.aclose()


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


async def _keep_swept(sweep: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Delete what is not to be kept, now and every so many seconds, for ever."""
    while True:
        try:
            await sweep()
        except StoreError as error:
            logger.warning("What is too old could not be deleted: %s", error.message)
        except Exception:
            logger.exception("deleting what is too old failed unexpectedly")
        await asyncio.sleep(seconds)


async def _sweep(repository: Repository, options: ServeOptions) -> None:
    if hours := await repository.sweep(options.keep_rollups):
        logger.info("Deleted %d hours of roll-ups that were too old.", hours)


async def _sweep_profiles(profiles: ProfileRepository) -> None:
    gone = await profiles.sweep()
    if gone.profiles:
        logger.info("Deleted %d profiles, %d bytes: the oldest.", gone.profiles, gone.size)


async def _sweep_reports(reports: ReportRepository, options: ServeOptions) -> None:
    if gone := await reports.sweep(options.keep_reports):
        logger.info("Deleted %d reports that were too old.", gone)


async def _signalled() -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
