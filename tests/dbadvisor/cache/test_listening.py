"""The connection that hears of changes: what it promises, and what happens without it."""

import os
import signal
import subprocess
import sys
import textwrap

import psycopg
import pytest

from foretide.dbadvisor.cache import install, remove
from foretide.dbadvisor.cache.listening import Listener, Unheard, change_of, server_of
from foretide.dbadvisor.cache.memory import Memory
from foretide.dbadvisor.cache.triggers import main

AMOUNT = "SELECT amount FROM stock WHERE id = %s"
LISTENERS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'foretide cache'"


@pytest.mark.postgres
@pytest.mark.slow
def test_every_version_of_postgresql_keeps_the_promise(each_postgres, make_cache):
    """A notification comes before the answer to a question that is sent after the commit."""
    cache = make_cache(listen=each_postgres)
    with (
        psycopg.connect(each_postgres, autocommit=True) as reader,
        psycopg.connect(each_postgres, autocommit=True) as writer,
    ):
        writer.execute("CREATE TABLE stock (id int PRIMARY KEY, amount int NOT NULL)")
        writer.execute("INSERT INTO stock VALUES (1, 0)")
        writer.execute(install(["stock"]))
        for amount in range(1, 300):
            assert cache.fetchone(reader, AMOUNT, (1,)) == (amount - 1,)
            assert cache.fetchone(reader, AMOUNT, (1,)) == (amount - 1,)
            writer.execute("UPDATE stock SET amount = %s", (amount,))
        assert cache.counts.hits == 299
        writer.execute(remove(["stock"]))


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="stops a process of another user")
def test_a_server_that_does_not_answer_the_listener_is_done_without(shop, connect, make_cache):
    cache = make_cache(listen=shop, listen_timeout=0.3)
    reader, writer = connect(), connect()
    assert cache.fetchone(reader, AMOUNT, (1,)) == (0,)
    (pid,) = writer.execute(LISTENERS).fetchone()
    os.kill(pid, signal.SIGSTOP)
    try:
        writer.execute("UPDATE stock SET amount = 1")
        assert cache.fetchone(reader, AMOUNT, (1,)) == (1,)
        assert cache.counts.bypassed == 1
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.postgres
def test_after_a_loss_the_cache_begins_empty_and_works_again(shop, connect, make_cache, until):
    cache = make_cache(listen=shop)
    reader, admin = connect(), connect()
    cache.fetchone(reader, AMOUNT, (1,))
    admin.execute(f"SELECT pg_terminate_backend(pid) FROM ({LISTENERS}) AS those")
    admin.execute("UPDATE stock SET amount = 1")
    assert cache.fetchone(reader, AMOUNT, (1,)) == (1,)
    hits = cache.counts.hits

    def hit():
        assert cache.fetchone(reader, AMOUNT, (1,)) == (1,)
        return cache.counts.hits > hits

    until(hit)


def test_a_database_that_cannot_be_listened_to_is_a_warning_without_secrets(caplog):
    dsn = "postgresql://app:hush@127.0.0.1:1/shop"
    listener = Listener(dsn, Memory(), strict=True, timeout=1.0)
    assert not listener.fresh()
    listener.close()
    assert "asks the database for everything" in caplog.text
    assert "hush" not in caplog.text


def test_a_pooler_and_a_replica_are_refused():
    class Connection:
        class info:
            backend_pid = 7

    assert server_of(("server", 7, False), Connection) == "server"
    with pytest.raises(Unheard, match="pooler"):
        server_of(("server", 8, False), Connection)
    with pytest.raises(Unheard, match="replica"):
        server_of(("server", 7, True), Connection)


def test_what_a_trigger_tells_may_hold_any_name():
    assert change_of("12 shop.Order lines").table == "shop.Order lines"
    assert change_of("nonsense").table == ""


@pytest.mark.postgres
def test_a_child_process_listens_for_itself(shop):
    """As with servers that load an application and fork their workers from it."""
    program = textwrap.dedent("""
        import os, sys, psycopg
        from foretide.dbadvisor.cache import Cache
        dsn, query = sys.argv[1], "SELECT amount FROM stock WHERE id = 1"
        cache = Cache(listen=dsn)
        with psycopg.connect(dsn, autocommit=True) as reader:
            cache.fetch(reader, query)
        child = os.fork()
        with psycopg.connect(dsn, autocommit=True) as reader:
            for amount in range(1, 30):
                for _ in range(2):
                    seen = cache.fetchone(reader, query)[0]
                mine = reader.execute(
                    "UPDATE stock SET amount = amount + 1 WHERE id = 1 RETURNING amount"
                ).fetchone()[0]
                assert cache.fetchone(reader, query)[0] >= mine > seen
            assert cache.counts.hits > 0
        cache.close()
        if child:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    """)
    done = subprocess.run(
        [sys.executable, "-c", program, shop], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_names_of_tables_are_checked_before_they_become_ddl(capsys):
    assert main(["shop.orders", 'shop."Order lines"']) == 0
    assert 'ON shop."Order lines"' in capsys.readouterr().out
    assert main(["--remove", "shop.orders"]) == 0
    assert capsys.readouterr().out.startswith("DROP TRIGGER")
    for wrong in ("orders; DROP TABLE orders", "a.b.c", "", '"open'):
        assert main([wrong]) == 2
        assert "is not the name of a table" in capsys.readouterr().out
    assert main([]) == 2


def test_the_library_needs_nothing_of_the_advisor():
    program = (
        "import sys, foretide.dbadvisor.cache as c\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('sqlglot', 'redis', 'pydantic')"
        " or m.startswith('foretide.') and not m.startswith('foretide.dbadvisor')])\n"
        "print([m for m in sys.modules if m.startswith('foretide.dbadvisor.')"
        " and not m.startswith('foretide.dbadvisor.cache')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n[]\n", "")
