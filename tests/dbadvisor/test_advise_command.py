"""`foretide advise` on a real PostgreSQL: what it prints and writes, and what mistakes get."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading

import psycopg
import pytest

from foretide.dbadvisor import advising
from foretide.dbadvisor.database import DatabaseAway
from foretide.operator.commands.advise import size_of
from foretide.operator.commands.telling import Refused
from foretide.operator.main import main

pytestmark = pytest.mark.postgres

# Names that have to be quoted, all kinds of relations, and what SQL must never be run of.
MESS = r'''
CREATE SCHEMA "Odd ""schema""";
SET search_path = "Odd ""schema""", public;
CREATE TABLE "Or der" ("Id" int PRIMARY KEY, "cu'st" int, doc jsonb, tags text[], "SELECT" text,
    made timestamptz DEFAULT now()) ;
CREATE TABLE part (id bigint, day date NOT NULL, who int) PARTITION BY RANGE (day);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM ('2024-01-01') TO ('2024-07-01');
CREATE TABLE "part 2" PARTITION OF part FOR VALUES FROM ('2024-07-01') TO ('2025-01-01');
CREATE TABLE secured (id int, owner text);
ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON secured USING (owner = current_user);
INSERT INTO "Or der" SELECT n, n % 3000, jsonb_build_object('kind', n % 500), ARRAY['a', 'b'],
    'text ' || n FROM generate_series(1, 30000) n;
INSERT INTO part SELECT n, date '2024-01-01' + n % 360, n % 2000 FROM generate_series(1, 40000) n;
INSERT INTO secured SELECT n, 'somebody' FROM generate_series(1, 20000) n;
CREATE VIEW "vi ew" AS SELECT "Id", doc ->> 'kind' AS kind FROM "Or der" WHERE "cu'st" > 5;
CREATE MATERIALIZED VIEW mat AS SELECT "cu'st" AS cust, count(*) FROM "Or der" GROUP BY 1;
CREATE FUNCTION act() RETURNS int LANGUAGE plpgsql VOLATILE AS
    $$ BEGIN DELETE FROM "Odd ""schema"""."Or der"; RETURN 1; END $$;
CREATE FUNCTION trig() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER t BEFORE INSERT ON "Or der" FOR EACH ROW EXECUTE FUNCTION trig();
CREATE EXTENSION IF NOT EXISTS postgres_fdw;
CREATE SERVER away FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '1');
CREATE FOREIGN TABLE remote (id int, x text) SERVER away;
ANALYZE "Or der"; ANALYZE part; ANALYZE secured; ANALYZE mat;
'''
QUERIES = r'''
SELECT "SELECT" FROM "Odd ""schema"""."Or der" WHERE "cu'st" = 7 /* ; DROP TABLE part; */;
SELECT * FROM "Odd ""schema"""."vi ew" WHERE kind = '7';
SELECT count(*) FROM "Odd ""schema""".part WHERE who = 4 AND day > '2024-03-01';
SELECT * FROM "Odd ""schema""".mat WHERE cust = 5 -- ; DELETE FROM part
;
SELECT * FROM "Odd ""schema""".secured WHERE owner = 'x';
SELECT * FROM "Odd ""schema""".remote WHERE id = 5;
SELECT "Odd ""schema""".act();
SELECT * FROM "Odd ""schema"""."Or der" WHERE tags @> ARRAY['a'] OR doc @> '{"kind": 4}';
WITH gone AS (DELETE FROM "Odd ""schema""".part WHERE who = 4 RETURNING *) SELECT * FROM gone;
COPY "Odd ""schema""".part TO PROGRAM 'touch /tmp/never';
SELECT 1; COMMIT; DROP TABLE "Odd ""schema""".part;
SELECT U&"d\0061t\+000061", $tag$ ; DROP TABLE x; $tag$, E'\'; DROP TABLE x; --' FROM nowhere;
'''


@pytest.fixture
def mess(postgres):
    with psycopg.connect(postgres, autocommit=True) as owner:
        owner.execute(MESS)
        yield owner


@pytest.fixture
def books(postgres):
    with psycopg.connect(postgres, autocommit=True) as owner:
        owner.execute("CREATE TABLE author (id int PRIMARY KEY, name text)")
        owner.execute("CREATE TABLE book (id int PRIMARY KEY, author int REFERENCES author)")
        owner.execute("INSERT INTO author SELECT n, n::text FROM generate_series(1, 50) n")
        owner.execute("INSERT INTO book SELECT n, n % 50 + 1 FROM generate_series(1, 400) n")
        owner.execute("ANALYZE")


@pytest.fixture
def advise(capsys):
    """Runs `foretide advise …`: the exit status, what was printed, what was told as an error."""

    def run(*arguments):
        status = main(["advise", *map(str, arguments)])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return run


@pytest.fixture
def queries(tmp_path):
    path = tmp_path / "queries.sql"
    path.write_text(QUERIES)
    return path


def _visitor(url):
    """Somebody who asks one thing again and again; set the event to end it, and join the thread.

    Where the database lets nobody in any more, that was it.
    """
    ended = threading.Event()

    def ask():
        with contextlib.suppress(psycopg.Error), psycopg.connect(url, autocommit=True) as client:
            while not ended.is_set():
                client.execute('SELECT count(*) FROM "Odd ""schema"""."Or der"')

    thread = threading.Thread(target=ask)
    thread.start()
    return ended, thread


def test_a_messy_database_is_advised_and_nothing_in_it_is_changed(
    advise, postgres, mess, queries, tmp_path
):
    counts = 'SELECT (SELECT count(*) FROM "Or der"), (SELECT count(*) FROM part)'
    before = mess.execute(counts).fetchone()
    files = tmp_path / "a.json", tmp_path / "a.html"
    status, out, err = advise(
        postgres, "--workload", queries, "--json", files[0], "--html", files[1]
    )
    assert (status, "Traceback" in err) == (0, False)
    assert mess.execute(counts).fetchone() == before
    assert not os.path.exists("/tmp/never")
    advice = json.loads(files[0].read_text())
    indexed = {each["definition"] for each in advice["indexes"]["indexes"]}
    assert any('("cu\'st"' in each for each in indexed)
    assert any('."part" USING btree ("who"' in each for each in indexed)
    assert advice["workload"]["planned"] >= 9
    assert "<!doctype html>" in files[1].read_text()
    assert "Indexes to create" in out
    for index in advice["indexes"]["indexes"]:
        for statement in index["statements"]:
            mess.execute(statement)
    invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
    assert mess.execute(invalid).fetchone() == (0,)


def test_what_was_counted_is_the_workload_without_a_file(advise, postgres, mess):
    mess.execute('SELECT count(*) FROM "Or der" WHERE "cu\'st" = 7')
    status, out, _ = advise(postgres)
    assert status == 0
    assert "all that pg_stat_statements has counted" in out
    assert "N+1 shows itself only over time" in out


@pytest.mark.slow
def test_an_n_plus_one_is_seen_while_it_is_watched(advise, postgres, books, tmp_path):
    ended = threading.Event()

    def lists():
        while not ended.is_set():
            with psycopg.connect(postgres) as client:
                found = client.execute("SELECT id, author FROM book LIMIT 40").fetchall()
                for _, author in found:
                    client.execute("SELECT name FROM author WHERE id = %s", [author])

    visitor = threading.Thread(target=lists)
    visitor.start()
    batches = []
    try:
        # On a busy machine the visitor comes too seldom for a short look.
        for seconds in (3, 9, 27):
            if not batches:
                status, out, _ = advise(
                    postgres, "--watch", f"{seconds}s", "--json", tmp_path / "a.json"
                )
                assert status == 0
                batches = json.loads((tmp_path / "a.json").read_text())["repeats"]["batches"]
    finally:
        ended.set()
        visitor.join()
    (batch,) = batches
    assert "ANY" in batch["rewrite"]["batch"]
    assert batch["proof"]["equal"]
    assert "the same rows" in out


def test_an_n_plus_one_is_found_in_a_log(advise, postgres, books, queries, tmp_path):
    log = tmp_path / "postgresql.log"
    entry = "2026-11-30 10:00:00.{:03} UTC [7] LOG:  duration: 0.5 ms  statement: {}\n"
    lines = [entry.format(0, "BEGIN"), entry.format(1, "SELECT id, author FROM book LIMIT 20")]
    look_up = "SELECT name FROM author WHERE id = {}"
    lines += [entry.format(2 + n, look_up.format(n + 1)) for n in range(20)]
    log.write_text("".join(lines))
    status, out, _ = advise(postgres, "--workload", queries, "--log", log)
    assert status == 0
    assert "N+1: 1" in out
    assert "= ANY($1" in out
    status, out, _ = advise(postgres, "--workload", queries, "--log", queries)
    assert "no execution of a statement was found in it" in out


@pytest.mark.slow
def test_what_is_no_sql_is_told_by_its_id_and_stops_nothing(advise, postgres, mess, tmp_path):
    """A query of a megabyte, one nested a thousand times, and bytes that are no text."""
    file = tmp_path / "odd.sql"
    many = ", ".join(str(10**98 + number) for number in range(10_000))
    long = f"SELECT * FROM part WHERE who IN ({many});\n"
    deep = f"SELECT {'(' * 1000}1{')' * 1000};\n"
    file.write_bytes(
        b'SELECT doc FROM "Odd ""schema"""."Or der" WHERE "cu\'st" = 7;\n'
        + long.encode()
        + deep.encode()
        + b"SELECT '\xff\xfe\x00' FROM part; SELECT 'never closed"
    )
    assert len(long) > 1_000_000
    status, out, err = advise(postgres, "--workload", file, "--json", tmp_path / "a.json")
    assert (status, "Traceback" in err) == (0, False)
    advice = json.loads((tmp_path / "a.json").read_text())
    assert len(advice["workload"]["queries"]) == 5
    assert len(out) < 20_000
    assert any("cu'st" in each["definition"] for each in advice["indexes"]["indexes"])


@pytest.mark.slow
def test_the_first_ctrl_c_ends_a_watch_and_what_is_known_is_told(postgres, mess):
    command = [sys.executable, "-m", "foretide.operator.main", "advise", postgres]
    with subprocess.Popen(
        [*command, "--watch", "10m"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert "watching" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "ending with what is known" in err
    assert "Indexes to create" in out


@pytest.mark.slow
def test_a_watch_outlasts_a_connection_that_is_lost(advise, postgres, mess):
    name = psycopg.conninfo.conninfo_to_dict(postgres)["dbname"]
    ended = threading.Event()

    def end_sessions():
        ask = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = %s AND application_name ~ '^foretide' AND state = 'idle'"
        )
        while not ended.wait(0.2) and not mess.execute(ask, [name]).fetchone()[0]:
            pass

    enemy = threading.Thread(target=end_sessions)
    enemy.start()
    try:
        status, out, err = advise(postgres, "--watch", "6s")
    finally:
        ended.set()
        enemy.join()
    assert (status, "Traceback" in err) == (0, False)
    assert "the database was away for a while" in out
    assert "while it was watched" in out


@pytest.mark.slow
@pytest.mark.parametrize("comes_back", [True, False])
def test_what_was_watched_outlasts_a_database_that_goes_away(
    advise, postgres, mess, monkeypatch, comes_back
):
    """Just before it is asked for plans; for good, or until it has been started anew."""
    name, really = mess.info.dbname, advising.advise
    away = []

    def at_first(*given, **options):
        if not away:
            away.append(name)
            with psycopg.connect(postgres, dbname="postgres", autocommit=True) as ruler:
                ruler.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {comes_back}")
                ruler.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = %s AND application_name = 'foretide'",
                    [name],
                )
        return really(*given, **options)

    monkeypatch.setattr(advising, "advise", at_first)
    monkeypatch.setattr("foretide.operator.commands.advise_outlasting.LONGEST_AWAY", 0.1)
    stop, visitor = _visitor(postgres)
    try:
        status, out, err = advise(postgres, "--watch", "2s")
    finally:
        stop.set()
        visitor.join()
    assert (status, "Traceback" in err) == (0, False)
    assert "while it was watched" in out
    assert "the database went away (" in err
    assert ("this is what was seen of it" in out) == (not comes_back)
    assert re.search(r"[1-9]\d* of \d+ that can have a plan", out) or not comes_back


def test_a_server_that_goes_away_is_told_in_one_sentence(advise, postgres, queries, monkeypatch):
    asked = []

    def away(self, statements):
        asked.append(statements)
        raise DatabaseAway("the connection is lost")

    monkeypatch.setattr("foretide.dbadvisor.connection.Connection.together", away)
    status, out, err = advise(postgres, "--workload", queries)
    assert (status, out, len(asked)) == (2, "", 1)
    assert err.splitlines()[-1] == "foretide: the connection is lost"


MISTAKES = {
    (): "DSN must be given; see foretide advise --help",
    ("{dsn}", "--budget", "much"): "--budget: 'much' is not a size such as 100MB",
    ("{dsn}", "--watch", "soon"): "--watch: 'soon' is not a duration",
    ("{dsn}", "--watch", "9d"): "--watch wants a day at most",
    ("{dsn}", "--queries", "0"): "--queries must be 1 at least",
    ("{dsn}", "--workload", "/nowhere/q.sql"): "cannot read /nowhere/q.sql: No such file",
    ("{dsn}", "--json", "/nowhere/a.json"): "cannot write /nowhere/a.json: there is no folder",
    ("{dsn}", "--log", "/dev/null", "--log-prefix", "%u "): "--log-prefix: log_line_prefix must",
    ("postgresql://u:hush-hush@h/d?nope=1",): "the connection string cannot be read",
    ("postgresql://u:hush-hush@127.0.0.1:1/d",): "connection failed",
    ("{dsn}", "--jsno", "postgresql://u:hush-hush@h/d"): r"--jsno postgresql://u:\*\*\*@h/d is not",
    ("{dsn}", "password=hush-hush", "--x"): r"password=\*\*\* --x is not known here",
}


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_a_mistake_is_told_in_one_sentence_without_a_password(postgres, capsys, arguments):
    given = [each.format(dsn=postgres) for each in arguments]
    try:
        status = main(["advise", *given])
    except SystemExit as stop:
        status = stop.code
    said = capsys.readouterr().err
    assert status == 2
    assert "hush-hush" not in said
    told = said.splitlines()[-1]
    assert re.search(MISTAKES[arguments], told)


def test_a_password_in_the_command_line_is_advised_against(advise, postgres):
    url = postgres.replace("foretide@", "foretide:hush-hush@")
    status, out, err = advise(url)
    assert status == 0
    assert "PGPASSWORD" in err
    assert "hush-hush" not in out + err


@pytest.mark.parametrize(
    ("text", "amount"),
    [("100MB", 1e8), ("1.5GB", 1.5e9), ("64MiB", 64 * 2**20), ("5 kB", 5000), ("7", 7)],
)
def test_sizes_are_read(text, amount):
    assert size_of(text) == amount


@pytest.mark.parametrize("text", ["", "MB", "-5MB", "1e9", "5XB", "nan"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(Refused):
        size_of(text)
