"""Statements looked at again and again: what there is to follow, what is seen, what comes of it."""

import psycopg
import pytest

from foretide.dbadvisor import caching, pulses
from foretide.dbadvisor.collecting import Collector
from foretide.dbadvisor.connection import Connection
from foretide.dbadvisor.database import DatabaseAway, DatabaseError
from foretide.dbadvisor.deltas import total
from foretide.dbadvisor.snapshot import Pulse, Query, Relation, Snapshot, Table, Workload

ITEM = Relation("public", "item")


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def pause(self, seconds):
        self.now += seconds


def followed(look, **options):
    clock = Clock()
    return pulses.follow(look, clock=clock, pause=clock.pause, **options)


def test_looks_come_at_even_distances():
    found = followed(lambda now: Pulse(now, {}), seconds=2.0, step=0.5)
    assert [pulse.at for pulse in found] == [100.0, 100.5, 101.0, 101.5, 102.0]


def test_a_look_that_is_refused_is_left_out_and_one_that_nobody_answers_ends_it():
    def late(now):
        if now == 100.5:
            raise DatabaseError("canceled", "57014")
        return Pulse(now, {})

    assert [pulse.at for pulse in followed(late, seconds=1.0, step=0.5)] == [100.0, 101.0]

    def away(now):
        raise DatabaseAway("gone")

    with pytest.raises(DatabaseAway):
        followed(away, seconds=1.0)


def test_what_is_followed_are_queries_and_what_changes_their_tables():
    queries = (
        Query("1", "SELECT * FROM item WHERE id = $1", 10, 100),
        Query("2", "SELECT now()", 10, 90),
        Query("3", "UPDATE item SET n = $1", 10, 80),
        Query("4", "UPDATE other SET n = $1", 10, 70),
        Query("5", "SELECT count(*) FROM item", 10, 60),
        Query("a1b2", "SELECT 1", 10, 50),
    )
    snapshot = Snapshot(0.0, "shop", 150000, tables=(Table(ITEM, "r", 10.0, 1),))
    workload = Workload(queries, 60.0)
    assert caching.to_follow(workload, snapshot) == (1, 2, 3, 5)
    assert caching.to_follow(workload, snapshot, most=1) == (1, 3)


def minute(reads, changes):
    return Workload((Query("1", "", reads, 0.0), Query("3", "", changes, 0.0)), 60.0)


def test_a_rhythm_comes_of_collections_and_of_closer_looks():
    looks = [Pulse(number / 2, {1: 4 * (number // 20), 3: 0}) for number in range(601)]
    seen = pulses.seen([minute(24, 2), minute(48, 0)], looks)
    rhythm = seen.rhythm("1", {"3"}, more=0.5)
    assert rhythm.slow.step == 60
    assert rhythm.slow.reads == pytest.approx((24, 48))
    assert rhythm.slow.changes == pytest.approx((32, 30))
    assert len(rhythm.fine.reads) == 600
    assert sum(rhythm.fine.reads) == pytest.approx(120)
    assert seen.rhythm("9", set()) is None


def test_one_of_both_will_do():
    looks = [Pulse(number / 2, {1: number}) for number in range(301)]
    assert pulses.seen([], looks).rhythm("1", ()).slow.reads == pytest.approx((120, 120))
    short = pulses.seen([], looks[:41]).rhythm("1", ())
    assert (short.slow.step, short.slow.reads) == (20, pytest.approx((40,)))
    assert pulses.seen([minute(5, 0), minute(6, 0)], []).rhythm("1", ()).fine is None
    assert pulses.seen([], []).rhythm("1", ()) is None


@pytest.mark.postgres
def test_a_real_server_counts_what_is_followed(postgres):
    with (
        psycopg.connect(postgres, autocommit=True) as owner,
        Connection(postgres) as connection,
    ):
        owner.execute("CREATE TABLE item (id int, n int)")
        owner.execute("SELECT n FROM item WHERE id = 1")
        owner.execute("UPDATE item SET n = 2")
        collector = Collector(connection)
        with pytest.raises(DatabaseError, match="pg_stat_statements"):
            collector.pulse(0.0, [1])
        snapshot = collector.collect(0.0)
        ids = caching.to_follow(total(snapshot), snapshot)
        found = []

        def look(now):
            owner.execute("SELECT n FROM item WHERE id = 1")
            found.append(collector.pulse(now, ids))
            return found[-1]

        pulses.follow(look, seconds=0.03, step=0.01)
        calls = [sorted(pulse.calls.values()) for pulse in found]
        assert calls == [[1, 2], [1, 3], [1, 4], [1, 5]]
