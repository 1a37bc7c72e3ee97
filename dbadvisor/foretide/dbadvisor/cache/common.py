"""What both caches share: their settings, and which connections they serve."""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import pq
from psycopg.pq import TransactionStatus

from foretide.dbadvisor.cache.backend import Change
from foretide.dbadvisor.cache.keys import AnyConnection, Parameters, Query, key_of, text_of
from foretide.dbadvisor.cache.results import Result, taken

MANUAL = "by hand"


@dataclass(frozen=True, slots=True)
class Settings:
    """`ttl` in seconds. `strict`: see `Cache`. `listen_timeout`: how long the listening connection
    may take to answer, s. `load_seconds`: how long one process lets another load a key, s.
    """

    ttl: float = 60.0
    strict: bool = True
    listen_timeout: float = 1.0
    load_seconds: float = 10.0

    def __post_init__(self) -> None:
        for name in ("ttl", "listen_timeout", "load_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0 seconds")


def idle(connection: AnyConnection) -> bool:
    """Whether it is in no transaction.

    Within one, a read may see what nobody else does yet, or a past that is over for all others:
    it is neither answered from the cache nor kept.
    """
    pgconn = connection.pgconn
    return (
        pgconn.transaction_status == TransactionStatus.IDLE
        and pgconn.pipeline_status == pq.PipelineStatus.OFF
    )


def identified(
    connection: AnyConnection, query: Query, parameters: Parameters, vary: Sequence[object]
) -> tuple[bytes, bytes]:
    """The text and the key of a read."""
    text = text_of(query, connection)
    return text, key_of(text, parameters, connection, vary)


def only_result(cursor: psycopg.Cursor | psycopg.AsyncCursor) -> Result:
    """What a cursor has found.

    Raises:
        psycopg.ProgrammingError: the statement gives no rows, or there were several.
    """
    result = cursor.pgresult
    if result is None or result.status != pq.ExecStatus.TUPLES_OK:
        raise psycopg.ProgrammingError("only a query that gives rows can be cached")
    if cursor.nextset():
        raise psycopg.ProgrammingError("only one query at a time can be cached")
    return taken(result)


def by_hand(tables: Sequence[str]) -> list[Change]:
    """The change of these tables, as a caller tells it.

    Raises:
        ValueError: a name has no schema.
    """
    for table in tables:
        if "." not in table:
            raise ValueError(f"write schema.table: {table!r} has no schema")
    return [Change(table, MANUAL) for table in tables]
