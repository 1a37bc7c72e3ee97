"""From texts with `$1` to what HypoPG says: all parts of deciding, on a real server."""

import psycopg
import pytest

from foretide.dbadvisor import collecting, parsing, planning
from foretide.dbadvisor.candidates import candidates
from foretide.dbadvisor.connection import Connection
from foretide.dbadvisor.questions import questions
from foretide.dbadvisor.scopes import Catalog
from foretide.dbadvisor.snapshot import Query, Relation
from foretide.dbadvisor.whatif import WhatIf

pytestmark = pytest.mark.postgres

SCHEMA = """
CREATE TABLE shops (id int PRIMARY KEY, city text);
CREATE TABLE sales (id int, shop int, day date) PARTITION BY RANGE (day);
CREATE TABLE sales_1 PARTITION OF sales FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE sales_2 PARTITION OF sales FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE FUNCTION first_shop() RETURNS SETOF shops LANGUAGE sql STABLE
    AS 'SELECT * FROM shops WHERE city = ''x''';
INSERT INTO shops SELECT i, 'city ' || i FROM generate_series(1, 20000) i;
INSERT INTO sales SELECT i, i % 20000, date '2024-01-01' + i % 700 FROM generate_series(1, 60000) i;
ANALYZE;
"""


@pytest.fixture
def database(postgres):
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(SCHEMA)
    with Connection(postgres) as opened:
        yield opened


def asked(database, *texts):
    queries = [Query(str(number), text, 1, 1) for number, text in enumerate(texts)]
    seen = collecting.collect(database, 1.0)
    parsed = parsing.parse_all(queries, Catalog.of(seen))
    plans = planning.plan_all(database, queries)
    found = candidates(seen, [each for each in parsed if isinstance(each, parsing.Parsed)])
    return questions(seen, plans.planned, parsed), found, seen.tables


def test_a_normalized_query_costs_less_with_the_index_that_was_thought_of_for_it(database):
    whatif = WhatIf(
        database,
        *asked(
            database,
            "SELECT * FROM shops WHERE city = $1",
            "SELECT * FROM sales JOIN shops ON shops.id = shop WHERE sales.id = $1 + $2",
        ),
    )
    assert whatif.refused == {}
    for name in ("0", "1"):
        before, after = whatif.cost(name, 0), whatif.cost(name, whatif.relevant(name))
        assert after.used
        assert after.cost < before.cost / 2
    assert whatif.failed == {}


def test_a_query_has_to_do_with_the_columns_that_it_reads(database):
    asking, *_ = asked(
        database,
        "SELECT city FROM shops ORDER BY id",
        "SELECT 1 FROM sales_1 WHERE day = $1",
        "SELECT * FROM first_shop()",
    )
    columns = [{str(relation): set(names) for relation, names in q.columns.items()} for q in asking]
    assert columns[0] == {"public.shops": {"city", "id"}}
    assert columns[1] == {"public.sales": {"day"}, "public.sales_1": {"day"}}
    assert columns[2] == {"public.shops": {"city", "id"}}
    assert asking[0].columns.keys() == {Relation("public", "shops")}
