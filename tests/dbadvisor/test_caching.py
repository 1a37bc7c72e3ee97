"""Which queries to cache, which must not be, and what is not known."""

from dataclasses import replace

import psycopg
import pytest

from foretide.dbadvisor.cacheable import NotCacheable, Reading, read, refused, volatilities
from foretide.dbadvisor.caching import Cacheable, Undecided, advise, functions_called, summary
from foretide.dbadvisor.snapshot import (
    Column,
    ColumnStatistics,
    Constant,
    Query,
    Relation,
    Snapshot,
    Table,
    Workload,
)
from foretide.dbadvisor.writes import write_rates

SECONDS = 3600.0


def column(name, distinct=None):
    statistics = None if distinct is None else ColumnStatistics(0.0, 4, distinct)
    return Column(name, "integer", 4, 4, True, statistics)


def table(name, schema="public", **changes):
    columns = (column("id", -1.0), column("shelf", 50.0), column("note"))
    made = {"columns": columns, **changes}
    return Table(Relation(schema, name), made.pop("kind", "r"), 1000.0, 10, **made)


def snapshot(*tables, constants=()):
    tables = tables or (table("product"), table("orders"), table("hidden", row_security=True))
    return Snapshot(SECONDS, "shop", 150000, tables=tables, constants=constants, stats_reset=0.0)


def query(text, calls=3600.0, mean=20.0, id="1"):  # noqa: A002
    return Query(id, text, calls, calls * mean)


def advised(*queries, seen=None, functions=None, **options):
    workload = Workload(tuple(queries), SECONDS)
    found = advise(workload, seen or snapshot(), volatilities=functions or {}, **options)
    return {each.query.id: each for each in found}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SELECT * FROM product WHERE made > now()", "asks for the time"),
        ("SELECT CURRENT_DATE, id FROM product", "asks for the time"),
        ("SELECT * FROM product WHERE owner = CURRENT_USER", "depends on the session"),
        ("SELECT current_setting($1), id FROM product", "depends on the session"),
        ("SELECT * FROM product ORDER BY random() LIMIT $1", "volatile"),
        ("SELECT shop.price(id) FROM product", "calls price, which is volatile"),
        ("SELECT * FROM hidden", "row-level security"),
        ("SELECT * FROM product WHERE id = $1 FOR UPDATE", "locks rows"),
        ("SELECT * FROM basket_of_session", "no table that is known"),
        ("SELECT * FROM pg_stat_activity", "PostgreSQL's own"),
        ("SELECT * FROM product TABLESAMPLE system ($1)", "sample"),
        ("WITH gone AS (DELETE FROM orders RETURNING *) SELECT * FROM gone", "writes"),
        ("UPDATE product SET shelf = $1", "only reads"),
        ("SELECT * FROM product WHERE 'never closed", "cannot be understood"),
        ("SELECT 1; DROP TABLE product", "cannot be understood"),
    ],
)
def test_what_must_not_be_cached_is_told_with_its_reason(text, reason):
    found = advised(query(text), functions={"random": "v", "price": "sv"})["1"]
    assert isinstance(found.verdict, NotCacheable)
    assert reason in found.verdict.reason
    assert found.saved == 0


def test_words_in_strings_names_and_comments_are_no_functions():
    text = """SELECT 'now()', "current_user", shelf /* random() */ FROM product -- FOR UPDATE"""
    reading = read(text, snapshot())
    assert isinstance(reading, Reading)
    assert refused(reading, snapshot(), {"random": "v"}) is None


def test_a_slow_report_without_constants_is_worth_caching():
    found = advised(query("SELECT shelf, count(*) FROM product GROUP BY shelf"))["1"]
    assert isinstance(found.verdict, Cacheable)
    # Once a second, and nothing is written: 20 of each 1,000 ms are saved, but for the misses.
    assert found.verdict.projections[-1].hit_rate == pytest.approx(3600 / 3601)
    assert found.saved == pytest.approx(19.9, rel=0.06)
    assert found.verdict.ttl < 3600


def test_the_table_that_changes_more_often_than_it_is_read_is_not():
    writing = query("INSERT INTO product VALUES ($1)", calls=36_000.0, id="2")
    found = advised(query("SELECT count(*) FROM product"), writing)["1"]
    assert found.verdict.writes == pytest.approx(10.0)
    assert found.verdict.ttl is None
    assert "change too often" in found.verdict.why


def test_what_takes_no_time_is_not_worth_asking_a_cache():
    found = advised(query("SELECT count(*) FROM product", mean=0.03))["1"]
    assert "no longer than to ask" in found.verdict.why


def test_constants_that_were_seen_say_how_often_it_is_repeated():
    text = "SELECT * FROM product p WHERE p.id = $1"
    few = [Constant(1, Relation("public", "product"), "id", "=", "'7'::int", 9, 400)]
    many = [
        Constant(1, Relation("public", "product"), "id", "=", f"'{n}'::int", 1, 1)
        for n in range(400)
    ]
    favourite = advised(query(text), seen=snapshot(constants=tuple(few)))["1"].verdict
    scattered = advised(query(text), seen=snapshot(constants=tuple(many)))["1"].verdict
    assert favourite.projections[2].hit_rate > 0.9
    assert scattered.projections[2].hit_rate < 0.1
    assert "400 executions" in favourite.basis


def test_without_constants_the_number_of_values_is_the_least_that_can_be_hoped_for():
    found = advised(query("SELECT * FROM product WHERE shelf = $1"))["1"].verdict
    assert found.keys == 50
    assert "more hits" in found.basis


def test_what_is_not_known_is_said():
    found = advised(query("SELECT * FROM product WHERE note > $1"))["1"].verdict
    assert isinstance(found, Undecided)
    assert "pg_qualstats" in found.reason
    executions = {"1": [(f"note {n % 4}",) for n in range(100)]}
    found = advised(query("SELECT * FROM product WHERE note > $1"), executions=executions)["1"]
    assert found.verdict.keys == pytest.approx(4)


def test_processes_that_cache_on_their_own_hit_less():
    text = "SELECT * FROM product WHERE shelf = $1"
    alone = advised(query(text))["1"].verdict.projections
    many = advised(query(text), caches=20)["1"].verdict.projections
    assert all(one.hit_rate > each.hit_rate for one, each in zip(alone, many, strict=True))


def test_rows_that_no_statement_explains_count_as_changes():
    grown = snapshot(table("product", inserted=7200), table("orders", updated=100))
    workload = Workload((query("UPDATE orders SET note = $1", calls=10.0),), SECONDS)
    workload = replace(workload, queries=(replace(workload.queries[0], rows=100.0),))
    rates = write_rates(workload, grown)
    assert rates[Relation("public", "product")] == pytest.approx(2.0)
    assert rates[Relation("public", "orders")] == pytest.approx(10 / SECONDS)


def test_what_is_written_to_partitions_counts_for_the_whole():
    whole = Relation("public", "event")
    tables = (table("event", kind="p"), table("event_1", parent=whole, inserted=3600))
    rates = write_rates(Workload((), SECONDS), snapshot(*tables))
    assert rates == {whole: 1.0, Relation("public", "event_1"): 1.0}


def test_the_advice_is_the_same_each_time_and_its_best_comes_first():
    queries = [
        query("SELECT count(*) FROM product", mean=mean, id=str(mean)) for mean in (5, 50, 20)
    ]
    found = advise(Workload(tuple(queries), SECONDS), snapshot(), volatilities={})
    assert [each.query.id for each in found] == ["50", "20", "5"]
    assert summary(found).startswith("50: ttl=")


@pytest.mark.postgres
def test_volatilities_are_postgresqls_own(postgres):
    class Door:
        def rows(self, statement, parameters=()):
            with psycopg.connect(postgres) as connection:
                connection.execute(
                    "CREATE FUNCTION price(int) RETURNS int LANGUAGE sql AS 'SELECT 1'"
                )
                return connection.execute(statement, parameters).fetchall()

    workload = Workload((query("SELECT price(id), upper($1), random() FROM product"),), 1.0)
    names = functions_called(workload)
    found = volatilities(Door(), names)
    assert found == {"price": "v", "random": "v", "upper": "i"}
