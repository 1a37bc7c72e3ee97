"""What the store costs: bytes for a series-year, roll-ups per second in and out.

    python benchmarks/store.py --json out/store.json
    python benchmarks/store.py --trace my.csv --postgresql postgresql://user@host/empty

Demand is that of `--trace` (a CSV with a time and a value column), repeated as often as needed, or
made up: a day and a week with noise, whose last digits nothing compresses. The baseline, in the
same run, is what one would write without thinking: a row for each roll-up, in SQLite.

Three patterns. Backfill: histories as a first fit brings them, written and read as a whole. Ticks:
one roll-up of each series at a time, as the operator sends them each five minutes. HTTP: the same
ticks, and reading a year of peaks, through the service and the client on loopback.

Fields of the JSON, under `sqlite`, under `postgresql` where one is given, and the first and the
third and fourth of them under `rows`, the baseline:
  bytes_per_series_year        size of the database by the backfill, for 105,120 roll-ups
  tick_bytes_per_series_year   the same, where roll-ups came one by one; PostgreSQL is vacuumed each
                               hour of them, where its autovacuum would look each minute
  write_rollups_per_s          backfill
  read_rollups_per_s           reading it, all columns
  tick_ms_p50, tick_ms_p99     a batch of one roll-up for each of `--series` series
  tick_cpu_ms                  CPU time of such a batch, in this process
  http_tick_ms_p50, …_p99      the same through the service
  http_read_year_ms            a year of peaks of one series through the service, median
  profile_mb_per_pod_hour      raw profiles of an hour (MB) of the costliest of three real programs,
                               profiled for `--profile-seconds` each; one by one beside it
  merged_mb_per_pod_hour       the same hour merged, mean of the three
  profile_put_ms, merge_ms     keeping a minute of a process; merging five minutes of it, median
  http_read_profile_hour_ms    an hour of a pod through the service, median
and, of `sqlite` alone: size_ratio_to_rows, write_ratio_to_rows, read_ratio_to_rows.
"""

import argparse
import asyncio
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np
import numpy.typing as npt
from aiohttp import web
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import store_profiles  # noqa: E402
from benchmarks.telling import write_json  # noqa: E402
from foretide.store.client import StoreAddress, StoreClient  # noqa: E402
from foretide.store.repository import Repository  # noqa: E402
from foretide.store.rollups import STEP, Columns, Rollup, SeriesKey  # noqa: E402
from foretide.store.service import Service, Token  # noqa: E402
from sandbox.traces import load_trace  # noqa: E402

DAY = 86_400
YEAR = 365 * 288
NOW = int(time.time()) // STEP * STEP
SAMPLES = 20

Figures = dict[str, float]
Samples = npt.NDArray[np.float64]  # roll-ups × samples of each


def made_up(count: int, seed: int) -> Samples:
    """Samples of 15 seconds for `count` roll-ups (shape: count × 20): day, week and noise."""
    noise = np.random.default_rng(seed)
    at = np.arange(count * SAMPLES) * 15.0
    level = 500 + 300 * np.sin(2 * np.pi * at / DAY) + 100 * np.sin(2 * np.pi * at / (7 * DAY))
    demand: Samples = level * noise.lognormal(0, 0.05, len(at))
    return demand.reshape(count, SAMPLES)


def from_trace(path: Path, count: int, seed: int) -> Samples:
    """The same from a trace of one value a minute or less often, repeated as often as needed."""
    trace = load_trace(str(path))
    wanted = np.arange(trace.times[0], trace.times[-1], 60.0)
    values = np.interp(wanted, trace.times, trace.values)
    demand: Samples = np.resize(np.roll(values, -seed * 1_440), count * 5)
    return demand.reshape(count, 5)


def columns(samples: Samples, end: int = NOW) -> Columns:
    """Roll-ups of samples (shape: roll-ups × samples) that end at `end`."""
    count = len(samples)
    starts = (end - STEP * np.arange(count, 0, -1)).tolist()
    means, peaks = samples.mean(axis=1).tolist(), samples.max(axis=1).tolist()
    return Columns(starts, [SAMPLES] * count, means, peaks, samples[:, -1].tolist())


def key(number: int) -> SeriesKey:
    return SeriesKey("bench", f"app-{number}", "requests", "0123456789abcdef")


async def bench(database: str, histories: list[Columns], series: int, ticks: int) -> Figures:
    """All figures of one database, which must be empty."""
    repository = await Repository.open(database)
    try:
        figures = await backfill(repository, histories)
        small = await size(repository)
        figures["bytes_per_series_year"] = small / sum(map(len, histories)) * YEAR
        late = [history[-ticks:] for history in histories]
        cpu = time.process_time()
        took = await tick(repository, late, series, ticks, repository)
        figures["tick_cpu_ms"] = (time.process_time() - cpu) / ticks * 1_000
        grown = await size(repository) - small
        figures["tick_bytes_per_series_year"] = grown / (series * ticks) * YEAR
        figures |= percentiles("tick_ms", took)
        figures |= await over_http(repository, late, series, ticks)
    finally:
        await repository.aclose()
    return figures


async def backfill(repository: Repository, histories: list[Columns]) -> Figures:
    began = time.perf_counter()
    for number, history in enumerate(histories):
        for first in range(0, len(history), 14 * 288):
            await repository.write({key(number): history[first : first + 14 * 288]})
    wrote = time.perf_counter()
    for number in range(len(histories)):
        found = await repository.read(key(number), 0, NOW)
        assert len(found) == len(histories[number])
    read = time.perf_counter()
    total = sum(map(len, histories))
    return {
        "write_rollups_per_s": total / (wrote - began),
        "read_rollups_per_s": total / (read - wrote),
    }


async def tick(
    store: Any, late: list[Columns], series: int, ticks: int, repository: Repository | None = None
) -> list[float]:
    """Seconds that each batch took."""
    took = []
    for place in range(ticks):
        if repository is not None and place % 12 == 11:
            await vacuum(repository)
        batch = {
            key(1_000 + number): late[number % len(late)][place : place + 1]
            for number in range(series)
        }
        began = time.perf_counter()
        await store.write(batch)
        took.append(time.perf_counter() - began)
    return took


async def over_http(
    repository: Repository, late: list[Columns], series: int, ticks: int
) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        token_file = Path(folder) / "token"
        token_file.write_text("only-for-this-benchmark")
        service = Service(repository, Token(token_file), repository.ping)
        runner = web.AppRunner(service.application(), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        client = StoreClient(StoreAddress(url, token_file))
        for number in range(series):
            await repository.delete("bench", f"app-{1_000 + number}")
        took = await tick(client, late, series, min(ticks, 48))
        reads = []
        for _ in range(5):
            began = time.perf_counter()
            await client.read(key(0), NOW - 365 * DAY, NOW, peaks_only=True)
            reads.append(time.perf_counter() - began)
        await client.aclose()
        await runner.cleanup()
    return {**percentiles("http_tick_ms", took), "http_read_year_ms": median(reads) * 1_000}


async def vacuum(repository: Repository) -> None:
    if repository.database.engine.dialect.name == "postgresql":
        async with repository.database.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text("VACUUM demand_chunks"))


async def size(repository: Repository) -> float:
    """Bytes of the database, after it has tidied up."""
    engine = repository.database.engine
    async with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            tables = "'demand_series', 'demand_chunks'"
            found = await connection.execute(
                text(
                    "SELECT sum(pg_total_relation_size(oid)) FROM pg_class "
                    f"WHERE relname IN ({tables}) AND pg_table_is_visible(oid)"
                )
            )
            return float(found.scalar() or 0)
        pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar_one()
        each = (await connection.exec_driver_sql("PRAGMA page_size")).scalar_one()
        return float(pages * each)


def rows(file: Path, histories: list[Columns]) -> Figures:
    """The baseline: a row for each roll-up, written in the same batches."""
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(
        "CREATE TABLE rollups (series INTEGER, start INTEGER, samples INTEGER, mean REAL, "
        "max REAL, last REAL, PRIMARY KEY (series, start)) WITHOUT ROWID"
    )
    began = time.perf_counter()
    for number, history in enumerate(histories):
        for first in range(0, len(history), 14 * 288):
            with connection:
                connection.executemany(
                    "INSERT INTO rollups VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                    "samples = excluded.samples, mean = excluded.mean, max = excluded.max, "
                    "last = excluded.last WHERE excluded.samples > samples",
                    ((number, *rollup) for rollup in history[first : first + 14 * 288]),
                )
    wrote = time.perf_counter()
    for number in range(len(histories)):
        query = "SELECT start, samples, mean, max, last FROM rollups WHERE series = ?"
        found = connection.execute(query, (number,)).fetchall()
        Columns.of([Rollup._make(row) for row in found])
    read = time.perf_counter()
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    each = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.close()
    total = sum(map(len, histories))
    return {
        "bytes_per_series_year": pages * each / total * YEAR,
        "write_rollups_per_s": total / (wrote - began),
        "read_rollups_per_s": total / (read - wrote),
    }


def percentiles(name: str, seconds: list[float]) -> Figures:
    cuts = quantiles(seconds, n=100)
    return {f"{name}_p50": cuts[49] * 1_000, f"{name}_p99": cuts[98] * 1_000}


def ratios(found: Figures, baseline: Figures) -> Figures:
    return {
        "size_ratio_to_rows": found["bytes_per_series_year"] / baseline["bytes_per_series_year"],
        "write_ratio_to_rows": found["write_rollups_per_s"] / baseline["write_rollups_per_s"],
        "read_ratio_to_rows": found["read_rollups_per_s"] / baseline["read_rollups_per_s"],
    }


def table(figures: dict[str, Figures]) -> Table:
    """A row for each field, a column for each database and for the baseline."""
    made = Table("field", *figures)
    for field in dict.fromkeys(name for found in figures.values() for name in found):
        made.add_row(field, *(shown(found.get(field)) for found in figures.values()))
    return made


def shown(figure: float | None) -> str:
    if figure is None:
        return ""
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--series", type=int, default=500, help="series in a tick")
    parser.add_argument("--ticks", type=int, default=96, help="ticks to write (default: 8 h)")
    parser.add_argument("--years", type=int, default=3, help="series-years to backfill")
    parser.add_argument(
        "--profile-seconds",
        type=int,
        default=60,
        help="profile each of three programs for so long (default: %(default)s; 0: leave it out)",
    )
    parser.add_argument("--trace", type=Path, help="a CSV to take demand from")
    parser.add_argument("--postgresql", metavar="URL", help="measure this empty database too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()

    histories = [
        columns(from_trace(options.trace, YEAR, seed) if options.trace else made_up(YEAR, seed))
        for seed in range(options.years)
    ]
    recorded = {
        program: store_profiles.record(program, options.profile_seconds)
        for program in store_profiles.CHOSEN
        if options.profile_seconds
    }
    figures: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, where in (
            ("sqlite", str(Path(folder) / "store.db")),
            ("postgresql", options.postgresql),
        ):
            if where:
                found = asyncio.run(bench(where, histories, options.series, options.ticks))
                if recorded:
                    found |= asyncio.run(store_profiles.bench(where, recorded, Path(folder)))
                figures[name] = found
        baseline = rows(Path(folder) / "rows.db", histories)
    figures["sqlite"] |= ratios(figures["sqlite"], baseline)

    figures["rows"] = baseline
    Console().print(table(figures))
    if options.json:
        write_json(figures, options.json)


if __name__ == "__main__":
    main()
