"""The database advisor's benchmark: which indexes it chooses for TPC-H and TPC-DS against other
ways, in a real PostgreSQL; and what its other parts are measured by.

    python benchmarks/dbadvisor.py --json out/dbadvisor.json
    python benchmarks/dbadvisor.py --full                      # measures all peers again
    python benchmarks/dbadvisor.py --workload-dir shop --budgets 1 5
    python benchmarks/dbadvisor.py --scale 0.01 --budgets 1 2 3 4.5 6 --only tpch

Data and queries are DuckDB's, without keys or indexes to begin with, each query once. Foretide's
candidates are its own; the peers (`dbadvisor_peers.py`) have those of their descriptions. All pay
the real size of an index, but for those that are said to count in HypoPG's. What each has chosen is
really built; its cost is the sum of EXPLAIN's costs then, and its time that of all queries, each
the faster of two runs of its plan (one of over 4 s is run once), which are made once for all ways
that have the same plan. What Foretide has built is verified: an index that makes a query slower is
taken back, and something else is chosen once.

What peers choose and what that costs is read from `dbadvisor_peers.json` if it was measured from
the same inputs; `--full` measures it anew, and goes on where it was interrupted. Times are always
of this run: those of the queries are compared with the peer that is the fastest by the record, and
the time that Extend takes to choose is measured for one budget. Choosing is timed by the CPU that
this process and the server's process use, which take turns: neither others' work on the machine nor
a pause counts. Queries are timed by the clock; a run that a pause fell into is made again.

Fields, in the JSON's `summary` and beside it; those of budgets are mappings such as "tpch@20MB":
  cost_ratio_best_peer             cost, over that of the cheapest peer that is shipped
                                   (one index per query's columns, two-column greedy, Extend with
                                   HypoPG's sizes)
  cost_ratio_extend_corrected      over that of Extend with sizes as PostgreSQL builds them
  wall_ratio_best_peer             the same of the time, against the fastest of the shipped ones
  calls_ratio_extend, time_ratio_extend   plans asked for, and the time of choosing, over those of
                                   Extend with real sizes; on TPC-DS, the medians
  size_error_median                of the sizes foreseen, against those built: of all indexes that
                                   this run has built, of ours and of peers, each once. Many are
                                   right to the page (size_exact_share), so that it may be 0
  size_error_p90, size_error_worst, size_error_by_bytes   the same at the 90th percentile and at
                                   worst; all bytes that were foreseen too many or too few, over
                                   all that were built
  over_budget_worst                built bytes over the budget
  regressions_accepted             queries that are slower by 20 % and 30 ms after the
                                   verification, by its own trials (regressions_known) or by a
                                   measurement apart from it, with the indexes and without them,
                                   seen twice (regressions_seen); regressions_at_first: before it
  aborted                          choices of which no query's cost came back
  planned_share                    of normalized texts, on the version where it is least
  n1_precision, n1_recall, n1_speedup, cache_hit_error_pp, watch_cpu_pct
                                   of nplusone.py, dbadvisor_caching.py and dbadvisor_watch.py
"""

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from rich.console import Console  # noqa: E402
from rich.table import Table as Printed  # noqa: E402

from benchmarks import dbadvisor_caching, dbadvisor_watch, nplusone  # noqa: E402
from benchmarks import dbadvisor_data as data  # noqa: E402
from benchmarks import dbadvisor_normalized as normalized  # noqa: E402
from benchmarks.dbadvisor_building import notice_pauses  # noqa: E402
from benchmarks.dbadvisor_choosing import CORRECTED, SHIPPED  # noqa: E402
from benchmarks.dbadvisor_indexes import SERVER, WAYS, Found, Wanted, measure  # noqa: E402
from benchmarks.dbadvisor_recorded import MEGABYTE, RECORD  # noqa: E402
from benchmarks.telling import console_of_a_benchmark, show_summary, write_json  # noqa: E402
from sandbox.postgres import running  # noqa: E402
from sandbox.postgres_binaries import debian  # noqa: E402

BARS: dict[str, tuple[str, float]] = {
    "cost_ratio_best_peer_worst": ("≤", 1.005),
    "cost_ratio_best_peer_median": ("<", 1.0),
    "cost_ratio_extend_corrected_median": ("≤", 1.0),
    "wall_ratio_best_peer_median": ("≤", 1.05),
    "calls_ratio_extend": ("≤", 0.2),
    "time_ratio_extend": ("≤", 0.2),
    "size_error_median": ("≤", 0.1),
    "planned_share": ("≥", 0.98),
    "aborted": ("≤", 0.0),
    "regressions_accepted": ("≤", 0.0),
    "n1_precision": ("≥", 0.95),
    "n1_recall": ("≥", 0.95),
    "n1_speedup": ("≥", 10.0),
    "cache_hit_error_pp": ("≤", 10.0),
    "watch_cpu_pct": ("≤", 1.0),
}
OTHERS = ("planned", "nplusone", "caching", "watch")
BUDGETS = (10.0, 20.0, 30.0, 45.0, 60.0)
# For which Extend's time is measured.
TIMED = 20.0


def of_indexes(benches: Sequence[Found]) -> dict[str, Any]:
    """All figures about indexes."""
    by_place: dict[str, dict[str, float]] = {
        "cost_ratio_best_peer": {},
        "cost_ratio_extend_corrected": {},
        "wall_ratio_best_peer": {},
    }
    over = []
    for bench in benches:
        for budget, (_, built) in bench.ours.items():
            place = f"{bench.name}@{budget / MEGABYTE:g}MB"
            best = min(bench.peers[(way, budget)].cost for way in SHIPPED)
            corrected = bench.peers[(CORRECTED, budget)].cost
            by_place["cost_ratio_best_peer"][place] = built.cost / best
            by_place["cost_ratio_extend_corrected"][place] = built.cost / corrected
            by_place["wall_ratio_best_peer"][place] = built.seconds / bench.fastest[budget]
            over.append(built.bytes / budget - 1)
    calls, seconds = _effort([one for one in benches if one.name == "tpcds"] or benches)
    standing = [one for bench in benches for _, one in bench.ours.values()]
    chosen = [one for bench in benches for one, _ in bench.ours.values()]
    return {
        **by_place,
        "cost_ratio_best_peer_worst": max(by_place["cost_ratio_best_peer"].values()),
        **{f"{name}_median": _median(found.values()) for name, found in by_place.items()},
        "calls_ratio_extend": _median(calls),
        "time_ratio_extend": _median(seconds),
        **_sizes([pair for one in benches for pair in one.sizes.values()]),
        "over_budget_worst": max(over),
        "aborted": float(sum(one.aborted for one in chosen)),
        "regressions_at_first": float(sum(len(one.slower_at_first) for one in standing)),
        "regressions_known": float(sum(len(one.slower) for one in standing)),
        "regressions_seen": float(sum(len(one.seen_slower) for one in standing)),
        "regressions_accepted": float(
            sum(len({*one.slower, *one.seen_slower}) for one in standing)
        ),
        "reverted": float(sum(len(one.reverted) for one in standing)),
        "left_out": float(sum(len(bench.unplanned) for bench in benches)),
        "places": list(_rows(benches)),
    }


def _sizes(pairs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Of bytes foreseen and built."""
    errors = sorted(abs(foreseen / size - 1) for foreseen, size in pairs)
    if not errors:
        return {"size_error_median": None}
    return {
        "size_error_median": statistics.median(errors),
        "size_error_p90": errors[math.ceil(0.9 * len(errors)) - 1],
        "size_error_worst": errors[-1],
        "size_error_by_bytes": sum(abs(foreseen - size) for foreseen, size in pairs)
        / sum(size for _, size in pairs),
        "size_exact_share": sum(one == 0 for one in errors) / len(errors),
        "sizes": len(errors),
    }


def _effort(benches: Iterable[Found]) -> tuple[list[float], list[float]]:
    """Plans asked for by budget, and seconds where Extend's were measured, over Extend's."""
    calls, seconds = [], []
    for bench in benches:
        for budget, (chosen, _) in bench.ours.items():
            calls.append(chosen.calls / bench.peers[(CORRECTED, budget)].calls)
            if budget in bench.timed:
                seconds.append(chosen.seconds / bench.timed[budget].seconds)
    return calls, seconds


def _median(values: Iterable[float]) -> float | None:
    listed = list(values)
    return statistics.median(listed) if listed else None


def _rows(benches: Iterable[Found]) -> Iterable[dict[str, Any]]:
    """One for each workload, budget and way. Peers have times where they were measured now."""
    for bench in benches:
        for budget, (chosen, built) in bench.ours.items():
            place = {"workload": bench.name, "budget_mb": budget / MEGABYTE}
            yield {
                **place,
                "way": "foretide",
                "indexes": len(built.sizes),
                "mb": built.bytes / MEGABYTE,
                "cost": built.cost,
                "cost_share": built.cost / bench.before.cost,
                "plans": chosen.calls,
                "seconds": built.seconds,
                "choosing_s": chosen.seconds,
                "reverted": len(built.reverted),
            }
            for way in WAYS:
                made = bench.peers[(way, budget)]
                yield {
                    **place,
                    "way": way,
                    "indexes": len(made.indexes),
                    "mb": made.bytes / MEGABYTE,
                    "cost": made.cost,
                    "cost_share": made.cost / bench.before.cost,
                    "plans": made.calls,
                }


def of_texts(console: Console) -> dict[str, Any]:
    """How many normalized texts are planned."""
    shares = {}
    for major, programs in normalized.versions():
        if isinstance(programs, str):
            console.print(f"PostgreSQL {major} is left out: {programs}")
            continue
        for one in normalized.measure(major, programs):
            shares[f"{one.workload} on {major}"] = one.share
            console.print(f"PostgreSQL {major}: {one.share:.1%} of {one.texts} texts planned")
            for reason in one.unplanned:
                console.print(f"  not planned: {reason}")
    return {"planned_share": min(shares.values(), default=None), "planned_share_by": shares}


def of_lookups(console: Console) -> dict[str, Any]:
    """N+1."""
    return nplusone.measured()


def of_caching(console: Console) -> dict[str, Any]:
    """Projected hit rates: the worst of all cases."""
    found = dbadvisor_caching.measure()
    errors = dbadvisor_caching.worst(found)
    return {
        "cache_hit_error_pp": max(errors.values()),
        "cache_hit_error_pp_by": errors,
        "cache_refused": dbadvisor_caching.refused(found),
    }


def of_watching(console: Console) -> dict[str, Any]:
    """CPU of the database for one collection a minute."""
    return dict(dbadvisor_watch.measure(programs=debian()))


def _show(rows: Iterable[dict[str, Any]], console: Console) -> None:
    table = Printed(title="Indexes really built")
    for name in ("workload", "MB", "way"):
        table.add_column(name)
    for name in ("indexes", "MB built", "cost", "of that without", "plans", "reverted"):
        table.add_column(name, justify="right")
    for row in sorted(rows, key=lambda one: (one["workload"], one["budget_mb"], one["cost"])):
        table.add_row(
            row["workload"],
            f"{row['budget_mb']:g}",
            row["way"],
            f"{row['indexes']}",
            f"{row['mb']:.1f}",
            f"{row['cost']:.0f}",
            f"{row['cost_share']:.1%}",
            f"{row['plans']}",
            f"{row.get('reverted', '')}",
        )
    console.print(table)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--scale", type=float, default=0.1, help="of TPC-H and TPC-DS")
    parser.add_argument(
        "--budgets", type=float, nargs="+", default=BUDGETS, help="megabytes of storage"
    )
    parser.add_argument(
        "--only", nargs="+", choices=(*sorted(data.EXCLUDED), *OTHERS), help="parts; default: all"
    )
    parser.add_argument(
        "--workload-dir",
        type=Path,
        action="append",
        default=[],
        help="schema.sql, data.sql or data/TABLE.csv, queries.sql; without --only nothing else",
    )
    parser.add_argument("--full", action="store_true", help="measure all peers anew, and keep that")
    parser.add_argument("--record", type=Path, default=RECORD, help="of what peers chose")
    options = parser.parse_args(arguments)
    if options.only is None:
        options.only = () if options.workload_dir else (*sorted(data.EXCLUDED), *OTHERS)
    return options


def _benches(options: argparse.Namespace, console: Console) -> list[Found]:
    loads: dict[str, Callable[[str], data.Workload]] = {
        name: partial(data.load, name, options.scale)
        for name in sorted(data.EXCLUDED)
        if name in options.only
    }
    for folder in options.workload_dir:
        loads[folder.resolve().name] = partial(data.load_folder, folder)
    budgets = [one * MEGABYTE for one in options.budgets]
    found = []
    with running(debian(), SERVER) as server:
        for name, load in loads.items():
            timed = TIMED * MEGABYTE if TIMED * MEGABYTE in budgets else budgets[0]
            wanted = Wanted(
                budgets, options.record, options.full, timed if name == "tpcds" else None
            )
            found.append(measure(server, name, load, wanted, console))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    console = console_of_a_benchmark()
    notice_pauses()
    begun = time.monotonic()
    figures: dict[str, Any] = {}
    try:
        benches = _benches(options, console)
    except data.BadFolder as error:
        raise SystemExit(str(error)) from None
    if benches:
        figures |= of_indexes(benches)
        _show(figures["places"], console)
    parts = dict(zip(OTHERS, (of_texts, of_lookups, of_caching, of_watching), strict=True))
    for name in OTHERS:
        if name in options.only:
            console.print(f"[{time.monotonic() - begun:5.0f} s] {name}")
            figures |= parts[name](console)
    figures["minutes"] = (time.monotonic() - begun) / 60
    figures["summary"] = {
        name: value for name, value in figures.items() if isinstance(value, float | int | None)
    }
    figures["bars"] = {
        name: {"bar": bar, "met": _met(figures.get(name), sign, bar)}
        for name, (sign, bar) in BARS.items()
    }
    show_summary(figures, {name: sign for name, (sign, _) in BARS.items()}, console)
    if options.json:
        write_json(figures, options.json)
    return 0


def _met(value: float | None, sign: str, bar: float) -> bool | None:
    if value is None:
        return None
    return {"≤": value <= bar, "<": value < bar, "≥": value >= bar}[sign]


if __name__ == "__main__":
    sys.exit(main())
