"""GIN indexes beside scans that no b-tree serves: found in filters, and of use when created."""

import json

import psycopg
import pytest

from foretide.dbadvisor.inverted import remedy
from foretide.dbadvisor.scans import TableScan
from foretide.dbadvisor.snapshot import Column, Index, IndexKey, Relation, Table
from foretide.operator.main import main

ITEM = Relation("public", "item")
TYPES = {
    "doc": "jsonb",
    "tags": "text[]",
    "words": "tsvector",
    "title": "text",
    "Na me": "character varying(20)",
    "id": "integer",
}
TABLE = Table(
    ITEM, "r", 1e5, 1000, tuple(Column(name, TYPES[name], -1, 4, False) for name in TYPES)
)


def proposed(filters, *indexes, table=TABLE, returns=10.0):
    scan = TableScan("1", ITEM, 1e5, returns, 5, 100.0, (filters,))
    return remedy(scan, {ITEM: table}, indexes)


@pytest.mark.parametrize(
    ("filters", "key"),
    [
        ("(item.doc @> $1)", '"doc" jsonb_path_ops'),
        ("((i.id > 5) AND (i.doc @? '$.a'::jsonpath))", '"doc" jsonb_path_ops'),
        ("(item.doc ? 'a'::text)", '"doc"'),
        ("(item.tags && ARRAY[$1, $2])", '"tags"'),
        ("(item.words @@ to_tsquery($1))", '"words"'),
        ("(item.title ~~* $1)", '"title" gin_trgm_ops'),
        ("((item.\"Na me\")::text ~* 'a.b'::text)", '"Na me" gin_trgm_ops'),
    ],
)
def test_what_gin_serves_is_found_in_a_filter(filters, key):
    assert proposed(filters).endswith(f'ON "public"."item" USING gin ({key})')
    assert ("pg_trgm" in proposed(filters)) == ("trgm" in key)


@pytest.mark.parametrize(
    "filters",
    [
        "(item.id = $1)",
        "(item.title ~~ $1)",
        "(item.title !~~* $1)",
        "(lower(item.title) ~~* $1)",
        "((item.doc ->> $2) = $1)",
        "(item.nowhere @> $1)",
        "(item.id @> $1)",
        "'never closed @> ",
        "doc) @> $1",
    ],
)
def test_what_it_does_not_serve_gets_none(filters):
    assert proposed(filters) == ""


def test_none_is_proposed_where_it_is_there_or_of_no_use():
    filters = "(item.doc @> $1)"
    gin = Index(Relation("public", "i"), ITEM, "gin", (IndexKey("doc"),))
    assert proposed(filters, gin) == ""
    assert proposed(filters, returns=5e4) == ""
    assert proposed(filters, table=Table(ITEM, "p", 1e5, 0, TABLE.columns)) == ""


@pytest.mark.postgres
def test_the_planner_takes_what_was_proposed(postgres, tmp_path, capsys):
    with psycopg.connect(postgres, autocommit=True) as owner:
        owner.execute("CREATE TABLE item (id int, title text, tags text[], doc jsonb)")
        owner.execute(
            "INSERT INTO item SELECT n, md5(n::text), ARRAY['t' || n % 900], "
            "jsonb_build_object('a', n) FROM generate_series(1, 20000) n"
        )
        owner.execute("ANALYZE item")
        conditions = ["title ILIKE '%abc12%'", "tags @> ARRAY['t7']", "doc @> '{\"a\": 7}'"]
        file = tmp_path / "queries.sql"
        file.write_text("".join(f"SELECT id FROM item WHERE {each};\n" for each in conditions))
        assert (
            main(["advise", postgres, "--workload", str(file), "--json", str(tmp_path / "a.json")])
            == 0
        )
        assert "a GIN index may serve it" in capsys.readouterr().out
        scans = json.loads((tmp_path / "a.json").read_text())["scans"]
        assert len([scan for scan in scans if scan["remedy"]]) == 3
        for scan in scans:
            for statement in scan["remedy"].split("; "):
                owner.execute(statement)
        for condition in conditions:
            plan = owner.execute(f"EXPLAIN SELECT id FROM item WHERE {condition}").fetchall()
            assert "Bitmap Index Scan" in str(plan)
