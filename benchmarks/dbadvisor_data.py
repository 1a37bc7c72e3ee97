"""Workloads in a real PostgreSQL: TPC-H and TPC-DS, made by DuckDB without indexes, keys or
constraints; and folders with others.
"""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import psycopg
from psycopg import sql

from foretide.dbadvisor import workload_file
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


class BadFolder(Exception):
    """A folder holds no workload; the text says what is missing."""


@dataclass(frozen=True)
class Workload:
    """Queries by name (`q07`), as PostgreSQL takes them. `origin` says which data they are of."""

    name: str
    queries: Mapping[str, str]
    origin: str = ""

    @property
    def full_name(self) -> str:
        return f"{self.name} ({self.origin})" if self.origin else self.name


def load(name: str, scale: float, url: str, *, everything: bool = False) -> Workload:
    """Fills an empty database, and analyzes it. `everything`: with the queries that take minutes.
    At scale 0 there are tables without rows.
    """
    with duckdb.connect() as source, psycopg.connect(url, autocommit=True) as goal:
        source.execute(f"LOAD {name}")
        source.execute(GENERATORS[name].format(scale=scale))
        tables = [str(row[0]) for row in source.execute("SHOW TABLES").fetchall()]
        for table in sorted(tables):
            _copy(source, goal, table)
        goal.execute("VACUUM ANALYZE")
        rows = source.execute(f"SELECT query_nr, query FROM {name}_queries()").fetchall()
    left_out = frozenset() if everything else EXCLUDED[name]
    queries = {f"q{number:02}": adapted(text) for number, text in rows if number not in left_out}
    return Workload(name, queries, f"duckdb {duckdb.__version__}, scale {scale:g}")


def load_folder(folder: Path, url: str) -> Workload:
    """The same of a folder with `schema.sql`, `queries.sql` (as `foretide advise --workload` reads
    it), and rows: in `data.sql`, or in `data/TABLE.csv` with a line of names.

    Raises:
        BadFolder: there is no schema, or there are no queries.
    """
    for name in ("schema.sql", "queries.sql"):
        if not (folder / name).is_file():
            raise BadFolder(f"{folder} has no {name}: a workload is a schema, rows and queries")
    with psycopg.connect(url, autocommit=True) as goal:
        goal.execute((folder / "schema.sql").read_bytes())
        if (folder / "data.sql").is_file():
            goal.execute((folder / "data.sql").read_bytes())
        for file in sorted(folder.glob("data/*.csv")):
            into = sql.SQL("COPY {} FROM STDIN (FORMAT csv, HEADER)").format(
                sql.Identifier(file.stem)
            )
            with file.open("rb") as rows, goal.cursor().copy(into) as copy:
                while chunk := rows.read(1 << 20):
                    copy.write(chunk)
        goal.execute("VACUUM ANALYZE")
    try:
        found = workload_file.read((folder / "queries.sql").read_text())
    except workload_file.BadWorkload as error:
        raise BadFolder(f"{folder / 'queries.sql'}: {error}") from None
    return Workload(folder.resolve().name, {one.id: one.text for one in found.queries})


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
