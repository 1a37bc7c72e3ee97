"""TPC-H and TPC-DS in a real PostgreSQL: made by DuckDB, without indexes, keys or constraints."""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import psycopg
from psycopg import sql

from foretide.dbadvisor.snapshot import Relation, Table

Columns = Mapping[str, Mapping[Relation, frozenset[str]]]  # of each query, by table

# Queries that PostgreSQL runs for minutes without indexes, whatever else is there: those that the
# study of Kossmann and others (VLDB 2020) leaves out.
EXCLUDED = {
    "tpch": frozenset({2, 17, 20}),
    "tpcds": frozenset({4, 6, 9, 10, 11, 32, 35, 41, 95}),
}
GENERATORS = {"tpch": "CALL dbgen(sf = {scale})", "tpcds": "CALL dsdgen(sf = {scale})"}
TYPES = {"VARCHAR": "text", "DOUBLE": "double precision"}


@dataclass(frozen=True)
class Workload:
    """A benchmark's queries by name (`q07`), as PostgreSQL takes them."""

    name: str
    queries: Mapping[str, str]


def load(name: str, scale: float, url: str) -> Workload:
    """Fills an empty database, and analyzes it."""
    with duckdb.connect() as source, psycopg.connect(url, autocommit=True) as goal:
        source.execute(f"LOAD {name}")
        source.execute(GENERATORS[name].format(scale=scale))
        tables = [str(row[0]) for row in source.execute("SHOW TABLES").fetchall()]
        for table in sorted(tables):
            _copy(source, goal, table)
        goal.execute("VACUUM ANALYZE")
        rows = source.execute(f"SELECT query_nr, query FROM {name}_queries()").fetchall()
    queries = {
        f"q{number:02}": adapted(text) for number, text in rows if number not in EXCLUDED[name]
    }
    return Workload(name, queries)


def _copy(source: duckdb.DuckDBPyConnection, goal: psycopg.Connection, table: str) -> None:
    described = source.execute(f'DESCRIBE "{table}"').fetchall()
    columns = [
        sql.SQL("{} {}").format(sql.Identifier(row[0]), sql.SQL(TYPES.get(row[1], row[1])))
        for row in described
    ]
    goal.execute(
        sql.SQL("CREATE TABLE {} ({})").format(sql.Identifier(table), sql.SQL(", ").join(columns))
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        source.execute(f"COPY \"{table}\" TO '{path}' (FORMAT csv, HEADER false, NULLSTR '\\N')")
        into = sql.SQL("COPY {} FROM STDIN (FORMAT csv, NULL '\\N')").format(sql.Identifier(table))
        with path.open("rb") as file, goal.cursor().copy(into) as copy:
            while chunk := file.read(1 << 20):
                copy.write(chunk)


def adapted(text: str) -> str:
    """What DuckDB writes otherwise than PostgreSQL."""
    text = text.strip().rstrip(";")
    # Text between ROLLUP's and its own aliases is fine; sums of days are not.
    return re.sub(r"(?i)\binterval\s+(\d+)\s+(day|month|year)s?\b", r"INTERVAL '\1 \2'", text)


def columns_of(workload: Workload, tables: Mapping[Relation, Table]) -> Columns:
    """Of each query, the columns that it names, by table: a name is taken to speak of every table
    that the query names, as hyrise/index_selection_evaluation does.
    """
    found = {}
    for name, text in workload.queries.items():
        words = set(re.findall(r"[a-z_0-9]+", text.lower()))
        found[name] = {
            relation: columns
            for relation, table in sorted(tables.items())
            if relation.name in words
            and (columns := frozenset(one.name for one in table.columns) & words)
        }
    return found
