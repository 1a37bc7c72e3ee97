"""pg_stat_statements and pg_qualstats, in whatever version and schema they are installed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from foretide.dbadvisor.collecting_catalog import Catalog
from foretide.dbadvisor.database import Database
from foretide.dbadvisor.snapshot import Constant, Statement

EXTENSIONS = """
SELECT e.extname, e.extversion, quote_ident(n.nspname)
FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace"""

COLUMNS = """
SELECT a.attname FROM pg_catalog.pg_attribute a
WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped"""

# pg_qualstats keeps 80 bytes of a constant. What is longer has been cut, and is none any more.
CONSTANT_BYTES = 79
CONSTANTS = 5000
# Of its room: it throws a twentieth away when that is full.
FULL = 0.9

Key = tuple[int, int, bool]


class NotInstalled(Exception):
    """An extension is not in this database."""


@dataclass
class Statements:
    """Reads pg_stat_statements, and each text once: the server keeps texts in a file, which it
    would read as a whole each time.
    """

    schema: str = ""
    columns: frozenset[str] = frozenset()
    has_info: bool = False
    texts: dict[Key, str] = field(default_factory=dict)

    def find(self, database: Database, schemas: Mapping[str, str]) -> None:
        """Look where it is and what it has. `schemas` of all extensions, quoted.

        Raises:
            NotInstalled: it is not in this database.
        """
        if "pg_stat_statements" not in schemas:
            raise NotInstalled
        if self.schema != schemas["pg_stat_statements"] or not self.columns:
            self.schema = schemas["pg_stat_statements"]
            view = f"{self.schema}.pg_stat_statements"
            self.columns = frozenset(name for (name,) in database.rows(COLUMNS, [view]))
            self.has_info = bool(database.rows(COLUMNS, [f"{view}_info"]))

    def read(self, database: Database) -> tuple[tuple[Statement, ...], int]:
        """All statements of this database, and how many are hidden from us."""
        numbers = database.rows(self._select(self._numbers(), texts=False))
        hidden = sum(row[0] is None for row in numbers)
        numbers = [row for row in numbers if row[0] is not None]
        keys = {(row[0], row[1], row[2]) for row in numbers}
        self.texts = {key: text for key, text in self.texts.items() if key in keys}
        self._learn(database, sorted({key[0] for key in keys - self.texts.keys()}))
        statements = [
            Statement(
                row[0], row[1], row[2], self.texts.get((row[0], row[1], row[2]), ""), *row[3:]
            )
            for row in numbers
        ]
        order = sorted(statements, key=lambda each: (each.queryid, each.userid, each.toplevel))
        return tuple(order), hidden

    def calls(self, database: Database, ids: Sequence[int]) -> dict[int, int]:
        """How often these statements have been called, by queryid."""
        wanted = self._select("queryid, sum(calls)::bigint", texts=False)
        found = database.rows(f"{wanted} AND queryid = ANY(%s) GROUP BY 1", [list(ids)])
        return dict(sorted(found))

    def since(self, database: Database) -> tuple[int | None, float | None]:
        """How many statements were thrown away, and since when all are counted (Unix seconds)."""
        if not self.has_info:
            return None, None
        statement = (
            f"SELECT dealloc, extract(epoch FROM stats_reset)::float8 "
            f"FROM {self.schema}.pg_stat_statements_info"
        )
        dealloc, reset = database.rows(statement)[0]
        return dealloc, reset

    def _learn(self, database: Database, ids: list[int]) -> None:
        if ids:
            wanted = self._select(f"queryid, userid, {self._toplevel()}, query", texts=True)
            for queryid, userid, toplevel, text in database.rows(
                f"{wanted} AND queryid = ANY(%s)", [ids]
            ):
                self.texts[queryid, userid, toplevel] = text or ""

    def _numbers(self) -> str:
        # Until 1.7 planning had no times of its own.
        execution = "exec_" if "total_exec_time" in self.columns else ""
        return (
            f"queryid, userid, {self._toplevel()}, calls, total_{execution}time, rows, "
            "shared_blks_hit, shared_blks_read, temp_blks_read + temp_blks_written, "
            f"stddev_{execution}time"
        )

    def _toplevel(self) -> str:
        return "toplevel" if "toplevel" in self.columns else "true"

    def _select(self, what: str, *, texts: bool) -> str:
        return (
            f"SELECT {what} FROM {self.schema}.pg_stat_statements({texts}) WHERE dbid = "
            "(SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())"
        )


@dataclass(frozen=True, slots=True)
class Constants:
    """Those that were seen; whether others were thrown away, as there are too many."""

    seen: tuple[Constant, ...] = ()
    lost: bool = False


def constants(database: Database, schema: str, catalog: Catalog, room: int) -> Constants:
    """What pg_qualstats has seen compared with columns, most often seen first. Where more than
    `room` predicates come (pg_qualstats.max), it throws the rarer ones away, a few at a time.

    Values are as SQL writes them, with their type: `'AIR'::text`.
    """
    statement = f"""
SELECT q.queryid, q.lrelid, a.attname, o.oprname, q.constvalue, sum(q.execution_count)::bigint,
    sum(q.occurences)::bigint
FROM {schema}.pg_qualstats() q
JOIN pg_catalog.pg_attribute a ON a.attrelid = q.lrelid AND a.attnum = q.lattnum
JOIN pg_catalog.pg_operator o ON o.oid = q.opno
WHERE q.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    AND q.constvalue IS NOT NULL AND q.queryid IS NOT NULL
    AND octet_length(q.constvalue) < {CONSTANT_BYTES}
GROUP BY 1, 2, 3, 4, 5 ORDER BY 6 DESC, 1, 2, 3, 4, 5 LIMIT {CONSTANTS}"""
    rows = database.rows(statement)
    lost = len(rows) >= CONSTANTS
    if room and not lost:
        kept = database.rows(f"SELECT count(*) FROM {schema}.pg_qualstats()")[0][0]
        lost = kept >= FULL * room
    return Constants(
        tuple(
            Constant(queryid, catalog.tables[table].relation, column, operator, value, *counts)
            for queryid, table, column, operator, value, *counts in rows
            if table in catalog.tables
        ),
        lost,
    )


def examples(database: Database, schema: str, longest: int) -> dict[int, str]:
    """One whole text with its constants for each queryid, of all databases (pg_qualstats).

    The server cuts texts at `longest` bytes (track_activity_query_size): what is that long is left
    out.
    """
    statement = f"SELECT queryid, query FROM {schema}.pg_qualstats_example_queries()"
    return {
        queryid: text
        for queryid, text in sorted(database.rows(statement))
        if text and len(text.encode()) < longest - 1
    }
