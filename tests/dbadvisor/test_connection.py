"""The door to PostgreSQL: read-only whatever comes, limited, and silent about passwords."""

import contextlib
import traceback

import psycopg
import pytest

from foretide.dbadvisor.connection import Connection, Limits, Target
from foretide.dbadvisor.database import DatabaseAway, DatabaseError

SECRET = "s3cr/t pass"


@pytest.fixture
def connection(postgres):
    with Connection(postgres, limits=Limits(statement=0.5, lock=0.1)) as it:
        yield it


@pytest.mark.parametrize(
    "given",
    [
        "postgresql://me:s3cr%2Ft%20pass@db.example:6432/shop?sslmode=require",
        "host=db.example port=6432 dbname=shop user=me password='s3cr/t pass' sslmode=require",
        {"url": "postgresql://me:s3cr%2Ft%20pass@db.example:6432/shop?sslmode=require\n"},
        {
            "host": "db.example",
            "port": "6432",
            "database": "shop",
            "username": "me",
            "password": SECRET,
            "sslmode": "require",
        },
    ],
)
def test_a_target_is_the_same_however_it_is_written(given):
    assert Target(given, foreign=True).parameters == {
        "host": "db.example",
        "port": "6432",
        "dbname": "shop",
        "user": "me",
        "password": SECRET,
        "sslmode": "require",
    }


@pytest.mark.parametrize(
    "given",
    [f"postgresql://me:{SECRET}%zz@db.example/shop", f"host=db password={SECRET}", {"user": "me"}],
)
def test_a_target_that_cannot_be_read_is_refused_without_its_password(given):
    with pytest.raises(DatabaseError) as refused:
        Target(given)
    told = "".join(traceback.format_exception(refused.value))
    assert "s3cr" not in told


def test_a_target_names_all_its_hosts_and_never_its_password():
    target = Target(f"host=one,two hostaddr=10.0.0.1 user=me password='{SECRET}'")
    assert target.hosts == ("one", "two", "10.0.0.1")
    assert "s3cr" not in repr(target)
    assert target.scrubbed("with s3cr/t%20pass") == "with ***"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("postgresql://db/shop?passfile=/etc/passwd", "passfile"),
        ("postgresql://db/shop?sslkey=/etc/key&sslcert=/etc/cert", "sslcert, sslkey"),
        ("postgresql:///shop?host=/run/postgresql", "name or address"),
        ("postgresql:///shop?host=db,/run/postgresql", "name or address"),
        ("dbname=shop", "name or address"),
        ("service=shop", "service"),
    ],
)
def test_a_foreign_target_may_not_use_this_machines_files_and_sockets(given, said):
    with pytest.raises(DatabaseError, match=said):
        Target(given, foreign=True)


def test_nobody_there_is_told_without_the_password():
    with pytest.raises(DatabaseAway) as away:
        Connection(f"host=127.0.0.1 port=1 user=me password='{SECRET}'")
    assert "s3cr" not in "".join(traceback.format_exception(away.value))


@pytest.mark.postgres
def test_a_wrong_password_is_told_without_it(postgres_server):
    with pytest.raises(DatabaseAway) as away:
        Connection({"url": f"{postgres_server.url('nowhere')}&password=s3crt"})
    assert "nowhere" in str(away.value)
    assert "s3crt" not in str(away.value)


@pytest.mark.postgres
def test_rows_come_back_and_percent_signs_are_plain_without_parameters(connection):
    assert connection.rows("SELECT '%s', 7 % 4") == [("%s", 3)]
    assert connection.rows("SELECT %s::int + 1", [1]) == [(2,)]
    assert 150000 <= connection.version < 160000


@pytest.mark.postgres
@pytest.mark.parametrize(
    "hostile",
    [
        "INSERT INTO thing VALUES (1)",
        "SELECT 1; COMMIT; INSERT INTO thing VALUES (1)",
        "SET TRANSACTION READ WRITE",
        "SELECT set_config('transaction_read_only', 'off', true)",
        "WITH gone AS (DELETE FROM thing RETURNING *) SELECT * FROM gone",
        "SELECT nextval('numbers')",
        "COMMIT",
        "COMMIT AND CHAIN",
        "ROLLBACK",
        "SELECT 1 /* '\0' */",
        "SELECT '\ud800'",
        "",
    ],
)
def test_nothing_is_ever_written(connection, postgres, hostile):
    with psycopg.connect(postgres, autocommit=True) as owner:
        owner.execute("CREATE TABLE thing (id int)")
        owner.execute("CREATE SEQUENCE numbers")
        for statements in ([hostile], [hostile, "INSERT INTO thing VALUES (2)"]):
            with contextlib.suppress(DatabaseError):
                connection.together(statements)
        assert owner.execute("SELECT count(*) FROM thing").fetchone() == (0,)
        assert owner.execute("SELECT is_called FROM numbers").fetchone() == (False,)
    assert connection.rows("SELECT 1") == [(1,)]


@pytest.mark.postgres
def test_what_is_set_together_holds_together_and_not_afterwards(connection):
    answers = connection.together(
        ["SET LOCAL plan_cache_mode = force_generic_plan", "SHOW plan_cache_mode"]
    )
    assert answers == [[], [("force_generic_plan",)]]
    assert connection.rows("SHOW plan_cache_mode") == [("auto",)]


@pytest.mark.postgres
def test_an_error_has_its_code_and_position(connection):
    with pytest.raises(DatabaseError, match="does not exist") as refused:
        connection.rows("SELECT nobody")
    assert (refused.value.code, refused.value.position) == ("42703", 8)


@pytest.mark.postgres
def test_a_statement_and_a_lock_are_not_waited_for_beyond_the_limits(connection, postgres):
    with pytest.raises(DatabaseError) as slow:
        connection.rows("SELECT pg_sleep(10)")
    assert slow.value.code == "57014"
    with psycopg.connect(postgres) as owner:
        owner.execute("CREATE TABLE thing (id int)")
        owner.commit()
        owner.execute("LOCK TABLE thing")
        with pytest.raises(DatabaseError) as locked:
            connection.rows("SELECT * FROM thing")
    assert locked.value.code == "55P03"


@pytest.mark.postgres
def test_a_lost_connection_is_told_once_and_then_replaced(connection, postgres):
    (pid,) = connection.rows("SELECT pg_backend_pid()")[0]
    with psycopg.connect(postgres, autocommit=True) as owner:
        owner.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    with pytest.raises(DatabaseAway):
        connection.rows("SELECT 1")
    assert connection.rows("SELECT pg_backend_pid()") != [(pid,)]


@pytest.mark.postgres
def test_hypothetical_indexes_live_from_one_call_to_the_next(connection, postgres):
    with psycopg.connect(postgres, autocommit=True) as owner:
        owner.execute("CREATE TABLE thing (id int)")
    connection.rows("SELECT hypopg_create_index('CREATE INDEX ON thing (id)')")
    assert connection.rows("SELECT count(*) FROM hypopg()") == [(1,)]


@pytest.mark.postgres
def test_text_in_no_known_encoding_is_read_all_the_same(postgres_server):
    with psycopg.connect(postgres_server.url(), autocommit=True) as owner:
        owner.execute("CREATE DATABASE of_bytes TEMPLATE template0 ENCODING 'SQL_ASCII'")
        try:
            with Connection(postgres_server.url("of_bytes")) as connection:
                assert connection.rows(r"SELECT E'a\xff'::text") == [("a\ufffd",)]
        finally:
            owner.execute("DROP DATABASE of_bytes")
