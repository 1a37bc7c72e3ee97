"""Records the N+1 traces: runs each application on a real PostgreSQL, and keeps what it logs.

`python -m benchmarks.nplusone_recording` writes `benchmarks/nplusone_traces.json.gz`, which the
benchmark and the tests read. It needs Debian's PostgreSQL and pgbouncer, both of which root
installs, and takes five minutes.
"""

import argparse
import gzip
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

import benchmarks.nplusone_django
import benchmarks.nplusone_plain
import benchmarks.nplusone_sqlalchemy  # noqa: F401 - each marks its scenarios
from benchmarks.nplusone_load import SCENARIOS, SCHEMA, Scenario, Where
from foretide.dbadvisor.nplusone.events import Event
from foretide.dbadvisor.nplusone.logs import from_csv
from foretide.dbadvisor.nplusone.texts import normalize
from sandbox import apt
from sandbox.ports import free_ports
from sandbox.postgres import USER, Postgres, running
from sandbox.postgres_binaries import debian
from sandbox.process import wait_until

TRACES = Path(__file__).with_name("nplusone_traces.json.gz")
WATCHER = "watcher"
SETTINGS = {
    "shared_preload_libraries": "pg_stat_statements",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "autovacuum": "off",
    "logging_collector": "on",
    "log_destination": "csvlog",
    "log_directory": "logs",
    "log_filename": "all.log",
    "log_rotation_size": "0",
    "log_rotation_age": "0",
    "log_min_duration_statement": "0",
    "log_timezone": "UTC",
}
EVERY = 0.5  # seconds of a window
LOOK = 0.02  # between two looks at the sessions


@contextmanager
def pgbouncer(server: Postgres) -> Iterator[str]:
    """The URL of a PgBouncer in transaction mode with three connections to the server."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        apt.install(("pgbouncer",))
        program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    port = free_ports(1)[0]
    with tempfile.TemporaryDirectory(prefix="foretide-pgbouncer-") as folder:
        file = Path(folder) / "pgbouncer.ini"
        file.write_text(
            f"[databases]\nshop = host={server.socket} port={server.port} dbname=shop user={USER}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            "auth_type = any\npool_mode = transaction\ndefault_pool_size = 3\n"
            "ignore_startup_parameters = extra_float_digits\n"
        )
        os.chmod(folder, 0o755)
        own: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            own = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        process = subprocess.Popen(
            [program, "-q", file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **own
        )
        url = f"postgresql://{USER}@127.0.0.1:{port}/shop"
        try:
            assert wait_until(lambda: _answers(url), 20), "pgbouncer does not answer"
            yield url
        finally:
            process.terminate()
            process.wait(10)


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.Error:
        return False
    return True


class Watch:
    """Counters every half second and looks at the sessions, until it is left."""

    def __init__(self, url: str) -> None:
        self._connection: psycopg.Connection[Any] = psycopg.connect(url, autocommit=True)
        self._connection.execute("SET log_min_duration_statement = -1")
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.counters: list[dict[int, tuple[str, int, int, float]]] = []
        self.samples: list[tuple[float, list[tuple[Any, ...]]]] = []

    def __enter__(self) -> "Watch":
        self._connection.execute("SELECT pg_stat_statements_reset()")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._count()
        self._connection.close()

    def _run(self) -> None:
        due = 0.0
        while not self._end.is_set():
            if time.monotonic() >= due:
                self._count()
                due = time.monotonic() + EVERY
            rows = self._connection.execute(
                "SELECT pid, extract(epoch FROM backend_start)::float8, state, query, query_id, "
                "extract(epoch FROM query_start)::float8, extract(epoch FROM xact_start)::float8 "
                "FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename <> %s",
                (WATCHER,),
            ).fetchall()
            self.samples.append((time.time(), rows))
            self._end.wait(LOOK)

    def _count(self) -> None:
        rows = self._connection.execute(
            "SELECT queryid, query, calls, rows, total_exec_time FROM pg_stat_statements AS s "
            "JOIN pg_roles AS r ON r.oid = s.userid WHERE rolname <> %s",
            (WATCHER,),
        ).fetchall()
        self.counters.append({row[0]: row[1:] for row in rows})


def record(chosen: Scenario, where: Where, watcher: str, log: Path) -> dict[str, Any]:
    """One trace: what the log, the counters and the samples show of one application."""
    offset = log.stat().st_size
    with Watch(watcher) as watch:
        chosen.run(where, chosen.load)
    mark = f"mark-{chosen.name}"
    with psycopg.connect(where.direct, autocommit=True, application_name="recorder") as connection:
        connection.execute(f"SELECT '{mark}'".encode())
    assert wait_until(lambda: mark in _since(log, offset), 20), "the log does not come"
    events = [
        event
        for event in from_csv(_since(log, offset).splitlines(keepends=True))
        if event.pool.split("\0")[1:] != [USER, "recorder"]
    ]
    return _packed(chosen, events, watch)


def _since(log: Path, offset: int) -> str:
    with log.open("rb") as file:
        file.seek(offset)
        return file.read().decode(errors="replace")


class _Numbers:
    """Small numbers for what comes again and again."""

    def __init__(self) -> None:
        self.known: dict[Any, int] = {}

    def __getitem__(self, thing: Any) -> int:
        return self.known.setdefault(thing, len(self.known))


def _packed(chosen: Scenario, events: list[Event], watch: Watch) -> dict[str, Any]:
    texts, sessions, transactions, pools = _Numbers(), _Numbers(), _Numbers(), _Numbers()
    start = min([event.at for event in events], default=0.0)

    def since(at: float | None) -> float | None:
        return None if at is None else round(at - start, 6)

    packed = [
        [
            since(event.at),
            round(event.seconds, 6),
            sessions[event.session],
            transactions[event.session, event.transaction] + 1 if event.transaction else 0,
            pools[event.pool],
            texts[event.statement.text],
            *event.parameters,
        ]
        for event in sorted(events, key=lambda event: event.at)
    ]
    names: dict[int, str] = {
        queryid: normalize(entry[0]).text
        for counters in watch.counters
        for queryid, entry in counters.items()
    }
    samples = [
        [
            since(at),
            [
                [
                    pid,
                    since(began),
                    state,
                    texts[names.get(queryid) or normalize(query).text],
                    since(query_began),
                    since(transaction_began),
                ]
                for pid, began, state, query, queryid, query_began, transaction_began in rows
                if query
            ],
        ]
        for at, rows in watch.samples
    ]
    return {
        "name": chosen.name,
        "tool": chosen.tool,
        "orm": not chosen.run.__module__.endswith("plain"),
        "held_out": chosen.held_out,
        "looped": list(chosen.looped),
        "events": packed,
        "windows": [
            [[texts[text], *figures] for text, *figures in _differences(before, after, names)]
            for before, after in zip(watch.counters, watch.counters[1:], strict=False)
        ],
        "samples": [each for each in samples if each[1]],
        "texts": list(texts.known),
    }


def _differences(
    before: Mapping[int, tuple[str, int, int, float]],
    after: Mapping[int, tuple[str, int, int, float]],
    names: Mapping[int, str],
) -> Iterator[tuple[str, int, int, float]]:
    for queryid, (_, calls, rows, milliseconds) in sorted(after.items()):
        _, calls_before, rows_before, before_ms = before.get(queryid, ("", 0, 0, 0.0))
        if calls > calls_before:
            spent = round(milliseconds - before_ms, 3)
            yield names[queryid], calls - calls_before, rows - rows_before, spent


def main() -> int:
    """Records all traces, or those whose name has `--only` in it, without writing them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--only", default="", help="part of a name: record these, and print sizes")
    options = parser.parse_args()
    with running(debian(), SETTINGS) as server, pgbouncer_of(server) as pooled:
        where = Where(server.url("shop"), pooled)
        log = server.socket / "logs" / "all.csv"
        traces = []
        for chosen in SCENARIOS:
            if options.only in chosen.name:
                traces.append(record(chosen, where, server.url("shop", WATCHER), log))
                print(f"{chosen.name}: {len(traces[-1]['events'])} statements", flush=True)
        keys = _foreign_keys(where.direct)
    if not options.only:
        body = json.dumps({"foreign_keys": keys, "traces": traces}, separators=(",", ":"))
        # Without a time in it, so that the same traces are the same bytes.
        TRACES.write_bytes(gzip.compress(body.encode(), 9, mtime=0))
    return 0


@contextmanager
def pgbouncer_of(server: Postgres) -> Iterator[str]:
    """PgBouncer, once the database that it leads to is there."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE shop")
        connection.execute(f"CREATE ROLE {WATCHER} SUPERUSER LOGIN")
    with psycopg.connect(server.url("shop"), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
        connection.execute(SCHEMA.encode())
    with pgbouncer(server) as url:
        yield url


def _foreign_keys(url: str) -> list[list[Any]]:
    with psycopg.connect(url) as connection:
        return [
            list(row)
            for row in connection.execute(
                "SELECT conname, a.relname, ca.attname, b.relname, cb.attname "
                "FROM pg_constraint AS c JOIN pg_class AS a ON a.oid = conrelid "
                "JOIN pg_class AS b ON b.oid = confrelid "
                "JOIN pg_attribute AS ca ON ca.attrelid = conrelid AND ca.attnum = conkey[1] "
                "JOIN pg_attribute AS cb ON cb.attrelid = confrelid AND cb.attnum = confkey[1] "
                "WHERE contype = 'f' ORDER BY 1"
            )
        ]


if __name__ == "__main__":
    sys.exit(main())
