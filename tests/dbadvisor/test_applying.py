"""The next step of `mode: Apply`, by what there is, what was done, and what is allowed."""

import json
from dataclasses import replace

import pytest

from foretide.dbadvisor import ddl
from foretide.dbadvisor.applying import BACKOFF, MOST_ATTEMPTS, Outcome, decide, recorded, suspects
from foretide.dbadvisor.applying_state import Applied, Phase, decoded, encoded
from foretide.dbadvisor.applying_steps import (
    Claim,
    Create,
    Drop,
    Observed,
    Policy,
    Rest,
    Wanted,
    Why,
    expected_seconds,
)
from foretide.dbadvisor.builds import Build
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.changing import perform
from foretide.dbadvisor.database import DatabaseError
from foretide.dbadvisor.maintenance import Window
from foretide.dbadvisor.snapshot import (
    Activity,
    Index,
    IndexKey,
    Relation,
    Session,
    Snapshot,
    Statement,
    Table,
)
from foretide.dbadvisor.verdicts import Timing
from foretide.dbadvisor.verifying import Trial

MB = 2**20
DAY = 86_400.0
# A Monday at midnight, UTC.
MONDAY = 1_790_553_600.0
OPEN = MONDAY + 2 * 3600
SALE = Relation("public", "sale")
OWNER = "shop/main"
POLICY = Policy(OWNER, (Window.of(["Mon"], "02:00", 7200),), 100 * MB)


def candidate(*columns, table=SALE, **changes):
    return Candidate(table, tuple(IndexKey(each) for each in columns), **changes)


def wanted(*columns, size=10 * MB, **changes):
    return Wanted(candidate(*columns, **changes), size, ("1",))


def index_of(one, *, valid=True, **changes):
    name = Relation(one.table.schema, ddl.name_of(one))
    return Index(name, one.table, "btree", one.keys, valid=valid, bytes=8 * MB, scans=1, **changes)


def observed(*indexes, created=None, tables=None, statements=(), replica=False, **changes):
    """A table of 80 MB; all indexes are ours unless `created` says otherwise."""
    tables = tables or (Table(SALE, "r", 1e6, 10_000),)
    seen = Snapshot(OPEN, "shop", 150000, statements, tables, tuple(indexes), is_replica=replica)
    ours = {index.relation: OWNER for index in indexes if index.valid}
    return Observed(seen, created=ours if created is None else created, **changes)


def begun(*columns, phase=Phase.BUILDING, at=OPEN, **changes):
    one = candidate(*columns)
    made = {"bytes": 10.0 * MB, "attempts": 1, **changes}
    return Applied(ddl.name_of(one), one, phase, begun=at, since=at, tried=at, **made)


def statement(name, calls, mean):
    return Statement(name, 1, True, f"SELECT {name}", calls, calls * mean, calls)


def test_the_best_index_is_created_and_says_whose_it_is():
    decision = decide((), [wanted("a"), wanted("b")], observed(), POLICY, OPEN)
    step = decision.step
    assert isinstance(step, Create)
    assert step.index.name == ddl.name_of(candidate("a"))
    assert any("CONCURRENTLY IF NOT EXISTS" in each for each in step.statements)
    assert step.statements[-2].endswith("IS 'foretide: created for shop/main'")
    assert step.statements[-1] == "RESET lock_timeout"
    assert step.seconds == 7200, "it is ended with the window"
    (one,) = decision.state
    assert (one.phase, one.attempts) == (Phase.BUILDING, 1)


def test_a_built_index_is_verified_and_the_next_one_created():
    one = candidate("a")
    first = decide((), [wanted("a")], observed(), POLICY, OPEN).state
    decision = decide(first, [wanted("a"), wanted("b")], observed(index_of(one)), POLICY, OPEN + 60)
    assert [each.phase for each in decision.state] == [Phase.VERIFYING, Phase.BUILDING]
    assert decision.state[0].bytes == 8 * MB
    assert isinstance(decision.step, Create)


def rest(state=(), want=None, seen=None, policy=POLICY, now=OPEN):
    step = decide(state, want or [wanted("a")], seen or observed(), policy, now).step
    assert isinstance(step, Rest), step
    return step


def test_nothing_is_created_outside_a_window_or_in_one_that_is_too_short():
    outside = rest(now=MONDAY)
    assert (outside.why, outside.until) == (Why.WINDOW, OPEN)
    assert "give one" in rest(policy=replace(POLICY, windows=())).message
    # About 180 MB to read and write, at 20 MB a second and with a reserve.
    assert rest(now=OPEN + 7200 - 25).why is Why.TOO_LONG
    assert isinstance(decide((), [wanted("a")], observed(), POLICY, OPEN + 7100).step, Create)


def test_one_that_takes_too_long_does_not_keep_a_smaller_one_waiting():
    small = Relation("public", "small")
    tables = (Table(SALE, "r", 1e9, 10_000_000), Table(small, "r", 10, 1))
    want = [wanted("a", size=MB), wanted("b", table=small, size=MB)]
    step = decide((), want, observed(tables=tables), POLICY, OPEN).step
    assert step.index.name == ddl.name_of(want[1].candidate)
    assert rest(want=want[:1], seen=observed(tables=tables)).why is Why.TOO_LONG


def test_budget_and_number_are_kept_to():
    kept = (begun("x", phase=Phase.KEPT, bytes=95.0 * MB, at=0.0),)
    seen = observed(index_of(candidate("x")))
    assert rest(kept, seen=seen).why is Why.BUDGET
    assert isinstance(decide(kept, [wanted("a", size=4 * MB)], seen, POLICY, OPEN).step, Create)
    others = [begun(name, phase=Phase.KEPT, bytes=1.0) for name in "xyz"]
    seen = observed(*(index_of(candidate(name)) for name in "xyz"))
    assert rest(tuple(others), seen=seen).why is Why.LIMIT
    earlier = tuple(replace(each, begun=0.0) for each in others)
    assert isinstance(decide(earlier, [wanted("a")], seen, POLICY, OPEN).step, Create)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"builds": (Build(7, Relation("public", "other"), None, "scanning", 0.5),)}, Why.RUNNING),
        ({"forbidden": {SALE: "GRANT"}}, Why.PERMISSION),
        ({"replica": True}, Why.REPLICA),
    ],
)
def test_what_hinders_is_told(changes, why):
    assert rest(seen=observed(**changes)).why is why


def test_an_old_transaction_is_waited_for_before_a_build_would_have_to():
    session = Session(9, "idle in transaction", "", None, "", "", None, None)
    old = replace(session, transaction_started=OPEN - 90)
    assert rest(seen=observed(activity=Activity(OPEN, (old,)))).why is Why.TRANSACTION
    young = replace(session, transaction_started=OPEN - 9)
    step = decide((), [wanted("a")], observed(activity=Activity(OPEN, (young,))), POLICY, OPEN).step
    assert isinstance(step, Create)


def test_what_is_there_already_is_not_created_again():
    theirs = index_of(candidate("a", "b"))
    assert rest(seen=observed(theirs, created={})).why is Why.NOTHING
    for phase in (Phase.REVERTED, Phase.GONE, Phase.FAILED):
        assert rest((begun("a", phase=phase),)).why is Why.NOTHING


def test_while_it_is_built_nothing_else_is_done():
    build = Build(7, SALE, Relation("public", ddl.name_of(candidate("a"))), "building", 0.1)
    seen = observed(index_of(candidate("a"), valid=False), builds=(build,))
    for want in ([wanted("b")], []):
        decision = decide((begun("a"),), want, seen, POLICY, OPEN + 10)
        assert isinstance(decision.step, Rest)
        assert (decision.step.why, decision.state) == (Why.RUNNING, (begun("a"),))
        assert "process 7 builds an index on public.sale: building, 10%" in decision.step.message


def test_what_a_crash_left_is_dropped_and_built_again_after_a_while():
    state = (begun("a"),)
    left = observed(index_of(candidate("a"), valid=False), created={})
    decision = decide(state, [], left, POLICY, MONDAY)
    assert isinstance(decision.step, Drop), "also outside the window"
    assert decision.step.statements[1].startswith("DROP INDEX CONCURRENTLY IF EXISTS")
    assert rest(state, seen=observed(), now=OPEN + BACKOFF - 1).why is Why.LATER
    again = decide(state, [], observed(), POLICY, OPEN + BACKOFF)
    assert isinstance(again.step, Create)
    assert again.state[0].attempts == 2


def test_a_build_that_ended_before_it_could_say_whose_it_is_is_claimed():
    state = (begun("a"),)
    seen = observed(index_of(candidate("a")), created={})
    decision = decide(state, [], seen, POLICY, OPEN)
    assert isinstance(decision.step, Claim)
    assert decision.state == state


def test_after_some_attempts_it_is_given_up_and_much_later_tried_again():
    state = (begun("a", attempts=MOST_ATTEMPTS, reason="canceling statement"),)
    decision = decide(state, [wanted("a")], observed(), POLICY, OPEN + DAY)
    (one,) = decision.state
    assert one.phase is Phase.FAILED
    assert "3 attempts failed: canceling statement" in one.reason
    later = decide(decision.state, [wanted("a")], observed(), POLICY, OPEN + 14 * DAY)
    assert isinstance(later.step, Create)


def test_what_cannot_succeed_is_given_up_at_once():
    decision = decide((), [wanted("a")], observed(), POLICY, OPEN)
    denied = Outcome(0.1, "must be owner of table sale", "42501")
    assert recorded(decision.state, decision.step, denied, OPEN)[0].phase is Phase.FAILED
    locked = Outcome(60.0, "canceling statement due to lock timeout", "55P03")
    (one,) = recorded(decision.state, decision.step, locked, OPEN)
    assert (one.phase, one.reason) == (Phase.BUILDING, locked.error)


def verifying(**changes):
    """An index on trial, whose query 1 took 50 ms before; and what was seen before it was begun."""
    before = {"1": Timing(100, 5000.0, 100, 260_000.0)}
    seen = observed(statements=(statement(1, 100, 50.0),), before=before)
    state = decide((), [wanted("a")], seen, POLICY, OPEN).state
    built = observed(index_of(candidate("a")), statements=(statement(1, 100, 50.0),), **changes)
    return decide(state, [], built, POLICY, OPEN + 60).state


def looked(state, calls, total, now=OPEN + 3600, **changes):
    counted = Statement(1, 1, True, "SELECT 1", calls, total, calls)
    seen = observed(index_of(candidate("a")), statements=(counted,), **changes)
    return decide(state, [], seen, POLICY, now)


def test_an_index_that_makes_a_query_slower_is_dropped_at_once():
    state = verifying()
    assert suspects(state) == {"1"}
    first = looked(state, 200, 5000 + 100 * 200.0)
    assert [each.phase for each in first.state] == [Phase.VERIFYING]
    second = looked(first.state, 300, 5000 + 200 * 200.0, now=MONDAY + DAY)
    assert isinstance(second.step, Drop)
    assert "instead of 50 ms" in second.step.reason
    gone = decide(second.state, [wanted("a")], observed(), POLICY, OPEN + 7 * DAY)
    assert [each.phase for each in gone.state] == [Phase.REVERTED]
    assert isinstance(gone.step, Rest), "it is not created again"
    assert "instead of 50 ms" in gone.state[0].reason


def test_an_index_that_helps_is_kept_with_what_it_did():
    state = looked(verifying(), 200, 5000 + 100 * 2.0).state
    (one,) = looked(state, 300, 5000 + 200 * 2.0).state
    assert one.phase is Phase.KEPT
    assert [watch.ratio for watch in one.watches] == [pytest.approx(0.04)]
    assert "1 queries are faster" in one.reason


def test_after_a_week_it_stays_and_what_is_not_known_is_said():
    (one,) = looked(verifying(), 101, 5050.0, now=OPEN + 60 + DAY).state
    assert one.phase is Phase.VERIFYING
    decision = looked(verifying(), 101, 5050.0, now=OPEN + 60 + 7 * DAY)
    (one,) = decision.state
    assert (one.phase, isinstance(decision.step, Rest)) == (Phase.UNPROVEN, True)
    assert "could not be told" in one.reason
    assert looked(decision.state, 150, 9050.0, now=OPEN + 9 * DAY).state == decision.state


def test_a_drop_that_failed_is_tried_again():
    state = looked(verifying(), 200, 5000 + 100 * 200.0).state
    failed = looked(state, 300, 5000 + 200 * 200.0)
    now = OPEN + 3600
    state = recorded(failed.state, failed.step, Outcome(3.0, "lock timeout", "55P03"), now)
    assert isinstance(looked(state, 300, 5000 + 200 * 200.0, now=now + 10).step, Rest)
    assert isinstance(looked(state, 300, 5000 + 200 * 200.0, now=now + BACKOFF).step, Drop)


def test_what_is_not_ours_any_more_is_left_alone():
    theirs = observed(index_of(candidate("a")), created={})
    decision = decide(verifying(), [], theirs, POLICY, OPEN + 3600)
    assert [each.phase for each in decision.state] == [Phase.GONE]
    another = {index_of(candidate("a")).relation: "shop/another"}
    reverting = (begun("a", phase=Phase.REVERTING, at=0.0),)
    decision = decide(
        reverting, [], observed(index_of(candidate("a")), created=another), POLICY, OPEN
    )
    assert isinstance(decision.step, Rest)


def test_what_somebody_dropped_is_not_created_again():
    decision = decide(verifying(), [wanted("a")], observed(), POLICY, OPEN + 3600)
    assert [each.phase for each in decision.state] == [Phase.GONE]
    assert isinstance(decision.step, Rest)


def test_a_table_that_could_not_be_read_says_nothing_of_its_indexes():
    state = verifying()
    away = observed(tables=(Table(Relation("public", "other"), "r", 1, 1),))
    assert decide(state, [], away, POLICY, OPEN + 3600).state == state


def test_indexes_of_ours_are_found_in_the_database_when_the_state_is_lost():
    one = candidate("a")
    decision = decide((), [wanted("a")], observed(index_of(one)), POLICY, OPEN)
    assert [(each.phase, each.index) for each in decision.state] == [
        (Phase.UNPROVEN, index_of(one).relation)
    ]


def test_the_state_survives_as_json():
    for state in (verifying(), (begun("a", seconds=3.5, reason="x"),), ()):
        assert decoded(json.loads(json.dumps(encoded(state), allow_nan=False))) == state
    whole = candidate("a", include=("b",), predicate="c > 1", reads=("c",), queries=("1",), why="x")
    state = (replace(begun("a"), candidate=whole),)
    (again,) = decoded(json.loads(json.dumps(encoded(state))))
    assert (again.candidate.reads, again.candidate.why) == (("c",), "x")
    for damaged in ([{}], [{"phase": "Nonsense"}], [None], ["x"]):
        with pytest.raises(ValueError, match=r"no state|is not a valid"):
            decoded(damaged)


def test_builds_of_our_own_tell_how_long_the_next_one_takes():
    tables = {SALE: Table(SALE, "r", 1e6, 10_000)}
    usual = expected_seconds(candidate("a"), 10 * MB, tables, ())
    assert 15 < usual < 25
    slow = (begun("x", phase=Phase.KEPT, seconds=60.0),)
    assert expected_seconds(candidate("a"), 10 * MB, tables, slow) > 3 * usual


PART = Relation("public", "sale_1")
PARTITIONED = (Table(SALE, "p", 1e6, 0), Table(PART, "r", 1e6, 10_000, parent=SALE))


def test_a_partitioned_table_that_was_left_half_way_is_gone_on_with():
    half = observed(index_of(candidate("a"), valid=False), created={}, tables=PARTITIONED)
    decision = decide((begun("a"),), [], half, POLICY, OPEN + BACKOFF)
    assert isinstance(decision.step, Create)
    said = [each for each in decision.step.statements if each.startswith("COMMENT")]
    assert len(said) == 2
    tired = (begun("a", attempts=MOST_ATTEMPTS),)
    decision = decide(tired, [], half, POLICY, OPEN + BACKOFF)
    assert isinstance(decision.step, Drop)
    assert decision.step.statements[1].startswith("DROP INDEX IF EXISTS")


def test_a_partition_that_reads_by_its_part_of_the_index_uses_the_index():
    part = replace(candidate("a"), table=PART)
    whole = index_of(candidate("a"))
    own = replace(
        index_of(part),
        relation=Relation("public", ddl.name_of(candidate("a"), PART)),
        parent=whole.relation,
    )
    before = {"1": Timing(100, 5000.0, 100, 260_000.0)}
    start = observed(statements=(statement(1, 100, 50.0),), before=before, tables=PARTITIONED)
    state = decide((), [wanted("a")], start, POLICY, OPEN).state
    for calls in (100, 200, 300):
        counted = Statement(1, 1, True, "SELECT 1", calls, 5000 + (calls - 100) * 200.0, calls)
        uses = {"1": frozenset({own.relation.name})}
        seen = observed(whole, own, statements=(counted,), tables=PARTITIONED, uses=uses)
        decision = decide(state, [], seen, POLICY, OPEN + calls)
        state = decision.state
    assert isinstance(decision.step, Drop)


class Changes:
    """The door's double: notes what was run, and fails with what it is told to."""

    def __init__(self, error=None):
        self.statements = []
        self.error = error

    def run(self, statements, seconds):
        self.statements += statements
        if self.error is not None:
            raise self.error


def test_queries_that_are_slower_with_the_index_revert_it_before_anybody_suffers():
    before = {"1": Timing(100, 5000.0, 100, 260_000.0)}
    seen = observed(statements=(statement(1, 100, 50.0),), before=before)
    decision = decide((), [wanted("a")], seen, POLICY, OPEN)
    assert decision.step.queries == ("1",)
    changes, name = Changes(), decision.step.index.name

    def attempt(queries, again, after=200.0):
        if changes.statements:
            return {query: Trial((after,), 1.0, frozenset({name})) for query in queries}
        return {query: Trial((50.0,)) for query in queries}

    outcome = perform(decision.step, changes, attempt)
    assert changes.statements == [*decision.step.statements]
    state = recorded(decision.state, decision.step, outcome, OPEN)
    assert [each.phase for each in state] == [Phase.REVERTING]
    assert "takes 200 ms instead of 50 ms" in state[0].reason
    built = observed(index_of(candidate("a")))
    assert isinstance(decide(state, [wanted("a")], built, POLICY, OPEN + 1).step, Drop)


def test_the_time_that_queries_were_tried_for_is_taken_off_that_of_the_build():
    now, given = [0.0], []

    class Timed(Changes):
        def run(self, statements, seconds):
            given.append(seconds)

    def attempt(queries, again):
        now[0] += 70.0
        return {}

    step = Create(SALE, ("CREATE INDEX ...",), 100.0, ("1",))
    outcome = perform(step, Timed(), attempt, clock=lambda: now[0])
    assert given == [30.0]
    assert outcome.seconds == 0.0


def test_what_fails_is_in_the_outcome():
    decision = decide((), [wanted("a")], observed(), POLICY, OPEN)
    outcome = perform(decision.step, Changes(DatabaseError("must be owner", "42501")))
    assert (outcome.error, outcome.code) == ("must be owner", "42501")
    assert perform(Rest(Why.NOTHING, ""), Changes(DatabaseError("never"))).error == ""
