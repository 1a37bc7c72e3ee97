"""Verdicts on indexes from counters: noise, changed load, a slow database, too few calls."""

import random

import numpy as np
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.dbadvisor import deltas, verdicts
from foretide.dbadvisor.collecting import Collector
from foretide.dbadvisor.connection import Connection
from foretide.dbadvisor.verdicts import (
    TWICE,
    UNREAD_SECONDS,
    VERIFY_SECONDS,
    Change,
    Outcome,
    Timing,
    Watch,
    judge,
    looked_at,
    since,
)

USES = frozenset({"shop_idx"})


def timing(calls=100, mean=50.0, rows=1.0, spread=0.3):
    """Calls whose times spread by this share of their mean."""
    return Timing(calls, calls * mean, calls * rows, calls * mean**2 * (1 + spread**2))


def watched(*after, before=None, query="q", **changes):
    """A query that was looked at after each of these stretches of time."""
    before = before or timing()
    watches = (Watch(query, before, before, **changes),)
    counters = before
    for each in after:
        counters = counters.with_calls(each)
        watches = looked_at(watches, {query: counters})
    return watches[0]


def decided(*watches, uses=None, **options):
    uses = uses if uses is not None else {watch.query: USES for watch in watches}
    return verdicts.decide(watches, "shop_idx", uses, **options)


@pytest.mark.parametrize(
    ("after", "change"),
    [
        (timing(mean=10.0), Change.FASTER),
        (timing(mean=55.0), Change.UNCHANGED),
        (timing(mean=100.0), Change.SLOWER),
        (timing(mean=100.0, calls=9), Change.FEW_CALLS),
        (timing(mean=70.0, spread=8.0), Change.UNCHANGED),
        # Each call returns three times as many rows.
        (timing(mean=120.0, rows=3.0), Change.UNCHANGED),
        (timing(mean=400.0, rows=3.0), Change.SLOWER),
        # It is faster because it returns less.
        (timing(mean=25.0, rows=0.5), Change.UNCHANGED),
    ],
)
def test_a_query_is_judged_by_its_mean_its_spread_and_its_rows(after, change):
    assert judge(timing(), after).change is change


def test_once_slower_is_not_enough():
    assert decided(watched(timing(mean=200.0))).outcome is Outcome.WAIT
    verdict = decided(watched(timing(mean=200.0), timing(mean=200.0)))
    assert verdict.outcome is Outcome.REVERT
    assert verdict.slower == ("q",)
    assert "200 ms instead of 50 ms" in verdict.reason
    recovered = watched(timing(mean=200.0), timing(mean=50.0), timing(mean=200.0))
    assert decided(recovered).outcome is Outcome.WAIT


def test_an_index_that_helps_stays():
    verdict = decided(watched(timing(mean=5.0), timing(mean=5.0)))
    assert (verdict.outcome, verdict.faster) == (Outcome.KEEP, ("q",))
    assert verdict.gained_ms == pytest.approx(100 * 45)


def test_a_query_that_does_not_use_the_index_is_not_its_fault():
    slow = watched(timing(mean=200.0), timing(mean=200.0), query="other")
    good = watched(timing(mean=5.0), timing(mean=5.0))
    verdict = decided(slow, good, uses={"other": frozenset({"another_idx"}), "q": USES})
    assert verdict.outcome is Outcome.KEEP
    assert decided(slow, good, uses={"q": USES}).outcome is Outcome.REVERT, "it may use any"


def test_a_little_slower_counts_against_what_others_gain():
    """4 ms more are no reason by themselves, and many of them are."""
    write = {"before": timing(calls=1000, mean=1.0), "query": "write"}
    slower = [timing(calls=1000, mean=5.0)] * 2
    little = watched(timing(mean=49.0), timing(mean=49.0))
    assert decided(watched(*slower, **write), little).outcome is Outcome.REVERT
    much = watched(*[timing(mean=1.0)] * 2, before=timing(calls=1000, mean=50.0), query="much")
    assert decided(watched(*slower, **write), much).outcome is Outcome.KEEP


def test_a_report_that_is_seldom_called_counts_against_writes_that_are_a_little_slower():
    write = watched(
        *[timing(calls=1000, mean=1.3)] * 2, before=timing(calls=1000, mean=1.0), query="write"
    )
    report = {"before": timing(calls=3, mean=9000.0), "query": "report"}
    waiting = decided(write, watched(**report))
    assert (waiting.outcome, "not called yet" in waiting.reason) == (Outcome.WAIT, True)
    helped = watched(timing(calls=1, mean=20.0), **report)
    assert decided(write, helped).outcome is Outcome.WAIT, "one call says little"
    assert decided(write, helped, age=VERIFY_SECONDS).outcome is Outcome.UNPROVEN
    useless = watched(timing(calls=1, mean=9000.0), **report)
    assert decided(write, useless, age=VERIFY_SECONDS).outcome is Outcome.REVERT


def test_a_database_that_has_become_slower_as_a_whole_is_no_indexs_fault():
    before, after = timing(), timing(mean=90.0)
    controls = tuple(Watch(f"c{n}", before, before, control=True) for n in range(3))
    watches = (Watch("q", before, before), *controls)
    for turn in (1, 2):
        grown = before
        for _ in range(turn):
            grown = grown.with_calls(after)
        watches = looked_at(watches, {watch.query: grown for watch in watches})
    assert watches[0].change is Change.UNCHANGED
    assert watched(after, after).slower == 2, "without others to compare with, it is"


def test_what_has_too_few_calls_is_waited_for_and_then_said_not_to_be_known():
    rare = watched(timing(calls=3, mean=500.0), query="rare")
    assert decided(rare, age=VERIFY_SECONDS - 1).outcome is Outcome.WAIT
    verdict = decided(rare, age=VERIFY_SECONDS)
    assert verdict.outcome is Outcome.UNPROVEN
    assert verdict.reason == "it could not be told: 1 of 1 queries need more calls"
    # In the end nobody waits for it where the index does good.
    good = watched(timing(mean=5.0), timing(mean=5.0))
    assert decided(rare, good).outcome is Outcome.WAIT
    verdict = decided(rare, good, age=VERIFY_SECONDS)
    assert verdict.outcome is Outcome.KEEP
    assert "1 had too few calls" in verdict.reason
    never = watched(before=timing(calls=3))
    assert "no query that is called often" in decided(never, age=VERIFY_SECONDS).reason


def test_that_nothing_was_seen_in_the_noise_is_no_reason_to_keep_it():
    """Calls that take from nothing to five times their mean, ten of them in a look."""
    noisy = {"before": timing(spread=2.0), "query": "noisy"}
    after = timing(calls=10, spread=2.0)
    few = watched(after, after, **noisy)
    assert (few.judged, few.change) == (TWICE, Change.UNCHANGED)
    assert decided(few).outcome is Outcome.WAIT
    assert decided(few, age=VERIFY_SECONDS).outcome is Outcome.UNPROVEN
    # What it may lose is nothing beside what is gained for certain.
    good = watched(*[timing(mean=5.0)] * 2, before=timing(calls=2000))
    assert decided(few, good).outcome is Outcome.WAIT, "it may take 30 ms longer"
    more = watched(*[after] * 10, **noisy)
    assert decided(more).outcome is Outcome.WAIT
    assert decided(more, good).outcome is Outcome.KEEP
    # With calls enough before and after it is known by itself.
    noisy["before"] = timing(calls=5000, spread=2.0)
    assert decided(watched(*[timing(calls=1000, spread=2.0)] * 2, **noisy)).outcome is Outcome.KEEP


def test_a_few_short_calls_of_a_long_tail_are_no_gain():
    before = timing(calls=1000, spread=3.0)
    lucky = timing(calls=10, mean=15.0, spread=0.2)
    assert judge(before, lucky).change is Change.UNCHANGED
    assert judge(before, timing(calls=500, mean=15.0)).change is Change.FASTER


def test_what_was_slower_once_in_the_end_is_not_kept():
    fine = [timing(calls=1000)] * 5
    assert decided(watched(*fine)).outcome is Outcome.KEEP
    verdict = decided(watched(*fine, timing(mean=200.0)), age=VERIFY_SECONDS)
    assert verdict.outcome is Outcome.UNPROVEN


def test_the_database_being_slow_for_a_while_is_no_part_of_what_is_known_of_a_query():
    before = timing(calls=1000)
    controls = [Watch(f"c{n}", before, before, control=True) for n in range(3)]
    watches = (Watch("q", before, before), *controls)
    counters = before
    for mean in (150.0, 50.0):
        counters = counters.with_calls(timing(calls=1000, mean=mean))
        watches = looked_at(watches, {watch.query: counters for watch in watches})
    assert watches[0].after.mean == pytest.approx(50.0)
    assert decided(*watches).outcome is Outcome.KEEP


def test_few_calls_add_up():
    assert watched(*[timing(calls=4, mean=500.0)] * 6).slower == 2


def test_an_index_that_nobody_reads_goes_in_the_end():
    same = watched(timing(), timing())
    unused = {"q": frozenset()}
    assert decided(same, scans=0).outcome is Outcome.WAIT, "whatever its queries do"
    assert decided(same, uses=unused, scans=0).outcome is Outcome.WAIT
    read = {"uses": unused, "age": UNREAD_SECONDS}
    assert decided(same, **read, scans=0).outcome is Outcome.REVERT
    assert decided(same, **read, scans=5).outcome is Outcome.WAIT
    # The report that it may be for was not called yet: the shop was closed, or the month is young.
    report = watched(before=timing(calls=3, mean=9000.0), query="report")
    unused["report"] = USES
    assert decided(same, report, **read, scans=0).outcome is Outcome.WAIT
    read["age"] = VERIFY_SECONDS
    assert decided(same, report, **read, scans=0).outcome is Outcome.UNPROVEN


def test_counters_that_began_anew_are_counted_from_there():
    before = timing()
    (watch,) = looked_at((Watch("q", before, before),), {"q": timing(calls=5)})
    assert watch.judged == 0
    (watch,) = looked_at((watch,), {"q": timing(calls=20, mean=200.0)})
    assert (watch.judged, watch.change) == (1, Change.SLOWER)
    (watch,) = looked_at((watch,), {})
    assert watch.judged == 1, "a statement that was thrown away says nothing"


def drawn(draw, count, mean=33.0, sigma=1.0):
    """Calls whose times have a long tail, as they have."""
    chance = np.random.default_rng(draw.getrandbits(64))
    times = mean * chance.lognormal(-(sigma**2) / 2, sigma, count)
    return Timing(count, float(times.sum()), count, float((times**2).sum()))


@pytest.mark.parametrize("seed", range(3))
def test_noise_alone_reverts_nothing(seed):
    """A hundred queries that nothing has changed for."""
    draw = random.Random(seed)
    watches = []
    for number in range(100):
        before = drawn(draw, 200)
        after = drawn(draw, 30), drawn(draw, 30)
        watches.append(watched(*after, before=before, query=f"q{number}"))
    assert not [watch for watch in watches if watch.slower >= verdicts.TWICE]


@pytest.mark.parametrize("sigma", [0.3, 1.0, 1.5])
@pytest.mark.parametrize("calls", [10, 30, 300])
def test_an_index_that_makes_a_query_twice_as_slow_is_never_kept(sigma, calls):
    """However its calls come, and at whichever look somebody asks."""
    draw = random.Random(f"{sigma} {calls}")
    told, ended = [], []
    for _ in range(40):
        before = drawn(draw, 20 * calls, sigma=sigma)
        watches, counters = (Watch("q", before, before),), before
        for _ in range(8):
            counters = counters.with_calls(drawn(draw, calls, mean=80.0, sigma=sigma))
            watches = looked_at(watches, {"q": counters})
            told.append(decided(*watches, age=VERIFY_SECONDS * draw.randrange(2)).outcome)
        ended.append(told[-1])
    assert Outcome.KEEP not in told
    assert calls < 300 or ended.count(Outcome.REVERT) > len(ended) / 2


CALLS = st.builds(
    timing,
    calls=st.integers(0, 300),
    mean=st.sampled_from([0.01, 1.0, 40.0, 50.0, 70.0, 400.0]),
    rows=st.sampled_from([0.0, 1.0, 5.0]),
    spread=st.sampled_from([0.0, 0.3, 3.0]),
)
HISTORIES = st.lists(st.tuples(CALLS, st.lists(CALLS, max_size=5)), min_size=1, max_size=4)
AGES = st.sampled_from([0.0, UNREAD_SECONDS, VERIFY_SECONDS])


@given(HISTORIES, AGES, st.sampled_from([None, 0, 7]))
def test_a_verdict_has_its_evidence(histories, age, scans):
    watches = [
        watched(*after, before=before, query=f"q{number}")
        for number, (before, after) in enumerate(histories)
    ]
    verdict = decided(*watches, age=age, scans=scans)
    assert decided(*reversed(watches), age=age, scans=scans).outcome is verdict.outcome
    judged = [watch for watch in watches if watch.judged]
    if verdict.outcome is Outcome.REVERT:
        unread = scans == 0 and age >= UNREAD_SECONDS and all(watch.seen for watch in watches)
        assert unread or any(watch.slower >= TWICE for watch in watches)
    if verdict.outcome is Outcome.KEEP:
        assert scans != 0
        assert judged
        assert not [watch for watch in judged if watch.known.most_ms > 30]
        gain = sum(watch.known.least_ms * watch.before.calls for watch in judged)
        assert sum(watch.known.most_ms * watch.before.calls for watch in judged) <= gain
        if age < VERIFY_SECONDS or not gain:
            assert all(watch.judged >= TWICE for watch in watches if watch.before.calls >= 10)
    if age >= VERIFY_SECONDS:
        assert verdict.outcome is not Outcome.WAIT, "it comes to an end"
    else:
        assert verdict.outcome is not Outcome.UNPROVEN, "it is watched on"


@given(CALLS, CALLS)
def test_bounds_enclose_what_is_added(before, after):
    known = judge(before, after)
    assert known.least_ms >= 0
    assert known.least_ms <= max(0.0, -known.added_ms)
    if known.change is Change.SLOWER and after.rows == before.rows == 0:
        assert known.most_ms >= known.added_ms
    if known.change is Change.FASTER:
        assert known.most_ms == 0
        assert known.least_ms > 0


def test_those_that_take_most_time_are_watched_and_some_others():
    before = {f"q{n}": timing(mean=float(n + 1)) for n in range(40)}
    watches = verdicts.watching(before, before, [f"q{n}" for n in range(20)], most=3, controls=2)
    assert [watch.query for watch in watches] == ["q19", "q18", "q17", "q39", "q38"]
    assert [watch.control for watch in watches] == [False] * 3 + [True] * 2


@pytest.mark.postgres
def test_the_spread_between_two_snapshots_is_that_of_the_calls_between(postgres):
    text = "SELECT pg_sleep({0}), 'watched'"
    with (
        psycopg.connect(postgres, autocommit=True) as client,
        Connection(postgres) as connection,
    ):
        collector = Collector(connection)
        client.execute(text.format(0.2))
        first = collector.collect(1.0)
        for seconds in (0.01, 0.03) * 2:
            client.execute(text.format(seconds))
        second = collector.collect(2.0)
    found = verdicts.timings(deltas.between(first, second))
    totals = [verdicts.timings(deltas.total(each)) for each in (first, second)]
    (name,) = [
        query.id for query in deltas.between(first, second).queries if "pg_sleep" in query.text
    ]
    assert found[name].calls == 4
    assert 18 < found[name].mean < 40, "without the long one before"
    assert 7 < (4 * found[name].variance) ** 0.5 < 20
    added = since(totals[0][name], totals[1][name])
    assert added.squares == pytest.approx(found[name].squares, rel=1e-6)
