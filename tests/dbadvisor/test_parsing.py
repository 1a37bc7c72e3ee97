"""What queries do with tables: through aliases, subqueries, CTEs and views; hostile texts, too."""

import pytest

from foretide.dbadvisor import parsing
from foretide.dbadvisor.scopes import Catalog
from foretide.dbadvisor.snapshot import Column, Query, Relation, Snapshot, Table, View
from foretide.dbadvisor.uses import Key, Parsed, Unparsed

TABLES = {
    "orders": {"id": "bigint", "customer": "integer", "status": "text", "placed": "date"},
    "customers": {"id": "integer", "name": "text", "email": "text", "seen": "timestamptz"},
    "items": {"order_id": "bigint", "line": "integer", "part": "integer", "data": "jsonb"},
    'Odd "one"': {"Key": "integer", "select": "text"},
}
TYPES = {"timestamptz": "timestamp with time zone"}


def table(name, columns, schema="public"):
    made = [Column(each, TYPES.get(kind, kind), -1, 4, False) for each, kind in columns.items()]
    return Table(Relation(schema, name), "r", rows=1e6, pages=10_000, columns=tuple(made))


@pytest.fixture(scope="module")
def catalog():
    return Catalog.of(
        Snapshot(
            1.0,
            "shop",
            150000,
            tables=(
                *(table(name, columns) for name, columns in TABLES.items()),
                table("events", {"id": "bigint", "kind": "text"}, schema="audit"),
            ),
            views=(
                View(
                    Relation("public", "open_orders"),
                    "SELECT o.id, o.customer AS who, o.placed FROM orders o"
                    " WHERE o.status = 'open'::text",
                ),
            ),
        )
    )


def told(text, catalog):
    """Each use in few words: `table: predicates; joins; orders; groups`."""
    parsed = parsing.read("1", text, catalog)
    assert isinstance(parsed, Parsed), parsed.reason
    return [of_use(use) for use in parsed.uses]


def name(key):
    return key.column or key.expression


def of_use(use):
    parts = [
        " ".join(
            f"{name(each.key)} {each.kind}{','.join(('', *each.values))}" for each in use.predicates
        ),
        " ".join(f"{name(j.key)}~{j.other.name}.{name(j.other_key)}" for j in use.joins),
        " ".join(
            "+".join(f"{name(s.key)}{'-' if s.descending else ''}" for s in order)
            for order in use.orders
        ),
        " ".join("+".join(map(name, keys)) for keys in use.groups),
    ]
    return f"{use.relation.name}: {'; '.join(parts)}".rstrip("; ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT id FROM orders WHERE customer = $1 AND placed > $2", "customer = placed range"),
        ("SELECT 1 FROM orders o WHERE $1 = o.customer", "customer ="),
        ("SELECT 1 FROM orders WHERE customer IN ($1, $2)", "customer in"),
        ("SELECT 1 FROM orders WHERE customer = ANY ($1)", "customer in"),
        ("SELECT 1 FROM orders WHERE customer IN (1, 2)", "customer in,1,2"),
        ("SELECT 1 FROM orders WHERE customer = 1 OR customer = 2", "customer in,1,2"),
        ("SELECT 1 FROM orders WHERE customer = 1 OR status = 'x'", ""),
        ("SELECT 1 FROM orders WHERE NOT customer = 1 AND status <> 'x'", ""),
        ("SELECT 1 FROM orders WHERE customer NOT IN (1) AND status NOT LIKE 'x%'", ""),
        ("SELECT 1 FROM orders WHERE placed BETWEEN '2024-01-01' AND $1", "placed range"),
        ("SELECT 1 FROM orders WHERE placed > DATE '2024-01-01'", "placed range,2024-01-01"),
        ("SELECT 1 FROM orders WHERE status IS NULL", "status null"),
        ("SELECT 1 FROM orders WHERE status IS NOT NULL", "status not null"),
        ("SELECT 1 FROM orders WHERE status LIKE 'op%n'", "status prefix,op"),
        (r"SELECT 1 FROM orders WHERE status LIKE 'a\_b'", "status =,a_b"),
        ("SELECT 1 FROM orders WHERE status LIKE '%pen'", ""),
        ("SELECT 1 FROM orders WHERE status LIKE $1", "status prefix"),
        ("SELECT 1 FROM orders WHERE status ~ '^open'", "status prefix"),
        ("SELECT 1 FROM orders WHERE (customer, id) > ($1, $2)", "customer range id range"),
        ("SELECT 1 FROM orders WHERE (customer, id) = ($1, $2)", "customer = id ="),
        ("SELECT 1 FROM orders WHERE (customer, id) IN (($1, $2))", "customer in id in"),
        ("SELECT 1 FROM orders WHERE lower(status) = 'x'", 'lower("status") =,x'),
        ("SELECT 1 FROM orders WHERE substr(status, 1, 2) = 'x'", 'substr("status", 1, 2) =,x'),
        ("SELECT 1 FROM orders WHERE substr(status, $1, 2) = 'x'", ""),
        ("SELECT 1 FROM orders WHERE random() = customer", "customer ="),
        ("SELECT 1 FROM orders WHERE to_char(placed, 'YYYY') = '2024'", ""),
        ("SELECT 1 FROM orders WHERE id < customer", ""),
        ("SELECT 1 FROM orders WHERE id = (SELECT max(order_id) FROM items)", "id ="),
        ("SELECT customer FROM orders ORDER BY placed DESC, id LIMIT 9", "; ; placed-+id"),
        ("SELECT placed p FROM orders ORDER BY 1, p", "; ; placed+placed"),
        ("SELECT max(placed) FROM orders WHERE customer = $1", "customer =; ; placed"),
        ("SELECT status, count(*) FROM orders GROUP BY 1", "; ; ; status"),
        ("SELECT DISTINCT status, customer FROM orders", "; ; ; status+customer"),
        (
            "SELECT row_number() OVER (PARTITION BY customer ORDER BY placed DESC) FROM orders",
            "; ; customer+placed-",
        ),
        ("UPDATE orders SET status = $1 WHERE id = $2", "id ="),
        ("DELETE FROM orders WHERE placed < now() - interval '1 day'", "placed range"),
        ("SELECT x.id FROM (SELECT * FROM orders) x WHERE x.customer = 1", "customer =,1"),
        (
            "WITH x AS (SELECT customer AS c FROM orders) SELECT 1 FROM x WHERE c = 1",
            "customer =,1",
        ),
        ("WITH x (c) AS (SELECT customer FROM orders) SELECT 1 FROM x WHERE c = 1", "customer =,1"),
        ("SELECT 1 FROM open_orders v WHERE v.who = 5", "status =,open customer =,5"),
        ("SELECT 1 FROM public.orders AS o (a, b) WHERE b = 5", "customer =,5"),
        ("SELECT 1 FROM ORDERS WHERE Orders.CUSTOMER = 5", "customer =,5"),
    ],
)
def test_what_a_query_asks_of_a_table(text, expected, catalog):
    (use,) = [each for each in told(text, catalog) if each.startswith("orders")]
    assert use == f"orders: {expected}".rstrip("; ")


def test_names_in_quotes_are_as_they_are_written(catalog):
    text = 'SELECT "select" FROM "Odd ""one""" AS "T" WHERE "T"."Key" = 3 AND lower("select") = $1'
    assert told(text, catalog) == ['Odd "one": Key =,3 lower("select") =']


def test_joins_name_both_sides(catalog):
    text = """SELECT 1 FROM orders o JOIN customers c ON c.id = o.customer AND c.name = 'x'
        LEFT JOIN items ON true WHERE EXISTS (SELECT * FROM items i WHERE i.order_id = o.id)
        AND o.id IN (SELECT order_id FROM items WHERE part = 3)"""
    assert told(text, catalog) == [
        "orders: ; id~items.order_id customer~customers.id",
        "customers: name =,x; id~orders.customer",
        "items:",
        "items: ; order_id~orders.id",
        "items: part =,3; order_id~orders.id",
    ]
    assert told("SELECT 1 FROM orders JOIN customers USING (id)", catalog) == [
        "orders: ; id~customers.id",
        "customers: ; id~orders.id",
    ]


def test_a_subquery_that_selects_star_for_exists_reads_no_column_for_it(catalog):
    text = "SELECT 1 FROM orders o WHERE EXISTS (SELECT * FROM items i WHERE i.order_id = o.id)"
    parsed = parsing.read("1", text, catalog)
    assert {use.relation.name: use.columns for use in parsed.uses} == {
        "orders": ("id",),
        "items": ("order_id",),
    }


def test_an_or_of_several_columns_keeps_its_arms_and_what_all_share(catalog):
    text = """SELECT 1 FROM orders, items WHERE (id = order_id AND status = 'a' AND part = 1)
        OR (id = order_id AND customer = 2 AND part = 3)"""
    orders, items = parsing.read("1", text, catalog).uses
    assert [[each.key.column for each in arm] for arm in orders.alternatives[0]] == [
        ["status"],
        ["customer"],
    ]
    assert [each.values for each in items.predicates] == [("1", "3")]
    assert [join.key.column for join in orders.joins] == ["id"]


def test_a_union_is_filtered_in_each_of_its_parts(catalog):
    text = """SELECT 1 FROM (SELECT id AS k FROM orders UNION ALL SELECT order_id FROM items) u
        WHERE k = 7"""
    assert told(text, catalog) == ["orders: id =,7", "items: order_id =,7"]


def test_updates_tell_what_they_write(catalog):
    text = "UPDATE orders AS o SET status = c.name FROM customers c WHERE c.id = o.customer"
    orders, customers = parsing.read("1", text, catalog).uses
    assert orders.written == ("status",)
    assert customers.columns == ("id", "name")


def test_samples_add_their_constants(catalog):
    query = Query("1", "SELECT 1 FROM orders WHERE status = $1", 1, 1)
    with_samples = Query(
        *(query.id, query.text, 1, 1), samples=("SELECT 1 FROM orders WHERE status = 'a'",)
    )
    values = [use.predicates[0].values for use in parsing.parse(with_samples, catalog).uses]
    assert values == [(), ("a",)]


def test_what_depends_on_the_time_zone_is_no_key(catalog):
    assert told("SELECT 1 FROM customers WHERE date(seen) = $1", catalog) == ["customers:"]
    assert told("SELECT 1 FROM customers WHERE seen::date = $1", catalog) == ["customers:"]


def test_a_json_field_is_a_key(catalog):
    parsed = parsing.read("1", "SELECT 1 FROM items WHERE data->>'sku' = 'x'", catalog)
    assert parsed.uses[0].predicates[0].key == Key("", "\"data\" ->> 'sku'", ("data",))


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("SELECT * FROM gone WHERE a = 1", ("gone",)),
        ("SELECT * FROM other.orders WHERE id = 1", ("other.orders",)),
        ("SELECT * FROM pg_class WHERE oid = 1", ()),
        ("SELECT * FROM events WHERE kind = 'x'", ()),
        ("SELECT * FROM generate_series(1, 2) g, unnest(ARRAY[1]) u WHERE g = 1", ()),
        ("WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT n FROM t", ()),
    ],
)
def test_names_that_the_catalog_has_not_are_told(text, unknown, catalog):
    assert parsing.read("1", text, catalog).unknown == unknown


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SELECT 1; SELECT 2", "2 statements in one text"),
        ("SELECT 'x", "a quote that does not end at character 8 is no SQL"),
        ("", "an empty text"),
        ("SELECT FROM WHERE )", "not understood: "),
        ("SELECT " + "(" * 5000 + "1" + ")" * 5000, "not understood: nested too deeply"),
        ("SELECT 1 WHERE " + " OR ".join(["a = 1"] * 9000), "too long to be understood"),
    ],
)
def test_what_is_not_understood_is_told_and_stops_nothing(text, reason, catalog):
    good = Query("2", "SELECT 1 FROM orders WHERE id = 1", 1, 1)
    bad, fine = parsing.parse_all([Query("1", text, 1, 1), good], catalog)
    assert isinstance(bad, Unparsed)
    assert bad.id == "1"
    assert bad.reason.startswith(reason)
    assert isinstance(fine, Parsed)


@pytest.mark.slow
def test_a_megabyte_of_constants_is_understood(catalog):
    listed = ",".join(f"'{number:07}'" for number in range(100_000))
    (use,) = parsing.read("1", f"SELECT 1 FROM orders WHERE status IN ({listed})", catalog).uses
    assert use.predicates[0].kind == "in"
