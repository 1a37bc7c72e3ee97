"""Watching for a while, by a clock that the tests move."""

from dataclasses import replace

import pytest

from foretide.dbadvisor.database import DatabaseAway, DatabaseError
from foretide.dbadvisor.sampling import LONGEST_AWAY, Cadence, watch
from foretide.dbadvisor.snapshot import Activity, Constant, Pulse, Relation, Snapshot, Statement


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Collector:
    """A statement that is called once a second; each look takes a millisecond."""

    def __init__(self, clock, fails=None):
        self.clock, self.fails = clock, fails

    def collect(self, now):
        self.clock.now += 0.05
        calls = int(now)
        return Snapshot(
            now, "db", 150000, (Statement(1, 1, True, "SELECT 1", calls, calls, calls),)
        )

    def activity(self, now):
        if self.fails:
            raise self.fails
        self.clock.now += 0.001
        return Activity(now)

    def pulse(self, now, ids):
        self.clock.now += 0.001
        return Pulse(now, {each: int(now) for each in ids})


@pytest.fixture
def clock():
    return Clock()


def watched(clock, seconds, collector=None, **more):
    return watch(collector or Collector(clock), seconds, clock=clock, sleep=clock.sleep, **more)


def test_a_moment_is_one_collection_and_one_burst(clock):
    seen = watched(clock, 0)
    assert len(seen.snapshots) == 1
    assert len(seen.activities) == Cadence().looks
    assert seen.windows == ()
    assert seen.workload.queries[0].calls == 100


def test_a_minute_is_counted_from_its_beginning_to_its_end(clock):
    seen = watched(clock, 60)
    assert seen.snapshots[0].at == 100
    assert seen.snapshots[-1].at == pytest.approx(160, abs=1)
    assert seen.workload.queries[0].calls == pytest.approx(60, abs=1)
    assert sum(one.queries[0].calls for one in seen.windows) == seen.workload.queries[0].calls
    assert 9 <= len(seen.windows) <= 11


def test_looks_of_a_burst_are_a_hundredth_of_a_second_apart(clock):
    seen = watched(clock, 10)
    apart = [b.at - a.at for a, b in zip(seen.activities, seen.activities[1:], strict=False)]
    assert sum(each < 0.02 for each in apart) > 0.9 * len(apart)


@pytest.mark.parametrize("seconds", [3600, 86_400])
def test_a_long_watch_does_not_fill_memory(clock, seconds):
    seen = watched(clock, seconds)
    assert len(seen.activities) <= 301 * Cadence().looks
    assert len(seen.snapshots) <= seconds / 60 + 2


def test_it_ends_when_it_is_asked_to_and_keeps_what_it_has(clock):
    seen = watched(clock, 3600, stop=lambda: clock.now > 130)
    assert 130 < clock.now < 150
    assert seen.workload.queries[0].calls >= 30


def test_progress_reaches_the_end(clock):
    told = []
    watched(clock, 30, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 30


def test_sessions_that_may_not_be_seen_are_told_once(clock):
    seen = watched(clock, 10, Collector(clock, DatabaseError("no")))
    assert (seen.activities, seen.missing) == ((), ("sessions: no",))


def test_a_server_that_is_away_is_told(clock):
    with pytest.raises(DatabaseAway):
        watched(clock, 10, Collector(clock, DatabaseAway("gone")))


class Restarting(Collector):
    """Is away from one moment to another."""

    def __init__(self, clock, begin, end):
        super().__init__(clock)
        self.begin, self.end = begin, end

    def _answer(self):
        if self.begin <= self.clock.now < self.end:
            raise DatabaseAway("server closed the connection")

    def collect(self, now):
        self._answer()
        return super().collect(now)

    def activity(self, now):
        self._answer()
        return super().activity(now)

    def pulse(self, now, ids):
        self._answer()
        return super().pulse(now, ids)


def test_a_restart_in_the_middle_is_outlasted_and_told(clock):
    seen = watched(clock, 600, Restarting(clock, 200, 200 + LONGEST_AWAY - 10))
    assert seen.snapshots[-1].at == pytest.approx(700, abs=2)
    assert seen.workload.queries[0].calls == pytest.approx(600, abs=2)
    assert seen.missing == ("the database was away for a while: server closed the connection",)


def test_one_that_stays_away_is_given_up(clock):
    with pytest.raises(DatabaseAway):
        watched(clock, 3600, Restarting(clock, 200, 9_999))
    assert clock.now == pytest.approx(200 + LONGEST_AWAY, abs=5)


def test_nobody_waits_for_it_who_was_asked_to_end(clock):
    with pytest.raises(DatabaseAway):
        watched(clock, 3600, Restarting(clock, 200, 9_999), stop=lambda: clock.now > 210)
    assert clock.now < 220


def test_calls_are_looked_at_twice_a_second_for_five_minutes_at_most(clock):
    seen = watched(clock, 60)
    assert len(seen.pulses) == pytest.approx(120, abs=5)
    assert seen.pulses[-1].calls[1] - seen.pulses[0].calls[1] == pytest.approx(60, abs=2)
    assert len(watched(clock, 3600).pulses) <= 601
    assert watched(clock, 0).pulses == ()


def test_what_is_first_executed_while_it_is_watched_is_looked_at_from_then_on(clock):
    class Growing(Collector):
        def collect(self, now):
            known = super().collect(now)
            fresh = Statement(2, 1, True, "SELECT 2", 1, 1.0, 1)
            more = (fresh,) if now > 120 else ()
            return replace(known, statements=known.statements + more)

    seen = watched(clock, 60, Growing(clock))
    followed = [2 in each.calls for each in seen.pulses]
    assert not followed[0]
    assert followed[-1]
    assert followed == sorted(followed)


def test_constants_are_told_of_each_time_that_they_were_read(clock):
    class Reading(Collector):
        known, number = (), 0

        def collect(self, now):
            if self.number % 3 == 0:
                self.known = (Constant(1, Relation("s", "t"), "c", "=", "1", 1, int(now)),)
            self.number += 1
            return replace(super().collect(now), constants=self.known)

    seen = watched(clock, 60, Reading(clock))
    assert len(seen.constants) == -(-len(seen.snapshots) // 3)
    assert seen.constants[-1][1] is seen.snapshots[-1].constants
    assert watched(clock, 0).constants == ()
