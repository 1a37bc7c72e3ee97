"""What it costs a database to be watched: CPU of the server's side of our connection.

    python benchmarks/dbadvisor_watch.py --json out/dbadvisor_watch.json

A PostgreSQL 15 with many tables and many known statements lives through some minutes, without the
waiting: in each of them some statements are executed, some of which nobody has seen before, and
some tables are analyzed; then one collection is made. The baseline in the same run reads all of it
each time, as a collector without memory does.

Fields of the JSON:
  watch_cpu_pct         CPU of the backend for one collection a minute, percent of one core
  watch_cpu_pct_naive   the same of the baseline
  watch_first_cpu_s     of the first collection, which reads everything
  watch_client_cpu_pct  CPU of our own side
  watch_activity_ms     CPU of the backend for one sample of all sessions
  watch_pulse_ms        the same for one look at the calls of a hundred statements
  watch_pulses_cpu_pct  of five minutes of such looks, twice a second, in each hour
  tables, statements    how many were there
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import psycopg

# For `python benchmarks/dbadvisor_watch.py`, which puts only this folder on the path.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.telling import write_json
from foretide.dbadvisor import pulses
from foretide.dbadvisor.collecting import Collector
from foretide.dbadvisor.connection import Connection
from sandbox.postgres import running
from sandbox.postgres_binaries import Programs, debian

MINUTE = 60.0
BEGUN = 1_790_000_000.0
COLUMNS = 8
ROWS = 300
# More than a catalog is kept for: it is read again once.
MINUTES = 16
EXECUTED, UNSEEN, ANALYZED = 200, 10, 5
SAMPLES = 20
FOLLOWED = 100


def measure(
    tables: int = 1000,
    statements: int = 5000,
    minutes: int = MINUTES,
    programs: Programs | None = None,
) -> dict[str, float]:
    """Builds such a database and watches it; see the fields above."""
    settings = {
        "shared_preload_libraries": "pg_stat_statements",
        "pg_stat_statements.max": str(2 * statements),
        "shared_buffers": "256MB",
        "max_locks_per_transaction": str(max(64, tables)),
        "autovacuum": "off",
    }
    with (
        running(programs or debian(), settings) as server,
        psycopg.connect(server.url(), autocommit=True) as owner,
    ):
        _build(owner, tables)
        for number in range(statements):
            owner.execute(_statement(number, tables).encode())
        with Connection(server.url()) as connection:
            return _watched(connection, owner, tables, statements, minutes)


def _watched(
    connection: Connection,
    owner: psycopg.Connection[Any],
    tables: int,
    statements: int,
    minutes: int,
) -> dict[str, float]:
    (pid,) = connection.rows("SELECT pg_backend_pid()")[0]
    collector = Collector(connection)
    begun = _cpu(pid)
    first = collector.collect(BEGUN)
    first_cpu = _cpu(pid) - begun
    if len(first.tables) != tables or len(first.statements) < statements or first.missing:
        raise RuntimeError(f"not all of the database was seen: {first.missing}")
    usual = naive = client = 0.0
    for minute in range(1, minutes + 1):
        _live(owner, minute, tables, statements)
        begun, own = _cpu(pid), _cpu(os.getpid())
        collector.collect(BEGUN + minute * MINUTE)
        usual += _cpu(pid) - begun
        client += _cpu(os.getpid()) - own
        begun = _cpu(pid)
        Collector(connection).collect(BEGUN + minute * MINUTE)
        naive += _cpu(pid) - begun
    begun = _cpu(pid)
    for _ in range(SAMPLES):
        collector.activity(BEGUN)
    activity = _cpu(pid) - begun
    ids = sorted({each.queryid for each in first.statements})[:FOLLOWED]
    begun = _cpu(pid)
    for _ in range(SAMPLES):
        collector.pulse(BEGUN, ids)
    pulse = (_cpu(pid) - begun) / SAMPLES
    share = 100 / (minutes * MINUTE)
    return {
        "watch_cpu_pct": usual * share,
        "watch_cpu_pct_naive": naive * share,
        "watch_first_cpu_s": first_cpu,
        "watch_client_cpu_pct": client * share,
        "watch_activity_ms": 1000 * activity / SAMPLES,
        "watch_pulse_ms": 1000 * pulse,
        "watch_pulses_cpu_pct": 100 * pulse * pulses.SECONDS / pulses.STEP / 3600,
        "tables": tables,
        "statements": statements,
    }


def _build(owner: psycopg.Connection[Any], tables: int) -> None:
    owner.execute("CREATE EXTENSION pg_stat_statements")
    columns = ", ".join(f"column_number_{place} text" for place in range(COLUMNS))
    values = ", ".join(f"md5((i % {3 + 40 * place})::text)" for place in range(COLUMNS))
    for number in range(tables):
        name = f"table_number_{number}"
        owner.execute(
            f"CREATE TABLE {name} (id bigint PRIMARY KEY, {columns});"
            f"CREATE INDEX ON {name} (column_number_1);"
            f"CREATE INDEX ON {name} (column_number_2, column_number_3);"
            f"INSERT INTO {name} SELECT i, {values} FROM generate_series(1, {ROWS}) i".encode()
        )
    owner.execute("ANALYZE")


def _statement(number: int, tables: int) -> str:
    """One of many, about as long as those that object-relational mappers write."""
    name, shape = f"table_number_{number % tables}", number // tables
    listed = ", ".join(f"{name}.column_number_{i} AS {name}_column_number_{i}" for i in range(8))
    compared = f"{name}.column_number_{shape % COLUMNS} = 'x'" + " AND id > 0" * (shape // COLUMNS)
    return f"SELECT {listed} FROM {name} WHERE {compared} ORDER BY {name}.id LIMIT 10"


def _live(owner: psycopg.Connection[Any], minute: int, tables: int, statements: int) -> None:
    known = range(minute * 31, minute * 31 + EXECUTED)
    unseen = range(statements + minute * UNSEEN, statements + (minute + 1) * UNSEEN)
    for number in (*(each % statements for each in known), *unseen):
        owner.execute(_statement(number, tables).encode())
    for number in range(ANALYZED):
        owner.execute(f"ANALYZE table_number_{(minute * ANALYZED + number) % tables}".encode())


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used, to the nanosecond (schedstat, of its only thread)."""
    path = Path(f"/proc/{pid}/schedstat")
    return int(path.read_text().split()[0]) / 1e9


def main() -> int:
    parser = argparse.ArgumentParser(description="What it costs a database to be watched.")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--tables", type=int, default=1000)
    parser.add_argument("--statements", type=int, default=5000)
    parser.add_argument("--minutes", type=int, default=MINUTES)
    options = parser.parse_args()
    figures = measure(options.tables, options.statements, options.minutes)
    for name, figure in figures.items():
        print(f"{name:24}{figure:10.3f}")
    if options.json:
        write_json(figures, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
