"""Real PostgreSQL servers: Debian's with the extensions of the advisor, and each major version."""

import contextlib
import uuid

import psycopg
import pytest

from sandbox.errors import SandboxError
from sandbox.postgres import running
from sandbox.postgres_binaries import NPM_VERSIONS, debian, published

EXTENSIONS = ("pg_stat_statements", "hypopg", "pg_qualstats")
# All is seen, so that a test can await what it wants to see; no vacuum comes in between.
SETTINGS = {
    "autovacuum": "off",
    "max_connections": "40",
    "shared_buffers": "64MB",
    "pg_stat_statements.max": "10000",
    "track_io_timing": "on",
}


@pytest.fixture(scope="session")
def postgres_server():
    """A PostgreSQL 15 with HypoPG, pg_qualstats and pg_stat_statements (`sandbox.postgres`)."""
    with _server(
        debian, "pg_stat_statements,pg_qualstats", {"pg_qualstats.sample_rate": "1"}
    ) as it:
        with psycopg.connect(it.url(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE prepared")
        with psycopg.connect(it.url("prepared"), autocommit=True) as connection:
            for extension in EXTENSIONS:
                connection.execute(f"CREATE EXTENSION {extension}")
        yield it


@pytest.fixture
def postgres(postgres_server):
    """The DSN of a fresh database of PostgreSQL 15, as its superuser; all extensions are there."""
    # One list of constants for all databases: where it is full, those of this test may be lost.
    with psycopg.connect(postgres_server.url("prepared"), autocommit=True) as connection:
        connection.execute("SELECT pg_qualstats_reset()")
    with _fresh(postgres_server, "prepared") as url:
        yield url


@pytest.fixture(scope="module")
def postgres_of_module(postgres_server):
    """The DSN of an empty database of PostgreSQL 15 for the tests of a module.

    It can be made twice: tests side by side are shared out by what stands before "::" in their
    names, and casts in parameters have it, too.
    """
    with _fresh(postgres_server, "template1") as url:
        yield url


@pytest.fixture(scope="session")
def servers():
    """Starts a server of a major version, once: `servers(17)`. pg_stat_statements is loaded."""
    with contextlib.ExitStack() as stack:
        started = {}

        def server(major):
            if major not in started:
                context = _server(lambda: published(major), "pg_stat_statements", {})
                started[major] = stack.enter_context(context)
            return started[major]

        yield server


@pytest.fixture
def postgres_of(servers):
    """The DSN of a fresh database of a major version: `postgres_of(13)`. Has pg_stat_statements."""
    with contextlib.ExitStack() as stack:

        def fresh(major):
            url = stack.enter_context(_fresh(servers(major), "template1"))
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            return url

        yield fresh


@pytest.fixture(params=sorted(NPM_VERSIONS))
def each_postgres(request, postgres_of):
    """The DSN of a fresh database, of each major version from 13 to 18 in turn."""
    return postgres_of(request.param)


@contextlib.contextmanager
def _server(programs, preloaded, settings):
    try:
        found = programs()
    except SandboxError as missing:
        pytest.skip(str(missing))
    with running(found, {**SETTINGS, "shared_preload_libraries": preloaded, **settings}) as server:
        yield server


@contextlib.contextmanager
def _fresh(server, template):
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield server.url(name)
    finally:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
