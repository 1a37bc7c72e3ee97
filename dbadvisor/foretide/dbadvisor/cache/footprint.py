"""What a query has read, and whether its answer may be kept.

PostgreSQL holds a lock on every relation that a transaction has touched until it ends: those in
the query's text, behind its views, inside its functions. So no SQL is parsed here: one look at
pg_locks, in the transaction that has just run the query, names them all.

What a partition (or an heir) holds changes also when somebody writes to what it is a part of, and
then the trigger of that alone fires: so a read of it depends on all that stands above it, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from foretide.dbadvisor.cache.keys import SAYS, AnyConnection
from foretide.dbadvisor.cache.triggers import FUNCTION, SCHEMA, TRIGGER

# Same server, same start, same database: only then do notifications from it tell of what is read.
# (pg_control_system() would tell servers apart, too, but reads a file each time.)
IDENTITY = """(SELECT format('%s/%s', extract(epoch FROM pg_postmaster_start_time()), oid)
    FROM pg_database WHERE datname = current_database())"""

# What the session says of itself is asked once more, where the query has run: with a pooler
# between, that need not be the session that was asked before.
# tgtype 60: after insert, update, delete and truncate, for each statement.
# The mark keeps the advisor from taking it for a part of the workload. PostgreSQL 18 would not show
# it before the statement.
_FOOTPRINT = f"""WITH /* foretide */ RECURSIVE touched AS (
    (SELECT relation AS oid FROM pg_locks
    WHERE locktype = 'relation' AND pid = pg_backend_pid()
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database()){{named}})
    UNION SELECT i.inhparent FROM pg_inherits i JOIN touched t ON t.oid = i.inhrelid
)
SELECT {IDENTITY}, pg_is_in_recovery(), {SAYS}, found.*
FROM (SELECT) AS once LEFT JOIN (
    SELECT nspname, relname, relkind::text, relpersistence::text, relrowsecurity,
        EXISTS (SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
            JOIN pg_namespace s ON s.oid = p.pronamespace
            WHERE t.tgrelid = c.oid AND t.tgname = '{TRIGGER}' AND t.tgenabled = 'A'
                AND t.tgtype = 60 AND t.tgqual IS NULL
                AND p.proname = '{FUNCTION}' AND s.nspname = '{SCHEMA}')
    FROM touched
    JOIN pg_class c USING (oid)
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm', 'f', 'S')
        AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
) AS found ON true
ORDER BY nspname, relname
"""

_NAMED = """
    UNION SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE nspname || '.' || relname IN ({})"""


def question(tables: Sequence[str], connection: AnyConnection) -> str:
    """What asks for it: of what was read, and of further tables (`schema.table`) by their names."""
    names = ", ".join(sql.Literal(table).as_string(connection) for table in tables)
    return _FOOTPRINT.format(named=_NAMED.format(names) if tables else "")


_NEVER_TOLD = {
    "m": "a materialized view: REFRESH tells nobody",
    "f": "a foreign table: what changes there tells nobody here",
    "S": "a sequence: it tells nobody that it goes on",
}


@dataclass(frozen=True, slots=True)
class Read:
    """A relation that was read. `told`: a trigger of this library is on it and always fires."""

    schema: str
    name: str
    kind: str  # relkind
    temporary: bool
    row_security: bool
    told: bool

    @property
    def full_name(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a load has read, on which server (`IDENTITY`), whether that is a replica, and what its
    session said of itself (`keys.SAYS`).
    """

    reads: tuple[Read, ...] = ()
    server: str = ""
    replica: bool = False
    session: str | bytes = ""


def footprint_of(rows: Sequence[tuple[Any, ...]]) -> Footprint:
    """From what FOOTPRINT answers: one row without a relation for a query that reads no table."""
    reads = tuple(
        Read(_text(schema), _text(name), _text(kind), _text(persistence) == "t", security, told)
        for *_, schema, name, kind, persistence, security, told in rows
        if name is not None
    )
    return Footprint(reads, _text(rows[0][0]), rows[0][1], rows[0][2]) if rows else Footprint()


def _text(value: str | bytes) -> str:
    """psycopg gives texts as bytes where the database knows no encoding (SQL_ASCII)."""
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def refusal(
    footprint: Footprint, server: str | None, varied: bool, named: Sequence[str] = ()
) -> str | None:
    """Why an answer must not be kept, or None if it may be.

    `server` is the one whose notifications are heard; None without invalidation. `varied`: the
    caller has named what the answer depends on in its session. `named`: tables that must be there.
    """
    for read in footprint.reads:
        if read.temporary:
            return f"{read.full_name} is a temporary table: each session has its own"
        if read.row_security and not varied:
            return (
                f"{read.full_name} has row-level security: each user or session may see other rows"
                " (name in vary= what they depend on)"
            )
    if server is None or not (footprint.reads or named):
        return None
    if footprint.replica:
        return "this is a replica: it may lag behind the changes that the primary tells of"
    if footprint.server != server:
        return "the connection leads to another server or database than the one listened to"
    known = {read.full_name for read in footprint.reads}
    for table in named:
        if table not in known:
            return f"there is no table {table}: write tables= as schema.table, without quotes"
    for read in footprint.reads:
        if read.kind in _NEVER_TOLD:
            return f"{read.full_name} is {_NEVER_TOLD[read.kind]}"
        if not read.told:
            return (
                f"{read.full_name} has no trigger that tells of changes:"
                f" see python -m foretide.dbadvisor.cache {read.full_name}"
            )
    return None
