"""N+1 told apart from look-ups that are none, on executions made up for it."""

import random

import pytest

from foretide.dbadvisor.nplusone.detecting import detect
from foretide.dbadvisor.nplusone.events import event
from foretide.dbadvisor.nplusone.findings import Kind
from foretide.dbadvisor.nplusone.texts import fingerprint, normalize
from foretide.dbadvisor.snapshot import ForeignKey, Relation

BOOK, AUTHOR = Relation("public", "book"), Relation("public", "author")
CATALOG = (ForeignKey("book_author", BOOK, ("author_id",), AUTHOR, ("id",)),)
BOOKS = "SELECT id, title, author_id FROM book ORDER BY id LIMIT 20"
ONE_AUTHOR = "SELECT id, name FROM author WHERE id = $1"


class Client:
    """Sends statements one after the other; `waits` between two of them."""

    def __init__(self, session="1", transaction="", wait=0.001, at=0.0):
        self.at, self.wait = at, wait
        self.where = {"session": session, "transaction": transaction, "pool": "shop"}
        self.events = []

    def send(self, text, *parameters, **where):
        values = tuple(map(str, parameters))
        self.events.append(
            event(text, at=self.at, seconds=0.0002, parameters=values, **{**self.where, **where})
        )
        self.at += 0.0002 + self.wait


@pytest.mark.parametrize("transaction", ["3/7", ""])
def test_one_look_up_for_each_row_is_found(transaction):
    client = Client(transaction=transaction)
    client.send(BOOKS)
    for author in range(20):
        client.send(ONE_AUTHOR, author)
    (found,) = detect(client.events, CATALOG)
    assert found.kind is Kind.N_PLUS_ONE
    assert (found.calls, found.per_parent) == (20, 20)
    assert "book_author" in found.link.why
    assert found.seconds == pytest.approx(20 * 0.0002)


def test_children_of_children_are_found():
    client = Client(transaction="3/7")
    client.send(BOOKS)
    for author in range(6):
        client.send(ONE_AUTHOR, author)
        client.send("SELECT name FROM country WHERE id = $1", author % 4)
    catalog = (
        *CATALOG,
        ForeignKey("origin", AUTHOR, ("country_id",), Relation("public", "country"), ("id",)),
    )
    found = detect(client.events, catalog)
    assert [each.parent for each in found] == [normalize(BOOKS).text] * 2


def test_look_ups_of_many_sessions_without_a_parent_are_none():
    events = []
    for session in range(50):
        client = Client(session=str(session), at=session * 0.01)
        client.send(ONE_AUTHOR, session)
        events += client.events
    assert detect(events, CATALOG) == ()


def test_a_pages_list_and_what_visitors_open_later_is_none():
    client = Client(wait=0.4)
    client.send(BOOKS)
    for author in range(8):
        client.send(ONE_AUTHOR, author)
    assert detect(client.events, CATALOG) == ()


def test_look_ups_that_are_more_than_the_parents_rows_are_none():
    client = Client(transaction="3/7")
    client.send("SELECT id, author_id FROM book WHERE id = $1", 1)
    for author in range(50):
        client.send(ONE_AUTHOR, author)
    rows = {fingerprint("SELECT id, author_id FROM book WHERE id = $1"): 1.0}
    assert detect(client.events, CATALOG, rows) == ()


def test_a_pool_mixes_clients_and_each_is_counted():
    """Eight clients in turn take any of three sessions for each statement."""
    choose = random.Random(7)
    clients = [Client(at=each * 0.0003, wait=0.003) for each in range(8)]
    for client in clients:
        client.send(BOOKS, session=str(choose.randrange(3)))
        for author in range(20):
            client.send(ONE_AUTHOR, author, session=str(choose.randrange(3)))
    events = [each for client in clients for each in client.events]
    (found,) = detect(events, CATALOG, {fingerprint(BOOKS): 20.0})
    assert found.calls > 100


def test_a_pool_of_visitors_is_none():
    """Lists and details at random: no list is followed by as many details as it has rows."""
    choose = random.Random(7)
    at, events = 0.0, []
    for _ in range(600):
        at += choose.expovariate(400)
        text, *values = (BOOKS,) if choose.random() < 0.2 else (ONE_AUTHOR, choose.randrange(90))
        client = Client(session=str(choose.randrange(4)), at=at)
        client.send(text, *values)
        events += client.events
    assert detect(events, CATALOG, {fingerprint(BOOKS): 20.0}) == ()


def test_the_same_parameters_again_are_redundant():
    client = Client(transaction="3/7")
    client.send(BOOKS)
    for _ in range(20):
        client.send(ONE_AUTHOR, 5)
    (found,) = detect(client.events, CATALOG)
    assert found.kind is Kind.REDUNDANT


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE author SET seen = true WHERE id = $1",
        "SELECT id FROM author WHERE id > $1 ORDER BY id LIMIT 10",
        "SELECT name FROM author WHERE id = $1 FOR UPDATE",
        "SELECT name FROM author WHERE id IN ($1)",
        "not SQL at all $1",
    ],
)
def test_what_is_no_look_up_is_none(text):
    client = Client(transaction="3/7")
    client.send(BOOKS)
    for author in range(20):
        client.send(text, author)
    assert detect(client.events, CATALOG) == ()


def test_what_is_found_does_not_depend_on_the_order_of_what_is_told():
    client = Client(transaction="3/7")
    client.send(BOOKS)
    for author in range(20):
        client.send(ONE_AUTHOR, author)
    assert detect(client.events[::-1], CATALOG) == detect(client.events, CATALOG)


def test_what_is_no_query_is_not_written_into_the_log(caplog):
    client = Client(transaction="3/7")
    client.send("ALTER USER shop PASSWORD 'secret'")
    client.send("RESET ALL")
    assert detect(client.events) == ()
    assert caplog.text == ""
