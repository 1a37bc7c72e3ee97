"""Queries really run, with and without indexes: what gets slower is found, and goes."""

import psycopg
import pytest

from foretide.dbadvisor.connection import Connection
from foretide.dbadvisor.trying import Trier, Untried
from foretide.dbadvisor.verifying import Trial, settled

pytestmark = pytest.mark.postgres

# Those with a rare status have all come last by their key, which the planner does not know: it
# walks along the key, and hopes to find one soon.
SCHEMA = """
CREATE TABLE visit (key int, status text, place int, filler text);
INSERT INTO visit SELECT k, CASE WHEN k > 147000 THEN 'rare' ELSE 'usual' END, k % 1000,
    repeat('x', 60) FROM generate_series(1, 150000) k ORDER BY md5(k::text);
ANALYZE visit;
"""
WALK = "SELECT * FROM visit WHERE status = 'rare' ORDER BY key LIMIT 1"
LOOK = "SELECT count(*) FROM visit WHERE place = 7"
INDEXES = {
    "walked": "CREATE INDEX walked ON visit (key)",
    "looked": "CREATE INDEX looked ON visit (place)",
}


@pytest.fixture
def owner(postgres):
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE TABLE note (id int); INSERT INTO note VALUES (1)")
        yield connection


@pytest.fixture
def trier(postgres):
    with Connection(postgres) as connection:
        yield Trier(connection, timeout_ms=5000)


@pytest.mark.slow
def test_an_index_that_misleads_the_planner_is_found_and_one_that_helps_stays(owner, trier):
    owner.execute(SCHEMA)
    queries = {"walk": WALK, "look": LOOK}
    before = trier.trials(queries)
    there = set()

    def measure(kept, wanted, again):
        for name in sorted(there ^ kept):
            owner.execute(INDEXES[name] if name in kept else f"DROP INDEX {name}")
        there.clear()
        there.update(kept)
        return trier.trials(queries, wanted, again=again)

    found = settled(before, INDEXES, measure)
    assert found.kept == {"looked"}
    assert found.reverted == ("walked",)
    assert found.regressions == ()
    assert found.trials["look"].best < before["look"].best / 2


def test_a_plan_is_run_once_unless_it_is_to_be_run_again(owner, trier):
    first = trier.trial("q", "SELECT count(*) FROM note")
    assert isinstance(first, Trial)
    assert len(first.ms) == 2
    assert trier.trial("q", "SELECT count(*) FROM note") is first
    assert len(trier.trial("q", "SELECT count(*) FROM note", again=True).ms) == 4


def test_which_indexes_a_plan_uses_is_told(owner, trier):
    owner.execute(
        "CREATE TABLE look (id int PRIMARY KEY, note int);"
        "INSERT INTO look SELECT i, i FROM generate_series(1, 5000) i; ANALYZE look"
    )
    assert trier.trial("q", "SELECT note FROM look WHERE id = 7").indexes == {"look_pkey"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("DELETE FROM note", "only reads"),
        ("WITH gone AS (DELETE FROM note RETURNING *) SELECT * FROM gone", "it writes"),
        ("SELECT * FROM note FOR UPDATE", "it writes"),
        ("SELECT 1; DROP TABLE note", "2 statements"),
        ("ANALYZE SELECT 1", "only reads"),
        ("(ANALYZE) DELETE FROM note", "only reads"),
        ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity", "volatile"),
        ('SELECT pg_catalog."pg_sleep"(1)', "volatile"),
        ("SELECT * FROM note WHERE id = $1", "constants are not known"),
        ("SELECT * FROM gone_table", "does not exist"),
        ("SELECT 'open", "cannot be read"),
        ("", "an empty text"),
    ],
)
def test_what_may_not_run_does_not(owner, trier, text, reason):
    found = trier.trial("q", text)
    assert isinstance(found, Untried)
    assert reason in found.reason
    assert trier.untried == {"q": found}
    assert owner.execute("SELECT count(*) FROM note").fetchone() == (1,)


def test_what_takes_too_long_is_ended_and_counts_as_that_long(postgres, owner):
    with Connection(postgres) as connection:
        trier = Trier(connection, timeout_ms=400)
        slow = "SELECT count(*) FROM generate_series(1, 20000) a, generate_series(1, 20000) b"
        found = trier.trial("q", slow)
        assert isinstance(found, Trial), found
        assert found.ms == (400,)
