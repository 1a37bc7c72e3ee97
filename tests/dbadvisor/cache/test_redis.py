"""Answers in a real Redis: what several processes share, and a Redis that is away."""

import pytest
import redis

from foretide.dbadvisor.cache.backend import Change
from foretide.dbadvisor.cache.redis import Redis
from foretide.dbadvisor.cache.results import Result
from foretide.dbadvisor.cache.steps import drive

AMOUNT = "SELECT amount FROM stock WHERE id = %s"
ONE = Result((), ())


@pytest.fixture
def backend(redis_client):
    """The same Redis as two processes see it."""

    def make(name="test"):
        return Redis(redis_client, name)

    return make


def put(backend, key=b"k", tables=("s.a",), ttl=10.0, ticket=None):
    return drive(backend.put(key, ticket or drive(backend.ticket()), tables, ONE, ttl))


def test_what_one_process_keeps_the_other_finds(backend):
    assert put(backend())
    assert drive(backend().get(b"k")) == ONE
    assert drive(backend("another").get(b"k")) is None


def test_the_same_news_heard_twice_counts_once(backend):
    one, other = backend(), backend()
    put(one)
    drive(one.changed([Change("s.a", "12"), Change("s.b", "12")]))
    assert drive(one.get(b"k")) is None
    put(one)
    drive(other.changed([Change("s.a", "12")]))
    assert drive(one.get(b"k")) == ONE
    drive(other.changed([Change("s.a", "13")]))
    assert drive(one.get(b"k")) is None
    put(one)
    for _ in range(2):  # by hand, each time is another
        drive(other.changed([Change("s.a", "by hand")]))
        assert drive(one.get(b"k")) is None
        put(one)


def test_a_change_or_a_clearing_reaches_what_another_process_is_loading(backend):
    one, other = backend(), backend()
    ticket = drive(one.ticket())
    drive(other.changed([Change("s.a", "1")]))
    assert not put(one, ticket=ticket)
    ticket = drive(one.ticket())
    drive(other.clear())
    assert not put(one, ticket=ticket)
    assert put(one)


def test_when_redis_forgets_what_changed_nothing_older_is_used(backend, redis_client):
    one = backend()
    put(one)
    ticket = drive(one.ticket())
    redis_client.delete("{test}:counts")
    assert drive(one.get(b"k")) is None
    assert not put(one, ticket=ticket)
    assert put(one)


def test_only_one_process_leads(backend):
    token = drive(backend().lead(b"k", 10))
    assert token
    assert drive(backend().lead(b"k", 10)) is None
    drive(backend().follow(b"k", "not the token"))
    assert drive(backend().lead(b"k", 10)) is None
    drive(backend().follow(b"k", token))
    assert drive(backend().lead(b"k", 10))


def test_an_answer_is_gone_after_its_ttl(backend, until):
    put(backend(), ttl=0.1)
    until(lambda: drive(backend().get(b"k")) is None, 2)


@pytest.mark.slow
@pytest.mark.postgres
def test_without_redis_everything_is_asked_of_the_database(
    shop, connect, make_cache, own_redis, until
):
    socket, server = own_redis()
    client = redis.Redis(unix_socket_path=str(socket))
    cache = make_cache(listen=shop, backend=Redis(client, "away"))
    reader, writer = connect(), connect()
    assert cache.fetchone(reader, AMOUNT, (1,)) == (0,)
    assert cache.fetchone(reader, AMOUNT, (1,)) == (0,)
    server.terminate()
    server.wait(10)
    writer.execute("UPDATE stock SET amount = 1")
    assert cache.fetchone(reader, AMOUNT, (1,)) == (1,)
    socket.unlink(missing_ok=True)
    own_redis()

    def hit():
        assert cache.fetchone(reader, AMOUNT, (1,)) == (1,)
        return cache.counts.hits > 1

    until(hit)
