"""Readers and writers behind PgBouncer in transaction mode, the listening connection beside it."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import psycopg
import pytest

from foretide.dbadvisor.cache import install
from sandbox import apt
from sandbox.process import wait_until

pytestmark = pytest.mark.postgres

AMOUNT = "SELECT amount FROM stock WHERE id = %s"
CONFIGURATION = """[databases]
* = host={host} port={port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
default_pool_size = 2
"""


@pytest.fixture(scope="module")
def pgbouncer():
    """Where it is; Debian's is installed where this is root."""
    if shutil.which("pgbouncer") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        apt.install(["pgbouncer"])
    program = shutil.which("pgbouncer")
    if program is None:
        pytest.skip("PgBouncer is not installed: apt-get install pgbouncer")
    return program


@pytest.fixture
def folder():
    """One that PgBouncer may read as somebody else: it refuses to run as root."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def pooled(pgbouncer, shop, folder):
    """Opens connections to the shop through a pool of two sessions."""
    with psycopg.connect(shop) as connection, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        info, own = connection.info, free.getsockname()[1]
        users = folder / "users"
        users.write_text(f'"{info.user}" ""\n')
        settings = {"host": info.host, "port": info.port, "user": info.user}
        configured = CONFIGURATION.format(**settings, own=own, users=users)
        (folder / "ini").write_text(configured)
        database, user = info.dbname, info.user
    command = [pgbouncer, *(["-u", "nobody"] if os.geteuid() == 0 else []), str(folder / "ini")]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"postgresql://{user}@127.0.0.1:{own}/{database}"
    try:
        assert wait_until(lambda: _answers(url), 10)
        with contextlib.ExitStack() as stack:

            def connection(**options):
                options = {"autocommit": True, "prepare_threshold": None, **options}
                return stack.enter_context(contextlib.closing(psycopg.connect(url, **options)))

            connection.url = url
            yield connection
    finally:
        server.terminate()
        server.wait(10)


def _answers(url):
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def test_readers_behind_a_pooler_are_answered_and_see_each_commit(shop, pooled, make_cache):
    cache = make_cache(listen=shop)
    reader, writer = pooled(), pooled()
    for amount in range(20):
        writer.execute("UPDATE stock SET amount = %s WHERE id = 1", (amount,))
        for _ in range(3):
            assert cache.fetchone(reader, AMOUNT, (1,)) == (amount,)
    assert (cache.counts.misses, cache.counts.hits) == (20, 40)


def test_many_threads_behind_a_pooler_read_nothing_stale(shop, pooled, make_cache):
    cache = make_cache(listen=shop)
    committed, stale, ended = [0], [], threading.Event()

    def read(connection):
        while not ended.is_set():
            least = committed[0]
            if cache.fetchone(connection, AMOUNT, (1,))[0] < least:
                stale.append(least)

    threads = [threading.Thread(target=read, args=(pooled(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    writer = pooled()
    for amount in range(1, 200):
        writer.execute("UPDATE stock SET amount = %s WHERE id = 1", (amount,))
        committed[0] = amount
    assert wait_until(lambda: cache.counts.hits > 100, 10)
    ended.set()
    for thread in threads:
        thread.join()
    assert stale == []


def test_what_another_session_of_the_pool_has_answered_is_not_kept(shop, pooled, make_cache):
    """A setting that somebody made lingers in one session of the pool: whoever asks the one who it
    is and gets the other's answer must not keep that for all.
    """
    cache = make_cache(listen=shop)
    with psycopg.connect(shop, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA tenant")
        connection.execute("CREATE TABLE tenant.stock AS SELECT id, 7 AS amount FROM stock")
        connection.execute(install(["tenant.stock"]))
    holder, setter = pooled(), pooled()
    holder.execute("BEGIN")
    setter.execute("SET search_path = tenant, public")
    holder.execute("COMMIT")
    blocker = pooled()

    class Switched(psycopg.Connection):
        """Between the question and the load, somebody takes the session that was asked."""

        def transaction(self, *args, **options):
            blocker.execute("BEGIN")
            return super().transaction(*args, **options)

    options = {"autocommit": True, "prepare_threshold": None}
    with Switched.connect(pooled.url, **options) as reader:
        assert cache.fetchone(reader, AMOUNT, (2,)) == (7,)
    blocker.execute("COMMIT")
    assert cache.counts.overtaken == 1
    for _ in range(2):
        assert cache.fetchone(blocker, AMOUNT, (2,)) == (0,)
    assert cache.counts.hits == 1


def test_a_pooler_is_not_listened_through(pooled, make_cache, caplog):
    cache = make_cache(listen=pooled.url)
    assert cache.fetchone(pooled(), AMOUNT, (1,)) == (0,)
    assert cache.counts.bypassed == 1
    assert "a connection pooler stands between" in caplog.text
