"""Sessions that differ in what no parameter says: each gets what PostgreSQL would answer it."""

import contextlib
import os
import signal
import uuid

import psycopg
import pytest

from foretide.dbadvisor.cache import install
from sandbox.errors import SandboxError
from sandbox.postgres import running
from sandbox.postgres_binaries import debian

pytestmark = pytest.mark.postgres

AMOUNT = "SELECT amount FROM stock WHERE id = %s"


def test_a_search_path_that_is_set_later_finds_its_own_tables(shop, connect, make_cache):
    cache = make_cache(listen=shop)
    reader = connect()
    reader.execute("CREATE SCHEMA tenant")
    reader.execute("CREATE TABLE tenant.stock AS SELECT id, 7 AS amount FROM public.stock")
    reader.execute(install(["tenant.stock"]))
    for _ in range(2):
        for path, amount in (("public", 0), ("tenant, public", 7)):
            reader.execute(f"SET search_path = {path}")
            assert cache.fetchone(reader, AMOUNT, (1,)) == (amount,)
    assert cache.counts.hits == 2


def test_a_temporary_table_that_hides_another_is_its_sessions_own(shop, connect, make_cache):
    cache = make_cache(listen=shop)
    reader, another = connect(), connect()
    assert cache.fetchone(reader, AMOUNT, (1,)) == (0,)
    reader.execute("CREATE TEMP TABLE stock AS SELECT 1 AS id, 9 AS amount")
    for _ in range(2):
        assert cache.fetchone(reader, AMOUNT, (1,)) == (9,)
        reader.execute("UPDATE stock SET amount = 9")
    assert cache.fetchone(another, AMOUNT, (1,)) == (0,)


def test_a_role_is_not_given_what_another_one_may_see(shop, connect, make_cache):
    cache = make_cache(listen=shop)
    reader = connect()
    role = f"stranger_{uuid.uuid4().hex[:8]}"
    reader.execute(f"CREATE ROLE {role}")
    try:
        assert cache.fetchone(reader, AMOUNT, (1,)) == (0,)
        reader.execute(f"SET ROLE {role}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            cache.fetchone(reader, AMOUNT, (1,))
        reader.execute("RESET ROLE")
        assert cache.fetchone(reader, AMOUNT, (1,)) == (0,)
        assert cache.counts.hits == 1
    finally:
        reader.execute("RESET ROLE")
        reader.execute(f"DROP ROLE {role}")


@pytest.mark.parametrize(
    ("setting", "query"),
    [
        ("extra_float_digits = -10", "SELECT (1 / 3.0::float8)::text FROM stock LIMIT 1"),
        ("bytea_output = 'escape'", "SELECT '\\xff'::bytea::text FROM stock LIMIT 1"),
        ("default_text_search_config = 'simple'", "SELECT to_tsvector('the cars') FROM stock"),
        ("array_nulls = off", "SELECT '{NULL}'::text[] FROM stock LIMIT 1"),
        ("transform_null_equals = on", "SELECT count(*) FROM stock WHERE nullif(amount, 0) = NULL"),
        ("standard_conforming_strings = off", "SELECT 'a\\\\b' FROM stock LIMIT 1"),
        ("xmlbinary = 'hex'", "SELECT xmlforest('a'::bytea AS a)::text FROM stock LIMIT 1"),
    ],
)
def test_settings_that_change_an_answer_tell_sessions_apart(
    shop, connect, make_cache, setting, query
):
    cache = make_cache(listen=shop)
    usual, other = connect(), connect()
    other.execute("SET default_text_search_config = 'english'")
    usual.execute("SET default_text_search_config = 'english'")
    other.execute(f"SET {setting}")
    for reader in (usual, other, usual, other):
        assert cache.fetch(reader, query) == reader.execute(query).fetchall()
    assert cache.fetch(usual, query) != cache.fetch(other, query)


def test_a_cursor_that_reads_a_text_in_another_way_gets_its_own_answer(shop, connect, make_cache):
    cache = make_cache(listen=shop)
    usual, raw = connect(), connect()
    raw.cursor_factory = psycopg.RawCursor
    query = "SELECT '%%' FROM stock LIMIT 1"
    for _ in range(2):
        assert cache.fetchone(usual, query, ()) == ("%",)
        assert cache.fetchone(raw, query, ()) == ("%%",)


def test_without_the_question_all_sessions_are_taken_for_one(shop, connect, make_cache):
    cache = make_cache(listen=shop, ask_session=False)
    reader, another = connect(), connect()
    reader.execute("SET bytea_output = 'escape'")
    assert cache.fetchone(reader, AMOUNT, (1,)) == (0,)
    assert cache.fetchone(another, AMOUNT, (1,)) == (0,)
    assert cache.counts.hits == 1


async def test_asynchronous_sessions_are_told_apart_too(shop, make_async_cache):
    cache = make_async_cache(listen=shop)
    async with await psycopg.AsyncConnection.connect(shop) as reader:
        assert await cache.fetchone(reader, AMOUNT, (1,)) == (0,)
        assert reader.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert not reader.autocommit
        await reader.execute("CREATE TEMP TABLE stock AS SELECT 1 AS id, 9 AS amount")
        await reader.commit()
        assert await cache.fetchone(reader, AMOUNT, (1,)) == (9,)


@pytest.fixture
def own_server():
    """Starts servers that the test may break."""
    with contextlib.ExitStack() as stack:

        def start():
            try:
                return stack.enter_context(running(debian(), {"restart_after_crash": "on"}))
            except SandboxError as missing:
                pytest.skip(str(missing))

        yield start


def filled(url, amount):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE stock (id int PRIMARY KEY, amount int)")
        connection.execute("INSERT INTO stock VALUES (1, %s)", (amount,))
        connection.execute(install(["stock"]))


@pytest.mark.slow
def test_after_a_failover_under_the_same_name_nothing_of_the_old_server_is_told(
    own_server, make_cache, tmp_path, until
):
    """The old one still runs, and still answers its listeners: a primary that nobody has told."""
    old, new = own_server(), own_server()
    filled(old.url(), 1)
    filled(new.url(), 2)
    name = tmp_path / ".s.PGSQL.5432"
    name.symlink_to(old.socket / f".s.PGSQL.{old.port}")
    dsn = f"postgresql://foretide@/postgres?host={tmp_path}&port=5432"
    cache = make_cache(listen=dsn)
    with psycopg.connect(dsn, autocommit=True) as reader:
        for _ in range(2):
            assert cache.fetchone(reader, AMOUNT, (1,)) == (1,)
    name.unlink()
    name.symlink_to(new.socket / f".s.PGSQL.{new.port}")
    with psycopg.connect(dsn, autocommit=True) as reader:
        for amount in (2, 3):
            reader.execute("UPDATE stock SET amount = %s", (amount,))
            for _ in range(2):
                assert cache.fetchone(reader, AMOUNT, (1,)) == (amount,)
    assert cache.counts.hits == 1


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="kills a process of another user")
def test_a_server_that_crashes_and_comes_back_is_asked_again(own_server, make_cache, until):
    server = own_server()
    filled(server.url(), 1)
    cache = make_cache(listen=server.url())
    with psycopg.connect(server.url(), autocommit=True) as reader:
        for _ in range(2):
            assert cache.fetchone(reader, AMOUNT, (1,)) == (1,)
        os.kill(reader.info.backend_pid, signal.SIGKILL)  # the postmaster ends all others, too

    def changed():
        with (
            contextlib.suppress(psycopg.OperationalError),
            psycopg.connect(server.url(), autocommit=True) as writer,
        ):
            writer.execute("UPDATE stock SET amount = 2")
            return True
        return False

    until(changed)
    hits = cache.counts.hits
    with psycopg.connect(server.url(), autocommit=True) as reader:

        def hit():
            assert cache.fetchone(reader, AMOUNT, (1,)) == (2,)
            return cache.counts.hits > hits

        until(hit)
