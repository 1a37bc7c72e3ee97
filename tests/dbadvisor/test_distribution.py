"""How data lies: findings on snapshots made up for it, and on a real database."""

import time
from dataclasses import replace

import psycopg
import pytest

from foretide.dbadvisor.collecting import collect
from foretide.dbadvisor.connection import Connection
from foretide.dbadvisor.distribution import Kind, findings
from foretide.dbadvisor.snapshot import (
    Column,
    ColumnStatistics,
    Index,
    IndexKey,
    Relation,
    Sequence,
    Snapshot,
    Table,
)

NOW = 1_000_000.0
T, INDEX = Relation("public", "t"), Relation("public", "t_kind")
EVEN = ColumnStatistics(0.0, 8, -1.0, correlation=1.0)


def column(name="id", statistics=EVEN):
    return Column(name, "bigint", 8, 8, True, statistics)


def table(**changes):
    """A million rows of 16 bytes, without a hole."""
    usual = {
        "rows": 1_000_000,
        "live": 1_000_000,
        "pages": 5_406,
        "columns": (column(), column("kind")),
        "analyzed_at": NOW - 86_400,
    }
    return Table(T, "r", **{**usual, **changes})


def index(**changes):
    return replace(Index(INDEX, T, "btree", (IndexKey("kind"),), bytes=9_000_000), **changes)


def kinds(*tables, **parts):
    return [found.kind for found in findings(Snapshot(NOW, "db", 150000, tables=tables, **parts))]


def test_a_table_as_it_should_be_has_no_findings():
    assert kinds(table(), indexes=(index(),)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"modified_since_analyze": 400_000},
        {"rows": -1, "analyzed_at": None},
        {"analyzed_at": None, "columns": (column(statistics=None),)},
    ],
)
def test_stale_statistics_are_found(changes):
    (found,) = findings(Snapshot(NOW, "db", 150000, tables=(table(**changes),)))
    assert found.kind is Kind.STALE_STATISTICS
    assert found.statements[0] == 'ANALYZE "public"."t";'.replace(
        '"', found.statements[0][8:9]
    ) or (found.statements[0].startswith("ANALYZE "))


def test_few_changes_and_small_tables_are_none():
    assert kinds(table(modified_since_analyze=100_000)) == []
    assert kinds(table(rows=500, live=500, pages=4, modified_since_analyze=500)) == []


def test_one_value_among_many_that_most_rows_have_is_skew():
    skewed = ColumnStatistics(0, 8, 5000, ("it's",), (0.7,), correlation=0.5)
    busy = table(columns=(column(), column("kind", skewed)))
    (found,) = findings(Snapshot(NOW, "db", 150000, tables=(busy,), indexes=(index(),)))
    assert (found.kind, found.column) == (Kind.SKEW, "kind")
    assert "70%" in found.message
    assert "<> 'it''s'" in found.statements[0]
    assert kinds(busy) == []  # nothing looks the column up


def test_rows_that_an_index_reads_together_but_lie_apart_are_found():
    apart = ColumnStatistics(0, 8, 500, correlation=0.02)
    scattered = table(columns=(column(), column("kind", apart)))
    read = index(scans=1000, rows_read=2_000_000)
    assert kinds(scattered, indexes=(read,)) == [Kind.CORRELATION]
    assert kinds(scattered, indexes=(replace(read, rows_read=3000),)) == []


def test_dead_rows_and_holes_are_bloat():
    assert kinds(table(dead=500_000)) == [Kind.TABLE_BLOAT]
    assert kinds(table(pages=20_000)) == [Kind.TABLE_BLOAT]
    assert kinds(table(pages=7_000)) == []


def test_an_index_far_larger_than_it_would_be_built_is_bloat():
    (found,) = findings(
        Snapshot(NOW, "db", 150000, tables=(table(),), indexes=(index(bytes=90_000_000),))
    )
    assert found.kind is Kind.INDEX_BLOAT
    assert found.statements[0].startswith("REINDEX INDEX CONCURRENTLY")
    partial = index(bytes=90_000_000, predicate="kind > 3")
    assert kinds(table(), indexes=(partial,)) == []


def test_a_sequence_near_its_end_is_told_with_the_days_left():
    last = Sequence(Relation("public", "t_id_seq"), 2_000_000_000, 1, 2**31 - 1, "id", T)
    before = Snapshot(NOW - 86_400, "db", 150000, sequences=(replace(last, last=1_990_000_000),))
    now = Snapshot(NOW, "db", 150000, sequences=(last, replace(last, last=5)))
    (found,) = findings(now, before)
    assert found.kind is Kind.SEQUENCE
    assert "15 days" in found.message
    assert "TYPE bigint" in found.statements[0]


@pytest.mark.postgres
@pytest.mark.slow
def test_a_real_database_is_judged_by_what_was_done_to_it(postgres):
    expected = {
        (Kind.STALE_STATISTICS, "young"),
        (Kind.SEQUENCE, "ending_id_seq"),
        (Kind.TABLE_BLOAT, "holes"),
    }
    with psycopg.connect(postgres, autocommit=True) as owner:
        owner.execute(
            "CREATE TABLE tidy AS SELECT n AS id, n % 1000 AS kind, 'row ' || n AS name "
            "FROM generate_series(1, 300000) AS n"
        )
        owner.execute("CREATE INDEX ON tidy (kind)")
        owner.execute("CREATE TABLE holes AS SELECT * FROM tidy")
        owner.execute("CREATE INDEX holes_id ON holes (id)")
        owner.execute("DELETE FROM holes WHERE id % 20 <> 0")
        owner.execute("VACUUM holes")
        owner.execute("CREATE TABLE young AS SELECT n AS id FROM generate_series(1, 20000) AS n")
        owner.execute("CREATE TABLE ending (id int GENERATED ALWAYS AS IDENTITY)")
        owner.execute("SELECT setval('ending_id_seq', 2000000000)")
        # What is reported after ANALYZE counts as changed since.
        owner.execute("SELECT pg_stat_force_next_flush()")
        owner.execute("ANALYZE tidy, holes")
        deadline = time.monotonic() + 20
        told = set()
        with Connection(postgres) as database:
            # Counters come a moment later.
            while told != expected and time.monotonic() < deadline:
                found = findings(collect(database, time.time()))
                told = {(each.kind, each.relation.name) for each in found}
        for finding in found:
            for statement in finding.statements:
                owner.execute(statement)
    assert told == expected
