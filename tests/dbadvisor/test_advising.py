"""The whole advice, from a real PostgreSQL: what is found, what stops nothing, what is told."""

import os
import subprocess
import sys
import threading

import psycopg
import pytest

from foretide.dbadvisor import advising, report_json, report_text, workload_file
from foretide.dbadvisor.collecting import Collector
from foretide.dbadvisor.connection import Connection
from foretide.dbadvisor.observed import Observed, Settings
from foretide.dbadvisor.report import Topic
from foretide.dbadvisor.sampling import watch
from foretide.dbadvisor.snapshot import Relation, Workload
from sandbox.process import wait_until

pytestmark = pytest.mark.postgres

NOW = 1_790_000_000.0
SHOP = """
CREATE TABLE customer (id int PRIMARY KEY, email text, country text);
CREATE TABLE sale (id int PRIMARY KEY, customer int REFERENCES customer, day date, paid boolean,
    cents int);
INSERT INTO customer SELECT n, 'user' || n || '@example.org', 'c' || n % 20
    FROM generate_series(1, 2000) n;
INSERT INTO sale SELECT n, n % 2000 + 1, date '2024-01-01' + n % 700, n % 1000 <> 0, n % 9000
    FROM generate_series(1, 60000) n;
CREATE INDEX sale_day ON sale (day);
CREATE INDEX sale_day_again ON sale (day);
ANALYZE;
"""
SALE = Relation("public", "sale")


@pytest.fixture
def shop(postgres):
    with psycopg.connect(postgres, autocommit=True) as owner:
        owner.execute(SHOP)
        yield owner


@pytest.fixture
def advise(postgres, shop):
    """Advises on a workload that a file tells, or on what was counted."""

    def run(sql=None, settings=None, **more):
        with Connection(postgres) as connection:
            watched = watch(Collector(connection), 0)
            workload = workload_file.read(sql) if sql else watched.workload
            observed = Observed(
                watched.snapshots[-1], workload, "a file", timed=sql is None, counted=sql is None
            )
            return advising.advise(connection, observed, settings, **more)

    return run


LOOK_UP = "-- calls: 1000\nSELECT cents FROM sale WHERE customer = 7;"


def test_the_index_that_a_query_wants_is_advised_with_its_figures(advise, shop):
    advice = advise(LOOK_UP)
    (index,) = advice.indexes.indexes
    assert index.candidate.table == SALE
    assert index.candidate.keys[0].column == "customer"
    (query,) = index.queries
    assert query.after < query.before / 10
    assert index.saved_ms == pytest.approx(advice.indexes.before_ms - advice.indexes.after_ms)
    assert index.worst.ratio < 1
    assert advice.workload.queries[0].after == query.after
    for statement in index.statements:
        shop.execute(statement)
    built = shop.execute(f"SELECT pg_relation_size('{index.name}')").fetchone()[0]
    assert index.bytes == pytest.approx(built, rel=0.1)
    assert advise(LOOK_UP).indexes.indexes == ()
    for statement in index.undo:
        shop.execute(statement)


def test_the_scan_that_the_index_is_for_is_told(advise):
    (scan,) = advise(LOOK_UP).scans
    assert (scan.table, scan.reads, scan.calls) == (SALE, 60_000, 1000)
    assert scan.returns < 100


def test_what_was_counted_is_advised_on_and_constants_stay_out_of_it(advise, shop):
    shop.execute("SELECT pg_stat_statements_reset()")
    for number in range(5):
        shop.execute(f"SELECT id FROM customer WHERE email = 'secret{number}@example.org'")
    shop.execute(
        "SELECT no_such_function_is_needed FROM (SELECT 1) AS t(no_such_function_is_needed)"
    )
    advice = advise(None, Settings(least_share=0.0))
    indexed = {index.candidate.keys[0].column for index in advice.indexes.indexes}
    assert "email" in indexed
    assert "secret" not in report_json.text(advice)
    assert "secret" not in report_text.report(advice)


def test_no_query_that_cannot_be_planned_or_understood_stops_the_others(advise):
    advice = advise(
        f"""{LOOK_UP}
        SELECT * FROM nowhere;
        SELECT FROM WHERE;
        SELECT 1 FROM sale WHERE customer = ;
        -- DROP TABLE sale;
        SELECT /* ; DROP TABLE sale; */ count(*) FROM sale WHERE id = 4;
        """
    )
    assert [index.candidate.keys[0].column for index in advice.indexes.indexes] == ["customer"]
    reasons = " ".join(each.reason for each in advice.unplanned)
    assert len(advice.unplanned) == 3
    assert '"nowhere" does not exist' in reasons
    assert (advice.workload.planned, advice.workload.plannable) == (2, 5)


def test_the_budget_is_kept(advise):
    asked = "\n".join(
        f"SELECT cents FROM sale WHERE {column} = 7;" for column in ("customer", "cents")
    )
    both = advise(asked, Settings(budget=10e6))
    assert len(both.indexes.indexes) == 2
    one = advise(asked, Settings(budget=both.indexes.bytes - 1))
    assert len(one.indexes.indexes) == 1
    assert one.indexes.bytes < both.indexes.bytes
    none = advise(asked, Settings(budget=0))
    assert none.indexes.indexes == ()
    # And what it keeps away is told.
    assert both.indexes.beyond_bytes == 0
    for short in (one.indexes, none.indexes):
        assert short.beyond_bytes == pytest.approx(both.indexes.bytes)
        assert short.beyond_ms == pytest.approx(both.indexes.after_ms)
    told = report_text.report(none)
    assert "No index fits into 0 B. With a budget of" in told


def test_an_index_that_writes_make_dearer_than_it_saves_is_not_advised(advise):
    writes = "-- calls: {}\nINSERT INTO sale (id, customer, cents) VALUES (1, 2, 3);\n" + LOOK_UP
    (index,) = advise(writes.format(1000)).indexes.indexes
    assert 0 < index.upkeep_ms < index.saved_ms
    assert advise(writes.format(100_000_000)).indexes.indexes == ()


def test_what_was_written_counts_against_an_index_on_what_was_counted(advise, shop):
    shop.execute("SELECT pg_stat_statements_reset()")
    shop.execute("SELECT cents FROM sale WHERE customer = 7")
    with shop.cursor() as cursor:
        rows = [(60_000 + number, 7) for number in range(1, 101)]
        cursor.executemany("INSERT INTO sale (id, customer) VALUES (%s, %s)", rows)
    shop.execute("SELECT pg_stat_force_next_flush()")
    (index,) = advise().indexes.indexes
    assert index.upkeep_ms > 0


def test_tables_that_are_excluded_are_not_spoken_of(advise):
    advice = advise(LOOK_UP, Settings(exclude=("public.sa*",)))
    assert (advice.scans, advice.indexes.indexes, advice.drops.drops) == ((), (), ())
    assert advise(LOOK_UP, Settings(schemas=("other",))).indexes.indexes == ()


def test_a_schema_that_is_not_there_is_told_with_those_that_are(advise):
    advice = advise(LOOK_UP, Settings(schemas=("pubic",)))
    assert advice.remarks[0].message == (
        "no table is in the schema pubic: those with tables are public"
    )
    assert "schema" not in advise(LOOK_UP, Settings(schemas=("public",))).remarks[0].message
    assert "excluded" in advise(LOOK_UP, Settings(exclude=("*",))).remarks[0].message


def test_duplicates_are_to_be_dropped_and_a_longer_index_replaces_a_shorter_one(advise, shop):
    shop.execute("DROP INDEX sale_day_again; CREATE INDEX by_customer ON sale (customer)")
    advice = advise("SELECT cents FROM sale WHERE customer = 7 AND day = '2024-03-04'")
    assert advice.drops.drops == ()
    for index in advice.indexes.indexes:
        if index.candidate.keys[0].column == "customer":
            assert Relation("public", "by_customer") in index.replaces
    shop.execute("CREATE INDEX sale_day_again ON sale (day)")
    (drop,) = advise(LOOK_UP).drops.drops
    assert drop.reason == "Duplicate"


def test_without_hypopg_full_scans_are_answered_by_a_rule_and_that_is_said(advise, shop):
    shop.execute("DROP EXTENSION hypopg")
    advice = advise(LOOK_UP)
    (index,) = advice.indexes.indexes
    assert index.candidate.keys[0].column == "customer"
    assert (index.verified, index.queries, index.worst) == (False, (), None)
    assert "CREATE EXTENSION hypopg" in advice.indexes.unverified
    assert any(
        each.topic is Topic.EXTENSION_MISSING and "hypopg" in each.message
        for each in advice.remarks
    )
    assert "not verified" in report_text.report(advice)


def test_hypopg_is_found_in_a_schema_of_its_own(advise, shop):
    shop.execute('CREATE SCHEMA "Exten sions"; ALTER EXTENSION hypopg SET SCHEMA "Exten sions"')
    (index,) = advise(LOOK_UP).indexes.indexes
    assert index.verified


def test_without_statements_what_the_catalog_tells_is_left(advise, shop):
    shop.execute("DROP EXTENSION pg_stat_statements")
    advice = advise()
    assert advice.workload.known == 0
    assert [drop.reason for drop in advice.drops.drops] == ["Duplicate"]
    assert any("pg_stat_statements is not in" in each.message for each in advice.remarks)


def test_work_that_is_ended_gives_what_is_known_and_says_so(advise):
    asked = f"{LOOK_UP}\nSELECT cents FROM sale WHERE cents = 4;"
    calls = []

    def after_planning():
        return bool(calls) and calls[-1] == "choosing indexes"

    advice = advise(
        asked, progress=lambda done, total, label: calls.append(label), stop=after_planning
    )
    assert advice.workload.planned == 2
    assert advise(asked, stop=lambda: True).remarks[0].topic is Topic.ENDED_EARLY
    assert calls[-1] == "locks and distribution"


def test_progress_goes_up_to_its_end(advise):
    seen = []
    advise(LOOK_UP, progress=lambda done, total, label: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[0] == (0, 5)
    assert seen[-1] == (4, 5)


def test_a_constant_that_few_rows_have_gets_a_small_partial_index(advise):
    asked = "SELECT id FROM sale WHERE paid = false ORDER BY day LIMIT 5;"
    (index,) = advise(asked, Settings(budget=100_000)).indexes.indexes
    assert index.candidate.predicate == 'NOT "paid"'
    assert index.candidate.share < 0.01
    assert index.bytes < 50_000


def test_what_may_not_be_read_is_told_with_the_grant_that_helps(postgres, shop):
    shop.execute("DROP ROLE IF EXISTS advised; CREATE ROLE advised LOGIN")
    try:
        with Connection(postgres.replace("foretide@", "advised@")) as connection:
            snapshot = Collector(connection).collect(NOW)
            observed = Observed(snapshot, workload_file.read(LOOK_UP), "a file", counted=False)
            advice = advising.advise(connection, observed)
    finally:
        shop.execute("DROP OWNED BY advised; DROP ROLE advised")
    assert advice.indexes.indexes == ()
    assert "GRANT pg_read_all_data" in advice.unplanned[0].reason
    assert any(each.topic is Topic.PERMISSION_MISSING for each in advice.remarks)


@pytest.mark.slow
def test_each_version_is_advised(each_postgres):
    """They are without HypoPG."""
    with psycopg.connect(each_postgres, autocommit=True) as owner:
        owner.execute(SHOP)
        owner.execute("SELECT pg_stat_statements_reset()")
        owner.execute("SELECT cents FROM sale WHERE customer = 7")
    with Connection(each_postgres) as connection:
        watched = watch(Collector(connection), 0)
        observed = Observed(watched.snapshots[-1], watched.workload, "counted")
        advice = advising.advise(connection, observed)
    assert [index.candidate.keys[0].column for index in advice.indexes.indexes] == ["customer"]
    assert [drop.reason for drop in advice.drops.drops] == ["Duplicate"]
    assert "not verified" in report_text.report(advice)


def test_fewer_queries_than_there_are_is_told(advise):
    advice = advise(f"{LOOK_UP}\nSELECT 1;\nSELECT 2;", Settings(queries=1))
    assert len(advice.workload.queries) == 1
    assert any("1 costliest of 3 queries" in each.message for each in advice.remarks)


def test_what_sessions_execute_is_shown_without_its_constants(postgres, advise, shop):
    with (
        psycopg.connect(postgres) as holder,
        psycopg.connect(postgres) as waiter,
        Connection(postgres) as connection,
    ):
        collector = Collector(connection)
        holder.execute("UPDATE sale SET cents = 123123 WHERE id = 1")
        update = "UPDATE sale SET cents = 456456 WHERE id = 1"
        thread = threading.Thread(target=waiter.execute, args=(update,))
        thread.start()
        seen = []

        def is_blocked():
            seen.append(collector.activity(NOW))
            return any(session.blocked_by for session in seen[-1].sessions)

        assert wait_until(is_blocked, 20)
        observed = Observed(collector.collect(NOW), Workload((), 60.0), "", activities=(seen[-1],))
        advice = advising.advise(connection, observed)
        holder.rollback()
        thread.join()
    (blocker,) = advice.locks.blockers
    assert len(blocker.victims) == 1
    told = report_json.text(advice) + report_text.report(advice)
    assert "UPDATE sale SET cents = $1" in told
    assert "123123" not in told
    assert "456456" not in told


PROGRAM = """
import sys
from foretide.dbadvisor import advising, report_json, report_html, report_text, workload_file
from foretide.dbadvisor.collecting import Collector
from foretide.dbadvisor.connection import Connection
from foretide.dbadvisor.observed import Observed
with Connection(sys.argv[1]) as connection:
    snapshot = Collector(connection).collect(1_790_000_000.0)
    workload = workload_file.read(open(sys.argv[2]).read())
    observed = Observed(snapshot, workload, "a file", timed=False, counted=False)
    advice = advising.advise(connection, observed)
sys.stdout.write(report_json.text(advice))
sys.stdout.write(report_text.report(advice))
sys.stdout.write(report_html.page(advice))
"""
MANY = """
SELECT sum(cents) FROM sale JOIN customer ON customer.id = sale.customer
    WHERE country = 'c7' AND day BETWEEN '2024-02-01' AND '2024-02-09';
SELECT * FROM sale WHERE customer = 3 ORDER BY day DESC LIMIT 5;
SELECT country, count(*) FROM customer WHERE lower(email) = 'user9@example.org' GROUP BY country;
SELECT id FROM sale WHERE cents IN (4, 5) OR customer = 9;
UPDATE sale SET paid = true WHERE cents = 17;
SELECT id FROM sale WHERE NOT paid;
"""


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes_whatever_hashes_are(postgres, shop, tmp_path):
    file = tmp_path / "workload.sql"
    file.write_text(MANY)
    told = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM, postgres, str(file)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert len(told) == 1
    (text,) = told
    assert text.count(b'"definition"') >= 3
