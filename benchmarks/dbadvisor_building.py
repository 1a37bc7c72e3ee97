"""Indexes really built, and what queries cost with them."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg

from foretide.dbadvisor import ddl
from foretide.dbadvisor.candidate import Candidate

RUNS = 2
LONGEST = 120_000  # milliseconds; a query that takes longer counts as that


@dataclass(frozen=True)
class Built:
    """Bytes of each index; EXPLAIN's cost and the time in seconds of each query."""

    sizes: tuple[tuple[Candidate, float], ...]
    costs: Mapping[str, float]
    times: Mapping[str, float]

    @property
    def bytes(self) -> float:
        return sum(size for _, size in self.sizes)

    @property
    def cost(self) -> float:
        return sum(self.costs.values())

    @property
    def seconds(self) -> float:
        return sum(self.times.values())


def build(url: str, queries: Mapping[str, str], indexes: Sequence[Candidate]) -> Built:
    """Builds them, analyzes, explains and runs each query, and drops them again."""
    with psycopg.connect(url, autocommit=True) as connection:
        names = []
        for candidate in indexes:
            names.append(ddl.name_of(candidate))
            connection.execute(ddl.definition(candidate, name=names[-1]))
        connection.execute("VACUUM ANALYZE")
        sizes = []
        for candidate, name in zip(indexes, names, strict=True):
            place = f"{ddl.quoted(candidate.table.schema)}.{ddl.quoted(name)}"
            row = connection.execute("SELECT pg_relation_size(%s)", (place,)).fetchone()
            sizes.append((candidate, float(row[0] if row else 0)))
        costs = {name: _cost(connection, text) for name, text in sorted(queries.items())}
        connection.execute(f"SET statement_timeout = {LONGEST}")
        times = {name: _seconds(connection, text) for name, text in sorted(queries.items())}
        connection.execute("SET statement_timeout = 0")
        for candidate, name in zip(indexes, names, strict=True):
            place = f"{ddl.quoted(candidate.table.schema)}.{ddl.quoted(name)}"
            connection.execute(f"DROP INDEX {place}")
    return Built(tuple(sizes), costs, times)


def _cost(connection: psycopg.Connection, text: str) -> float:
    row = connection.execute(f"EXPLAIN (FORMAT JSON) {text}").fetchone()
    plan = row[0] if row else []
    return float((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]["Total Cost"])


def _seconds(connection: psycopg.Connection, text: str) -> float:
    """The faster of some runs."""
    found = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        try:
            connection.execute(text).fetchall()
        except psycopg.errors.QueryCanceled:
            return LONGEST / 1000
        found.append(time.perf_counter() - begun)
    return min(found)
