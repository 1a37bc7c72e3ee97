"""Executions out of logs and spans."""

import json

import psycopg
import pytest

from foretide.dbadvisor.nplusone.logs import from_csv, from_stderr, moment, prefix_pattern
from foretide.dbadvisor.nplusone.spans import from_otlp

CSV = (
    '2026-11-30 14:31:49.100 UTC,"shop","books",77,"[local]",6a.4d,3,"SELECT",'
    '2026-11-30 14:31:40 UTC,3/17,0,LOG,00000,"{message}","{detail}",,,,,,,,"web",'
    '"client backend",,123\n'
)


def in_csv(message, detail=""):
    line = CSV.format(message=message.replace('"', '""'), detail=detail)
    return list(from_csv(line.splitlines(keepends=True)))


def test_a_line_of_csvlog_is_an_execution():
    (found,) = in_csv("duration: 2.500 ms  statement: SELECT * FROM t WHERE id = 5")
    assert found.statement.text == "SELECT * FROM t WHERE id = $1"
    assert found.parameters == ("5",)
    assert found.seconds == pytest.approx(0.0025)
    assert found.end == pytest.approx(moment("2026-11-30 14:31:49.100 UTC"))
    assert (found.session, found.transaction) == ("6a.4d", "3/17")
    assert "web" in found.pool


def test_parameters_stand_in_the_detail():
    (found,) = in_csv(
        "duration: 0.1 ms  execute <unnamed>: SELECT a FROM t WHERE b = $2 AND c = $1",
        "parameters: $1 = 'it''s, $2', $2 = NULL",
    )
    assert found.parameters == (None, "it's, $2")


@pytest.mark.parametrize(
    "message",
    [
        "duration: 0.1 ms  parse <unnamed>: SELECT 1",
        "duration: 0.1 ms  bind x/y: SELECT 1",
        "duration: 0.1 ms  statement: BEGIN",
        "statement: COMMIT",
        "connection authorized: user=books",
        "duration: 0.1 ms",
    ],
)
def test_what_executes_no_statement_is_skipped(message):
    assert in_csv(message) == []


def test_statements_over_several_lines_and_broken_lines_are_read():
    good = CSV.format(message="statement: SELECT 1,\n 2", detail="")
    lines = ["not, csv\n", '"never closed\n' * 0, *good.splitlines(keepends=True), "\0\n"]
    (found,) = from_csv(lines)
    assert found.parameters == ("1", "2")


def test_stderr_is_read_by_its_prefix():
    lines = [
        "2026-11-30 14:31:49.100 UTC [77] books@shop web LOG:  duration: 1.0 ms  "
        "execute s1: SELECT a\n",
        "\tFROM t WHERE id = $1\n",
        "2026-11-30 14:31:49.100 UTC [77] books@shop web DETAIL:  parameters: $1 = '7'\n",
        "2026-11-30 14:31:49.200 UTC [78] books@shop web LOG:  statement: SELECT 2\n",
        "2026-11-30 14:31:49.300 UTC [77] books@shop web ERROR:  no\n",
    ]
    first, second = from_stderr(lines, "%m [%p] %u@%d %a ")
    assert (first.statement.text, first.parameters) == ("SELECT a FROM t WHERE id = $1", ("7",))
    assert (first.session, second.session) == ("77", "78")
    assert first.pool == second.pool != ""


def test_a_prefix_that_tells_no_sessions_is_refused():
    with pytest.raises(ValueError, match="%m and %p"):
        prefix_pattern("%m ")


def test_spans_are_executions_of_their_trace():
    def attribute(key, value):
        return {"key": key, "value": {"stringValue": value}}

    span = {
        "traceId": "ab",
        "startTimeUnixNano": "1000000000",
        "endTimeUnixNano": 1002000000,
        "attributes": [
            attribute("db.system", "postgresql"),
            attribute("db.query.text", "SELECT a FROM t WHERE id = $1"),
            attribute("db.query.parameter.0", "5"),
        ],
    }
    other = {**span, "attributes": [attribute("http.route", "/")]}
    spans = [span, other, {"traceId": 1}, None]
    document = {
        "resourceSpans": [
            {
                "resource": {"attributes": [attribute("service.name", "web")]},
                "scopeSpans": [{"spans": spans}],
            }
        ]
    }
    (found,) = from_otlp([json.dumps(document), "{", "[]", "[" * 100_000])
    assert (found.session, found.pool, found.parameters) == ("ab", "web", ("5",))
    assert found.seconds == pytest.approx(0.002)


@pytest.mark.postgres
def test_what_a_real_server_logs_is_read(postgres_server, postgres):
    with psycopg.connect(postgres, autocommit=True) as connection:
        prefix = connection.execute("SHOW log_line_prefix").fetchone()[0]
        connection.execute("CREATE TABLE t (id int, a text)")
        connection.execute("SET log_min_duration_statement = 0")
        connection.execute("SELECT a FROM t WHERE id = %s AND a = %s", (41, "it's"))
        with connection.transaction():
            connection.execute("SELECT a AS plain FROM t WHERE id = 42")
    lines = postgres_server.log.read_text().splitlines(keepends=True)
    found = [each for each in from_stderr(lines, prefix) if " FROM t " in each.statement.text]
    assert [each.parameters for each in found] == [("41", "it's"), ("42",)]
    assert all(0 <= each.seconds < 5 for each in found)
