"""SQLite or PostgreSQL: where the database is, how to open it, and what its errors mean.

A PostgreSQL URL holds a password. It is given to the driver and to nobody else: no error, log or
representation shows it.
"""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import URL, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from .errors import StoreError, StoreRefused, StoreUnavailable

_POSTGRESQL = ("postgresql", "postgres")
_LOCK_TIMEOUT = 10.0
_CONNECT_TIMEOUT = 10.0
_STATEMENT_TIMEOUT = 60.0


class Conflict(StoreUnavailable):
    """Another writer was in the way: doing the same again will help."""


@dataclass(frozen=True, slots=True)
class Location:
    """A file of SQLite or a URL of PostgreSQL. As text, it shows no credentials."""

    file: Path | None = None
    url: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        if self.url is None:
            return f"SQLite {self.file}"
        return "PostgreSQL"

    @property
    def has_password(self) -> bool:
        """Whether a URL carries one."""
        user, at, _ = (self.url or "").partition("://")[2].rpartition("@")
        return "password" in (self.url or "") or bool(at and ":" in user)


def locate(text: str) -> Location:
    """Read where a database is: `postgresql://…` as libpq takes it, or the path of a file.

    Raises:
        StoreRefused: it is neither.
    """
    text = text.strip()
    scheme, colon, _ = text.partition("://")
    if not text:
        raise StoreRefused("BadDatabase", "the database's address is empty")
    if not colon:
        return Location(file=Path(text))
    # SQLAlchemy's way to name a driver does no harm: there is one driver.
    if scheme.partition("+")[0] not in _POSTGRESQL:
        raise StoreRefused(
            "BadDatabase", "the database is postgresql://USER@HOST/NAME or the path of a file"
        )
    return Location(url=f"postgresql://{text.partition('://')[2]}")


def open_engine(location: Location, *, lock_timeout: float = _LOCK_TIMEOUT) -> AsyncEngine:
    """An engine for the database; nothing is opened yet. `lock_timeout` in seconds is SQLite's."""
    if location.file is not None:
        engine = create_async_engine(
            URL.create("sqlite+aiosqlite", database=str(location.file)),
            connect_args={"timeout": lock_timeout},
        )
        _prepare_sqlite(engine)
        return engine

    async def connect(*_: object, **__: object) -> Any:
        # The driver's own way to connect takes all that libpq does: sslmode, several hosts, …
        try:
            return await asyncpg.connect(
                location.url,
                timeout=_CONNECT_TIMEOUT,
                command_timeout=_STATEMENT_TIMEOUT,
                server_settings={"application_name": "foretide-store"},
            )
        except ValueError:  # its message repeats parts of the URL, of the password too
            raise StoreRefused(
                "BadDatabase",
                "the URL of PostgreSQL cannot be used: are the special characters of its "
                "password percent-encoded, and its hosts, ports and sslmode right?",
            ) from None

    return create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, pool_pre_ping=True, pool_timeout=30
    )


def probe(location: Location) -> None:
    """Raise `StoreUnavailable` if SQLite's file is none, or cannot be opened or made. Blocks.

    Opening it through the engine would fail too, but leave a thread behind that complains later.
    A new file is made ready for several connections here, where waiting holds up nobody.
    """
    if location.file is None:
        return
    try:
        with contextlib.closing(sqlite3.connect(location.file)) as connection:
            connection.execute("PRAGMA schema_version").fetchone()
            _write_ahead(connection)
    except sqlite3.Error as error:
        raise StoreUnavailable(
            "DatabaseFailed", f"SQLite cannot open {location.file}: {error}"
        ) from None


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch a file to WAL, which it keeps.

    Of several that do so at once SQLite refuses all but one, without waiting as it does elsewhere.
    """
    deadline = time.monotonic() + _LOCK_TIMEOUT
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            # The lowest byte is the kind of error; the others say more of it.
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _prepare_sqlite(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, _: object) -> None:
        try:
            # Left to itself, the driver begins transactions late, and none for DDL.
            connection.isolation_level = None
            cursor = connection.cursor()
            cursor.execute("PRAGMA journal_mode=WAL")
            # In WAL mode a weaker setting loses what was acknowledged when the power fails.
            cursor.execute("PRAGMA synchronous=FULL")
            cursor.execute("PRAGMA foreign_keys=ON")
            cursor.close()
        except BaseException:
            connection.close()  # nobody else would, and its thread would stay
            raise

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Any) -> None:
        # One that reads first and writes later would fail when another has written in between.
        writes = connection.get_execution_options().get("foretide_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn what the database and its driver raise into `StoreUnavailable`, without secrets."""
    try:
        yield
    except StoreError:
        raise
    except DBAPIError as error:
        raise _explain(error.orig) from None
    except PoolTimeout:
        raise StoreUnavailable("DatabaseBusy", "all connections are in use") from None
    except (SQLAlchemyError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _explain(error) from None


def _explain(error: BaseException | None) -> StoreUnavailable:
    # SQLAlchemy wraps the driver's error in one of its own, whose cause is the driver's.
    causes: list[BaseException] = []
    while error is not None and error not in causes:
        causes.append(error)
        error = error.__cause__
    for cause in causes:
        if isinstance(cause, sqlite3.Error):
            return _sqlite(str(cause))
        if isinstance(cause, asyncpg.PostgresError):
            return _postgresql(cause)
        if isinstance(cause, TimeoutError | OSError):
            return StoreUnavailable(
                "DatabaseAway", f"cannot reach the database: {type(cause).__name__}"
            )
    name = type(causes[-1]).__name__ if causes else "unknown error"
    return StoreUnavailable("DatabaseFailed", f"the database failed: {name}")


def _sqlite(text: str) -> StoreUnavailable:
    if "is full" in text:
        return StoreUnavailable("DiskFull", "the store's disk is full: enlarge its volume")
    if "locked" in text:
        return StoreUnavailable(
            "DatabaseLocked", "another process holds the database: end it, or wait"
        )
    return StoreUnavailable("DatabaseFailed", f"SQLite: {text[:200]}")


def _postgresql(error: asyncpg.PostgresError) -> StoreUnavailable:
    state = error.sqlstate or ""
    if state in ("40001", "40P01"):
        return Conflict("Conflict", "another writer was in the way")
    if state == "53100":
        return StoreUnavailable("DiskFull", "PostgreSQL has no space left: enlarge its volume")
    if state.startswith("28"):
        return StoreUnavailable("DatabaseDenied", "PostgreSQL refuses the store's credentials")
    if state == "3D000":
        return StoreUnavailable("DatabaseMissing", "PostgreSQL has no database of that name")
    if state.startswith(("08", "57")) or state == "53300":
        return StoreUnavailable("DatabaseAway", "PostgreSQL does not take connections now")
    return StoreUnavailable("DatabaseFailed", f"PostgreSQL: {type(error).__name__} ({state})")
