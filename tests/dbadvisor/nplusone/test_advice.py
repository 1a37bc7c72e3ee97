"""From what is found to a batch that is proven."""

import time

import psycopg
import pytest

from foretide.dbadvisor.collecting import collect
from foretide.dbadvisor.connection import Connection
from foretide.dbadvisor.nplusone.advice import advise, varying
from foretide.dbadvisor.nplusone.findings import Finding, Kind
from foretide.dbadvisor.nplusone.links import Link
from foretide.dbadvisor.nplusone.shapes import Key
from foretide.dbadvisor.snapshot import Snapshot

LINK = Link(0, Key("book", "author_id", 1), "foreign key")


def finding(text, *values, kind=Kind.N_PLUS_ONE):
    return Finding(kind, text, "SELECT id FROM author", 100, 20, LINK, 0.1, (), values)


def test_the_keys_are_the_parameters_that_differ():
    assert varying(finding("", ("1", "a"), ("2", "a"))) == (1,)
    assert varying(finding("", ("1", "a"), ("1", "b"))) == (2,)
    assert varying(finding("", ("1", "a"))) == (1,)


def test_what_is_no_n_plus_one_and_what_cannot_be_rewritten_has_no_batch():
    findings = [
        finding("SELECT 1", kind=Kind.REDUNDANT),
        finding("SELECT a FROM book WHERE author_id = $1 FOR UPDATE"),
    ]
    (told,) = advise(findings, Snapshot(0, "db", 150000), None)
    assert told.rewrite is None
    assert "locks" in told.reason


@pytest.fixture(scope="module")
def books(postgres_of_module):
    with psycopg.connect(postgres_of_module, autocommit=True) as owner:
        owner.execute("CREATE TABLE book (id int, author_id int, kind text, price numeric)")
        owner.execute(
            "INSERT INTO book SELECT n, n % 150, 'k' || n % 3, n FROM generate_series(1, 900) n"
        )
        owner.execute("CREATE INDEX ON book (author_id)")
        owner.execute("CREATE TABLE empty (author_id int)")
        owner.execute("CREATE FUNCTION own(int) RETURNS int LANGUAGE sql AS 'SELECT $1'")
        owner.execute("ANALYZE")
    return postgres_of_module


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("SELECT id FROM book WHERE author_id = $1", ()),
        ("SELECT id FROM book WHERE author_id = $1 ORDER BY id DESC LIMIT $2", ()),
        ("SELECT count(*) FROM book WHERE author_id = $1 AND kind = $2", ()),
        ("SELECT id FROM book WHERE price = $1", ()),
        ("SELECT id FROM book WHERE author_id = $1 AND id > $2", (("3", "50"), ("4", "50"))),
        ("SELECT id FROM book WHERE author_id = $1 AND kind = $2", (("3", "k0"), ("4", "k1"))),
    ],
)
def test_a_batch_is_proven_on_keys_that_were_seen_or_that_there_are(books, text, values):
    with Connection(books) as database:
        (told,) = advise([finding(text, *values)], collect(database, time.time()), database)
    assert told.reason == ""
    assert told.proof.equal
    assert told.proof.rows > 0
    assert told.proof.keys >= (2 if values else 50)


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SELECT id FROM book WHERE author_id = $1 AND id > $2", "no value of $2"),
        ("SELECT 1 FROM empty WHERE author_id = $1", "no rows"),
        ("SELECT own(id) FROM book WHERE author_id = $1", "own() is volatile"),
        ("SELECT id / (author_id - 7) FROM book WHERE author_id = $1", "division by zero"),
    ],
)
def test_what_cannot_be_tried_says_why(books, text, reason):
    with Connection(books) as database:
        (told,) = advise([finding(text)], collect(database, time.time()), database)
    assert told.proof is None
    assert reason in told.reason
