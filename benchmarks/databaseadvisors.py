"""What the operator costs: N DatabaseAdvisors on two databases of one real PostgreSQL.

    python benchmarks/databaseadvisors.py --advisors 50 --json out/databaseadvisors.json

Each watches with a user of its own, so that the server tells whose sessions there are. Four phases:
an empty operator; all resources, until each has its first advice (made one after another); a while
of looks; the same with resources beside them whose server takes connections and never answers. In
the end all resources are deleted.

Fields of the JSON:
  advised_after_s     until the last of them had its first advice
  advice_cpu_s        CPU of the worker for one advice
  period_s            between two looks of one resource: the interval, and as long as a look takes
  look_s_p99          how long one took, half a second of looks at sessions included
  cores               main process' CPU, in cores
  loop_block_ms_p99, loop_block_ms_max   how late the event loop ran what was due, all the time
  sessions_each       sessions of one resource at a time, at the most
  sessions_all        all sessions at a time, at the most
  hanging_period_s, hanging_look_s_p99, hanging_cores   the same with servers that never answer
  sessions_left       after all were deleted
  closed_after_s      until there was none left
  pss_mb              peak PSS of the process tree
  empty_cores, empty_pss_mb   an operator without resources, in the same run
"""

import argparse
import math
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kubernetes
import psycopg
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.reconcile import MEGABYTE, Metrics, Run, quantile  # noqa: E402
from benchmarks.telling import write_json  # noqa: E402
from sandbox import Sandbox, SandboxSpec  # noqa: E402
from sandbox.postgres import Postgres, running  # noqa: E402
from sandbox.postgres_binaries import debian  # noqa: E402
from sandbox.progress import Told  # noqa: E402

DATABASES = ("shop", "office")
# Distinct statements of each database, and rows of each of its tables.
STATEMENTS, TABLES, ROWS = 300, 20, 5_000
LONGEST_ADVICE = 60.0  # seconds for each, until the benchmark gives up
BARS = {"sessions_each": 2, "sessions_left": 0}


def fill(server: Postgres, name: str, users: Sequence[str]) -> None:
    """A database with tables, statements that were counted, and users who may watch."""
    with psycopg.connect(server.url(), autocommit=True) as owner:
        owner.execute(f"CREATE DATABASE {name}".encode())
        for user in users:
            owner.execute(f"CREATE ROLE {user} LOGIN IN ROLE pg_monitor, pg_read_all_data".encode())
    with psycopg.connect(server.url(name), autocommit=True) as owner:
        for extension in ("pg_stat_statements", "hypopg"):
            owner.execute(f"CREATE EXTENSION {extension}".encode())
        for table in range(TABLES):
            columns = "id int PRIMARY KEY, who int, day date, note text"
            owner.execute(f"CREATE TABLE t{table} ({columns})".encode())
            owner.execute(
                f"INSERT INTO t{table} SELECT n, n % 500, date '2026-01-01' + n % 300, "
                f"repeat('x', 50) FROM generate_series(1, {ROWS}) n".encode()
            )
        owner.execute("ANALYZE")
        for number in range(STATEMENTS):
            table = number % TABLES
            text = f"SELECT id AS c{number} FROM t{table} WHERE who = 7 AND day > '2026-03-01'"
            owner.execute(text.encode())


_COUNTS = b"""
SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'watcher%' GROUP BY usename"""


class Sessions:
    """Whose sessions there are."""

    def __init__(self, server: Postgres) -> None:
        self._connection = psycopg.connect(server.url(), autocommit=True)
        self.most_each = self.most_all = 0

    def now(self) -> int:
        """How many of them, all together; the most are remembered."""
        asked = (
            "SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'watcher%' GROUP BY usename"
        )
        counts = [int(count) for (count,) in self._connection.execute(asked.encode()).fetchall()]
        self.most_each = max([self.most_each, *counts])
        self.most_all = max(self.most_all, sum(counts))
        return sum(counts)


@contextmanager
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=4_096) as listener:
        yield int(listener.getsockname()[1])


class Resources:
    """What is created through the API."""

    def __init__(self, sandbox: Sandbox, interval: float) -> None:
        client = kubernetes.config.new_client_from_config(str(sandbox.kubeconfig))
        self._custom: Any = kubernetes.client.CustomObjectsApi(client)
        self._core: Any = kubernetes.client.CoreV1Api(client)
        self._interval = f"{interval:.0f}s"
        self._kind = ("foretide.dev", "v1alpha1", "default", "databaseadvisors")

    def create(self, name: str, user: str, database: str, port: int) -> None:
        """A Secret and a DatabaseAdvisor of this name."""
        login = {"host": "127.0.0.1", "port": str(port), "dbname": database, "user": user}
        secret = {"metadata": {"name": name}, "stringData": login}
        self._core.create_namespaced_secret("default", secret)
        self._custom.create_namespaced_custom_object(
            *self._kind,
            {
                "apiVersion": "foretide.dev/v1alpha1",
                "kind": "DatabaseAdvisor",
                "metadata": {"name": name},
                "spec": {"connection": {"secretRef": {"name": name}}, "interval": self._interval},
            },
        )

    def delete_all(self) -> None:
        """Every DatabaseAdvisor."""
        self._custom.delete_collection_namespaced_custom_object(*self._kind)


def looks(run: Run, sessions: Sessions, options: Any, prefix: str) -> dict[str, float]:
    """A while of looks: how many were taken, how long they took, and what they cost."""
    before, cpu, began = run.metrics, run.usage.main_cpu, time.monotonic()
    while (seconds := time.monotonic() - began) < options.window:
        sessions.now()
        run.usage.sample()
        time.sleep(0.5)
    after, name = run.metrics, "foretide_database_look_seconds"
    taken = after.value(f"{name}_count") - before.value(f"{name}_count")
    return {
        f"{prefix}period_s": options.advisors * seconds / taken if taken else math.inf,
        f"{prefix}look_s_p99": quantile(0.99, before, after, name),
        f"{prefix}cores": (run.usage.main_cpu - cpu) / seconds,
    }


def first_advices(run: Run, sessions: Sessions, advisors: int) -> dict[str, float]:
    """Until each resource has its first advice."""
    began, cpu = time.monotonic(), run.usage.worker_cpu

    def advised() -> bool:
        sessions.now()
        return run.metrics.value("foretide_database_advice_seconds_count") >= advisors

    run.await_(advised, 60 + LONGEST_ADVICE * advisors)
    run.usage.sample()
    return {
        "advised_after_s": time.monotonic() - began,
        "advice_cpu_s": (run.usage.worker_cpu - cpu) / advisors,
    }


def measure(
    sandbox: Sandbox, server: Postgres, port: int, folder: Path, options: Any, console: Console
) -> dict[str, float]:
    """All phases. `port` is that of a server that never answers."""
    rule = {"host": "127.0.0.1", "ports": [server.port, port]}
    run = Run(sandbox, folder, console, {"databases": {"allowed": [rule]}})
    sessions, resources = Sessions(server), Resources(sandbox, options.interval)
    cpu, began = run.usage.main_cpu, time.monotonic()
    run.observe(options.window / 4, "empty operator")
    figures = {
        "empty_cores": (run.usage.main_cpu - cpu) / (time.monotonic() - began),
        "empty_pss_mb": run.usage.pss / MEGABYTE,
    }
    first: Metrics = run.metrics
    for number in range(options.advisors):
        database = DATABASES[number % len(DATABASES)]
        resources.create(f"advisor-{number}", f"watcher{number}", database, server.port)
    console.print(f"{options.advisors} resources created; their first advice is being made")
    figures |= first_advices(run, sessions, options.advisors)
    console.print(f"looks: {options.window:.0f} s")
    figures |= looks(run, sessions, options, "")
    for number in range(options.hanging):
        resources.create(f"hanging-{number}", "watcher", "shop", port)
    console.print(f"{options.hanging} beside them whose server never answers")
    figures |= looks(run, sessions, options, "hanging_")
    last = run.metrics
    figures["loop_block_ms_p99"] = 1000 * quantile(0.99, first, last, "foretide_loop_block_seconds")
    figures["loop_block_ms_max"] = 1000 * last.value("foretide_loop_block_max_seconds")
    figures["sessions_each"], figures["sessions_all"] = sessions.most_each, sessions.most_all
    began = time.monotonic()
    resources.delete_all()
    while (left := sessions.now()) and time.monotonic() - began < 60:
        time.sleep(0.1)
    figures["sessions_left"], figures["closed_after_s"] = left, time.monotonic() - began
    figures["pss_mb"] = run.usage.peak / MEGABYTE
    figures["internal_errors"] = last.value('foretide_errors_total{reason="Internal"}')
    run.stop()
    return figures


def show(figures: dict[str, float], console: Console) -> None:
    """As a table, with the bars that there are."""
    table = Table(title=f"{figures['advisors']:.0f} DatabaseAdvisors")
    for heading in ("figure", "value", "bar"):
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    for name, value in figures.items():
        table.add_row(name, f"{value:g}", f"≤ {BARS[name]:g}" if name in BARS else "")
    console.print(table)


def main() -> int:
    """Run the benchmark; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--advisors", type=int, default=50, help="default: %(default)s")
    parser.add_argument("--hanging", type=int, default=10, help="default: %(default)s")
    parser.add_argument("--interval", type=float, default=15, help="seconds between two looks")
    parser.add_argument("--window", type=float, default=60, help="seconds of each measured phase")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    options = parser.parse_args()
    console = Console(highlight=False)
    settings = {
        "shared_preload_libraries": "pg_stat_statements",
        "max_connections": str(2 * options.advisors + 20),
        "shared_buffers": "64MB",
    }
    spec = SandboxSpec(nodes=0, scheduler=False, kwok=False, prometheus=False)
    with (
        tempfile.TemporaryDirectory() as folder,
        running(debian(), settings, listening=True) as server,
        silent() as port,
        Sandbox(spec, progress=Told()) as sandbox,
    ):
        names = [f"watcher{number}" for number in range(options.advisors)]
        for place, database in enumerate(DATABASES):
            fill(server, database, names[place :: len(DATABASES)])
        sandbox.kubectl("apply", "-f", str(ROOT / "crds"))
        sandbox.kubectl("wait", "--for=condition=Established", "crd/databaseadvisors.foretide.dev")
        figures = measure(sandbox, server, port, Path(folder), options, console)
    figures = {"advisors": options.advisors, **{k: round(v, 4) for k, v in figures.items()}}
    show(figures, console)
    if options.json:
        write_json(figures, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
