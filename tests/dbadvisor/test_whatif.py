"""What-if costs: what is asked of the server, what is concluded, what a refusal does.

The server is HypoPG's double: it knows a plan for each query, and refuses what it is told to.
"""

import json

import psycopg
import pytest

from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.connection import Connection
from foretide.dbadvisor.database import DatabaseAway, DatabaseError
from foretide.dbadvisor.snapshot import IndexKey, Relation
from foretide.dbadvisor.whatif import Question, WhatIf, bits

TABLE = Relation("public", "t")
COLUMNS = {TABLE: frozenset("abc")}


def candidate(*keys, table=TABLE, **changes):
    return Candidate(table, tuple(IndexKey(key) for key in keys), **changes)


class Server:
    """Plans each query with the first index at hand that it likes, at half the cost."""

    version = 150018

    def __init__(self, likes=None, refuses=(), fails=()):
        self.likes, self.refuses, self.fails = likes or {}, refuses, fails
        self.plans = 0

    def rows(self, statement, parameters=()):
        raise NotImplementedError

    def together(self, statements):
        made = [text for text in ("(a)", "(b)", "(c)") if text in statements[1].replace('"', "")]
        if any(text in made for text in self.refuses):
            raise DatabaseError("refused")
        rows = [(place, f"<{place}>{text}") for place, text in enumerate(made)]
        if not statements[2].startswith("EXPLAIN"):
            return [[], rows, []]
        self.plans += 1
        query = statements[2].split()[-1]
        if query in self.fails:
            raise self.fails[query]
        liked = [name for _, name in rows if name[-3:] in self.likes.get(query, ())]
        plan = {"Total Cost": 50.0 if liked else 100.0, "Plans": []}
        if liked:
            plan["Plans"] = [{"Index Name": liked[0]}]
        return [[], rows, [(json.dumps([{"Plan": plan}]),)]]


def asking(server, *queries):
    questions = [Question(name, (f"EXPLAIN {name}",), COLUMNS) for name in queries]
    return WhatIf(server, questions, [candidate("a"), candidate("b"), candidate("c")])


def test_a_plan_answers_for_all_sets_between_what_it_used_and_what_it_had():
    server = Server({"q": ["(a)"]})
    whatif = asking(server, "q")
    assert whatif.cost("q", 0b111) == (50.0, 0b001)
    assert whatif.cost("q", 0b011) == whatif.cost("q", 0b001) == (50.0, 0b001)
    assert whatif.calls == server.plans == 1
    assert whatif.cost("q", 0b110) == (100.0, 0)
    assert whatif.cost("q", 0b010) == whatif.cost("q", 0) == (100.0, 0)
    assert whatif.calls == 2


def test_indexes_that_do_not_concern_a_query_are_not_asked_about():
    other = candidate("a", table=Relation("public", "other"))
    late = candidate("z", "a")
    whatif = WhatIf(Server(), [Question("q", ("EXPLAIN q",), COLUMNS)], [other, late])
    assert whatif.relevant("q") == 0


def test_a_candidate_that_is_refused_is_told_and_the_others_are_used():
    whatif = asking(Server({"q": ["(c)"]}, refuses=["(b)"]), "q")
    assert whatif.refused == {candidate("b"): "refused"}
    assert whatif.cost("q", 0b111) == (50.0, 0b100)


def test_a_query_that_cannot_be_planned_is_told_and_the_others_go_on():
    whatif = asking(
        Server({"q": ["(a)"]}, fails={"bad": DatabaseError("no such thing")}), "q", "bad"
    )
    assert whatif.cost("bad", 0b1) is None
    assert whatif.cost("bad", 0b1) is None
    assert whatif.failed == {"bad": "no such thing"}
    assert whatif.cost("q", 0b1) == (50.0, 0b1)


def test_a_server_that_is_away_ends_it():
    whatif = asking(Server(fails={"q": DatabaseAway("gone")}), "q")
    with pytest.raises(DatabaseAway):
        whatif.cost("q", 0b1)


def test_an_answer_that_is_no_plan_fails_its_query():
    whatif = WhatIf(Server(), [Question("q", ("EXPLAIN q",), COLUMNS)], [])
    whatif._database.together = lambda statements: [[], [], []]
    assert whatif.cost("q", 0) is None
    assert "plan" in whatif.failed["q"]


def test_masks_stand_for_candidates_in_order():
    whatif = asking(Server(), "q")
    assert whatif.chosen(whatif.mask([candidate("c"), candidate("a")])) == [
        candidate("a"),
        candidate("c"),
    ]
    assert bits(0b101) == [0, 2]


@pytest.fixture
def execute(postgres):
    """Runs statements as their owner would."""

    def run(*statements):
        with psycopg.connect(postgres, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    return run


@pytest.mark.postgres
def test_hypopg_answers_and_nothing_is_created(postgres, execute):
    execute(
        "CREATE TABLE t AS SELECT i AS a, i % 10 AS b, 'x' || i AS c"
        " FROM generate_series(1, 20000) AS i",
        "ANALYZE t",
    )
    good, bad = candidate("a"), candidate("nothing")
    questions = [
        Question("q", ("EXPLAIN (FORMAT JSON) SELECT * FROM t WHERE a = 5",), COLUMNS),
        Question("bad", ("EXPLAIN (FORMAT JSON) SELECT * FROM missing",), COLUMNS),
    ]
    with Connection(postgres) as connection:
        whatif = WhatIf(connection, questions, [good, bad, candidate("b", predicate="a > 3")])
        assert list(whatif.refused) == [bad]
        index = whatif.mask([good])
        without, with_it = whatif.cost("q", 0), whatif.cost("q", index)
        assert with_it.used == index
        assert with_it.cost < 0.1 * without.cost
        assert whatif.cost("bad", index) is None
        assert "missing" in whatif.failed["bad"]
        assert connection.rows("SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass") == [
            (0,)
        ]


@pytest.mark.postgres
@pytest.mark.slow
def test_hypopg_does_not_run_out_of_oids(postgres, execute):
    """It has about 2,500 to give until it is reset."""
    execute("CREATE TABLE t (a int, b int, c int)")
    many = [candidate("a", predicate=f"b = {number}") for number in range(3000)]
    with Connection(postgres) as connection:
        whatif = WhatIf(connection, [], many)
        assert not whatif.refused
