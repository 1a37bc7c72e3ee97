"""Ways to change an answer that a trigger on the table it was read from does not see by itself."""

import asyncio
import threading

import psycopg
import pytest
import redis

from foretide.dbadvisor.cache import Memory, install, install_ddl, remove_ddl
from foretide.dbadvisor.cache.redis import Redis

pytestmark = pytest.mark.postgres

AMOUNT = "SELECT amount FROM stock WHERE id = %s"
COUNT = "SELECT count(*), sum(n) FROM "


@pytest.fixture
def parts(connect):
    """`event`, partitioned twice; `base` with an heir. All of them tell of their changes."""
    owner = connect()
    owner.execute("CREATE TABLE event (day int, n int) PARTITION BY RANGE (day)")
    owner.execute(
        "CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (10)"
        " PARTITION BY RANGE (day)"
    )
    owner.execute("CREATE TABLE event_1a PARTITION OF event_1 FOR VALUES FROM (0) TO (5)")
    owner.execute("CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM (10) TO (20)")
    owner.execute("CREATE TABLE base (day int, n int)")
    owner.execute("CREATE TABLE heir () INHERITS (base)")
    owner.execute("INSERT INTO heir VALUES (1, 1)")
    owner.execute(install(["event", "event_1", "event_1a", "event_2", "base", "heir"]))
    return owner


@pytest.mark.parametrize(
    ("read", "change"),
    [
        ("event_1a", "INSERT INTO event VALUES (1, 1)"),
        ("event_1a", "INSERT INTO event_1 VALUES (1, 1)"),
        ("event_1a", "COPY event FROM PROGRAM 'echo 1 1' (DELIMITER ' ')"),
        ("event", "INSERT INTO event_1a VALUES (1, 1)"),
        ("event_2", "UPDATE event SET day = 12"),  # moves a row there
        ("event_1", "UPDATE event SET day = 12"),  # and away from here
        ("event_1a", "TRUNCATE event"),
        ("heir", "UPDATE base SET n = 2"),
        ("heir", "DELETE FROM base"),
        ("base", "UPDATE heir SET n = 2"),
    ],
)
def test_a_part_changes_with_what_it_is_a_part_of(shop, connect, make_cache, parts, read, change):
    cache = make_cache(listen=shop)
    parts.execute("INSERT INTO event VALUES (2, 5)")
    reader = connect()
    before = cache.fetch(reader, COUNT + read)
    assert cache.fetch(reader, COUNT + read) == before
    assert cache.counts.hits == 1
    parts.execute(change)
    assert cache.fetch(reader, COUNT + read) == reader.execute(COUNT + read).fetchall() != before


def test_a_part_is_not_kept_where_what_it_is_a_part_of_tells_nothing(shop, connect, make_cache):
    cache = make_cache(listen=shop)
    owner = connect()
    owner.execute("CREATE TABLE whole (day int, n int) PARTITION BY RANGE (day)")
    owner.execute("CREATE TABLE part PARTITION OF whole FOR VALUES FROM (0) TO (10)")
    owner.execute(install(["part"]))
    cache.fetch(owner, COUNT + "part")
    assert "public.whole has no trigger" in cache.refusals()[COUNT + "part"]


@pytest.mark.parametrize(
    "change",
    [
        "CREATE OR REPLACE VIEW shown AS SELECT sum(amount) + 1 AS total FROM stock",
        "DROP VIEW shown; CREATE VIEW shown AS SELECT 7 AS total FROM stock LIMIT 1",
        "ALTER TABLE stock ALTER amount TYPE bigint USING 3",
        "DROP TABLE stock CASCADE; CREATE VIEW shown AS SELECT 7 AS total",
        "ALTER TABLE stock DISABLE TRIGGER ALL; UPDATE stock SET amount = 9",
        "ALTER TABLE silent INHERIT stock",
    ],
)
def test_ddl_is_told_of_where_it_may_be(shop, connect, make_cache, change):
    cache = make_cache(listen=shop)
    owner, reader = connect(), connect()
    owner.execute("UPDATE silent SET amount = 2")
    owner.execute("CREATE VIEW shown AS SELECT sum(amount) AS total FROM stock")
    owner.execute(install_ddl())
    query = "SELECT total::text FROM shown"
    before = cache.fetch(reader, query)
    assert cache.fetch(reader, query) == before
    if "ALTER amount" in change:
        owner.execute("DROP VIEW shown")
        change += "; CREATE VIEW shown AS SELECT sum(amount) AS total FROM stock"
    owner.execute(change)
    assert cache.fetch(reader, query) == reader.execute(query).fetchall() != before
    owner.execute(remove_ddl())


def test_ddl_that_concerns_one_session_or_no_answer_does_not_empty_the_cache(
    shop, connect, make_cache
):
    cache = make_cache(listen=shop)
    owner, reader = connect(), connect()
    owner.execute("CREATE MATERIALIZED VIEW summed AS SELECT sum(amount) FROM stock")
    owner.execute(install_ddl())
    cache.fetch(reader, AMOUNT, (1,))
    for harmless in (
        "CREATE TEMP TABLE mine (a int)",
        "CREATE INDEX ON mine (a)",
        "DROP TABLE mine",
        "CREATE INDEX ON stock (amount)",
        "COMMENT ON TABLE stock IS 'goods'",
        "REFRESH MATERIALIZED VIEW summed",
        "ANALYZE stock",
    ):
        owner.execute(harmless)
        cache.fetch(reader, AMOUNT, (1,))
    assert cache.counts.misses == 1


class Interrupted(BaseException):
    """As a time limit or a shutdown raises it, out of a signal's handler."""


class Breaking(Memory):
    """Fails to take what has changed, once."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def changed(self, changes):
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        super().changed(changes)


def test_news_that_an_interruption_has_lost_leaves_nothing_stale(shop, connect, make_cache, until):
    cache = make_cache(listen=shop, backend=Breaking(Interrupted()))
    reader = connect()
    assert cache.fetchone(reader, AMOUNT, (1,)) == (0,)
    connect().execute("UPDATE stock SET amount = 1")
    with pytest.raises(Interrupted):
        cache.fetchone(reader, AMOUNT, (1,))
    for _ in range(3):
        assert cache.fetchone(reader, AMOUNT, (1,)) == (1,)


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_thread_that_listens_outlives_any_error(shop, connect, make_cache, until):
    """A reader that is not strict has nobody else to hear of changes."""
    cache = make_cache(listen=shop, strict=False, backend=Breaking(ValueError("broken")))
    reader, writer = connect(), connect()
    cache.fetchone(reader, AMOUNT, (1,))
    for amount in (1, 2):
        writer.execute("UPDATE stock SET amount = %s", (amount,))
        until(lambda amount=amount: cache.fetchone(reader, AMOUNT, (1,)) == (amount,))
    assert any(each.name == "foretide-cache-listener" for each in threading.enumerate())


async def test_the_task_that_listens_outlives_any_error(shop, connect, make_async_cache):
    cache = make_async_cache(listen=shop, strict=False, backend=Breaking(ValueError("broken")))
    writer = connect()
    async with await psycopg.AsyncConnection.connect(shop, autocommit=True) as reader:
        await cache.fetchone(reader, AMOUNT, (1,))
        for amount in (1, 2):
            writer.execute("UPDATE stock SET amount = %s", (amount,))
            async with asyncio.timeout(10):
                while await cache.fetchone(reader, AMOUNT, (1,)) != (amount,):
                    pass


def test_what_lives_for_its_ttl_alone_is_no_answer_for_a_cache_that_listens(
    shop, connect, make_cache, redis_socket
):
    client = redis.Redis(unix_socket_path=str(redis_socket))
    listening = make_cache(listen=shop, backend=Redis(client, "both"))
    alone = make_cache(backend=Redis(client, "both"))
    reader = connect()
    query = "SELECT amount FROM silent WHERE id = 1"
    listening.fetch(reader, "SELECT 1")  # it empties what there is when it begins
    assert alone.fetchone(reader, query) == (0,)
    connect().execute("UPDATE silent SET amount = 5")
    assert listening.fetchone(reader, query) == (5,)


def test_an_answer_may_live_for_ever(shop, connect, make_cache, redis_socket):
    client = redis.Redis(unix_socket_path=str(redis_socket))
    for backend in (Memory(), Redis(client, f"ever-{shop}")):
        cache = make_cache(listen=shop, ttl=float("inf"), backend=backend)
        reader = connect()
        for _ in range(2):
            assert cache.fetchone(reader, AMOUNT, (1,)) is not None
        assert cache.counts.hits == 1


def test_what_was_written_before_a_trigger_was_there_is_not_missed(
    shop, connect, make_cache, until
):
    """A query reads, somebody writes, and only then the trigger is installed: when the cache looks
    for it, it is there, and has told of nothing.
    """
    cache = make_cache(listen=shop)
    reader, writer = connect(), connect()
    slow = "SELECT sum(amount), pg_sleep(0.5) FROM silent"
    reading = threading.Thread(target=cache.fetch, args=(reader, slow))
    reading.start()
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    until(lambda: writer.execute(asleep).fetchone() == (1,))
    writer.execute("UPDATE silent SET amount = 1")
    writer.execute(install(["public.silent"]))
    reading.join()
    assert cache.fetch(reader, slow)[0][0] == 10


@pytest.mark.parametrize(
    ("table", "why"),
    [("public.silent", "no trigger"), ("public.Silent", "there is no table public.Silent")],
)
def test_a_table_that_is_named_must_tell_of_its_changes_too(shop, connect, make_cache, table, why):
    cache = make_cache(listen=shop)
    reader = connect()
    for _ in range(2):
        assert cache.fetchone(reader, AMOUNT, (1,), tables=[table]) == (0,)
    assert cache.counts.hits == 0
    assert why in cache.refusals()[AMOUNT]


def test_a_table_that_is_named_makes_an_answer_invalid(shop, connect, make_cache):
    cache = make_cache(listen=shop)
    reader = connect()
    reader.execute(install(["public.silent"]))
    for hits in (0, 1):
        cache.fetchone(reader, "SELECT 1", tables=["public.silent"])
        assert cache.counts.hits == hits
    reader.execute("UPDATE silent SET amount = 1")
    cache.fetchone(reader, "SELECT 1", tables=["public.silent"])
    assert cache.counts.hits == 1
