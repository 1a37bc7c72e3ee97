"""Which queries to cache, which must not be, and what is not known."""

from dataclasses import replace

import psycopg
import pytest

from foretide.dbadvisor.cacheable import NotCacheable, Reading, read, refused, volatilities
from foretide.dbadvisor.caching import Cacheable, Undecided, advise, functions_called, summary
from foretide.dbadvisor.executed import Execution
from foretide.dbadvisor.report_words import undecided
from foretide.dbadvisor.snapshot import (
    Column,
    ColumnStatistics,
    Constant,
    Query,
    Relation,
    Snapshot,
    Statement,
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


def test_rare_constants_that_were_thrown_away_leave_it_open_how_many_there_are():
    """What pg_qualstats has kept are the favourites: 999 of 1,000 keys may not be among them."""
    constants = tuple(
        Constant(1, Relation("public", "product"), "id", "=", f"'{n}'::int", 9, 40)
        for n in range(10)
    )
    text = query("SELECT * FROM product WHERE id = $1")
    seen = snapshot(constants=constants)
    whole = advised(text, seen=seen)["1"].verdict
    assert whole.projections[2].hit_rate > 0.7
    some = advised(text, seen=replace(seen, constants_lost=True))["1"].verdict
    assert [each.ttl for each in some.projections] != [each.ttl for each in whole.projections]
    assert "raise pg_qualstats.max" in some.basis


def test_a_query_that_pg_qualstats_meets_later_counts_from_nothing():
    def looked(number):
        return tuple(
            Constant(1, Relation("public", "product"), "id", "=", f"'{n}'::int", 9, number)
            for n in range(5 if number else 0)
        )

    looks = [(at, looked(max(0, at - 120))) for at in (0, 60, 120, 180, 240)]
    found = advised(
        query("SELECT * FROM product WHERE id = $1"),
        seen=snapshot(constants=looks[-1][1]),
        constants=looks,
    )["1"].verdict
    assert "600 executions" in found.basis
    assert found.keys == pytest.approx(5, rel=0.01)


@pytest.mark.parametrize(("calls", "told"), [(8640.0, "0.1 times as often: then 83%"), (86400, "")])
def test_a_busy_hour_is_told_from_the_day_before(calls, told):
    """A report for each of 50 shelves, once a second while it was watched."""
    text = "SELECT count(*) FROM product WHERE shelf = $1"
    statement = Statement(1, 1, True, text, int(calls), 1.0, 1)
    before = replace(snapshot(), at=86_400.0, statements=(statement,), statements_reset=0.0)
    seen = replace(snapshot(), at=86_400.0 + SECONDS)
    found = advised(query(text), seen=seen, before=before, ttls=[2500.0])["1"].verdict
    assert found.ttl == 2500
    assert ("hours before" in found.basis) == bool(told)
    assert told in found.basis


def test_pages_are_taken_to_be_equally_long_but_not_to_begin_alike():
    """pg_stat_statements writes $2 for the number in LIMIT 20, which hardly ever varies."""
    page = "SELECT * FROM product WHERE shelf = $1 ORDER BY id LIMIT $2"
    found = advised(query(page))["1"].verdict
    assert found.keys == 50
    assert "LIMIT is taken to be the same" in found.basis
    whole = advised(query("SELECT * FROM product ORDER BY id FETCH FIRST $1 ROWS ONLY"))["1"]
    assert whole.verdict.keys == 1
    later = advised(query(page + " OFFSET $3"))["1"].verdict
    assert isinstance(later, Undecided)
    assert "$3" in later.reason


def test_without_constants_the_number_of_values_is_the_least_that_can_be_hoped_for():
    found = advised(query("SELECT * FROM product WHERE shelf = $1"))["1"].verdict
    assert found.keys == 50
    assert "more hits" in found.basis


def test_executions_of_a_log_tell_of_any_parameter():
    executions = {"1": [Execution(n, (f"note {n % 4}",)) for n in range(100)]}
    found = advised(query("SELECT * FROM product WHERE note > $1"), executions=executions)["1"]
    assert found.verdict.keys == pytest.approx(4)


def test_of_a_log_that_begins_late_all_executions_are_known_all_the_same():
    """It tells of 100 s of an hour, and in these of each call: visits are known as wholes."""
    executions = {
        "1": [Execution(n / 10, (f"note {n // 5}",)) for n in range(1000)],
        "2": [Execution(0.0, ()), Execution(100.0, ())],
    }
    text = "SELECT * FROM product WHERE note > $1"
    found = advised(query(text, calls=36_000.0), executions=executions, ttls=[5.0])["1"]
    assert found.verdict.projections[0].hit_rate == pytest.approx(0.8, abs=0.05)


def test_times_of_which_nothing_can_be_said_are_named():
    """A report that goes through its keys once in 20 minutes, seen for half an hour."""
    executions = {"1": [Execution(float(n), (f"note {n % 1200}",)) for n in range(1800)]}
    text = query("SELECT * FROM product WHERE note > $1", calls=SECONDS)
    found = advised(text, executions=executions, ttls=[10.0, 3600.0])["1"].verdict
    assert [each.ttl for each in found.projections] == [10.0]
    assert "nothing is said of a TTL of 3600 s: keys are asked for at times" in found.basis


def test_of_which_queries_nothing_can_be_said_is_said_once_for_each_reason():
    text = "SELECT * FROM product WHERE note > $1"
    found = advised(*(query(text, id=str(number)) for number in range(7))).values()
    (told,) = undecided(found)
    assert told.startswith("of queries 0, 1, 2, 3, 4 and 2 more it cannot be said whether")
    assert "give a log" in told


INSTALLED = {"extensions": {"pg_qualstats": "2.0.4"}}


@pytest.mark.parametrize(
    ("condition", "seen", "told", "untold"),
    [
        ("note = $1", {}, "install pg_qualstats", "yet"),
        ("note = $1", INSTALLED, "pg_qualstats has seen none yet", "install"),
        (
            "note = $1",
            {**INSTALLED, "missing": ("constants: permission denied",)},
            "could not be read (constants: permission denied)",
            "install",
        ),
        ("note > $1", {}, "not compared with one column by =: give a log", "pg_qualstats"),
        ("note > $1", INSTALLED, "not compared with one column by =: give a log", "pg_qualstats"),
    ],
    ids=["not there", "has seen none", "cannot be read", "a range", "a range, and it is there"],
)
def test_what_would_help_to_know_the_constants_is_said(condition, seen, told, untold):
    found = advised(
        query(f"SELECT * FROM product WHERE {condition}"), seen=replace(snapshot(), **seen)
    )["1"].verdict
    assert isinstance(found, Undecided)
    assert told in found.reason
    assert untold not in found.reason


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
