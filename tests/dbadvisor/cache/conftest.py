"""Databases with tables that tell of their changes, a real Redis, and caches of either kind."""

import asyncio
import contextlib
import os
import shutil
import subprocess

import psycopg
import pytest
import redis

from foretide.dbadvisor.cache import AsyncCache, Cache, install
from sandbox import apt
from sandbox.process import wait_until


@pytest.fixture
def shop(postgres):
    """The DSN of a database with `stock(id, amount)`, whose changes are told of, and `silent`."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE TABLE stock (id int PRIMARY KEY, amount int NOT NULL)")
        connection.execute("CREATE TABLE silent (id int PRIMARY KEY, amount int NOT NULL)")
        connection.execute("INSERT INTO stock SELECT n, 0 FROM generate_series(1, 10) n")
        connection.execute("INSERT INTO silent SELECT n, 0 FROM generate_series(1, 10) n")
        connection.execute(install(["public.stock"]))
    return postgres


@pytest.fixture
def connect(shop):
    """Opens connections to the shop; they commit each statement."""
    with contextlib.ExitStack() as stack:

        def connection(**options):
            made = psycopg.connect(shop, **{"autocommit": True, **options})
            return stack.enter_context(contextlib.closing(made))

        yield connection


@pytest.fixture
def make_cache():
    """Makes caches that are closed at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(Cache(**options))


@pytest.fixture
async def make_async_cache():
    """Makes caches for asyncio that are closed at the end."""
    async with contextlib.AsyncExitStack() as stack:
        made = []

        def cache(**options):
            made.append(AsyncCache(**options))
            stack.push_async_callback(made[-1].close)
            return made[-1]

        yield cache


@pytest.fixture(scope="session")
def redis_program():
    """Where redis-server is; Debian's is installed where this is root."""
    if shutil.which("redis-server") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        apt.install(["redis-server"])
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    return program


@pytest.fixture(scope="session")
def redis_socket(redis_program, tmp_path_factory):
    """The Unix socket of a Redis without a disk."""
    with running_redis(redis_program, tmp_path_factory.mktemp("redis")) as socket:
        yield socket


@pytest.fixture
def redis_client(redis_socket):
    """A client of an empty Redis."""
    with redis.Redis(unix_socket_path=str(redis_socket)) as client:
        client.flushall()
        yield client


@pytest.fixture
def own_redis(redis_program, tmp_path):
    """Starts a Redis that the test may stop: gives its socket and its process. What it has saved
    to disk it finds again when it is started once more.
    """
    with contextlib.ExitStack() as stack:

        def start():
            return stack.enter_context(_redis(redis_program, tmp_path))

        yield start


@contextlib.contextmanager
def running_redis(program, folder):
    with _redis(program, folder) as (socket, _):
        yield socket


@contextlib.contextmanager
def _redis(program, folder):
    socket = folder / "socket"
    command = [program, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with redis.Redis(unix_socket_path=str(socket)) as client:
            assert wait_until(lambda: _answers(client), 10)
        yield socket, server
    finally:
        server.terminate()
        server.wait(10)


def _answers(client):
    try:
        return client.ping()
    except redis.ConnectionError:
        return False


@pytest.fixture(scope="session")
def until():
    """Awaits that a condition, a function, is true: `until(lambda: …)`."""

    def wait(condition, timeout=10.0):
        assert wait_until(condition, timeout)

    return wait


@pytest.fixture
def run():
    """Runs a coroutine to its end."""
    return asyncio.run
