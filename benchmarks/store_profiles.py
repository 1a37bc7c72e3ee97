"""What profiles cost in the store: a part of `store.py`, which tells of its figures.

Real programs are profiled for a while, and what was recorded is kept as the operator keeps it: raw,
a minute at a time, and merged, five minutes in one. Where fewer minutes were recorded than that,
they are repeated with other times, which makes neither smaller.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from aiohttp import web

from benchmarks.profiling_programs import PROGRAMS, Program, running
from foretide.operator.profilers.bundles import Bundles
from foretide.operator.profilers.merging import merged, plan
from foretide.operator.profilers.sender import profile_of
from foretide.profiling.sampler import sample
from foretide.profiling.window import Window
from foretide.store.client import StoreAddress
from foretide.store.memory import MemoryRollups
from foretide.store.profile_client import ProfileClient
from foretide.store.profile_repository import ProfileRepository
from foretide.store.profiles import MERGE_STEP, Kind, Profile, ProfileQuery, Target, every
from foretide.store.service import Service, Token
from foretide.store.sessions import Database

HOUR = 3_600
MB = 1_000_000
# One thread; 16 threads with stacks 40 deep; a server that waits.
CHOSEN = (
    Program("CPU", "hotspots", "share40"),
    Program("CPU", "hotspots", "threads"),
    next(program for program in PROGRAMS if program.name == "network.server"),
)

Figures = dict[str, float]


def record(program: Program, seconds: int) -> list[Window]:
    """Windows of ten seconds of a program that runs for so long."""
    with running(program, Path(sys.executable), seconds + 60.0) as process:
        return list(sample(process.pid, windows=max(1, seconds // 10)))


def an_hour(program: Program, windows: list[Window], now: float) -> list[Profile]:
    """Raw profiles of an hour that ends now, from windows that are repeated."""
    bundles = Bundles()
    target = Target("bench", f"deployment/{program.name}", "app", f"{program.file}-0", "sha256:0")
    start = (now - HOUR) // MERGE_STEP * MERGE_STEP - 2 * MERGE_STEP
    for place in range(HOUR // 10):
        bundles.add(target, replace(windows[place % len(windows)], started_at=start + 10 * place))
    return [profile_of(bundle) for bundle in bundles.close_due(0.0, everything=True)]


async def bench(database: str, recorded: dict[Program, list[Window]], folder: Path) -> Figures:
    """All figures of one database, which must be empty of profiles."""
    opened = await Database.open(database)
    now = time.time()
    profiles = ProfileRepository(opened)
    figures: Figures = {}
    try:
        took: list[float] = []
        for program, windows in recorded.items():
            before = await size(opened)
            hour = an_hour(program, windows, now)
            for one in hour:
                began = time.perf_counter()
                await profiles.put([one])
                took.append(time.perf_counter() - began)
            grown = await size(opened) - before
            figures[f"profile_mb_per_pod_hour_{program.file}_{program.variant}"] = grown / MB
        figures["profile_mb_per_pod_hour"] = max(figures.values())
        figures["profile_put_ms"] = median(took) * 1_000
        figures |= await _merge(profiles, opened, len(recorded), now)
        figures |= await _read(profiles, opened, recorded, folder)
    finally:
        await opened.aclose()
    return figures


async def _merge(profiles: ProfileRepository, opened: Database, pods: int, now: float) -> Figures:
    raw = [one async for one in every(profiles, ProfileQuery(kind=Kind.RAW), data=True)]
    before, took = await size(opened), []
    for job in plan(raw, [], now=now + HOUR):
        own = [
            one
            for one in raw
            if job.start <= one.start < job.end and one.target.workload == job.target.workload
        ]
        began = time.perf_counter()
        made = merged(job, own)
        took.append(time.perf_counter() - began)
        assert made is not None
        await profiles.put([made])
    grown = await size(opened) - before
    return {
        "merged_mb_per_pod_hour": grown / MB / pods,
        "merge_ms": median(took) * 1_000,
    }


async def _read(
    profiles: ProfileRepository,
    opened: Database,
    recorded: dict[Program, list[Window]],
    folder: Path,
) -> Figures:
    """An hour of a pod through the service and the client on loopback."""
    token_file = folder / "profile-token"
    token_file.write_text("only-for-this-benchmark")
    service = Service(MemoryRollups(), Token(token_file), opened.ping, profiles=profiles)
    runner = web.AppRunner(service.application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = ProfileClient(StoreAddress(f"http://127.0.0.1:{runner.addresses[0][1]}", token_file))
    took = []
    for _ in range(3):
        for program in recorded:
            query = ProfileQuery(
                namespace="bench", workload=f"deployment/{program.name}", kind=Kind.RAW
            )
            began = time.perf_counter()
            found = [one async for one in every(client, query, data=True)]
            took.append(time.perf_counter() - began)
            assert len(found) >= 60
    await client.aclose()
    await runner.cleanup()
    return {"http_read_profile_hour_ms": median(took) * 1_000}


async def size(database: Database) -> float:
    """Bytes of the tables of profiles, with their indexes; of SQLite, of the whole file."""
    async with database.reading() as connection:
        if database.is_postgresql:
            found = await connection.exec_driver_sql(
                "SELECT sum(pg_total_relation_size(oid)) FROM pg_class "
                "WHERE relname IN ('profiles', 'profile_targets') AND pg_table_is_visible(oid)"
            )
            return float(found.scalar() or 0)
        pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar_one()
        free = (await connection.exec_driver_sql("PRAGMA freelist_count")).scalar_one()
        each = (await connection.exec_driver_sql("PRAGMA page_size")).scalar_one()
        return float((pages - free) * each)
