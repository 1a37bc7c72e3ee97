"""What an index really costs at writes, and what the model says: on a PostgreSQL of its own.

    python benchmarks/dbadvisor_upkeep.py --json out/dbadvisor_upkeep.json

A table of some columns and its primary key gets rows and updates in batches, with and without one
more index in turn, so that the noise of the machine meets both. The model gets the counters of the
table and the texts of the statements, as it does from a database that is watched, and milliseconds
for a unit of the planner's costs from reading queries on the same server, in between. Times are
CPU time of the server's process: all is in memory.

Fields of the JSON, for each case:
  measured_ms   what a thousand rows take longer with the index (the median of pairs of batches)
  modelled_ms   what the model says
  plain_ms      what they take without it
and `ratio_median`, `ratio_worst` of modelled to measured (the worst: whichever way it is off).
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg
from rich.table import Table as Printed

# For `python benchmarks/dbadvisor_upkeep.py`, which puts only this folder on the path.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.telling import console_of_a_benchmark, write_json
from foretide.dbadvisor import ddl, parsing, sizes
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.collecting import Collector
from foretide.dbadvisor.connection import Connection
from foretide.dbadvisor.scopes import Catalog
from foretide.dbadvisor.snapshot import IndexKey, Query, Relation, Workload
from foretide.dbadvisor.upkeep import pace, upkeep
from foretide.dbadvisor.writes import Written, written
from sandbox.postgres import running
from sandbox.postgres_binaries import Programs, debian

TABLE = Relation("public", "item")
SETTINGS = {
    "shared_buffers": "512MB",
    "autovacuum": "off",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1h",
    "shared_preload_libraries": "pg_stat_statements",
}
BATCH = 2_000
INSERT = (
    "INSERT INTO item (made, number, shade, code, seen, note) "
    "SELECT extract(epoch FROM clock_timestamp()) * 1000000, hashint4(i + r.salt), "
    "abs(hashint4(i + r.salt)) % 50, md5((i + r.salt)::text), 0, repeat('x', 60) "
    "FROM generate_series(1, {}) i, (SELECT (random() * 1e9)::int AS salt) r"
)
READING = (
    "SELECT count(*) FROM item WHERE shade = 7",
    "SELECT sum(number) FROM item",
    "SELECT shade, count(*), max(number) FROM item GROUP BY shade",
    "SELECT count(*) FROM item a JOIN item b ON a.id = b.number",
    "SELECT * FROM item ORDER BY number LIMIT 100",
)


@dataclass(frozen=True)
class Case:
    """An index, and the statement that writes a batch of rows."""

    name: str
    columns: tuple[str, ...]
    update: str = ""
    include: tuple[str, ...] = ()


CASES = (
    Case("insert, keys in order", ("made",)),
    Case("insert, keys anywhere", ("number",)),
    Case("insert, few values", ("shade",)),
    Case("insert, texts", ("code",)),
    Case("insert, two columns", ("shade", "number")),
    Case("update that stays HOT", ("number",), "seen = seen + 1"),
    Case("update that is no longer HOT", ("seen",), "seen = seen + 1"),
    Case("included column that is updated", ("shade",), "seen = seen + 1", ("seen",)),
)


@dataclass(frozen=True)
class Cost:
    """Milliseconds for a thousand rows."""

    case: str
    measured_ms: float
    modelled_ms: float
    plain_ms: float


def measure(
    rows: int = 400_000,
    runs: int = 9,
    programs: Programs | None = None,
    cases: Iterable[Case] = CASES,
) -> list[Cost]:
    """The cases on a table of so many rows; `runs` pairs of batches each."""
    with (
        running(programs or debian(), SETTINGS) as server,
        psycopg.connect(server.url(), autocommit=True) as owner,
    ):
        _build(owner, rows)
        with Connection(server.url()) as connection:
            return [_measured(owner, connection, case, rows, runs) for case in cases]


def _build(owner: psycopg.Connection[Any], rows: int) -> None:
    owner.execute(
        "CREATE EXTENSION pg_stat_statements; "
        "CREATE TABLE item (id bigserial PRIMARY KEY, made bigint, number int, shade int, "
        "code text, seen int, note text) WITH (fillfactor = 50)"
    )
    owner.execute(INSERT.format(rows).encode())
    owner.execute("VACUUM ANALYZE item")
    owner.execute("CHECKPOINT")


def _pace(owner: psycopg.Connection[Any]) -> float:
    """Milliseconds for a unit of cost, by reading queries."""
    queries, costs = [], {}
    owner.execute("SET max_parallel_workers_per_gather = 0")
    for text in READING:
        row = owner.execute(f"EXPLAIN (FORMAT JSON) {text}").fetchone()
        costs[text] = float(row[0][0]["Plan"]["Total Cost"]) if row else 0.0
        taken = min(_cpu_ms(owner, text) for _ in range(3))
        queries.append(Query(text, text, 1.0, taken))
    return pace(Workload(tuple(queries), None), costs)


def _cpu_ms(owner: psycopg.Connection[Any], text: str) -> float:
    """Milliseconds of CPU that the server's process uses for a statement."""
    path = Path(f"/proc/{owner.info.backend_pid}/schedstat")
    begun = int(path.read_text().split()[0])
    owner.execute(text.encode())
    return (int(path.read_text().split()[0]) - begun) / 1e6


def _measured(
    owner: psycopg.Connection[Any],
    connection: Connection,
    case: Case,
    rows: int,
    runs: int,
) -> Cost:
    candidate = Candidate(TABLE, tuple(map(IndexKey, case.columns)), include=case.include)
    create = ddl.definition(candidate, name="more")
    plain, indexed, speed = [], [], _pace(owner)
    _batch(owner, case, rows)
    for _ in range(runs):
        plain.append(_batch(owner, case, rows))
        owner.execute(create.encode())
        indexed.append(_batch(owner, case, rows))
        owner.execute("DROP INDEX more")
    # Pair by pair: a machine that becomes slower or faster meanwhile does so for both of a pair.
    more = statistics.median(
        with_it / without for with_it, without in zip(indexed, plain, strict=True)
    )
    usual = statistics.median(plain)
    modelled = speed * _modelled(connection, case, candidate)
    scale = 1000 / BATCH
    return Cost(case.name, scale * (more - 1) * usual, scale * modelled, scale * usual)


def _batch(owner: psycopg.Connection[Any], case: Case, rows: int) -> float:
    """Milliseconds to write a batch of rows, on pages that are clean."""
    if case.update:
        owner.execute("VACUUM item")
    text = INSERT.format(BATCH)
    if case.update:
        text = (
            f"UPDATE item SET {case.update} WHERE id IN "
            f"(SELECT (hashint4(i + salt)::bigint + 2147483648) % {rows} "
            f"FROM generate_series(1, {BATCH}) i, "
            "(SELECT (random() * 1e9)::int AS salt) r)"
        )
    return _cpu_ms(owner, text)


def _modelled(connection: Connection, case: Case, candidate: Candidate) -> float:
    """Units of cost for one batch. The batch is written at once: no vacuum comes in between, and
    one checkpoint.
    """
    seen = Collector(connection).collect(time.time())
    tables = {table.relation: table for table in seen.tables}
    text = f"UPDATE item SET {case.update or 'note = note'} WHERE id = $1"
    query = Query("1", text, BATCH, 1.0, rows=BATCH)
    workload = Workload((query,), None)
    parsed = parsing.parse_all([query], Catalog.of(seen))
    sets = written(workload, parsed, seen)[TABLE].sets
    writes = Written(BATCH, 0, 0, 0, None)
    if case.update:
        writes = Written(0, BATCH, BATCH, 0, None, sets)
    size = sizes.index_bytes(tables[TABLE], candidate)
    return upkeep(candidate, size, seen, {TABLE: writes}).cost


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args(arguments)
    found = measure(options.rows, options.runs)
    table = Printed(title="What an index costs a thousand rows, ms")
    for name in ("case", "without it", "more with it", "by the model", "ratio"):
        table.add_column(name, justify="left" if name == "case" else "right")
    ratios = {}
    for one in found:
        figures = [one.plain_ms, one.measured_ms, one.modelled_ms]
        if one.modelled_ms > 0 and one.measured_ms > 0:
            ratios[one.case] = one.modelled_ms / one.measured_ms
        told = f"{ratios[one.case]:.2f}" if one.case in ratios else "-"
        table.add_row(one.case, *(f"{each:.2f}" for each in figures), told)
    console_of_a_benchmark().print(table)
    summary = {
        "ratio_median": statistics.median(ratios.values()),
        "ratio_worst": max(ratios.values(), key=lambda ratio: max(ratio, 1 / ratio)),
    }
    for name, figure in summary.items():
        print(f"{name:14}{figure:8.2f}")
    if options.json:
        write_json({"cases": [asdict(one) for one in found], **summary}, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
