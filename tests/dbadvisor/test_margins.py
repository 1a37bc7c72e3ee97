"""Budgets hold where ANALYZE has only estimated how many values there are: a real PostgreSQL."""

import psycopg
import pytest

from foretide.dbadvisor import margins, pricing
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.collecting import collect
from foretide.dbadvisor.connection import Connection
from foretide.dbadvisor.snapshot import Column, ColumnStatistics, IndexKey, Relation, Table

LINE = """
SELECT setseed(0.3);
CREATE TABLE line AS SELECT o AS orders, n AS number
FROM generate_series(1, 100000) AS o, generate_series(1, 1 + o * 7919 %% 7) AS n;
CREATE TABLE child AS SELECT (random() * 60000)::int AS parent FROM generate_series(1, 300000);
ANALYZE;
"""


def key(table, column):
    return Candidate(Relation("public", table), (IndexKey(column),))


@pytest.mark.postgres
@pytest.mark.parametrize("one", [key("line", "orders"), key("child", "parent")])
def test_no_index_is_larger_than_its_cautious_size(postgres, one):
    with psycopg.connect(postgres, autocommit=True) as owner:
        owner.execute(LINE.replace("%%", "%"))
        owner.execute(f"CREATE INDEX made ON {one.table} ({one.keys[0].column})".encode())
        built = owner.execute("SELECT pg_relation_size('made')").fetchone()[0]
    with Connection(postgres) as connection:
        tables = collect(connection, 1_790_000_000.0).tables
    foreseen, cautious = (
        pricing.foreseen_bytes(one, {each.relation: each for each in some})
        for some in (tables, margins.cautious(tables))
    )
    assert foreseen <= cautious
    assert built <= 1.02 * cautious
    assert cautious <= 1.15 * built


@pytest.mark.parametrize(
    ("rows", "distinct", "more"),
    [(40_000, -0.2, True), (20_000, -0.2, False), (40_000, 500, False), (40_000, -1, False)],
    ids=["a share of many", "a share of few", "a number", "all"],
)
def test_only_what_is_estimated_gets_a_margin(rows, distinct, more):
    column = Column("a", "integer", 4, 4, True, ColumnStatistics(0.0, 4, distinct))
    table = Table(Relation("public", "t"), "r", rows, 100, (column,))
    found = margins.cautious([table])[0].columns[0].statistics.distinct
    assert (found < distinct) is more
    assert found >= -1
    if not more:
        assert found == distinct
