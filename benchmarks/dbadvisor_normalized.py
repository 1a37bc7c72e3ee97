"""How many normalized texts can be planned: those of TPC-H and TPC-DS, as pg_stat_statements gives
them, on each version of PostgreSQL that there is.

All queries are executed once on tables without rows, which tells the server their texts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg

from benchmarks import dbadvisor_data as data
from foretide.dbadvisor import deltas, planning
from foretide.dbadvisor.collecting import collect
from foretide.dbadvisor.connection import Connection
from sandbox.errors import SandboxError
from sandbox.postgres import Postgres, running
from sandbox.postgres_binaries import DEBIAN_MAJOR, NPM_VERSIONS, Programs, debian, published

SETTINGS = {
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.max": "10000",
    "jit": "off",
    "autovacuum": "off",
}


@dataclass(frozen=True)
class Planned:
    """Of one version and workload: how many texts could have a plan, and which have none."""

    major: int
    workload: str
    texts: int
    unplanned: tuple[str, ...]

    @property
    def share(self) -> float:
        return 1 - len(self.unplanned) / max(1, self.texts)


def versions() -> Iterator[tuple[int, Programs | str]]:
    """The programs of each major version; where they cannot be had, the reason."""
    for major in sorted(NPM_VERSIONS):
        try:
            yield major, debian() if major == DEBIAN_MAJOR else published(major)
        except SandboxError as error:
            yield major, str(error).splitlines()[0]


def measure(major: int, programs: Programs) -> list[Planned]:
    """Starts such a server, and plans on it."""
    with running(programs, SETTINGS) as server:
        return [_measure(server, major, name) for name in sorted(data.EXCLUDED)]


def _measure(server: Postgres, major: int, name: str) -> Planned:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    url = server.url(name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
    workload = data.load(name, 0, url, everything=True)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_stat_statements_reset()")
        for _, text in sorted(workload.queries.items()):
            connection.execute(text.encode())
    with Connection(url) as database:
        found = planning.plan_all(database, deltas.total(collect(database, 0.0)).queries)
    missed = [each.reason for each in found.unplanned if not each.expected]
    texts = len(found.planned) + len(missed)
    if texts < len(workload.queries):
        raise RuntimeError(f"PostgreSQL {major} tells only {texts} texts of {name}")
    return Planned(major, name, texts, tuple(missed))
