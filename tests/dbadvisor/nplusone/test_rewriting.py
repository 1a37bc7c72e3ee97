"""A batch out of a look-up; `test_proof.py` runs them on PostgreSQL."""

import os
import subprocess
import sys

import pytest

from foretide.dbadvisor.nplusone.rewriting import Form, Refused, rewrite

BIGINT = {1: "bigint"}


def test_an_equality_becomes_any_with_the_key_selected():
    found = rewrite('SELECT a, "B" FROM "T" WHERE "Id" = $1 AND kind = $2', [1], BIGINT)
    assert found.batch == (
        'SELECT "Id" AS batch_key, a, "B" FROM "T" WHERE "Id" = ANY($1::bigint[]) AND kind = $2'
    )
    assert found.form is Form.ANY


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("SELECT a FROM t WHERE id = $1", Form.ANY),
        ("SELECT DISTINCT a FROM t WHERE $1 = id ORDER BY a", Form.ANY),
        ("SELECT a, count(*) FROM t WHERE id = $1 GROUP BY a HAVING count(*) > $2", Form.ANY),
        ("SELECT count(*) FROM t WHERE id = $1", Form.GROUPED),
        ("SELECT coalesce(sum(a), $2) + count(b) AS x FROM t WHERE id = $1", Form.GROUPED),
        ("SELECT a FROM t WHERE id = $1 ORDER BY b LIMIT 3", Form.LATERAL),
        ("SELECT a, b FROM t WHERE id = $1 ORDER BY 2", Form.LATERAL),
        ("SELECT DISTINCT ON (a) a, b FROM t WHERE id = $1", Form.LATERAL),
        ("SELECT row_number() OVER (ORDER BY a) FROM t WHERE id = $1", Form.LATERAL),
        ("SELECT a FROM t WHERE id = $1 OR b = $1", Form.LATERAL),
        ("SELECT a FROM t WHERE id IS NOT DISTINCT FROM $1", Form.LATERAL),
        ("SELECT a FROM t WHERE id = $1 UNION SELECT b FROM u WHERE id = $1", Form.LATERAL),
        ("WITH w AS (SELECT a FROM t WHERE id = $1) SELECT a FROM w", Form.LATERAL),
        ("SELECT EXISTS (SELECT $2 FROM t WHERE id = $1)", Form.LATERAL),
        ("SELECT count(*) FROM t WHERE id = $1 HAVING count(*) > 1", Form.LATERAL),
        ("SELECT a, count(*) FROM t WHERE id = $1 GROUP BY ROLLUP (a)", Form.LATERAL),
    ],
)
def test_the_form_is_the_simplest_that_is_right(text, form):
    assert rewrite(text, [1], BIGINT).form is form


def test_keys_whose_equal_values_differ_in_text_are_not_read_off_the_rows():
    assert rewrite("SELECT a FROM t WHERE n = $1", [1], {1: "numeric(10,2)"}).form is Form.LATERAL


def test_several_keys_are_looked_up_as_pairs():
    found = rewrite(
        "SELECT x FROM t WHERE a = $1 AND b = $2 AND c = $3", [2, 1], {1: "integer", 2: "text"}
    )
    assert "(a, b) IN (SELECT batch_key, batch_key_2 FROM unnest($1::integer[], $2::text[])" in (
        found.batch
    )
    assert "c = $3" in found.batch
    assert found.key_columns == ("batch_key", "batch_key_2")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("UPDATE t SET a = 1 WHERE id = $1", "no SELECT"),
        ("SELECT a FROM t WHERE id = $1 FOR UPDATE", "locks"),
        ("SELECT a, random() FROM t WHERE id = $1", "random()"),
        ("SELECT nextval('s') FROM t WHERE id = $1", "nextval()"),
        ("WITH d AS (DELETE FROM t WHERE id = $1 RETURNING a) SELECT a FROM d", "changes"),
        ("SELECT count(*) FROM t TABLESAMPLE SYSTEM (9) WHERE id = $1", "sample"),
        ("SELECT a INTO u FROM t WHERE id = $1", "creates a table"),
        ("SELECT a FROM t WHERE id = 5", "has no $1"),
        ("SELECT a FROM t WHERE id = $1; DROP TABLE t", "not one statement"),
        ("SELECT FROM WHERE (", "cannot read"),
        ("SELECT " + "(" * 5000 + "$1" + ")" * 5000, "nested"),
    ],
)
def test_what_cannot_be_rewritten_is_refused_with_the_reason(text, why):
    found = rewrite(text, [1], BIGINT)
    assert isinstance(found, Refused)
    assert why in found.reason


def test_types_before_parameters_keep_them():
    text = "SELECT a FROM t WHERE id = $1 AND d > DATE $2 - INTERVAL  $3"
    found = rewrite(text, [1], BIGINT)
    assert "d > CAST($2 AS DATE) - CAST($3 AS INTERVAL)" in found.batch


def test_names_with_dollars_stay_what_they_are():
    assert 'SELECT id AS batch_key, "a$1" FROM' in (
        rewrite('SELECT "a$1" FROM t WHERE id = $1', [1]).batch
    )


def test_a_parameter_that_would_be_lost_is_told(monkeypatch):
    monkeypatch.setattr(
        "foretide.dbadvisor.nplusone.rewriting._sql", lambda tree: "SELECT a = ANY($1)"
    )
    found = rewrite("SELECT a FROM t WHERE id = $1 AND b = $2", [1], BIGINT)
    assert found == Refused("sqlglot does not keep $2")


def test_lateral_needs_the_type_of_the_key():
    assert "type of $1" in rewrite("SELECT a FROM t WHERE id = $1 LIMIT 1", [1]).reason


@pytest.mark.slow
def test_the_same_statement_gives_the_same_bytes_whatever_the_hashes():
    code = (
        "from foretide.dbadvisor.nplusone.rewriting import rewrite;"
        "print(rewrite('SELECT x, count(*) FROM t JOIN u USING (x) WHERE a = $1 AND b = $2 "
        "GROUP BY x', [1, 2], {1: 'bigint', 2: 'text'}))"
    )
    environment = dict(os.environ)
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**environment, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(said) == 1
