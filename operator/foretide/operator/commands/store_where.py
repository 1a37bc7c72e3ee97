"""Which store a command is about: options, and opening it.

What asks a store is imported where it is opened: httpx and pydantic take most of the time of a
`foretide --help`.
"""

import argparse
import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foretide.store.errors import StoreError, StoreRefused
from foretide.store.profiles import Profiles
from foretide.store.reports import Reports
from foretide.store.rollups import Rollups

from .running import running

if TYPE_CHECKING:
    from foretide.store.client import Client, StoreAddress
    from foretide.store.database import Location
    from foretide.store.sessions import Database

DATABASE_VARIABLE = "FORETIDE_STORE_DATABASE"


def add_database(parser: argparse.ArgumentParser) -> None:
    """Options that say which database."""
    parser.add_argument(
        "--database",
        metavar="FILE|URL",
        help="SQLite's file, or postgresql://USER@HOST/NAME without a password",
    )
    parser.add_argument(
        "--database-file",
        type=Path,
        metavar="FILE",
        help="holds the URL, such as a mounted Secret; "
        f"or the variable {DATABASE_VARIABLE} does: other users see a command line",
    )


def add_where(parser: argparse.ArgumentParser) -> None:
    """Options that say which store: one that runs, or a database."""
    parser.add_argument("--url", metavar="URL", help="of a store that runs")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="holds its token")
    parser.add_argument("--ca-file", type=Path, metavar="FILE", help="the CA to trust for it")
    add_database(parser)


def opened(options: argparse.Namespace) -> AbstractAsyncContextManager[Rollups]:
    """The roll-ups of the store that is meant: one that runs, or a database without one."""
    from foretide.store.client import StoreClient

    def kept(database: "Database") -> Rollups:
        from foretide.store.repository import Repository

        return Repository(database)

    return _opened(options, StoreClient, kept)


def opened_profiles(options: argparse.Namespace) -> AbstractAsyncContextManager[Profiles]:
    """The profiles of the store that is meant."""
    from foretide.store.profile_client import ProfileClient

    def kept(database: "Database") -> Profiles:
        from foretide.store.profile_repository import ProfileRepository

        return ProfileRepository(database)

    return _opened(options, ProfileClient, kept)


def opened_reports(options: argparse.Namespace) -> AbstractAsyncContextManager[Reports]:
    """The reports of the store that is meant."""
    from foretide.store.report_client import ReportClient

    def kept(database: "Database") -> Reports:
        from foretide.store.report_repository import ReportRepository

        return ReportRepository(database)

    return _opened(options, ReportClient, kept)


@contextlib.asynccontextmanager
async def _opened(
    options: argparse.Namespace,
    client_of: Callable[["StoreAddress"], "Client"],
    kept: Callable[["Database"], Any],
) -> AsyncIterator[Any]:
    if options.url:
        async with contextlib.aclosing(client_of(_address(options))) as client:
            yield client
        return
    async with _database_opened(options) as database:
        yield kept(database)


def _address(options: argparse.Namespace) -> "StoreAddress":
    from foretide.store.client import StoreAddress

    if not options.token_file:
        raise StoreRefused("Malformed", "--url wants a --token-file")
    return StoreAddress(options.url, options.token_file, options.ca_file)


@contextlib.asynccontextmanager
async def _database_opened(options: argparse.Namespace) -> AsyncIterator["Database"]:
    from foretide.store.sessions import Database

    if not (options.database or options.database_file or os.environ.get(DATABASE_VARIABLE)):
        raise StoreRefused(
            "Malformed",
            "say which store: --url and --token-file for one that runs, or --database, "
            f"--database-file or the variable {DATABASE_VARIABLE} for a database without one",
        )
    location = database(options)
    if location.file is not None and not location.file.exists():
        raise StoreRefused("Malformed", f"{location.file} does not exist")
    found = await Database.open(location)
    try:
        yield found
    finally:
        await found.aclose()


def split_name(text: str) -> tuple[str, str]:
    """Namespace and name.

    Raises:
        StoreRefused: the text is not of that form.
    """
    namespace, slash, name = text.partition("/")
    if not (namespace and slash and name):
        raise StoreRefused("Malformed", "a resource is named NAMESPACE/NAME")
    return namespace, name


def database(options: argparse.Namespace) -> "Location":
    """Where the database is, by the command line, a file or the environment.

    Raises:
        StoreRefused: none of them says so, or a password is where others see it.
    """
    from foretide.store.database import locate

    if options.database:
        location = locate(options.database)
        if location.has_password:
            raise StoreRefused(
                "BadDatabase",
                "--database must hold no password, as others can see it there: "
                f"use --database-file, or the variable {DATABASE_VARIABLE}",
            )
        return location
    if options.database_file:
        try:
            return locate(options.database_file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            message = f"cannot read {options.database_file}"
            raise StoreRefused("BadDatabase", message) from None
    if text := os.environ.get(DATABASE_VARIABLE):
        return locate(text)
    raise StoreRefused(
        "BadDatabase",
        "say where the database is: --database, --database-file, "
        f"or the variable {DATABASE_VARIABLE}",
    )


def run(work: Callable[[], Awaitable[None]]) -> int:
    """Do it, and tell errors in one sentence; the exit status."""

    async def main() -> None:
        await work()

    @running("store", lambda: (StoreError,))
    def action(options: argparse.Namespace) -> int:
        asyncio.run(main())
        return 0

    return action(argparse.Namespace())
