"""The workload between two snapshots, whatever happened to the counters meanwhile."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.dbadvisor import deltas
from foretide.dbadvisor.snapshot import Snapshot, Statement

BEGUN = 1_790_000_000.0


def statement(queryid, calls, ms=None, *, text="SELECT 1", user=10, **more):
    total = float(calls if ms is None else ms)
    return Statement(queryid, user, True, text, calls, total, rows=calls, **more)


def snapshot(*statements, at=100.0, reset=BEGUN, dealloc=0, **more):
    counted = {"statements_reset": reset, "dealloc": dealloc}
    return Snapshot(BEGUN + at, "shop", 150000, tuple(statements), **counted, **more)


def seen(workload):
    return {query.id: (query.calls, query.total_ms) for query in workload.queries}


def test_what_was_counted_in_between_is_the_difference():
    workload = deltas.between(
        snapshot(statement(1, 10, 50.0), statement(2, 5)),
        snapshot(statement(1, 12, 65.0), statement(2, 5), statement(3, 4), at=160.0),
    )
    assert seen(workload) == {"1": (2, 15.0), "3": (4, 4.0)}
    assert (workload.seconds, workload.caveats) == (60.0, ())


def test_the_costliest_comes_first_and_equal_ones_by_id():
    workload = deltas.total(snapshot(statement(30, 1, 5.0), statement(2, 9), statement(4, 9)))
    assert [query.id for query in workload.queries] == ["2", "4", "30"]


def test_users_and_levels_are_one_query():
    nested = replace(statement(1, 3), toplevel=False)
    workload = deltas.total(snapshot(statement(1, 2), nested, statement(1, 4, user=11)))
    assert seen(workload) == {"1": (9, 9.0)}


def test_after_a_reset_only_what_came_since_counts():
    workload = deltas.between(
        snapshot(statement(1, 10)),
        snapshot(statement(1, 40), at=160.0, reset=BEGUN + 130),
    )
    assert seen(workload) == {"1": (40, 40.0)}
    assert workload.seconds == 30.0
    assert "was reset" in workload.caveats[0]


def test_a_reset_is_seen_without_its_moment_too():
    workload = deltas.between(
        snapshot(statement(1, 10), statement(2, 10), reset=None, dealloc=None),
        snapshot(statement(1, 4), at=160.0, reset=None, dealloc=None),
    )
    assert seen(workload) == {"1": (4, 4.0)}
    assert "was reset" in workload.caveats[0]


def test_a_statement_that_was_thrown_away_and_came_back_counts_anew():
    workload = deltas.between(
        snapshot(statement(1, 10), statement(2, 10), statement(3, 10)),
        snapshot(statement(1, 3), statement(2, 20), at=160.0, dealloc=1),
    )
    assert seen(workload) == {"1": (3, 3.0), "2": (10, 10.0)}
    assert "threw away 1 known" in workload.caveats[0]


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("SELECT $1", True),
        ("/* app */ -- x\n ((SELECT 1) UNION SELECT 2)", True),
        ("WITH a AS (SELECT 1) DELETE FROM b", True),
        ("merge into a using b on true when matched then delete", True),
        ("", True),
        ("BEGIN", False),
        ("SET LOCAL x = 1", False),
        ("EXPLAIN SELECT 1", False),
        ("/* foretide */ SELECT 1", False),
        (" SELECT /* foretide */ 1", False),
        ("SELECT '/* foretide */'", True),
        ("CALL do_it()", False),
    ],
)
def test_only_queries_of_the_application_count(text, counts):
    workload = deltas.total(snapshot(statement(1, 1, text=text)))
    assert bool(workload.queries) == counts


def test_what_could_not_be_read_and_what_was_thrown_away_is_said():
    workload = deltas.total(
        snapshot(dealloc=7, missing=("statements: 3 of other users are hidden", "catalog: x"))
    )
    assert workload.caveats[0] == "statements: 3 of other users are hidden"
    assert "7 times" in workload.caveats[1]
    assert workload.seconds == 100.0


def test_an_age_that_is_not_known_is_none():
    workload = deltas.total(snapshot(statement(1, 1), reset=None))
    assert workload.seconds is None
    assert "not known" in workload.caveats[0]


def test_an_example_with_constants_becomes_a_sample():
    workload = deltas.total(snapshot(statement(1, 1), examples={1: "SELECT 7"}))
    assert workload.queries[0].samples == ("SELECT 7",)


@pytest.mark.parametrize("change", [{"database": "other"}, {"at": BEGUN}])
def test_snapshots_that_do_not_belong_together_are_refused(change):
    with pytest.raises(ValueError, match="snapshot"):
        deltas.between(snapshot(), replace(snapshot(), **change))


counters = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 50)), max_size=8)


@given(counters, counters, st.randoms())
def test_nothing_is_ever_negative_and_the_order_of_rows_changes_nothing(one, other, random):
    before = snapshot(*(statement(i, n) for i, n in dict(one).items()))
    rows = [statement(i, n) for i, n in dict(other).items()]
    shuffled = random.sample(rows, len(rows))
    workload = deltas.between(before, snapshot(*rows, at=160.0))
    assert all(query.calls > 0 and query.total_ms >= 0 for query in workload.queries)
    assert workload == deltas.between(before, snapshot(*shuffled, at=160.0))
