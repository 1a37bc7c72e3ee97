"""No stale read while others write: random readers and writers against a real PostgreSQL.

A writer notes a version in `floor` once its commit has returned. A read that begins after that
must show this version or a later one.
"""

import asyncio
import random
import threading
import time

import psycopg
import pytest
import redis
import redis.asyncio

from foretide.dbadvisor.cache import AsyncCache, Cache, Memory
from foretide.dbadvisor.cache.redis import Redis

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

SECONDS, LONGEST = 3.0, 60.0
# For as long as it takes: a busy machine has fewer of them in a second.
READS, ANSWERED = 300, 30
KEYS = range(1, 6)
AMOUNT = "SELECT amount FROM stock WHERE id = %s"


class Ledger:
    """What was certainly committed, and what was read in spite of it."""

    def __init__(self, caches):
        self.caches = caches
        self.floor = dict.fromkeys(KEYS, 0)
        self.stale = []
        self.reads = 0
        self.began = time.monotonic()

    def going_on(self):
        passed = time.monotonic() - self.began
        enough = self.reads > READS and self.answered() > ANSWERED
        return not self.stale and (passed < SECONDS or (not enough and passed < LONGEST))

    def answered(self):
        """How many reads found an answer."""
        return sum(cache.counts.hits + cache.counts.shared for cache in self.caches)

    def check(self, key, least, seen):
        self.reads += 1
        if seen < least:
            self.stale.append((key, least, seen))


def write(dsn, key, ledger, seed):
    """Counts one row up: alone, in longer transactions, or not at all after all."""
    chance = random.Random(seed)
    with psycopg.connect(dsn, autocommit=True) as connection:
        while ledger.going_on():
            amount = ledger.floor[key] + 1
            kind = chance.random()
            if kind < 0.6:
                connection.execute("UPDATE stock SET amount = %s WHERE id = %s", (amount, key))
            else:
                with connection.transaction() as transaction:
                    connection.execute("UPDATE stock SET amount = %s WHERE id = %s", (amount, key))
                    time.sleep(chance.random() * 0.005)
                    if kind > 0.9:
                        raise psycopg.Rollback(transaction)
                if kind > 0.9:
                    continue
            ledger.floor[key] = amount
            time.sleep(chance.random() * 0.02)


def read(dsn, cache, ledger, seed):
    chance = random.Random(seed)
    with psycopg.connect(dsn, autocommit=chance.random() < 0.5) as connection:
        while ledger.going_on():
            key = chance.choice(KEYS)
            least = ledger.floor[key]
            ledger.check(key, least, cache.fetchone(connection, AMOUNT, (key,))[0])


def stress(dsn, caches):
    ledger = Ledger(caches)
    threads = [threading.Thread(target=write, args=(dsn, key, ledger, key)) for key in KEYS]
    threads += [
        threading.Thread(target=read, args=(dsn, caches[seed % len(caches)], ledger, seed))
        for seed in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.stale == []
    assert ledger.reads > READS
    assert ledger.answered() > ANSWERED


def test_threads_never_read_what_is_stale(shop, make_cache):
    stress(shop, [make_cache(listen=shop)])


def test_processes_that_share_redis_never_read_what_is_stale(shop, make_cache, redis_socket):
    """Each cache has its own client and its own listening connection, as a process would."""
    caches = []
    for _ in range(3):
        client = redis.Redis(unix_socket_path=str(redis_socket))
        caches.append(make_cache(listen=shop, backend=Redis(client, "stress")))
    stress(shop, caches)


def test_a_listening_connection_that_is_killed_again_and_again_lets_nothing_stale_pass(
    shop, connect, make_cache
):
    cache = make_cache(listen=shop)
    admin = connect()
    done = threading.Event()

    def kill():
        while not done.wait(0.15):
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'foretide cache'"
            )

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        stress(shop, [cache])
    finally:
        done.set()
        killer.join()
    assert cache.counts.bypassed > 0


@pytest.mark.parametrize("shared", [False, True], ids=["memory", "redis"])
async def test_tasks_never_read_what_is_stale(shop, make_async_cache, redis_socket, shared):
    client = redis.asyncio.Redis(unix_socket_path=str(redis_socket))
    backend = Redis(client, f"tasks-{shop}") if shared else Memory()
    cache = make_async_cache(listen=shop, backend=backend)
    ledger = Ledger([cache])

    async def reading(seed):
        chance = random.Random(seed)
        async with await psycopg.AsyncConnection.connect(shop, autocommit=True) as connection:
            while ledger.going_on():
                key = chance.choice(KEYS)
                least = ledger.floor[key]
                ledger.check(key, least, (await cache.fetchone(connection, AMOUNT, (key,)))[0])

    writing = [asyncio.to_thread(write, shop, key, ledger, key) for key in KEYS]
    await asyncio.gather(*writing, *(reading(seed) for seed in range(6)))
    await client.aclose()
    assert ledger.stale == []
    assert ledger.reads > READS
    assert ledger.answered() > ANSWERED


def test_the_test_itself_finds_what_is_stale(shop):
    """Without invalidation the same readers and writers do meet stale answers."""
    with Cache(ttl=30) as cache, pytest.raises(AssertionError):
        stress(shop, [cache])
    assert AsyncCache is not None
