"""All of the way with real parts: py-spy on a real process, a real SQLite behind the real service,
and back into a file that the profiler reads.
"""

import argparse
import asyncio
import subprocess
import sys

import pytest
from aiohttp import web

from foretide.operator.commands import store
from foretide.operator.profilers.history import History, Period
from foretide.operator.profilers.keeping import ProfileKeeper
from foretide.operator.profilers.merging import ProfileMerger
from foretide.operator.store_settings import StoreSettings
from foretide.profiling import files
from foretide.profiling.profile import merge
from foretide.profiling.sampler import Budget, sample
from foretide.store.memory import MemoryRollups
from foretide.store.profile_repository import ProfileRepository
from foretide.store.service import Service, Token
from foretide.store.sessions import Database

BUSY = """
def work():
    sum(range(1000))

print("ready", flush=True)
while True:
    work()
"""


@pytest.fixture
def windows():
    process = subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline()
        budget = Budget(cores=1.0, stopped=1.0, rate=40.0)
        yield list(sample(process.pid, seconds=0.5, windows=2, budget=budget))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.slow
async def test_what_was_sampled_is_kept_merged_and_exported(tmp_path, windows, target):
    now = windows[-1].started_at + 600
    clock = lambda: now  # noqa: E731
    token_file = tmp_path / "token"
    token_file.write_text("correct-horse-battery")
    database = await Database.open(str(tmp_path / "store.db"))
    profiles = ProfileRepository(database, clock=clock)
    service = Service(MemoryRollups(), Token(token_file), database.ping, profiles=profiles)
    runner = web.AppRunner(service.application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    settings = StoreSettings(url=url, token_file=token_file)

    keeper = ProfileKeeper(lambda: settings, lambda: None, clock=clock)
    keeper.keep(target(), windows)
    await keeper.aclose()
    assert keeper.store_state().reason == "Reachable"
    merger = ProfileMerger(lambda: settings, clock=clock)
    assert await merger.merge_due() >= 1  # two, where five minutes ended in between
    await merger.aclose()

    period = Period("web", windows[0].started_at, windows[-1].started_at + 1)
    assert list(await History(lambda: settings).windows(period, now=now)) == windows

    def foretide(*words):
        parser = argparse.ArgumentParser()
        store.add_parser(parser.add_subparsers())
        options = parser.parse_args(["store", "profiles", *map(str, words)])
        return options.run(options)

    where = ["web/deployment/shop", "--url", url, "--token-file", token_file]
    outputs = {kind: tmp_path / f"{kind}.ftp" for kind in ("raw", "merged")}
    for kind, output in outputs.items():
        done = foretide, "export", *where, "--kind", kind, "--output", output
        assert await asyncio.to_thread(*done) == 0
    assert list(files.read_windows(outputs["raw"])) == windows
    merged = files.read_profile(outputs["merged"])
    assert merged.cpu == pytest.approx(merge(windows).cpu, abs=1e-4)
    assert any(frame.function == "work" for frame in merged.frames)
    both = foretide, "export", *where, "--output", tmp_path / "both.ftp"
    assert await asyncio.to_thread(*both) == 2

    await runner.cleanup()
    await database.aclose()
