"""Which queries must not be cached, and what those that may be read from."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from foretide.dbadvisor import normalized
from foretide.dbadvisor.database import Database
from foretide.dbadvisor.snapshot import Relation, Snapshot, Table

# Stable within a transaction, and yet different for each session or moment.
_MOMENTS = (
    "now current_timestamp current_date current_time localtimestamp localtime transaction_timestamp"
    " statement_timestamp clock_timestamp timeofday age pg_postmaster_start_time"
)
_SESSIONS = (
    "current_user session_user user current_role system_user current_setting current_schema"
    " current_schemas inet_client_addr inet_client_port pg_backend_pid has_table_privilege"
    " has_column_privilege has_schema_privilege has_any_column_privilege pg_has_role"
    " row_security_active pg_my_temp_schema current_catalog current_database pg_is_in_recovery"
    " pg_trigger_depth txid_current txid_current_snapshot pg_current_xact_id pg_current_snapshot"
)
MOMENTS = frozenset(_MOMENTS.split())
SESSIONS = frozenset(_SESSIONS.split())
# Those that are called without brackets; as they are reserved words, no column is meant.
_BARE = (
    "current_timestamp current_date current_time localtimestamp localtime current_user session_user"
    " user current_role system_user current_schema current_catalog"
)
BARE = frozenset(_BARE.split())
# Characters of a query that is thought about: a longer one is a list that never comes again.
LONGEST = 100_000
_SYSTEM = frozenset({"pg_catalog", "information_schema", "pg_toast"})

VOLATILITIES = """
SELECT DISTINCT lower(proname), provolatile::text FROM pg_catalog.pg_proc
WHERE lower(proname) = ANY(%s) ORDER BY 1, 2"""


@dataclass(frozen=True, slots=True)
class Reading:
    """A query as far as caching goes: the tables behind it, what it calls or may call (in
    lower case), its parameters' numbers, which of them stand alone against a column, `c = $1`, and
    which say how many rows are wanted, `LIMIT $2`.
    """

    tables: tuple[Relation, ...]
    functions: tuple[str, ...]
    parameters: tuple[int, ...]
    equals: Mapping[int, tuple[Relation, str]]
    limits: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class NotCacheable:
    """Must not be cached, and why."""

    reason: str


def read(text: str, snapshot: Snapshot) -> Reading | NotCacheable:
    """What a query reads, or why it must not be cached for what its text says."""
    if len(text) > LONGEST:
        return NotCacheable(f"its text is longer than {LONGEST:,} characters")
    try:
        readable = normalized.parseable(text)
        parsed = sqlglot.parse_one(readable, dialect="postgres")
    except (normalized.Unreadable, SqlglotError, RecursionError):
        return NotCacheable("its text cannot be understood")
    if not isinstance(parsed, exp.Query):
        return NotCacheable("it is no query that only reads")
    if parsed.find(exp.DML, exp.Into) is not None:
        return NotCacheable("it writes")
    if parsed.find(exp.Lock) is not None:
        return NotCacheable("it locks rows (FOR UPDATE or FOR SHARE): that must reach the database")
    if parsed.find(exp.TableSample) is not None:
        return NotCacheable("it takes another sample of rows each time (TABLESAMPLE)")
    tables = _tables(parsed, snapshot)
    if isinstance(tables, NotCacheable):
        return tables
    numbers = {int(number) for number in re.findall(r"\$(\d+)", readable)}
    known = {table.relation: table for table in snapshot.tables}
    return Reading(
        tuple(sorted(set(tables.values()))),
        tuple(sorted(functions(text))),
        tuple(sorted(numbers)),
        _equals(parsed, tables, known),
        _limits(parsed),
    )


def refused(
    reading: Reading, snapshot: Snapshot, volatilities: Mapping[str, str]
) -> NotCacheable | None:
    """Why it must not be cached for what it reads and calls; None if it may be.

    `volatilities` of functions by name, as `volatilities()` gives them.
    """
    for name in reading.functions:
        if name in MOMENTS:
            return NotCacheable(f"it asks for the time ({name}): pass the time as a parameter")
        if name in SESSIONS:
            return NotCacheable(f"its answer depends on the session ({name})")
        if "v" in volatilities.get(name, ""):
            return NotCacheable(f"it calls {name}, which is volatile")
    known = {table.relation: table for table in snapshot.tables}
    for relation in reading.tables:
        if known[relation].row_security:
            return NotCacheable(f"{relation} has row-level security: each user sees other rows")
    return None


def volatilities(database: Database, names: Iterable[str]) -> dict[str, str]:
    """For each of these functions the provolatile of all that have this name: "i", "sv" …

    Raises:
        DatabaseError: it was refused.
        DatabaseAway: nobody answers.
    """
    found: dict[str, str] = {}
    for name, volatility in database.rows(VOLATILITIES, [sorted(set(names))]):
        found[name] = found.get(name, "") + volatility
    return found


def _tables(parsed: exp.Query, snapshot: Snapshot) -> dict[str, Relation] | NotCacheable:
    """The tables by the names that the query gives them."""
    own = {cte.alias_or_name for cte in parsed.find_all(exp.CTE)}
    by_name: dict[str, list[Relation]] = {}
    for table in snapshot.tables:
        by_name.setdefault(table.relation.name, []).append(table.relation)
    found: dict[str, Relation] = {}
    for source in parsed.find_all(exp.Table):
        schema, name = folded(source.args.get("db")), folded(source.this)
        if not name or (not schema and name in own):
            continue  # a function in FROM, or a CTE
        if schema in _SYSTEM or name.startswith("pg_"):
            return NotCacheable(f"{name} is PostgreSQL's own: nothing tells when it changes")
        candidates = [
            relation for relation in by_name.get(name, ()) if schema in ("", relation.schema)
        ]
        if not candidates:
            return NotCacheable(
                f"{name} is no table that is known here: a view, a foreign or a temporary table"
            )
        if len(candidates) > 1:
            return NotCacheable(f"{name} is in several schemas: write which one is meant")
        found[source.alias or name] = candidates[0]
    return found


def folded(name: object) -> str:
    """An identifier of sqlglot's as PostgreSQL looks it up; "" for anything else."""
    if not isinstance(name, exp.Identifier):
        return ""
    return name.name if name.args.get("quoted") else name.name.lower()


def functions(text: str) -> set[str]:
    """What stands before an opening bracket, functions among it, as PostgreSQL will look it up.

    Not from sqlglot, which gives functions other dialects' names.

    Raises:
        normalized.Unreadable: the text cannot be cut into words, or is too long.
    """
    if len(text) > LONGEST:
        raise normalized.Unreadable(f"longer than {LONGEST:,} characters")
    words = normalized.code(normalized.statement(text))
    found = {word.text.lower() for word in words if word.kind == "name"} & BARE
    for word, bracket in pairwise(words):
        if bracket.says("("):
            if word.kind == "name":
                found.add(word.text.lower())
            elif word.kind == "quoted":
                found.add(word.text.strip('"').lower())
    return found


def _equals(
    parsed: exp.Query, tables: Mapping[str, Relation], known: Mapping[Relation, Table]
) -> dict[int, tuple[Relation, str]]:
    found: dict[int, tuple[Relation, str]] = {}
    for comparison in parsed.find_all(exp.EQ):
        for column, value in (
            (comparison.left, comparison.right),
            (comparison.right, comparison.left),
        ):
            value = value.this if isinstance(value, exp.Cast) else value
            if isinstance(column, exp.Column) and isinstance(value, exp.Parameter):
                owner = _owner(column, tables, known)
                if owner is not None and value.name.isdigit():
                    found[int(value.name)] = (owner, folded(column.this))
    return found


def _limits(parsed: exp.Query) -> frozenset[int]:
    return frozenset(
        int(parameter.name)
        for limit in parsed.find_all(exp.Limit, exp.Fetch)
        for parameter in limit.find_all(exp.Parameter)
        if parameter.name.isdigit()
    )


def _owner(
    column: exp.Column, tables: Mapping[str, Relation], known: Mapping[Relation, Table]
) -> Relation | None:
    """Whose column it is; None where that is not clear."""
    if column.table:
        return tables.get(column.table)
    name = folded(column.this)
    owners = {
        relation
        for relation in tables.values()
        if any(each.name == name for each in known[relation].columns)
    }
    return owners.pop() if len(owners) == 1 else None
