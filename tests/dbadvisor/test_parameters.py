"""Parameters as drivers write them: told from operators, and numbered as PostgreSQL's."""

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.dbadvisor import workload_file
from foretide.dbadvisor.connection import Connection
from foretide.dbadvisor.parameters import numbered
from foretide.dbadvisor.planning import plan_all


@pytest.mark.parametrize(
    ("text", "told"),
    [
        # psql, pgbench, SQLAlchemy, JPA, Sequelize
        ("a = :b AND c>=:c OR d = :b", "a = $1 AND c>=$2 OR d = $1"),
        ("a = :'b' AND c = :b", "a = $1 AND c = $1"),
        ("a = :b::uuid", "a = $1::uuid"),
        ("a = :1 AND b = :2", "a = $1 AND b = $2"),
        ("a IN (:b, :c) LIMIT :d", "a IN ($1, $2) LIMIT $3"),
        ('SELECT 1 FROM :"table"', 'SELECT 1 FROM "table"'),
        ("a = ANY(ARRAY[:a, :b]) OR c[:d] = 1", "a = ANY(ARRAY[$1, $2]) OR c[$3] = 1"),
        # psycopg, MySQL's connectors
        ("a = %s AND b=%s AND c > %(x)s OR d = %(x)s", "a = $1 AND b=$2 AND c > $3 OR d = $3"),
        ("a LIKE %s || '%%' AND b %% 2 = 0", "a LIKE $1 || '%' AND b % 2 = 0"),
        ("a > interval %s", "a > interval $1"),
        # JDBC, ODBC
        ("a = ? AND b=? AND c IN (?,?)", "a = $1 AND b=$2 AND c IN ($3,$4)"),
        ("a LIKE '%'||?||'%' LIMIT ?", "a LIKE '%'||$1||'%' LIMIT $2"),
        ("a = ?1 OR b = ?2 OR c = ?1", "a = $1 OR b = $2 OR c = $1"),
        ("a ?? 'x' AND b ??| ? AND c = ?", "a ? 'x' AND b ?| $1 AND c = $2"),
        ("a = ?::jsonb->>'b' AND c > ?-1", "a = $1::jsonb->>'b' AND c > $2-1"),
        # Npgsql, Dapper, sqlc, MyBatis, Sequelize
        ("a = @id AND b>=@p_1 AND c = (@id)", "a = $1 AND b>=$2 AND c = ($1)"),
        ("a = #{user} AND b=#{id,jdbcType=INTEGER}", "a = $1 AND b=$2"),
        ("a = $name AND b = ${name}", "a = $1 AND b = $1"),
        # Those that are there already are gone on from.
        ("a = $2 AND b = :b", "a = $2 AND b = $3"),
    ],
)
def test_parameters_are_numbered(text, told):
    assert numbered(text) == told
    assert numbered(told) == told


@pytest.mark.parametrize(
    "text",
    [
        "a::text, b :: int, c := 3",
        "a[1:2], a[:2], a[b:c], a[1:], (a)[2:b], a[f(1):b]",
        "a % b, a % s, a%s, 5 %s, f(a) % s, (a)%s, '%s', '%(a)s'",
        "data ? 'a' AND data->'b' ?| ARRAY['c'] AND data ?& keys AND path @? '$.a ? (@.b == 1)'",
        "a @> b, a <@ b, a @@ b, a @@ @ b, @ a, a |/ b, a # b, a #> b, a #>> '{b}', a #- '{b}'",
        "':a', $$ :a ? %s $$, E':a\\'?', -- :a ? %s\n /* :a ? %s */ \":a?\"",
        "a = $1 AND b = $2",
        "",
    ],
)
def test_what_is_no_parameter_stays_as_it_is(text):
    assert numbered(text) == text


@given(st.text(alphabet="a1:?%s(){}[]#$@'\"= \n,", max_size=40))
def test_no_text_is_too_odd(text):
    told = numbered(text)
    assert numbered(told).count("$") >= told.count("$") - text.count("$")


QUERIES = """
SELECT * FROM item WHERE id = :id;
SELECT * FROM item WHERE name = :'name' AND day > :day::date;
SELECT * FROM item WHERE name LIKE %(like)s AND id %% 7 = %(rest)s LIMIT %(limit)s;
SELECT count(*) FROM item WHERE id = ANY(%s) AND day < %s;
SELECT * FROM item WHERE name ILIKE '%'||?||'%' AND tags[1:2] = ? AND doc ?? 'a';
INSERT INTO item (id, name, day) VALUES (?, ?, ?) ON CONFLICT DO NOTHING;
UPDATE item SET name = @name WHERE id = @id;
DELETE FROM item WHERE id IN (#{a}, #{b});
SELECT * FROM item WHERE id = :id ;
SELECT * FROM item WHERE id = ? ;
"""


@pytest.mark.postgres
def test_a_file_of_a_drivers_texts_is_planned(postgres):
    with psycopg.connect(postgres, autocommit=True) as owner:
        owner.execute("CREATE TABLE item (id int, name text, day date, tags text[], doc jsonb)")
    workload = workload_file.read(QUERIES)
    assert len(workload.queries) == 8, "one of them stands there three times"
    assert not [query for query in workload.queries if "$" in query.text and query.samples]
    with Connection(postgres) as connection:
        plans = plan_all(connection, workload.queries)
    assert not plans.unplanned
