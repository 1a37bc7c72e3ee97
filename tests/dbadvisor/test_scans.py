"""Full scans in plans, ranked by the time and rows that they cost."""

import psycopg
import pytest

from foretide.dbadvisor import collecting, plan_tree, planning, scans
from foretide.dbadvisor.connection import Connection
from foretide.dbadvisor.plan_tree import Node, NoPlan
from foretide.dbadvisor.snapshot import Query, Relation, Table

BIG, SMALL = Relation("public", "big"), Relation("public", "small")


def node(kind, cost, rows, *children, **more):
    return Node(kind, 0.0, cost, rows, 8, children=children, **more)


def scan(relation, cost, rows, **more):
    return node("Seq Scan", cost, rows, relation=relation, **more)


def tables(**rows):
    return {
        Relation("public", name): Table(Relation("public", name), "r", rows=count, pages=10)
        for name, count in rows.items()
    }


QUERY = Query("q", "", calls=10, total_ms=1000)


def test_time_is_shared_by_cost_and_rows_thrown_away_are_wasted():
    plan = node(
        "Hash Join",
        100.0,
        50,
        scan(BIG, 80.0, 100, filter="(a = 1)", relationship="Outer"),
        node("Hash", 10.0, 5, scan(SMALL, 10.0, 5), relationship="Inner"),
    )
    big, small = scans.of_plan(QUERY, plan, tables(big=10_000, small=5))
    assert (big.table, big.reads, big.returns, big.wasted) == (BIG, 10_000, 100, 99_000)
    assert big.ms == pytest.approx(800)
    assert big.filters == ("(a = 1)",)
    assert (small.wasted, small.ms) == (0, pytest.approx(100))


def test_the_inner_side_of_a_loop_is_read_again_and_again():
    plan = node(
        "Nested Loop",
        1000.0,
        3,
        node("Index Scan", 10.0, 30, relationship="Outer"),
        scan(BIG, 33.0, 2, relationship="Inner"),
    )
    (found,) = scans.of_plan(QUERY, plan, tables(big=500))
    assert found.reads == 15_000
    assert found.ms == pytest.approx(990)


def test_a_limit_that_stops_a_scan_early_does_not_give_it_more_than_all_time():
    plan = node("Limit", 1.0, 1, scan(BIG, 5000.0, 9, relationship="Outer"))
    (found,) = scans.of_plan(QUERY, plan, tables(big=500))
    assert found.ms == pytest.approx(1000)


def test_costliest_first_and_always_in_the_same_order():
    def planned(name, ms):
        query = Query(name, "", calls=1, total_ms=ms)
        return planning.Planned(query, "", 0, (), scan(BIG, 10.0, 1))

    ranked = scans.table_scans(
        [planned("b", 5), planned("c", 9), planned("a", 5)], tables(big=10).values()
    )
    assert [each.query for each in ranked] == ["c", "a", "b"]


@pytest.mark.parametrize("answer", [None, [], "{", [{"Plan": {}}], [{"Plan": 3}], {"Plan": []}])
def test_what_is_no_plan_is_refused(answer):
    with pytest.raises(NoPlan):
        plan_tree.read(answer)


@pytest.mark.postgres
def test_scans_of_a_real_partitioned_table(postgres):
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE events (id int, day int) PARTITION BY RANGE (day);"
            "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);"
            "CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (10) TO (20);"
            "INSERT INTO events SELECT i, i % 20 FROM generate_series(1, 4000) i; ANALYZE"
        )
    with Connection(postgres) as database:
        seen = collecting.collect(database, 1.0)
        query = Query("7", "SELECT * FROM events WHERE id = $1", calls=3, total_ms=30)
        plans = planning.plan_all(database, [query])
    (found,) = scans.table_scans(plans.planned, seen.tables)
    assert (found.table, found.reads, found.calls) == (Relation("public", "events"), 4000, 3)
    assert found.wasted == pytest.approx(12_000, rel=0.01)
    assert found.filters == ("(events_1.id = $1)", "(events_2.id = $1)")
    assert 25 < found.ms <= 30
