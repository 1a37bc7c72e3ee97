"""Texts with `$1`: cut into words as PostgreSQL does, and written so that sqlglot reads them."""

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st

from foretide.dbadvisor import normalized


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT $1,$2+$3||$4", "SELECT $1 , $2 + $3 || $4"),
        ("SELECT a[$1:$2], $3::date", "SELECT a [ $1 : $2 ] , $3 :: date"),
        ("SELECT DATE $1, x", "SELECT CAST($1 AS date) , x"),
        ("SELECT d + interval $1 day TO second, 2", "SELECT d + CAST($1 AS interval) , 2"),
        ("SELECT numeric(3) $1", "SELECT CAST($1 AS numeric(3))"),
        (
            "SELECT timestamp with time zone $1",
            "SELECT CAST($1 AS timestamp with time zone)",
        ),
        (
            "SELECT EXTRACT($1 FROM t.d)",
            "SELECT date_part ( CAST($1 AS text) , t . d )",
        ),
        ("SELECT a AS date FROM t LIMIT $1", "SELECT a AS date FROM t LIMIT $1"),
        ("SELECT t.date -- $1\n FROM t;", "SELECT t . date FROM t"),
        ("SELECT 1 /* a /* nested */ ; */ ;; ", "SELECT 1"),
        ("SELECT a IN ($1 /*, ... */)", "SELECT a IN ( $1 )"),
        ('SELECT $tag$ ; \' $1 $tag$, "a;b""c"', 'SELECT $tag$ ; \' $1 $tag$ , "a;b""c"'),
        (r"SELECT E'it\'s ;', 'a''b\'", r"SELECT E'it\'s ;' , 'a''b\'"),
    ],
)
def test_a_text_is_written_for_sqlglot(text, expected):
    assert normalized.parseable(text) == expected
    sqlglot.parse_one(expected, dialect="postgres")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "an empty text"),
        (" ; -- only a comment\n", "an empty text"),
        ("SELECT 1; DROP TABLE t", "2 statements in one text"),
        ("SELECT 1;/* ; */COMMIT", "2 statements in one text"),
        ("SELECT 'never ends", "a quote that does not end at character 8 is no SQL"),
        ('SELECT "never ends', "a quoted name that does not end at character 8 is no SQL"),
        ("SELECT 1 /* /* */", "a comment that begins at character 10 does not end"),
        ("SELECT $x$ $y$", "a string that begins with $x$ does not end"),
        ("SELECT \0", "'\\x00' at character 8 is no SQL"),
        ("SELECT " + "a+" * 20_000 + "a", "too long to be understood: 40,002 words"),
    ],
)
def test_what_is_no_single_statement_is_refused_with_a_reason(text, reason):
    with pytest.raises(normalized.Unreadable) as raised:
        normalized.parseable(text)
    assert str(raised.value) == reason


def test_long_lists_of_constants_are_shortened():
    listed = ",".join(f"${number}" for number in range(1, 1000))
    rows = ",".join(f"(${number}, f(2))" for number in range(1, 1000))
    text = f"SELECT f({listed}) FROM (VALUES {rows}) v(a,b) WHERE a IN ({listed}) AND b = 1"
    short = normalized.parseable(text)
    parsed = sqlglot.parse_one(short, dialect="postgres")
    assert len(parsed.find(sqlglot.exp.In).expressions) == normalized.LIST_KEPT
    assert len(parsed.find(sqlglot.exp.Values).expressions) == normalized.LIST_KEPT
    assert "$999" in short, "arguments of functions are all kept"
    assert short.endswith("AND b = 1")


@given(st.text(alphabet="'\"$;-/*aE1.() \n\\", max_size=40))
def test_words_are_the_text_or_it_is_refused(text):
    try:
        words = normalized.words(text)
    except normalized.Unreadable:
        return
    assert "".join(word.text for word in words) == text
