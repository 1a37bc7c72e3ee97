"""Tasks that are cancelled, event loops that end, processes that fork: with `AsyncCache`."""

import asyncio
import random
import subprocess
import sys
import textwrap
import time

import psycopg
import pytest
import redis.asyncio
from psycopg.pq import TransactionStatus

from foretide.dbadvisor.cache import AsyncCache, Memory
from foretide.dbadvisor.cache.redis import Redis

pytestmark = pytest.mark.postgres

AMOUNT = "SELECT amount FROM stock WHERE id = %s"
SLOW = "SELECT count(*), pg_sleep(0.3) FROM stock"


async def connected(shop, **options):
    return await psycopg.AsyncConnection.connect(shop, **{"autocommit": True, **options})


async def seen(admin, condition):
    """Waits until a session is so."""
    query = f"SELECT FROM pg_stat_activity WHERE {condition}"
    async with asyncio.timeout(10):
        while not admin.execute(query).rowcount:  # noqa: ASYNC110 - the server sets no event
            await asyncio.sleep(0.01)


async def test_who_waits_for_a_task_that_is_cancelled_loads_instead(
    shop, connect, make_async_cache
):
    cache = make_async_cache(listen=shop)
    one, other = await connected(shop), await connected(shop)
    await cache.fetch(one, "SELECT 1")
    leading = asyncio.create_task(cache.fetchone(one, SLOW))
    await seen(connect(), "wait_event = 'PgSleep'")
    waiting = asyncio.create_task(cache.fetchone(other, SLOW))
    await seen(connect(), f"pid = {other.info.backend_pid} AND query LIKE '%current_schemas%'")
    leading.cancel()
    assert (await waiting)[0] == 10
    with pytest.raises(asyncio.CancelledError):
        await leading
    assert one.info.transaction_status == TransactionStatus.IDLE
    assert (one.read_only, one.isolation_level, one.autocommit) == (None, None, True)
    assert (await cache.fetchone(one, SLOW))[0] == 10
    await one.close()
    await other.close()


@pytest.mark.slow
@pytest.mark.redis
@pytest.mark.parametrize("shared", [False, True], ids=["memory", "redis"])
async def test_tasks_cancelled_at_any_moment_leave_nothing_stale_and_nothing_broken(
    shop, make_async_cache, redis_socket, shared
):
    client = redis.asyncio.Redis(unix_socket_path=str(redis_socket))
    backend = Redis(client, f"cancel-{shop}") if shared else Memory()
    cache = make_async_cache(listen=shop, backend=backend, load_seconds=0.5)
    floor, stale, reads = [0], [], [0]
    until = time.monotonic() + 4

    def write():
        with psycopg.connect(shop, autocommit=True) as writer:
            while time.monotonic() < until:
                writer.execute("UPDATE stock SET amount = amount + 1 WHERE id = 1")
                floor[0] += 1
                time.sleep(0.003)

    async def read(seed):
        chance = random.Random(seed)
        connection = await connected(shop, autocommit=seed % 2 == 0)
        while time.monotonic() < until:
            least = floor[0]
            try:
                async with asyncio.timeout(chance.choice([0.0003, 0.001, 0.003, 1.0])):
                    (seen,) = await cache.fetchone(connection, AMOUNT, (1,))
            except TimeoutError:
                assert connection.info.transaction_status == TransactionStatus.IDLE
                assert (connection.read_only, connection.isolation_level) == (None, None)
                assert connection.autocommit == (seed % 2 == 0)
                continue
            reads[0] += 1
            if seen < least:
                stale.append((least, seen))
        await connection.close()

    await asyncio.gather(asyncio.to_thread(write), *(read(seed) for seed in range(5)))
    await client.aclose()
    assert stale == []
    assert reads[0] > 50


async def test_a_listener_whose_task_was_cancelled_is_not_relied_on(shop, make_async_cache):
    """As by servers that cancel all tasks when they reload."""
    cache = make_async_cache(listen=shop, strict=False)
    reader, writer = await connected(shop), await connected(shop)
    assert await cache.fetchone(reader, AMOUNT, (1,)) == (0,)
    for task in asyncio.all_tasks():
        if task.get_name() == "foretide-cache-listener":
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    await writer.execute("UPDATE stock SET amount = 1")
    assert await cache.fetchone(reader, AMOUNT, (1,)) == (1,)
    await reader.close()
    await writer.close()


def test_a_second_event_loop_begins_anew(shop, connect):
    cache = AsyncCache(listen=shop, strict=False)

    async def read():
        async with await connected(shop) as reader:
            return [await cache.fetchone(reader, AMOUNT, (1,)) for _ in range(2)]

    assert asyncio.run(read()) == [(0,)] * 2
    connect().execute("UPDATE stock SET amount = 1")
    assert asyncio.run(read()) == [(1,)] * 2
    asyncio.run(cache.close())


@pytest.mark.redis
@pytest.mark.parametrize("shared", [False, True], ids=["memory", "redis"])
def test_a_child_process_takes_nothing_of_what_its_parent_hears(shop, redis_socket, shared):
    """Forked while the parent's event loop runs, as `multiprocessing` does."""
    program = textwrap.dedent("""
        import asyncio, os, sys, psycopg, redis.asyncio
        from foretide.dbadvisor.cache import AsyncCache, Memory
        from foretide.dbadvisor.cache.redis import Redis
        dsn, socket, query = *sys.argv[1:], "SELECT amount FROM stock WHERE id = 1"
        client = redis.asyncio.Redis(unix_socket_path=socket)
        cache = AsyncCache(listen=dsn, backend=Redis(client, "fork") if socket else Memory())

        async def work(times):
            async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as reader:
                for _ in range(times):
                    for _ in range(2):
                        seen = (await cache.fetchone(reader, query))[0]
                    mine = (await (await reader.execute(
                        "UPDATE stock SET amount = amount + 1 WHERE id = 1 RETURNING amount"
                    )).fetchone())[0]
                    assert (await cache.fetchone(reader, query))[0] >= mine > seen

        async def parent():
            await work(3)
            child = os.fork()
            if not child:
                asyncio.events._set_running_loop(None)
                try:
                    asyncio.run(work(30))
                    os._exit(0 if cache.counts.hits else 3)
                except BaseException:
                    import traceback
                    traceback.print_exc()
                    os._exit(1)
            await work(30)
            _, status = await asyncio.to_thread(os.waitpid, child, 0)
            assert os.waitstatus_to_exitcode(status) == 0, status
            await work(3)
            assert cache.counts.hits
            await cache.close()
        asyncio.run(parent())
    """)
    command = [sys.executable, "-c", program, shop, str(redis_socket) if shared else ""]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
