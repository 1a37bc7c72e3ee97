"""Which indexes Foretide chooses, against other ways: TPC-H and TPC-DS in a real PostgreSQL.

    python benchmarks/dbadvisor.py --json out/dbadvisor.json
    python benchmarks/dbadvisor.py --scale 0.01 --budgets 1 2 3 4.5 6 --only tpch

The workloads are DuckDB's, without keys or indexes to begin with, each query once. All ways choose
among the same columns and pay the real size of an index; the baselines are in
`dbadvisor_peers.py`. What each has chosen is really built; its cost is the sum of EXPLAIN's costs
then, and its time that of all queries, each the faster of two runs.

Fields of the JSON's `summary`, beside `bars`; by budget, such as "tpch@20MB":
  cost_ratio_best_peer             cost, over that of the cheapest peer that is shipped
                                   (one index per query's columns, two-column greedy, Extend with
                                   HypoPG's sizes)
  cost_ratio_extend_corrected      over that of Extend with sizes as PostgreSQL builds them
  wall_ratio_best_peer             the same of the time, against the fastest of the shipped ones
  calls_ratio_extend, time_ratio_extend   plans asked for, and the time of choosing; on TPC-DS
  size_error_median                of the sizes foreseen, against those built
  aborted                          choices of which no query's cost came back
"""

import argparse
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from rich.console import Console  # noqa: E402
from rich.table import Table as Printed  # noqa: E402

from benchmarks import dbadvisor_building as building  # noqa: E402
from benchmarks import dbadvisor_data as data  # noqa: E402
from benchmarks import dbadvisor_peers as peers  # noqa: E402
from benchmarks.telling import console_of_a_benchmark, show_summary, write_json  # noqa: E402
from foretide.dbadvisor import selection, sizes  # noqa: E402
from foretide.dbadvisor.candidate import Candidate  # noqa: E402
from foretide.dbadvisor.collecting import collect  # noqa: E402
from foretide.dbadvisor.connection import Connection, Limits  # noqa: E402
from foretide.dbadvisor.search import Weighed  # noqa: E402
from foretide.dbadvisor.snapshot import Relation, Table  # noqa: E402
from foretide.dbadvisor.whatif import Question, WhatIf  # noqa: E402
from sandbox.postgres import running  # noqa: E402
from sandbox.postgres_binaries import debian  # noqa: E402

BARS: dict[str, tuple[str, float]] = {
    "cost_ratio_best_peer_worst": ("≤", 1.005),
    "cost_ratio_best_peer_median": ("≤", 0.9999),
    "cost_ratio_extend_corrected_median": ("≤", 1.0),
    "wall_ratio_best_peer_median": ("≤", 1.05),
    "calls_ratio_extend": ("≤", 0.2),
    "time_ratio_extend": ("≤", 0.2),
    "size_error_median": ("≤", 0.1),
    "aborted": ("≤", 0.0),
}
OURS = "foretide"
CORRECTED = "extend, real sizes"
SHIPPED = ("supabase's way", "dexter's way", "extend, HypoPG's sizes")
MEGABYTE = 1_000_000.0
SERVER = {
    "shared_buffers": "512MB",
    "work_mem": "64MB",
    "max_wal_size": "4GB",
    "jit": "off",
    "autovacuum": "off",
}


@dataclass
class Bench:
    """One workload in its database."""

    workload: data.Workload
    url: str
    tables: Mapping[Relation, Table]
    columns: data.Columns
    aborted: int = 0
    chosen: dict[tuple[str, float], list[Candidate]] = field(default_factory=dict)
    calls: dict[tuple[str, float], int] = field(default_factory=dict)
    seconds: dict[tuple[str, float], float] = field(default_factory=dict)
    built: dict[tuple[str, float], building.Built] = field(default_factory=dict)

    def whatif(self, connection: Connection, candidates: set[Candidate]) -> WhatIf:
        questions = [
            Question(name, (f"EXPLAIN (FORMAT JSON) {text}",), self.columns[name])
            for name, text in sorted(self.workload.queries.items())
        ]
        return WhatIf(connection, questions, candidates)


def _prepared(name: str, scale: float, url: str) -> Bench:
    workload = data.load(name, scale, url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION hypopg")
    with Connection(url, limits=Limits(statement=60.0)) as connection:
        tables = {one.relation: one for one in collect(connection, 0.0).tables}
    tables = {name: one for name, one in tables.items() if name.schema == "public"}
    return Bench(workload, url, tables, data.columns_of(workload, tables))


def _choose(bench: Bench, budgets: Sequence[float], console: Console) -> None:
    """All ways: ours cold, with questions of its own; the peers with one memory for all."""
    candidates = peers.candidates_of(bench.columns)
    with Connection(bench.url, limits=Limits(statement=60.0)) as connection:
        for budget in budgets:
            begun = time.perf_counter()
            source = bench.whatif(connection, candidates)
            prices = [
                Weighed(
                    one.table,
                    one.keys[0],
                    sizes.partitioned_bytes(bench.tables, one),
                    alone=len(one.keys) == 1,
                )
                for one in source.candidates
            ]
            found = selection.select(
                source, dict.fromkeys(bench.workload.queries, 1.0), prices, budget
            )
            bench.aborted += not found.costs_after
            key = (OURS, budget)
            bench.chosen[key] = source.chosen(found.indexes)
            bench.calls[key], bench.seconds[key] = source.calls, time.perf_counter() - begun
            console.print(f"{bench.workload.name} {budget / MEGABYTE:g} MB: {source.calls} plans")
        source = bench.whatif(connection, candidates)
        plans = peers.Plans(source)
        real = [sizes.partitioned_bytes(bench.tables, one) for one in source.candidates]
        nominal = peers.hypopg_sizes(connection, source.candidates)
        ways = {
            SHIPPED[0]: (peers.by_query_columns, real),
            SHIPPED[1]: (peers.two_columns, real),
            SHIPPED[2]: (peers.extend, nominal),
            CORRECTED: (peers.extend, real),
        }
        for name, (way, price) in ways.items():
            for budget, choice in way(plans, bench.columns, price, budgets).items():
                bench.chosen[(name, budget)] = source.chosen(choice.indexes)
                bench.calls[(name, budget)] = choice.calls
                bench.seconds[(name, budget)] = choice.seconds
            console.print(f"{bench.workload.name} {name}: {bench.calls[(name, budgets[-1])]} plans")


def _build(bench: Bench, console: Console) -> None:
    for key, indexes in bench.chosen.items():
        bench.built[key] = building.build(bench.url, bench.workload.queries, indexes)
        one = bench.built[key]
        console.print(
            f"{bench.workload.name} {key[1] / MEGABYTE:g} MB {key[0]}: "
            f"{one.bytes / MEGABYTE:.1f} MB built, cost {one.cost:.0f}, {one.seconds:.2f} s"
        )


def _figures(benches: Sequence[Bench], budgets: Sequence[float]) -> dict[str, Any]:
    figures: dict[str, dict[str, float]] = {
        name: {}
        for name in ("cost_ratio_best_peer", "cost_ratio_extend_corrected", "wall_ratio_best_peer")
    }
    calls, seconds, errors = [], [], []
    for bench in benches:
        foreseen = {
            one: sizes.partitioned_bytes(bench.tables, one)
            for indexes in bench.chosen.values()
            for one in indexes
        }
        for budget in budgets:
            place = f"{bench.workload.name}@{budget / MEGABYTE:g}MB"
            ours, built = bench.built[(OURS, budget)], bench.built
            best = min(built[(name, budget)].cost for name in SHIPPED)
            fastest = min(built[(name, budget)].seconds for name in SHIPPED)
            figures["cost_ratio_best_peer"][place] = ours.cost / best
            figures["cost_ratio_extend_corrected"][place] = (
                ours.cost / built[(CORRECTED, budget)].cost
            )
            figures["wall_ratio_best_peer"][place] = ours.seconds / fastest
            if bench.workload.name == "tpcds":
                calls.append(bench.calls[(OURS, budget)] / bench.calls[(CORRECTED, budget)])
                seconds.append(bench.seconds[(OURS, budget)] / bench.seconds[(CORRECTED, budget)])
        sizes_built = {one: size for made in bench.built.values() for one, size in made.sizes}
        errors += [abs(foreseen[one] / size - 1) for one, size in sizes_built.items()]
    summary: dict[str, float | None] = {
        "cost_ratio_best_peer_worst": max(figures["cost_ratio_best_peer"].values()),
        **{f"{name}_median": statistics.median(found.values()) for name, found in figures.items()},
        "calls_ratio_extend": statistics.median(calls) if calls else None,
        "time_ratio_extend": statistics.median(seconds) if seconds else None,
        "size_error_median": statistics.median(errors) if errors else None,
        "aborted": float(sum(bench.aborted for bench in benches)),
    }
    return {**figures, "summary": summary}


def _show(benches: Sequence[Bench], console: Console) -> None:
    table = Printed(title="Indexes really built")
    for name in ("workload", "MB", "way"):
        table.add_column(name)
    for name in ("indexes", "MB built", "cost", "s", "plans", "s to choose"):
        table.add_column(name, justify="right")
    for bench in benches:
        for (name, budget), built in sorted(
            bench.built.items(), key=lambda one: (one[0][1], one[1].cost)
        ):
            table.add_row(
                bench.workload.name,
                f"{budget / MEGABYTE:g}",
                name,
                f"{len(built.sizes)}",
                f"{built.bytes / MEGABYTE:.1f}",
                f"{built.cost:.0f}",
                f"{built.seconds:.2f}",
                f"{bench.calls[(name, budget)]}",
                f"{bench.seconds[(name, budget)]:.1f}",
            )
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--scale", type=float, default=0.1, help="of both benchmarks")
    parser.add_argument("--budgets", type=float, nargs="+", default=[10, 20, 30, 45, 60])
    parser.add_argument("--only", nargs="+", choices=sorted(data.EXCLUDED), default=None)
    options = parser.parse_args(arguments)
    console = console_of_a_benchmark()
    budgets = [one * MEGABYTE for one in options.budgets]
    benches = []
    with running(debian(), SERVER) as server:
        for name in options.only or sorted(data.EXCLUDED):
            with psycopg.connect(server.url(), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}")
            bench = _prepared(name, options.scale, server.url(name))
            _choose(bench, budgets, console)
            _build(bench, console)
            benches.append(bench)
    found = _figures(benches, budgets)
    _show(benches, console)
    signs = {name: sign for name, (sign, _) in BARS.items()}
    found["bars"] = {
        name: {"bar": bar, "met": _met(found["summary"].get(name), bar)}
        for name, (_, bar) in BARS.items()
    }
    show_summary(found, signs, console)
    if options.json:
        write_json(found, options.json)
    return 0


def _met(value: float | None, bar: float) -> bool | None:
    return None if value is None else value <= bar


if __name__ == "__main__":
    sys.exit(main())
