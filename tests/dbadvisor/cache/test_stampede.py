"""One load for each key, however many ask: between threads, tasks and processes."""

import asyncio
import threading

import psycopg
import pytest
import redis

from foretide.dbadvisor.cache.redis import Redis

pytestmark = pytest.mark.postgres

SLOW = "SELECT count(*), pg_sleep(0.3) FROM stock"


def together(functions):
    found, failed = [], []
    barrier = threading.Barrier(len(functions))

    def call(function):
        barrier.wait()
        try:
            found.append(function())
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=call, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found, failed


def test_threads_share_one_load(shop, connect, make_cache):
    cache = make_cache(listen=shop)
    readers = [connect() for _ in range(8)]
    found, failed = together([lambda r=r: cache.fetchone(r, SLOW)[0] for r in readers])
    assert (found, failed) == ([10] * 8, [])
    assert cache.counts.misses == 1


async def test_tasks_share_one_load(shop, make_async_cache):
    cache = make_async_cache(listen=shop)
    readers = [await psycopg.AsyncConnection.connect(shop, autocommit=True) for _ in range(6)]
    found = await asyncio.gather(*(cache.fetchone(reader, SLOW) for reader in readers))
    assert [row[0] for row in found] == [10] * 6
    assert cache.counts.misses == 1
    for reader in readers:
        await reader.close()


def test_processes_share_one_load_through_redis(shop, connect, make_cache, redis_socket):
    """Each cache has its own client and listening connection, as a process would."""
    clients = [redis.Redis(unix_socket_path=str(redis_socket)) for _ in range(4)]
    caches = [make_cache(listen=shop, backend=Redis(client, shop)) for client in clients]
    readers = [connect() for _ in caches]
    for cache, reader in zip(caches, readers, strict=True):
        cache.fetch(reader, "SELECT 1")  # connects
    found, failed = together(
        [
            lambda cache=cache, reader=reader: cache.fetchone(reader, SLOW)[0]
            for cache, reader in zip(caches, readers, strict=True)
        ]
    )
    assert (found, failed) == ([10] * 4, [])
    assert sum(cache.counts.misses for cache in caches) - len(caches) <= 1


def test_who_waits_for_a_load_that_fails_does_it_again(shop, connect, make_cache):
    cache = make_cache()
    readers = [connect() for _ in range(4)]
    failing = "SELECT 1 / (count(*) - 10), pg_sleep(0.2) FROM stock"
    found, failed = together([lambda r=r: cache.fetchone(r, failing) for r in readers])
    assert found == []
    assert [type(error) for error in failed] == [psycopg.errors.DivisionByZero] * 4


@pytest.mark.slow
def test_who_comes_after_a_commit_is_not_given_a_load_that_began_before_it(
    shop, connect, make_cache, until
):
    cache = make_cache(listen=shop)
    early, late, writer = connect(), connect(), connect()
    slow = "SELECT sum(amount), pg_sleep(0.5) FROM stock"
    cache.fetch(late, "SELECT 1")
    found = {}
    first = threading.Thread(
        target=lambda: found.update(early=cache.fetchone(early, slow)[0]), daemon=True
    )
    first.start()
    until(
        lambda: (
            writer.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            ).fetchone()
            == (1,)
        )
    )
    writer.execute("UPDATE stock SET amount = 1")
    assert cache.fetchone(late, slow)[0] == 10
    first.join()
    assert found["early"] == 0
    assert cache.fetchone(early, slow)[0] == 10


KEY = "SELECT amount FROM stock WHERE id = %s"


@pytest.mark.parametrize("autocommit", [True, False])
def test_threads_may_share_a_connection(shop, connect, make_cache, autocommit):
    """One that loads is in a transaction: another one must not find itself in that."""
    cache = make_cache(listen=shop)
    reader = connect(autocommit=autocommit)

    def read():
        return [cache.fetchone(reader, KEY, (number % 10 + 1,)) for number in range(40)]

    found, failed = together([read] * 4)
    assert (found, failed) == ([[(0,)] * 40] * 4, [])
    assert cache.counts.bypassed == 0
    assert (reader.autocommit, reader.read_only) == (autocommit, None)
    assert reader.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


@pytest.mark.parametrize("autocommit", [True, False])
async def test_tasks_may_share_a_connection(shop, make_async_cache, autocommit):
    cache = make_async_cache(listen=shop)
    async with await psycopg.AsyncConnection.connect(shop, autocommit=autocommit) as reader:

        async def read():
            return [await cache.fetchone(reader, KEY, (number % 10 + 1,)) for number in range(40)]

        assert await asyncio.gather(*[read() for _ in range(4)]) == [[(0,)] * 40] * 4
        assert cache.counts.bypassed == 0
        assert (reader.autocommit, reader.read_only) == (autocommit, None)
        assert reader.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
