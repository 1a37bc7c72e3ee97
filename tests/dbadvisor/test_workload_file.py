"""A script of SQL as a workload: where statements end, what they weigh, what is refused."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.dbadvisor import sql_text, workload_file
from foretide.dbadvisor.workload_file import BadWorkload


def texts(script):
    return [piece.text for piece in sql_text.split(script)]


@pytest.mark.parametrize(
    ("script", "statements"),
    [
        ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
        (" ;; SELECT 1;\n;", ["SELECT 1"]),
        ("SELECT ';' , 'it''s;'; SELECT 2", ["SELECT ';' , 'it''s;'", "SELECT 2"]),
        (r"SELECT E'\';' ; SELECT '\'; SELECT 3", [r"SELECT E'\';'", r"SELECT '\'", "SELECT 3"]),
        ('SELECT ";" FROM a; SELECT 2', ['SELECT ";" FROM a', "SELECT 2"]),
        ("SELECT $$;$$; SELECT $a$;$$;$a$", ["SELECT $$;$$", "SELECT $a$;$$;$a$"]),
        ("SELECT $1,$2; SELECT a$b$c;", ["SELECT $1,$2", "SELECT a$b$c"]),
        ("/* ; /* ; */ ; */ SELECT 1 -- ;\n; SELECT 2", ["SELECT 1 -- ;", "SELECT 2"]),
        ("SELECT 'never closed; SELECT 2", ["SELECT 'never closed; SELECT 2"]),
        ("SELECT $x$ never closed; SELECT 2", ["SELECT $x$ never closed; SELECT 2"]),
        ("/* never closed; SELECT 2", []),
        ("", []),
    ],
)
def test_statements_end_where_postgresql_ends_them(script, statements):
    assert texts(script) == statements


@given(st.text(alphabet="aE1$'\"\\;/*-\n ()", max_size=60))
def test_no_text_is_too_odd(script):
    for piece in sql_text.split(script):
        assert piece.text in script
        sql_text.first_word(piece.text)


def test_a_megabyte_is_split_in_linear_time():
    assert len(texts("SELECT '" + "''" * 300_000 + "';" + "SELECT 1;" * 3)) == 4


def test_many_queries_that_differ_in_constants_only_are_one():
    script = "".join(
        f"-- calls: 2\nSELECT a, count(*) FROM t WHERE b = {n} AND c = -1 "
        f"AND d > date '2024-01-0{n}' AND e = 'it''s' GROUP BY 1 LIMIT 5;"
        for n in range(1, 8)
    )
    (query,) = workload_file.read(script).queries
    assert query.text == (
        "SELECT a, count(*) FROM t WHERE b = $1 AND c = -1 AND d > date $2 "
        "AND e = 'it''s' GROUP BY 1 LIMIT 5"
    )
    assert (query.calls, query.total_ms) == (14, 14)
    assert [sample.split("b = ")[1][0] for sample in query.samples] == ["1", "3", "5"]


def test_few_that_differ_in_constants_stay_as_they_are():
    few = "SELECT 1 FROM t WHERE a = 1; SELECT 1 FROM t WHERE a = 2;"
    assert len(workload_file.read(few).queries) == 2
    lists = "".join(f"SELECT 1 FROM t WHERE a IN ({', '.join('1' * n)});" for n in range(1, 9))
    assert len(workload_file.read(lists).queries) == 8
    unseen = "x" * 100_000
    long = "".join(f"SELECT '{unseen}', {n};" for n in range(5))
    assert len(workload_file.read(long).queries) == 5


def test_comments_weigh_queries():
    workload = workload_file.read(
        "-- calls: 1200, ms: 0.5\nSELECT 1;\n"
        "-- something else\n/* weight = 3 */\nSELECT 2;\n"
        "SELECT 3; SELECT  3;"
    )
    assert [(each.text, each.calls, each.total_ms) for each in workload.queries] == [
        ("SELECT 1", 1200, 600),
        ("SELECT 2", 3, 3),
        ("SELECT 3", 2, 2),
    ]
    assert workload.queries[0].samples == ("SELECT 1",)
    assert workload.seconds is None


def test_what_is_no_query_is_left_out_and_told():
    workload = workload_file.read("\\set x 1\nBEGIN;\nSELECT 1;\nCREATE INDEX ON a (b);\n")
    assert [each.text for each in workload.queries] == ["SELECT 1"]
    assert workload.caveats == (
        "1 commands of psql are left out",
        "2 statements are no queries and left out: lines 2, 4",
    )


def test_what_is_psqls_is_left_out_and_the_queries_beside_it_stay():
    workload = workload_file.read(
        "\\copy a FROM stdin\n1\t2\n\\.\n"
        "SELECT a \\gset x_\n"
        "COPY a (b)\n FROM stdin\n WITH (FORMAT text);\n3; DELETE FROM a; SELECT 'data\n\\.\n"
        "SELECT b\\g\n"
        "  \\! rm -r x\n"
        "SELECT E'a\n \\g', 3;\n"
        "SELECT $1 \\bind 'it''s; 3' 4 \\g\n"
        "SELECT e\\; SELECT f \\bind\n \\g\n"
        "COPY a FROM stdin;\nSELECT d;\n"
    )
    found = {each.text for each in workload.queries}
    assert found == {
        *("SELECT a", "SELECT b", "SELECT E'a\n \\g', 3"),
        *("SELECT $1", "SELECT e", "SELECT f", "SELECT d"),
    }
    assert workload.caveats == (
        "the data of 2 COPY are left out",
        "2 commands of psql are left out",
        "2 statements are no queries and left out: lines 5, 16",
    )


@pytest.mark.parametrize(
    "line", ["COPY ", "COPY a FROM stdin ", "\\copy from ", "\\g ", "\\", "a \\bind ''"]
)
def test_a_file_of_nothing_but_commands_is_read_in_linear_time(line):
    begun = time.process_time()
    for script in (line * 40_000, f"{line}\n" * 40_000):
        assert workload_file.read(script + "\n;SELECT 1;").queries[-1].text == "SELECT 1"
    # A tenth of it, really; in quadratic time it would be minutes.
    assert time.process_time() - begun < 10


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("", "no query"),
        ("VACUUM;", "no query"),
        ("\n-- calls: 1e\nSELECT 1", "line 3: a weight must be a number above 0, not 1e"),
        ("-- ms: -1\nSELECT 1", "above 0"),
        ("-- ms: 1e999\nSELECT 1", "above 0"),
    ],
)
def test_a_script_that_cannot_be_used_is_refused_with_the_place(script, said):
    with pytest.raises(BadWorkload, match=said):
        workload_file.read(script)


def test_ids_are_of_the_text_whatever_its_layout_and_comments():
    one, other = (workload_file.read(f"SELECT{gap}1;") for gap in (" ", "\n  /* x */ "))
    assert one.queries[0].id == other.queries[0].id


def test_blanks_in_constants_tell_queries_apart():
    assert len(workload_file.read("SELECT 'a b'; SELECT 'a  b';").queries) == 2
