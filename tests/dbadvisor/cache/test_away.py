"""Redis, or the connection that listens, is away, hangs, or comes back with a past of its own."""

import signal
import threading
from datetime import timedelta

import pytest
import redis

from foretide.dbadvisor.cache.redis import Redis

pytestmark = [pytest.mark.postgres, pytest.mark.redis, pytest.mark.slow]

AMOUNT = "SELECT amount FROM stock WHERE id = %s"


@pytest.fixture
def hit(until):
    """Waits until a read is answered from the cache again, and each of them rightly."""

    def wait(cache, reader, amount):
        before = cache.counts.hits

        def again():
            assert cache.fetchone(reader, AMOUNT, (1,)) == (amount,)
            return cache.counts.hits > before

        until(again)

    return wait


def test_without_redis_everything_is_asked_of_the_database(
    shop, connect, make_cache, own_redis, hit
):
    socket, server = own_redis()
    client = redis.Redis(unix_socket_path=str(socket))
    cache = make_cache(listen=shop, backend=Redis(client, "away"))
    reader, writer = connect(), connect()
    hit(cache, reader, 0)
    server.terminate()
    server.wait(10)
    writer.execute("UPDATE stock SET amount = 1")
    assert cache.fetchone(reader, AMOUNT, (1,)) == (1,)
    socket.unlink(missing_ok=True)
    own_redis()
    hit(cache, reader, 1)


def test_a_redis_that_crashes_comes_back_with_nothing_stale(
    shop, connect, make_cache, own_redis, hit
):
    """It finds on its disk what it held before a change that it had confirmed."""
    socket, server = own_redis()
    clients = [redis.Redis(unix_socket_path=str(socket)) for _ in range(2)]
    caches = [make_cache(listen=shop, backend=Redis(client, "crash")) for client in clients]
    reader, writer = connect(), connect()
    for cache in caches:
        hit(cache, reader, 0)
    clients[0].save()
    writer.execute("UPDATE stock SET amount = 1")
    for cache in caches:
        assert cache.fetchone(reader, AMOUNT, (1,)) == (1,)
    server.kill()
    server.wait(10)
    socket.unlink(missing_ok=True)
    own_redis()
    assert clients[0].keys("{crash}:e:*")
    for cache in caches:
        hit(cache, reader, 1)


def test_a_redis_that_hangs_costs_one_timeout_a_second(shop, connect, make_cache, own_redis, hit):
    socket, server = own_redis()
    client = redis.Redis(unix_socket_path=str(socket), socket_timeout=0.2, retry=None)
    cache = make_cache(listen=shop, backend=Redis(client, "hangs"))
    reader, writer = connect(), connect()
    hit(cache, reader, 0)
    server.send_signal(signal.SIGSTOP)
    try:
        assert cache.fetchone(reader, AMOUNT, (1,)) == (0,)
        writer.execute("UPDATE stock SET amount = 1")
        for _ in range(50):
            assert cache.fetchone(reader, AMOUNT, (1,)) == (1,)
    finally:
        server.send_signal(signal.SIGCONT)
    hit(cache, reader, 1)


def together(functions):
    found = []
    barrier = threading.Barrier(len(functions))

    def call(function):
        barrier.wait()
        found.append(function())

    threads = [threading.Thread(target=call, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


# Long enough for all to come in meanwhile, on a busy machine too.
SLOW = "SELECT count(*), pg_sleep(2) FROM stock"


@pytest.mark.parametrize("lost", ["listener", "redis"])
def test_whoever_asks_for_the_same_meanwhile_shares_an_answer(
    connect, make_cache, tmp_path, shop, lost
):
    """A database that has just come back is not asked by everybody at once."""
    options = {"listen": "postgresql://127.0.0.1:1/nowhere"}
    if lost == "redis":
        gone = redis.Redis(unix_socket_path=str(tmp_path / "nothing"))
        options = {"backend": Redis(gone)}
    cache = make_cache(**options)
    readers = [connect() for _ in range(8)]
    assert together([lambda r=r: cache.fetchone(r, SLOW)[0] for r in readers]) == [10] * 8
    # Who came when the first one had begun already shares what the next one finds.
    assert cache.counts.bypassed <= 2
    assert cache.counts.bypassed + cache.counts.shared == 8


def test_what_belongs_to_one_session_is_not_shared_meanwhile(connect, make_cache):
    cache = make_cache(listen="postgresql://127.0.0.1:1/nowhere", ask_session=False)
    readers = [connect() for _ in range(4)]
    for number, reader in enumerate(readers):
        reader.execute(f"CREATE TEMP TABLE mine AS SELECT {number} AS n")
    query = "SELECT n, pg_sleep(0.3) FROM mine"
    found = together([lambda r=r: cache.fetchone(r, query)[0] for r in readers])
    assert sorted(found) == [0, 1, 2, 3]


def test_processes_do_not_wait_in_turn_for_answers_that_are_never_kept(
    shop, connect, make_cache, redis_socket
):
    """The table has no trigger. One loads, and all others then side by side, not one by one."""
    clients = [redis.Redis(unix_socket_path=str(redis_socket)) for _ in range(6)]
    caches = [make_cache(listen=shop, backend=Redis(client, shop)) for client in clients]
    readers = [connect() for _ in caches]
    for cache, reader in zip(caches, readers, strict=True):
        cache.fetch(reader, "SELECT 1")
    begun = "SELECT now(), pg_sleep(0.5) FROM silent LIMIT 1"
    found = together(
        [
            lambda cache=cache, reader=reader: cache.fetchone(reader, begun)[0]
            for cache, reader in zip(caches, readers, strict=True)
        ]
    )
    assert max(found) - min(found) < timedelta(seconds=1.5)
