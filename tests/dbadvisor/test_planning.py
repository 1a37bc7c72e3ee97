"""Plans of normalized queries on real servers, of all versions."""

import duckdb
import psycopg
import pytest

from foretide.dbadvisor import planning
from foretide.dbadvisor.connection import Connection
from foretide.dbadvisor.database import DatabaseAway
from foretide.dbadvisor.planning import Planned, Unplanned
from foretide.dbadvisor.snapshot import Query

pytestmark = pytest.mark.postgres

SCHEMA = """
CREATE TABLE orders (id bigint PRIMARY KEY, customer int, status text, placed date, note "char");
CREATE INDEX orders_customer ON orders (customer);
CREATE TABLE parts (day date NOT NULL, n int) PARTITION BY RANGE (day);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
INSERT INTO orders SELECT i, i % 100, 'new', date '2024-01-01' + i % 500
 FROM generate_series(1, 5000) i;
ANALYZE;
"""


@pytest.fixture
def shop(postgres):
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(SCHEMA)
    with Connection(postgres) as database:
        yield database


def query(text, name="1"):
    return Query(name, text, calls=1, total_ms=1)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM orders WHERE customer = $1",
        "SELECT * FROM orders WHERE placed > DATE $1 - INTERVAL $2 day",
        "SELECT count(*) FROM orders WHERE EXTRACT($1 FROM placed) = $2",
        "SELECT sum(CASE WHEN status = $1 THEN $2 ELSE $3 END) FROM orders",
        "SELECT sum(COALESCE($1, $2)) FROM orders",
        "SELECT * FROM orders WHERE customer BETWEEN $1 AND $2 + $3",
        "SELECT substr(status, $1, $2), count(*) FROM orders GROUP BY substr(status, $3, $4)",
        "SELECT customer % $1, count(*) FROM orders GROUP BY ROLLUP (customer % $2, status)",
        "SELECT DISTINCT customer + $1 FROM orders ORDER BY customer + $2 LIMIT $3",
        'SELECT * FROM orders WHERE note = "char" $1 AND placed = pg_catalog.date $2',
        "SELECT * FROM orders WHERE customer = ANY (ARRAY[$1, $2, $3])",
        "SELECT * FROM generate_series($1, $2)",
        "SELECT -$1 FROM orders",
        "SELECT * FROM orders JOIN (VALUES ($1, $2), ($3, $4)) v (c, s) ON v.c = customer",
        "SELECT $1 FROM orders LIMIT $2 OFFSET $3",
        "INSERT INTO orders (id, customer) SELECT $1, customer FROM orders WHERE id = $2",
        "UPDATE orders SET status = $1, placed = placed + $2 WHERE id = $3 RETURNING $4",
        "DELETE FROM orders WHERE placed < now() - $1 * interval $2",
        'DECLARE "c" NO SCROLL CURSOR WITH HOLD FOR SELECT * FROM orders WHERE customer = $1',
        "/* a comment; */ (SELECT 1 FROM orders WHERE id = $1) -- $2, and no line's end",
        "SELECT * FROM orders WHERE status = $3 AND customer = $7;",
        "SELECT '%s' FROM orders WHERE status LIKE '%x' AND customer = $1",
    ],
)
def test_a_normalized_query_is_planned(shop, text):
    planned = planning.plan(shop, query(text))
    assert isinstance(planned, Planned), planned.reason
    assert planned.plan.total_cost > 0
    again = planning.answered(shop.together(planned.statements))
    assert again.total_cost == planned.plan.total_cost
    assert shop.rows("SELECT count(*) FROM pg_prepared_statements") == [(0,)]


def test_the_plan_is_the_generic_one_and_not_that_for_null(shop):
    planned = planning.plan(shop, query("SELECT * FROM orders WHERE customer = $1"))
    assert planned.plan.indexes == ("orders_customer",)
    assert planned.plan.rows == 50


def test_no_partition_is_left_out_by_the_nulls_in_place_of_parameters(shop):
    planned = planning.plan(shop, query("SELECT * FROM parts WHERE day = $1"))
    names = {str(node.relation) for node in planned.plan.walk() if node.relation}
    assert names == {"public.parts_1", "public.parts_2"}


@pytest.mark.parametrize(
    ("text", "reason", "expected"),
    [
        ("SELECT * FROM gone WHERE a = $1", 'relation "gone" does not exist', False),
        ("SELECT 1; DROP TABLE orders", "2 statements in one text", False),
        ("EXPLAIN SELECT 1", "EXPLAIN has no plan", True),
        ("VACUUM orders", "VACUUM has no plan", True),
        ("<insufficient privilege>", "its text is hidden from us: GRANT pg_read_all_stats", True),
        ("SELECT 'half a", "a quote that does not end at character 8 is no SQL", False),
        ("", "an empty text", False),
        ("SELECT * FROM orders WHERE", "syntax error at end of input", False),
    ],
)
def test_what_cannot_be_planned_is_told_by_its_id(shop, text, reason, expected):
    result = planning.plan_all(shop, [query(text, "77"), query("SELECT $1", "78")])
    assert [each.query.id for each in result.planned] == ["78"]
    assert [(each.id, each.reason, each.expected) for each in result.unplanned] == [
        ("77", reason, expected)
    ]
    assert result.share == (1.0 if expected else 0.5)


def test_names_are_looked_for_in_other_schemas_where_they_are_not_found(shop, postgres):
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute('CREATE SCHEMA "My app"; CREATE TABLE "My app".orders (sku text)')
        connection.execute('CREATE TABLE "My app".carts (sku text, n int)')
    other = query("SELECT * FROM carts WHERE sku = $1 AND n > $2 + $3")
    assert isinstance(planning.plan(shop, other), Unplanned)
    planned = planning.plan(shop, other, ["My app"])
    assert str(planned.plan.relation) == "My app.carts"
    assert planning.answered(shop.together(planned.statements)).total_cost
    ours = planning.plan(shop, query("SELECT customer FROM orders WHERE id = $1"), ["My app"])
    assert str(ours.plan.relation) == "public.orders"
    gone = planning.plan(shop, query("SELECT * FROM gone"), ["My app"])
    assert gone.reason == 'relation "gone" does not exist'


def test_what_we_may_not_read_is_told_with_its_remedy(shop, postgres):
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS stranger; CREATE ROLE stranger LOGIN")
        with Connection(postgres.replace("//foretide@", "//stranger@")) as database:
            result = planning.plan(database, query("SELECT * FROM orders WHERE id = $1"))
        connection.execute("DROP ROLE stranger")
    assert result.reason.startswith("permission denied for table orders: GRANT pg_read_all_data")


@pytest.fixture
def reader(shop, postgres):
    """The same database for a user that may read everything, and write nothing."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN")
        connection.execute("GRANT pg_read_all_data TO reader")
        with Connection(postgres.replace("//foretide@", "//reader@")) as database:
            yield database
        connection.execute("DROP ROLE reader")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("UPDATE orders SET status = $1 WHERE id = $2 RETURNING $3",
         "SELECT orders.ctid FROM orders WHERE id = $1"),
        ("UPDATE public.orders AS o SET status = p.n FROM parts p JOIN parts_1 USING (day) "
         "WHERE o.placed = p.day AND o.status IS DISTINCT FROM $1",
         "SELECT o.ctid FROM public.orders AS o , parts p JOIN parts_1 USING (day) "
         "WHERE o.placed = p.day AND o.status IS DISTINCT FROM $1"),
        ("UPDATE orders SET (status, note) = ($1, $2), customer = (SELECT max(n) FROM parts)",
         "SELECT (SELECT max(n) FROM parts), orders.ctid FROM orders"),
        ("DELETE FROM ONLY orders o USING parts JOIN parts_1 USING (day, n) "
         "WHERE o.placed = day AND o.customer = $1 + $2",
         "SELECT o.ctid FROM ONLY orders o , parts JOIN parts_1 USING (day, n) "
         "WHERE o.placed = day AND o.customer = $1 + CAST($2 AS integer)"),
        ("WITH old AS (SELECT id FROM orders WHERE placed < $1) "
         "DELETE FROM orders WHERE id IN (SELECT id FROM old)",
         "WITH old AS (SELECT id FROM orders WHERE placed < $1) "
         "SELECT orders.ctid FROM orders WHERE id IN (SELECT id FROM old)"),
        ("INSERT INTO orders (id) SELECT n FROM parts JOIN parts_1 USING (day, n) WHERE n = $1 "
         "ON CONFLICT (id) DO UPDATE SET customer = $2",
         "select n FROM parts JOIN parts_1 USING (day, n) WHERE n = $1"),
        ("INSERT INTO orders (id) WITH x AS (SELECT n FROM parts) SELECT n FROM x RETURNING id",
         "with x AS (SELECT n FROM parts) select n FROM x"),
        ("SELECT id FROM orders WHERE status = $1 FOR NO KEY UPDATE OF orders SKIP LOCKED LIMIT $2",
         "SELECT id FROM orders WHERE status = $1 LIMIT $2"),
        ("UPDATE orders SET status = $1 WHERE id = (SELECT id FROM orders WHERE status = $2 "
         "ORDER BY id FOR UPDATE SKIP LOCKED LIMIT $3) RETURNING *",
         "SELECT orders.ctid FROM orders WHERE id = (SELECT id FROM orders WHERE status = $1 "
         "ORDER BY id LIMIT $2)"),
        ("SELECT substring(status FOR $1) FROM orders FOR UPDATE",
         "SELECT substring(status FOR $1) FROM orders"),
    ],
)  # fmt: skip
def test_whoever_may_only_read_plans_what_a_write_reads(reader, text, read):
    planned = planning.plan(reader, query(text))
    assert isinstance(planned, Planned), planned.reason
    assert " ".join(planned.text.split()) == read
    assert planned.query.text == text


def test_what_only_writers_can_plan_is_told_without_a_grant(reader):
    insert = planning.plan(reader, query("INSERT INTO orders (id, status) VALUES ($1, $2)"))
    assert (insert.reason, insert.expected) == ("INSERT of given rows looks for none", True)
    merge = query("MERGE INTO orders o USING parts ON o.placed = day WHEN MATCHED THEN DELETE")
    assert planning.plan(reader, merge).reason == (
        "permission denied for table orders: only a user who may write can plan such a statement"
    )


def test_nothing_that_is_planned_is_run(shop):
    for text in (
        "DELETE FROM orders",
        "SELECT 1) ; DELETE FROM orders; --",
        "WITH gone AS (DELETE FROM orders RETURNING id) SELECT * FROM gone WHERE id = $1",
        "SELECT $1; COMMIT; DELETE FROM orders",
    ):
        planning.plan(shop, query(text))
    assert shop.rows("SELECT count(*) FROM orders") == [(5000,)]


def test_a_hopeless_text_is_given_up_after_a_bounded_number_of_tries(shop):
    text = "SELECT " + ", ".join(f"md5(${n}, ${n + 1})" for n in range(1, 200, 2))
    result = planning.plan(shop, query(text))
    assert isinstance(result, Unplanned)
    assert "md5" in result.reason
    assert result.tries <= planning.MOST_TRIES


@pytest.mark.slow
def test_a_megabyte_of_constants_is_planned(shop):
    listed = ",".join(f"${number}" for number in range(1, 60_000))
    assert isinstance(
        planning.plan(shop, query(f"SELECT * FROM orders WHERE id IN ({listed})")), Planned
    )


class Away:
    version = 150000

    def rows(self, statement, parameters=()):
        raise DatabaseAway("gone")

    def together(self, statements):
        raise DatabaseAway("gone")


def test_a_server_that_went_away_is_no_failure_of_the_query():
    with pytest.raises(DatabaseAway):
        planning.plan(Away(), query("SELECT $1"))


def texts_of(url, extension, generate, listing):
    """The texts that pg_stat_statements keeps after all queries of a benchmark were run once."""
    with duckdb.connect() as source:
        source.execute(f"LOAD {extension}")
        source.execute(f"CALL {generate}(sf = 0)")
        tables = [row[0] for row in source.execute("SELECT sql FROM duckdb_tables()").fetchall()]
        queries = source.execute(f"SELECT query FROM {listing}()").fetchall()
    with psycopg.connect(url, autocommit=True) as connection:
        for table in tables:
            connection.execute(table.replace("DOUBLE", "double precision"))
        connection.execute("SELECT pg_stat_statements_reset()")
        for (text,) in queries:
            connection.execute(text.rstrip().rstrip(";"))
        return connection.execute(
            "SELECT queryid::text, query FROM pg_stat_statements"
            " JOIN pg_database d ON d.oid = dbid AND d.datname = current_database()"
            " WHERE query NOT LIKE '%pg_stat_statements%' ORDER BY 1"
        ).fetchall()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("extension", "generate", "listing", "least"),
    [("tpch", "dbgen", "tpch_queries", 22), ("tpcds", "dsdgen", "tpcds_queries", 99)],
)
def test_the_queries_of_known_benchmarks_are_planned(
    each_postgres, extension, generate, listing, least
):
    rows = texts_of(each_postgres, extension, generate, listing)
    assert len(rows) >= least
    with Connection(each_postgres) as database:
        result = planning.plan_all(database, [query(text, name) for name, text in rows])
    assert result.share >= 0.98, result.unplanned
