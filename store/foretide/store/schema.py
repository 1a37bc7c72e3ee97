"""The tables, and the migrations that lead to them.

A change of the tables is one more migration at the end of `MIGRATIONS`; from then on the first one
keeps a copy of its own of the tables as they were. Migrations only go forward. Later kinds of data
(load-test results) bring tables of their own.
"""

import logging
import time
from collections.abc import Callable, Sequence

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    insert,
    inspect,
    select,
    text,
)

from .errors import StoreError

logger = logging.getLogger(__name__)

metadata = MetaData()

versions = Table(
    "store_schema",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("applied_at", BigInteger, nullable=False),
)

series = Table(
    "demand_series",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("namespace", String(253), nullable=False),
    Column("name", String(253), nullable=False),
    Column("metric", String(253), nullable=False),
    Column("fingerprint", String(253), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("namespace", "name", "metric", "fingerprint"),
)

chunks = Table(
    "demand_chunks",
    metadata,
    Column("series_id", ForeignKey(series.c.id, ondelete="CASCADE"), primary_key=True),
    Column("slot", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)

# Whose profiles are: a row for many of them. `identity` is a digest of all the others.
profile_targets = Table(
    "profile_targets",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("identity", String(32), nullable=False, unique=True),
    Column("namespace", String(253), nullable=False),
    Column("workload", String(253), nullable=False),
    Column("container", String(253), nullable=False),
    Column("pod", String(253), nullable=False),
    Column("version", String(253), nullable=False),
    Column("labels", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("profile_targets_of_workload", "namespace", "workload"),
)

# Times in milliseconds. The data stands last: SQLite reads a row from its beginning.
profiles = Table(
    "profiles",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("target_id", ForeignKey(profile_targets.c.id, ondelete="CASCADE"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("process", String(253), nullable=False),
    Column("end", BigInteger, nullable=False),
    Column("windows", Integer, nullable=False),
    Column("size", Integer, nullable=False),
    Column("content_type", String(253), nullable=False),
    Column("data", LargeBinary, nullable=False),
    UniqueConstraint("target_id", "kind", "start", "process"),
    Index("profiles_by_age", "kind", "start", "size"),
    sqlite_autoincrement=True,  # a number that a report has named must not be another's later
)

# What was found out about a resource, each time that it was. Times in milliseconds.
reports = Table(
    "reports",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("namespace", String(253), nullable=False),
    Column("kind", String(253), nullable=False),
    Column("name", String(253), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("size", Integer, nullable=False),
    Column("content_type", String(253), nullable=False),
    Column("data", LargeBinary, nullable=False),
    UniqueConstraint("namespace", "kind", "name", "at"),
    Index("reports_by_age", "at"),
    sqlite_autoincrement=True,  # a number that a status has named must not be another's later
)

Migration = Callable[[Connection], None]


def _first_tables(connection: Connection) -> None:
    metadata.create_all(connection, [series, chunks])


def _profile_tables(connection: Connection) -> None:
    metadata.create_all(connection, [profile_targets, profiles])
    if connection.dialect.name == "postgresql":
        # They are compressed already: PostgreSQL would try for nothing.
        connection.execute(text("ALTER TABLE profiles ALTER COLUMN data SET STORAGE EXTERNAL"))


def _report_tables(connection: Connection) -> None:
    metadata.create_all(connection, [reports])


MIGRATIONS: tuple[Migration, ...] = (_first_tables, _profile_tables, _report_tables)

# Two replicas that start at once must not both migrate. The number is nobody else's, by chance.
_LOCK = 7_315_442_019_663_061


class SchemaTooNew(StoreError):
    """The database was written by a newer version of Foretide."""


def migrate(connection: Connection, migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """Bring the database to the newest schema, in the caller's transaction; returns its version.

    Raises:
        SchemaTooNew: it is ahead of this code. Nothing has been touched.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    found = 0
    if inspect(connection).has_table(versions.name):
        found = connection.execute(select(func.max(versions.c.version))).scalar() or 0
    else:
        versions.create(connection)
    if found > len(migrations):
        raise SchemaTooNew(
            "SchemaTooNew",
            f"the database has schema {found}, this version of Foretide knows {len(migrations)}: "
            "run the newer version, or a database of its own for this one",
        )
    for version, step in enumerate(migrations[found:], start=found + 1):
        step(connection)
        connection.execute(insert(versions).values(version=version, applied_at=int(time.time())))
        logger.info("The store's schema is version %d now.", version)
    return len(migrations)
