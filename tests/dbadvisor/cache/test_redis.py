"""Answers in a real Redis: what several processes share, and a Redis that is away."""

from dataclasses import replace

import pytest
import redis
import redis.asyncio

from foretide.dbadvisor.cache import Cache
from foretide.dbadvisor.cache.backend import Change
from foretide.dbadvisor.cache.memory import TABLES
from foretide.dbadvisor.cache.redis import Redis
from foretide.dbadvisor.cache.results import Result
from foretide.dbadvisor.cache.steps import drive

AMOUNT = "SELECT amount FROM stock WHERE id = %s"
ONE = Result((), ())

pytestmark = pytest.mark.redis


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
    def lead(token):
        return drive(backend().lead(b"k", token, 10))

    assert lead("one") == "one"
    assert lead("other") == "one"
    drive(backend().follow(b"k", "other"))
    assert lead("other") == "one"
    drive(backend().follow(b"k", "one"))
    assert lead("other") == "other"


def test_numbers_of_transactions_that_are_given_anew_are_other_transactions(backend):
    """After a failover that lost commits, their numbers come again."""
    one = backend()
    put(one)
    drive(one.changed([Change("s.a", "12/1700000000.25")]))
    put(one)
    drive(one.changed([Change("s.a", "12/1700000000.25")]))
    assert drive(one.get(b"k")) == ONE
    drive(one.changed([Change("s.a", "12/1700000007.5")]))
    assert drive(one.get(b"k")) is None


def test_a_process_that_pauses_before_it_keeps_an_answer_makes_it_no_younger(backend, redis_client):
    one = backend()
    ticket = drive(one.ticket())
    asleep = replace(ticket, at=ticket.at - 9.5)
    assert put(one, ticket=asleep, ttl=10)
    (entry,) = redis_client.keys("{test}:e:*")
    assert redis_client.pttl(entry) <= 500
    assert not put(one, ticket=replace(ticket, at=ticket.at - 10), ttl=10)


def test_made_up_names_of_tables_take_no_memory_without_end(backend, redis_client):
    one = backend()
    put(one)
    for begin in range(0, TABLES + 1000, 1000):
        drive(one.changed(Change(f"s.{n}", "1") for n in range(begin, begin + 1000)))
    assert redis_client.hlen("{test}:counts") <= TABLES
    assert drive(one.get(b"k")) is None


def test_a_client_of_another_kind_is_refused(redis_socket, connect):
    with pytest.raises(ValueError, match="without decode_responses"):
        Redis(redis.Redis(unix_socket_path=str(redis_socket), decode_responses=True))
    client = redis.asyncio.Redis(unix_socket_path=str(redis_socket))
    with Cache(backend=Redis(client)) as cache, pytest.raises(TypeError, match="AsyncCache"):
        cache.fetch(connect(), "SELECT 1")


def test_an_answer_is_gone_after_its_ttl(backend, until):
    put(backend(), ttl=0.1)
    until(lambda: drive(backend().get(b"k")) is None, 2)
