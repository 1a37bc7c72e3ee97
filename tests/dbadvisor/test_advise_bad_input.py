"""`foretide advise` where something is missing, wrong or odd, on each version of PostgreSQL."""

import contextlib
import json
import re
import uuid

import psycopg
import pytest

from foretide.operator.main import main

pytestmark = pytest.mark.postgres

SHOP = """\
CREATE TABLE item (id int PRIMARY KEY, name text, größe int, day date, doc jsonb);
INSERT INTO item SELECT n, 'n' || n % 500, n % 300, date '2024-01-01' + n % 300, '{}'
    FROM generate_series(1, 30000) n;
ANALYZE item;
"""


@pytest.fixture
def advise(capsys):
    """Runs `foretide advise …`: the exit status, what was printed, what was told as an error."""

    def run(*arguments):
        status = main(["advise", *map(str, arguments)])
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        return status, shown.out, shown.err

    return run


@pytest.fixture
def shop(postgres):
    with psycopg.connect(postgres, autocommit=True) as owner:
        owner.execute(SHOP)
    return postgres


@contextlib.contextmanager
def stranger(url):
    """The DSN of somebody who may connect and nothing else, and whoever rules there."""
    name = f"stranger_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {name} LOGIN")
        yield url.replace("foretide@", f"{name}@"), owner
        owner.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


@pytest.mark.slow
def test_a_stranger_is_told_what_to_grant_first(advise, each_postgres):
    with stranger(each_postgres) as (url, owner):
        owner.execute(SHOP)
        owner.execute("SELECT * FROM item WHERE name = 'n7'")
        status, out, _ = advise(url)
    first = out.splitlines()[:6]
    assert status == 0
    assert first[1].startswith("No queries are known")
    assert sum(line.startswith("! ") and "GRANT " in line for line in first) == 2
    assert "None, as no query was planned." in out


@pytest.mark.slow
def test_without_any_extension_the_first_lines_say_what_to_install(advise, each_postgres):
    with psycopg.connect(each_postgres, autocommit=True) as owner:
        owner.execute("DROP EXTENSION pg_stat_statements")
    status, out, _ = advise(each_postgres)
    assert status == 0
    (urgent,) = [line for line in out.splitlines()[:5] if line.startswith("! ")]
    assert "CREATE EXTENSION pg_stat_statements" in urgent


@pytest.mark.slow
def test_a_file_is_planned_on_each_version_and_nothing_in_it_is_run(
    advise, each_postgres, tmp_path
):
    """Also where sessions have a short statement_timeout, which is the application's."""
    with psycopg.connect(each_postgres, autocommit=True) as owner:
        owner.execute(SHOP)
        name = owner.info.dbname
        owner.execute(f"ALTER DATABASE {name} SET statement_timeout = '1ms'")
    file = tmp_path / "queries.sql"
    file.write_bytes(
        "\ufeff\\set name x\r\nSELECT * FROM item WHERE name = :'name' /* ; */ \\gset\r\n"
        "-- calls: 9\r\nSELECT * FROM item WHERE größe = ?; SELECT 1 FROM item WHERE day > %(d)s;"
        "DO $$ BEGIN DELETE FROM item; END $$;\r\nCOPY item FROM stdin;\r\n1\t'\r\n\\.\r\n"
        "DELETE FROM item WHERE id = @id; SELECT 1); COMMIT; DROP TABLE item; --\r\n".encode()
    )
    assert advise(each_postgres, "--workload", file, "--json", tmp_path / "a.json")[0] == 0
    with psycopg.connect(each_postgres, options="-c statement_timeout=0") as owner:
        assert owner.execute("SELECT count(*) FROM item").fetchone() == (30_000,)
    advice = json.loads((tmp_path / "a.json").read_text())
    assert (advice["workload"]["planned"], advice["workload"]["plannable"]) == (4, 5)
    (missed,) = [each for each in advice["unplanned"] if not each["expected"]]
    assert "syntax error" in missed["reason"]
    indexed = " ".join(each["definition"] for each in advice["indexes"]["indexes"])
    assert '"größe"' in indexed
    assert '"name"' in indexed


def test_a_file_in_latin_1_is_read_and_the_report_says_so(advise, shop, tmp_path):
    file = tmp_path / "queries.sql"
    file.write_bytes("SELECT * FROM item WHERE größe = 5;".encode("latin-1"))
    status, out, _ = advise(shop, "--workload", file)
    assert status == 0
    assert "public.item (größe)" in out
    assert "was read as Windows-1252" in out


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "the workload has no query: it should hold SQL that ends with semicolons"),
        (bytes(range(256)) * 9, "the workload has no query"),
        (b"DO $$ BEGIN END $$;\nVACUUM;", "no query.*2 statements are no queries.*lines 1, 2"),
    ],
)
def test_a_file_without_queries_is_refused_in_one_sentence(advise, shop, tmp_path, data, said):
    file = tmp_path / "queries.sql"
    file.write_bytes(data)
    status, out, err = advise(shop, "--workload", file)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert re.search(said, err)


@pytest.mark.parametrize("separator", [";", None])
def test_rows_that_were_inserted_just_before_analyze_are_counted_once(
    advise, postgres, tmp_path, separator
):
    """PostgreSQL counts them twice, in one transaction or in several: as if they were new."""
    with psycopg.connect(postgres, autocommit=True) as owner:
        for statement in SHOP.split(separator) if separator else [SHOP]:
            owner.execute(statement)
        owner.execute("SELECT * FROM item WHERE name = 'n7'")
    assert advise(postgres, "--json", tmp_path / "a.json")[0] == 0
    advice = json.loads((tmp_path / "a.json").read_text())
    assert [each for each in advice["distribution"] if each["kind"] == "StaleStatistics"] == []
    (index,) = advice["indexes"]["indexes"]
    assert '("name")' in index["definition"]
