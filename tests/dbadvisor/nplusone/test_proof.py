"""Look-ups and their batch on a real PostgreSQL."""

import itertools

import psycopg
import pytest

from foretide.dbadvisor.connection import Connection
from foretide.dbadvisor.nplusone.proof import Proof, Unproven, prove
from foretide.dbadvisor.nplusone.rewriting import Refused, rewrite

pytestmark = pytest.mark.postgres

SCHEMA = """
CREATE TABLE author (id bigint PRIMARY KEY, name text NOT NULL, "Home Town" text, rank numeric);
CREATE TABLE book (
    id bigint PRIMARY KEY, author_id bigint REFERENCES author, kind text, price float8, at date);
INSERT INTO author SELECT n, 'author ' || n, 'town ' || n % 7, n / 10.0
    FROM generate_series(1, 1000) AS n;
INSERT INTO book SELECT n, nullif(n % 90, 0), CASE n % 3 WHEN 0 THEN 'a''b' ELSE 'c\\d' END,
    n / 7.0, date '2026-01-01' + n % 50 FROM generate_series(1, 2000) AS n;
CREATE INDEX ON book (author_id);
CREATE TABLE "Odd ""one" ("select" integer, "B c" text);
INSERT INTO "Odd ""one" SELECT n % 5, 'x' || n FROM generate_series(1, 20) AS n;
CREATE TABLE pair (a integer, b text, c integer);
INSERT INTO pair SELECT n % 4, chr(97 + n % 3), n FROM generate_series(1, 60) AS n;
CREATE FUNCTION spoil(bigint) RETURNS int LANGUAGE sql VOLATILE AS
    'INSERT INTO author VALUES (-1, ''spoilt'') RETURNING 1';
CREATE FUNCTION linger() RETURNS void LANGUAGE sql AS 'SELECT pg_sleep(20)';
ANALYZE;
"""
NUMBERS = [*map(str, range(0, 95, 4)), "007", None, "123456"]


@pytest.fixture(scope="module")
def library(postgres_of_module):
    """The DSN of a database that all tests read, as none of them can change it."""
    with psycopg.connect(postgres_of_module, autocommit=True) as owner:
        owner.execute(SCHEMA)
    return postgres_of_module


@pytest.fixture
def database(library):
    with Connection(library) as connection:
        yield connection


def tried(database, text, calls, types):
    found = rewrite(text, sorted(types), types)
    assert not isinstance(found, Refused), found
    return prove(database, found, calls)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id, name FROM author WHERE id = $1",
        "SELECT * FROM book WHERE author_id = $1",
        "SELECT b.*, a.* FROM book b JOIN author a ON a.id = b.author_id WHERE b.author_id = $1",
        "SELECT DISTINCT kind FROM book WHERE author_id = $1",
        "SELECT a.name, b.kind FROM author a LEFT JOIN book b ON b.author_id = a.id "
        "WHERE a.id = $1 ORDER BY b.kind",
        "SELECT id, kind FROM book WHERE author_id = $1 ORDER BY at DESC, id LIMIT 3",
        "SELECT id FROM book WHERE author_id = $1 ORDER BY id OFFSET 2 FETCH FIRST 2 ROWS ONLY",
        "SELECT count(*) FROM book WHERE author_id = $1",
        "SELECT count(*), sum(price), max(at), count(DISTINCT kind) AS kinds, "
        "coalesce(sum(id), -1) + 1 AS total FROM book WHERE author_id = $1",
        "SELECT count(*) FILTER (WHERE kind = 'c'), string_agg(kind, ',' ORDER BY id) "
        "FROM book WHERE author_id = $1",
        "SELECT kind, count(*), avg(price) FROM book WHERE author_id = $1 GROUP BY kind",
        "SELECT kind FROM book WHERE author_id = $1 GROUP BY 1 HAVING count(*) > 1 ORDER BY 1",
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY price) FROM book WHERE author_id = $1",
        "SELECT EXISTS (SELECT 1 FROM book WHERE author_id = $1)",
        "SELECT (SELECT count(*) FROM book WHERE author_id = a.id) FROM author a WHERE a.id = $1",
        "SELECT id, rank() OVER (ORDER BY price) FROM book WHERE author_id = $1",
        "WITH mine AS (SELECT * FROM book WHERE author_id = $1) SELECT kind, id FROM mine",
        "SELECT id FROM book WHERE author_id = $1 UNION ALL SELECT -id FROM author WHERE id = $1",
        "SELECT id FROM book WHERE author_id IS NOT DISTINCT FROM $1",
        "SELECT id FROM book WHERE (author_id = $1 OR id = $1) AND kind <> 'q'",
        "SELECT DISTINCT ON (kind) kind, id FROM book WHERE author_id = $1 ORDER BY kind, id DESC",
        "SELECT array_agg(id ORDER BY id), json_agg(kind) FROM book WHERE author_id = $1",
        "SELECT name FROM author WHERE id = $1::bigint",
        "SELECT a.name FROM author AS a WHERE (a.id = $1) AND (a.name LIKE 'author%')",
    ],
)
def test_the_batch_returns_what_the_look_ups_return(database, text):
    proof = tried(database, text, [(number,) for number in NUMBERS], {1: "bigint"})
    assert isinstance(proof, Proof), proof
    assert proof.equal, proof
    assert proof.keys == len(NUMBERS)
    assert proof.rows > 0


def test_names_with_quotes_stay_what_they_are(database):
    text = 'SELECT "B c", t."select" FROM "Odd ""one" AS t WHERE t."select" = $1'
    proof = tried(database, text, [("0",), ("1",), ("9",)], {1: "integer"})
    assert proof.equal
    assert proof.rows == 8


def test_keys_of_texts_may_hold_anything(database):
    keys = [("a'b",), ("c\\d",), ('"{},',), ("NULL",), (None,), ("",)]
    for text in (
        "SELECT id FROM book WHERE kind = $1",
        "SELECT id FROM book WHERE kind = $1 ORDER BY id LIMIT 2",
        "SELECT count(*) FROM book WHERE kind = $1",
    ):
        assert tried(database, text, keys, {1: "text"}).equal


@pytest.mark.parametrize(
    "text",
    [
        "SELECT c FROM pair WHERE a = $1 AND b = $2 AND c > $3",
        "SELECT c FROM pair WHERE a = $1 AND b = $2 AND c > $3 ORDER BY c DESC LIMIT 2",
        "SELECT count(*), sum(c) FROM pair WHERE a = $1 AND b = $2 AND c > $3",
    ],
)
def test_several_keys_are_looked_up_together(database, text):
    calls = [(str(a), b, "5") for a, b in itertools.product(range(5), "abz")]
    calls += [(None, "a", "5"), ("1", None, "5")]
    assert tried(database, text, calls, {1: "integer", 2: "text"}).equal


def test_numbers_that_are_equal_but_written_differently_are_one_key(database):
    text = "SELECT name FROM author WHERE rank = $1"
    assert tried(database, text, [("1.50",), ("3",), ("0.0",)], {1: "numeric"}).equal


def test_two_hundred_look_ups_are_slower_by_far_than_one_batch(database):
    calls = [(str(number),) for number in range(1, 201)]
    proof = tried(database, "SELECT id, name FROM author WHERE id = $1", calls, {1: "bigint"})
    assert proof.equal
    assert proof.speedup >= 10


def test_a_batch_that_is_not_the_same_is_told(database):
    found = rewrite("SELECT id FROM book WHERE author_id = $1", [1], {1: "bigint"})
    wrong = type(found)(
        found.original,
        found.batch + " AND id % 2 = 0",
        found.form,
        found.keys,
        found.key_columns,
        found.types,
    )
    proof = prove(database, wrong, [("1",), ("2",), ("500",)])
    assert not proof.equal
    assert proof.differences == (("1",),)  # all books of author 2 have even numbers


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("SELECT spoil($1) FROM author WHERE id = $1", "read-only"),
        ("SELECT pg_catalog.repeat(name, 3), linger() FROM author WHERE id = $1", "timeout"),
        ("SELECT nowhere FROM author WHERE id = $1", "nowhere"),
    ],
)
def test_what_cannot_be_run_is_unproven_with_the_reason(database, library, text, why):
    found = rewrite(text, [1], {1: "bigint"})
    proof = prove(database, found, [("1",), ("2",)], timeout_ms=100)
    assert isinstance(proof, Unproven)
    assert why in proof.reason
    with psycopg.connect(library) as owner:
        assert owner.execute("SELECT count(*) FROM author WHERE id < 0").fetchone() == (0,)


def test_without_keys_nothing_is_run():
    found = rewrite("SELECT id FROM book WHERE author_id = $1", [1])
    assert isinstance(prove(None, found, []), Unproven)
