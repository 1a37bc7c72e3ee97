"""Statements without their constants."""

import time

import pytest

from foretide.dbadvisor.nplusone.texts import LONGEST, filled, fingerprint, normalize


@pytest.mark.parametrize(
    ("text", "normal", "constants"),
    [
        ("SELECT 1", "SELECT $1", ("1",)),
        ("select * from t where a = 'it''s' and b=-5", None, ("it's", "-5")),
        (r"SELECT E'a\'b'", "SELECT $1", ("a'b",)),
        ("SELECT $$a 'b' $1$$", "SELECT $1", ("a 'b' $1",)),
        ("SELECT $x$a$$b$x$", "SELECT $1", ("a$$b",)),
        ('SELECT "a 1" FROM t1', 'SELECT "a 1" FROM t1', ()),
        ("SELECT a-1", "SELECT a-$1", ("1",)),
        ("SELECT $2, $1, $2, 7", "SELECT $1, $2, $1, $3", (2, 1, "7")),
        ("SELECT /* 1 /* 2 */ 3 */ a -- 4\n, 5;", "SELECT a , $1", ("5",)),
        ("SELECT 'never closed", "SELECT $1", ("never closed",)),
        ("SELECT 1.5e-3, .5, 0x", "SELECT $1, $2, $3x", ("1.5e-3", ".5", "0")),
    ],
)
def test_constants_are_taken_out(text, normal, constants):
    found = normalize(text)
    assert found.constants == constants
    assert normal is None or found.text == normal


def test_what_differs_from_call_to_call_only_has_one_fingerprint():
    texts = (
        "SELECT * FROM t WHERE id IN (1, 2, 3) AND x = 'a'",
        "select *\n from t where id in ($1,$2) /* page 4 */ and x=$3;",
    )
    assert len(set(map(fingerprint, texts))) == 1


def test_quoted_names_keep_their_case():
    assert fingerprint('SELECT * FROM "T"') != fingerprint('SELECT * FROM "t"')


def test_parameters_stand_in_the_order_of_the_normal_text():
    found = normalize("SELECT 5 FROM t WHERE b = $2 AND a = $1")
    assert found.values(("one", None)) == ("5", None, "one")


def test_a_parameter_that_was_not_told_is_none():
    assert normalize("SELECT $1, $2").values(("a",)) == ("a", None)


def test_values_become_constants_outside_of_strings_and_comments_only():
    text = "SELECT '$1', \"$1\" FROM t WHERE a = $1 -- $1"
    assert filled(text, ("it's",)).rstrip() == "SELECT '$1', \"$1\" FROM t WHERE a = 'it''s'"


def test_backslashes_are_constants_under_any_setting():
    assert filled("SELECT $1", ("\\'; DROP TABLE t",)) == r"SELECT  E'\\''; DROP TABLE t'"


@pytest.mark.parametrize("piece", ["/*", "'a", "$a$", '"', "(", "1,", "E'\\"])
def test_hostile_texts_of_a_megabyte_take_no_time(piece):
    start = time.process_time()
    normalize(piece * (1_000_000 // len(piece)))
    assert time.process_time() - start < 2
    assert LONGEST < 1_000_000
