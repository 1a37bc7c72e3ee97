"""Reads through the cache, against a real PostgreSQL."""

import datetime
import decimal

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import class_row, dict_row, namedtuple_row

from foretide.dbadvisor.cache import install

pytestmark = pytest.mark.postgres

AMOUNT = "SELECT amount FROM stock WHERE id = %s"


class Item:
    def __init__(self, id, amount):  # noqa: A002
        self.shown = f"{id}: {amount}"


def test_a_second_read_does_not_ask_the_database(connect, make_cache):
    cache = make_cache(ttl=60)
    reader = connect()
    assert cache.fetch(reader, AMOUNT, (1,)) == [(0,)]
    connect().execute("UPDATE stock SET amount = 5")
    assert cache.fetch(reader, AMOUNT, (1,)) == [(0,)]
    assert (cache.counts.hits, cache.counts.misses) == (1, 1)


def test_an_answer_is_not_used_past_its_ttl(connect, make_cache, until):
    cache = make_cache()
    reader = connect()
    assert cache.fetchone(reader, AMOUNT, (1,), ttl=0.2) == (0,)
    connect().execute("UPDATE stock SET amount = 5")
    until(lambda: cache.fetchone(reader, AMOUNT, (1,), ttl=0.2) == (5,), 2)


def test_a_committed_change_is_seen_at_once(shop, connect, make_cache):
    cache = make_cache(listen=shop)
    reader, writer = connect(), connect()
    for amount in range(1, 200):
        assert cache.fetchone(reader, AMOUNT, (1,)) == (amount - 1,)
        assert cache.fetchone(reader, AMOUNT, (1,)) == (amount - 1,)
        writer.execute("UPDATE stock SET amount = %s", (amount,))
    assert cache.counts.hits == 199


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO stock VALUES (11, 1)",
        "DELETE FROM stock WHERE id = 3",
        "TRUNCATE stock",
        "COPY stock FROM PROGRAM 'echo 12 1' (DELIMITER ' ')",
        "INSERT INTO stock VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET amount = 9",
        "SET session_replication_role = replica; UPDATE stock SET amount = 3",
    ],
)
def test_any_way_to_change_a_table_is_told_of(shop, connect, make_cache, change):
    cache = make_cache(listen=shop)
    reader = connect()
    query = "SELECT count(*), sum(amount) FROM stock"
    before = cache.fetch(reader, query)
    assert cache.fetch(reader, query) == before
    connect().execute(change)
    assert cache.fetch(reader, query) != before


def test_what_a_view_or_a_function_hides_is_known(shop, connect, make_cache):
    cache = make_cache(listen=shop)
    reader, writer = connect(), connect()
    writer.execute("CREATE VIEW shown AS SELECT sum(amount) AS total FROM stock")
    writer.execute(
        "CREATE FUNCTION counted() RETURNS bigint STABLE LANGUAGE plpgsql"
        " AS 'BEGIN RETURN (SELECT sum(amount) FROM stock); END'"
    )
    for query in ("SELECT total FROM shown", "SELECT counted()"):
        for amount in (1, 2):
            writer.execute("UPDATE stock SET amount = %s", (amount,))
            assert cache.fetchone(reader, query) == (amount * 10,)
            assert cache.fetchone(reader, query) == (amount * 10,)
    assert cache.counts.hits == 4


def test_a_partition_written_to_directly_is_told_of(shop, connect, make_cache):
    cache = make_cache(listen=shop)
    reader, writer = connect(), connect()
    writer.execute("CREATE TABLE event (day int, n int) PARTITION BY RANGE (day)")
    writer.execute("CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (10)")
    writer.execute(install(["event"]))
    query = "SELECT count(*) FROM event"
    assert cache.fetchone(reader, query) == (0,)
    assert "public.event_1 has no trigger" in cache.refusals()[query]
    writer.execute(install(["event_1"]))
    another = "SELECT count(*) AS n FROM event"
    assert cache.fetchone(reader, another) == (0,)
    writer.execute("INSERT INTO event_1 VALUES (1, 1)")
    assert cache.fetchone(reader, another) == (1,)
    writer.execute("INSERT INTO event VALUES (1, 1)")
    assert cache.fetchone(reader, another) == (2,)


def test_the_writers_own_transaction_sees_its_changes_and_nobody_else_does(
    shop, connect, make_cache
):
    cache = make_cache(listen=shop)
    reader, writer = connect(), connect(autocommit=False)
    assert cache.fetchone(reader, AMOUNT, (1,)) == (0,)
    writer.execute("UPDATE stock SET amount = 7")
    assert cache.fetchone(writer, AMOUNT, (1,)) == (7,)
    assert cache.fetchone(reader, AMOUNT, (1,)) == (0,)
    writer.rollback()
    assert cache.fetchone(writer, AMOUNT, (1,)) == (0,)


def test_what_an_old_snapshot_sees_is_not_kept(shop, connect, make_cache):
    cache = make_cache(listen=shop)
    old, writer = connect(), connect()
    with old.transaction():
        old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT 1 FROM silent")
        writer.execute("UPDATE stock SET amount = 7")
        assert cache.fetchone(old, AMOUNT, (1,)) == (0,)
        assert cache.fetchone(writer, AMOUNT, (1,)) == (7,)
    assert cache.fetchone(old, AMOUNT, (1,)) == (7,)


def test_a_connection_is_left_as_it_was(connect, make_cache):
    cache = make_cache()
    reader = connect(autocommit=False)
    for _ in range(2):
        cache.fetch(reader, AMOUNT, (1,))
        assert reader.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert reader.read_only is None
    assert cache.counts.hits == 1


@pytest.mark.parametrize("factory", [None, dict_row, namedtuple_row, class_row(Item)])
def test_rows_are_those_of_psycopg(connect, make_cache, factory):
    cache = make_cache()
    reader = connect(row_factory=factory) if factory else connect()
    query = "SELECT id, amount FROM stock ORDER BY id LIMIT 2"
    expected = reader.execute(query).fetchall()
    for _ in range(2):
        rows = cache.fetch(reader, query)
        assert [getattr(row, "shown", row) for row in rows] == [
            getattr(row, "shown", row) for row in expected
        ]
    assert cache.counts.hits == 1
    assert cache.fetch(reader, query, row_factory=dict_row)[0] == {"id": 1, "amount": 0}


def test_all_types_come_back_as_they_went_in(connect, make_cache):
    cache = make_cache()
    reader = connect()
    values = (
        decimal.Decimal("1.50"),
        datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC),
        datetime.timedelta(hours=3),
        b"\x00\xff",
        [1, None, 3],
        "ü\n",
        None,
        True,
    )
    query = "SELECT %s, %s, %s, %s, %s::int[], %s, %s::text, %s, '{\"a\": [1]}'::jsonb, ''"
    first, second = (cache.fetchone(reader, query, values) for _ in range(2))
    assert first == second == reader.execute(query, values).fetchone()
    assert cache.counts.hits == 1


def test_a_row_that_a_caller_changes_is_its_own(connect, make_cache):
    cache = make_cache()
    reader = connect()
    query = """SELECT '{"a": [1]}'::jsonb"""
    cache.fetchone(reader, query)[0]["a"].append(2)
    cache.fetchone(reader, query)[0]["a"].append(3)
    assert cache.fetchone(reader, query) == ({"a": [1]},)


def test_answers_differ_by_parameters_session_and_what_the_caller_names(connect, make_cache):
    cache = make_cache()
    reader = connect()
    distinct = [
        cache.fetchone(reader, "SELECT %s", (1,)),
        cache.fetchone(reader, "SELECT %s", ("1",)),
        cache.fetchone(reader, "SELECT %s", (True,)),
        cache.fetchone(reader, "SELECT %s", (None,)),
        cache.fetchone(reader, "SELECT %(a)s", {"a": 1}),
        cache.fetchone(reader, "SELECT %(a)s", {"a": 1}, vary=("tenant",)),
        cache.fetchone(reader, sql.SQL("SELECT {}").format(1)),
    ]
    assert distinct == [(1,), ("1",), (True,), (None,), (1,), (1,), (1,)]
    reader.execute("SET timezone = 'Asia/Tokyo'")
    cache.fetchone(reader, "SELECT %s", (1,))
    assert (cache.counts.hits, cache.counts.misses) == (0, 8)


def test_a_statement_that_writes_is_refused_by_postgresql(connect, make_cache):
    cache = make_cache()
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        cache.fetch(connect(), "UPDATE stock SET amount = 1 RETURNING id")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        cache.fetch(connect(), "SELECT id FROM stock FOR UPDATE")
    with pytest.raises(psycopg.ProgrammingError, match="only a query that gives rows"):
        cache.fetch(connect(), "SET work_mem = '1MB'")


@pytest.mark.parametrize(
    ("prepare", "query", "reason"),
    [
        ("CREATE TEMP TABLE t (a int)", "SELECT * FROM t", "temporary table"),
        ("ALTER TABLE stock ENABLE ROW LEVEL SECURITY", "SELECT * FROM stock", "row-level"),
        ("", "SELECT * FROM silent", "no trigger"),
        ("CREATE MATERIALIZED VIEW m AS SELECT 1", "SELECT * FROM m", "materialized view"),
        ("CREATE SEQUENCE s", "SELECT last_value FROM s", "sequence"),
        ("ALTER TABLE stock DISABLE TRIGGER ALL", "SELECT * FROM stock", "no trigger"),
    ],
)
def test_what_must_not_be_kept_is_not_and_the_reason_is_told(
    shop, connect, make_cache, prepare, query, reason
):
    cache = make_cache(listen=shop)
    reader = connect()
    if prepare:
        reader.execute(prepare)
    for _ in range(3):
        assert cache.fetch(reader, query) == reader.execute(query).fetchall()
    assert cache.counts.hits == 0
    assert reason in cache.refusals()[query]


def test_refused_texts_take_little_memory_however_long_they_are(shop, connect, make_cache):
    cache = make_cache(listen=shop)
    reader = connect()
    for number in range(3):
        cache.fetch(reader, f"SELECT {number} FROM silent /* {'long ' * 50_000} */")
    shown = cache.refusals()
    assert len(shown) == 3
    assert max(map(len, shown)) < 1200
    assert cache.counts.refused == 3


def test_another_database_than_the_one_listened_to_is_not_cached(
    postgres_server, shop, connect, make_cache
):
    cache = make_cache(listen=postgres_server.url())
    reader = connect()
    for amount in range(3):
        connect().execute("UPDATE stock SET amount = %s", (amount,))
        assert cache.fetchone(reader, AMOUNT, (1,)) == (amount,)
    assert "another server or database" in cache.refusals()[AMOUNT]


def test_a_failed_query_raises_what_psycopg_does_and_leaves_nothing(connect, make_cache):
    cache = make_cache()
    reader = connect()
    for _ in range(2):
        with pytest.raises(psycopg.errors.DivisionByZero):
            cache.fetch(reader, "SELECT 1 / %s", (0,))
    assert reader.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_invalidation_by_hand(connect, make_cache):
    cache = make_cache()
    reader = connect()
    assert cache.fetchone(reader, AMOUNT, (1,)) == (0,)
    connect().execute("UPDATE stock SET amount = 5")
    cache.invalidate("public.silent")
    assert cache.fetchone(reader, AMOUNT, (1,)) == (0,)
    cache.invalidate("public.stock")
    assert cache.fetchone(reader, AMOUNT, (1,)) == (5,)
    with pytest.raises(ValueError, match="has no schema"):
        cache.invalidate("stock")


def test_without_strictness_a_change_is_seen_a_moment_later(shop, connect, make_cache, until):
    cache = make_cache(listen=shop, strict=False)
    reader = connect()
    assert cache.fetchone(reader, AMOUNT, (1,)) == (0,)
    connect().execute("UPDATE stock SET amount = 5")
    until(lambda: cache.fetchone(reader, AMOUNT, (1,)) == (5,), 2)


async def test_asynchronous_reads_go_the_same_way(shop, make_async_cache):
    cache = make_async_cache(listen=shop)
    async with (
        await psycopg.AsyncConnection.connect(shop, autocommit=True) as reader,
        await psycopg.AsyncConnection.connect(shop, autocommit=True) as writer,
    ):
        for amount in range(1, 50):
            assert await cache.fetch(reader, AMOUNT, (1,)) == [(amount - 1,)]
            assert await cache.fetchone(reader, AMOUNT, (1,)) == (amount - 1,)
            await writer.execute("UPDATE stock SET amount = %s", (amount,))
        assert cache.counts.hits == 49
        async with reader.transaction():
            await reader.execute("UPDATE stock SET amount = -1")
            assert await cache.fetchone(reader, AMOUNT, (1,)) == (-1,)
        await cache.clear()
        await cache.invalidate("public.stock")
        assert reader.read_only is None
