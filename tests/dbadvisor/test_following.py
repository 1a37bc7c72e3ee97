"""Indexes that somebody created by hand: watched, kept, or proposed to be dropped again."""

from dataclasses import replace

from foretide.dbadvisor.applying import suspects
from foretide.dbadvisor.applying_state import Phase
from foretide.dbadvisor.applying_steps import Observed
from foretide.dbadvisor.following import followed, proposals
from foretide.dbadvisor.snapshot import Index, IndexKey, Relation, Snapshot, Statement, Table
from foretide.dbadvisor.verdicts import Timing

SALE = Relation("public", "sale")
THEIRS = Index(Relation("public", "theirs"), SALE, "btree", (IndexKey("a"),), scans=1)
BEFORE = {"1": Timing(100, 5000.0, 100, 260_000.0)}


def look(*indexes, calls=100, total=5000.0, **changes):
    seen = Snapshot(
        0.0,
        "shop",
        150000,
        (Statement(1, 1, True, "SELECT 1", calls, total, calls),),
        (Table(SALE, "r", 1e6, 10_000),),
        indexes,
    )
    concerned = {SALE: frozenset({"1"})}
    return Observed(seen, before=BEFORE, concerned=concerned, **changes)


def after(mean, *, index=THEIRS, uses=None):
    """The state after two hundred calls of so many milliseconds with the index."""
    changes = {} if uses is None else {"uses": uses}
    state = followed((), look().snapshot, look(index), 0.0)
    assert suspects(state) == {"1"}
    for calls in (100, 200):
        total = 5000 + calls * mean
        seen = look(index, calls=100 + calls, total=total, **changes)
        state = followed(state, look(index).snapshot, seen, float(calls))
    return state


def test_an_index_that_makes_queries_slower_is_proposed_to_be_dropped():
    state = after(200.0)
    assert [each.phase for each in state] == [Phase.REVERTING]
    (one,) = proposals(state, look(THEIRS))
    assert one.index == THEIRS.relation
    assert "200 ms instead of 50 ms" in one.reason
    assert one.statements[1] == 'DROP INDEX CONCURRENTLY IF EXISTS "public"."theirs"'
    assert followed(state, look(THEIRS).snapshot, look(), 500.0) == ()


def test_an_index_that_helps_is_told_with_what_it_did():
    (one,) = after(5.0)
    assert one.phase is Phase.KEPT
    assert one.watches[0].ratio == 0.1
    assert not proposals((one,), look(THEIRS))


def test_a_slower_query_that_does_not_use_it_proposes_nothing():
    (one,) = after(200.0, uses={"1": frozenset({"another"})})
    assert one.phase is Phase.VERIFYING


def test_what_was_there_before_is_not_new():
    assert followed((), look(THEIRS).snapshot, look(THEIRS), 0.0) == ()
    assert followed((), None, look(THEIRS), 0.0) == ()
    unread = replace(look().snapshot, tables=())
    assert followed((), unread, look(THEIRS), 0.0) == ()


def test_what_upholds_a_rule_or_is_not_complete_is_not_followed():
    for changes in ({"unique": True}, {"constraint": True}, {"valid": False}):
        assert followed((), look().snapshot, look(replace(THEIRS, **changes)), 0.0) == ()


def test_a_concurrent_build_counts_from_when_it_is_complete():
    building = look(replace(THEIRS, valid=False))
    (one,) = followed((), building.snapshot, look(THEIRS), 60.0)
    assert (one.phase, one.begun) == (Phase.VERIFYING, 60.0)
