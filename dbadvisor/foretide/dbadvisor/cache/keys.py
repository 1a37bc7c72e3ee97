"""Under which key an answer is kept: the query, its parameters, and who asks in which session."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, LiteralString, TypeAlias

import psycopg
from psycopg import sql
from psycopg.adapt import PyFormat, Transformer

Query: TypeAlias = LiteralString | str | bytes | sql.SQL | sql.Composed
Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any] | None
AnyConnection: TypeAlias = psycopg.Connection[Any] | psycopg.AsyncConnection[Any]

# Settings that change an answer's bytes or meaning, as far as PostgreSQL tells them to clients
# unasked. (It tells search_path from version 18 on.)
REPORTED = (
    b"session_authorization",
    b"client_encoding",
    b"DateStyle",
    b"IntervalStyle",
    b"TimeZone",
    b"search_path",
    b"standard_conforming_strings",
)

# The rest has to be asked of the session itself: who it acts as (SET ROLE), where it looks for
# tables, its temporary ones first, how it writes values, and on which server it is.
SAYS = """concat_ws(E'\\n', current_user, current_schemas(true), pg_postmaster_start_time(),
    current_setting('extra_float_digits'), current_setting('bytea_output'),
    current_setting('lc_monetary'), current_setting('lc_numeric'), current_setting('lc_time'),
    current_setting('default_text_search_config'), current_setting('array_nulls'),
    current_setting('transform_null_equals'), current_setting('xmlbinary'),
    current_setting('xmloption'), current_setting('timezone_abbreviations'))"""
SESSION = f"SELECT /* foretide */ {SAYS}"


def text_of(query: Query, connection: AnyConnection) -> bytes:
    """The query as it will be sent, before its parameters are put in.

    Raises:
        TypeError: it is neither text nor one of `psycopg.sql`.
    """
    if isinstance(query, bytes):
        return query
    if isinstance(query, str):
        return query.encode()
    if isinstance(query, sql.Composable):
        return query.as_bytes(connection)
    raise TypeError(f"a query to cache is a str, bytes or psycopg.sql, not {type(query).__name__}")


def key_of(
    text: bytes,
    parameters: Parameters,
    connection: AnyConnection,
    vary: Sequence[object],
    session: Sequence[object] = (),
) -> bytes:
    """16 bytes that two reads have in common when one may be given the answer of the other.

    `vary` is what else the answer depends on and the caller alone knows, such as a tenant that a
    setting of the session names. `session` is what SESSION answers.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in (text, *_session(connection), *_dumped(parameters, connection)):
        # With its length before it no part can pass for the end of the one before.
        digest.update(b"-" if part is None else b"%d:" % len(part))
        digest.update(part or b"")
    for mark, things in ((b"v", vary), (b"s", session)):
        for thing in things:
            shown = repr(thing).encode()
            digest.update(mark + b"%d:" % len(shown) + shown)
    return digest.digest()


def _session(connection: AnyConnection) -> list[bytes | None]:
    pgconn = connection.pgconn
    place = (pgconn.host, pgconn.port, pgconn.db, pgconn.user, pgconn.options)
    # Cursors differ in what a text with parameters means: psycopg.RawCursor leaves %% as it is.
    means = connection.cursor_factory.__qualname__.encode()
    return [means, *place, *(pgconn.parameter_status(name) for name in REPORTED)]


def _dumped(parameters: Parameters, connection: AnyConnection) -> list[bytes | None]:
    """Their names, types and values, as PostgreSQL will see them."""
    if parameters is None:
        return [b"none"]
    names: list[bytes | None] = []
    values: Sequence[Any]
    if isinstance(parameters, Mapping):
        ordered = sorted(parameters)
        names = [name.encode() for name in ordered]
        values = [parameters[name] for name in ordered]
    else:
        values = list(parameters)
    transformer = Transformer.from_context(connection)
    dumped = transformer.dump_sequence(values, [PyFormat.AUTO] * len(values))
    types = ",".join(str(oid) for oid in transformer.types or ()).encode()
    bodies = [None if value is None else bytes(value) for value in dumped]
    return [b"%d" % len(names), *names, types, *bodies]
