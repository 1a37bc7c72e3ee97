"""Who blocks whom."""

import threading
import time

import psycopg
import pytest

from foretide.dbadvisor.collecting_activity import activity
from foretide.dbadvisor.connection import Connection
from foretide.dbadvisor.locks import blockers, lingering, waits
from foretide.dbadvisor.snapshot import Activity, Session

NOW = 1_000_000.0


def session(pid, *blocked_by, query="UPDATE t SET a = 1", state="active", ago=10.0, **changes):
    named = {
        "queryid": None,
        "application": "shop",
        "user": "web",
        "wait_event_type": "Lock" if blocked_by else None,
        "wait_event": "transactionid" if blocked_by else None,
        "transaction_started": NOW - ago,
        "query_started": NOW - ago,
        "state_changed": NOW - ago,
        "waits_for": "ShareLock on transactionid" if blocked_by else None,
        **changes,
    }
    return Session(pid=pid, state=state, query=query, blocked_by=blocked_by, **named)


def test_the_head_of_a_queue_is_named_with_all_that_wait_behind_it():
    found = blockers(
        Activity(
            NOW,
            (
                session(1, state="idle in transaction", ago=90),
                session(2, 1, ago=40),
                session(3, 2, 1, ago=20),
                session(4),
            ),
        )
    )
    (head,) = found
    assert (head.pid, head.held, head.cost) == (1, 90, 60)
    assert [victim.pid for victim in head.victims] == [2, 3]
    assert "does nothing for 90 s" in head.remedy


def test_the_costliest_head_comes_first():
    sessions = (session(1), session(2, 1, ago=5), session(3), session(4, 3, ago=50))
    assert [each.pid for each in blockers(Activity(NOW, sessions))] == [3, 1]


def test_sessions_that_wait_in_a_circle_are_told():
    found = blockers(Activity(NOW, (session(1, 2), session(2, 3), session(3, 1), session(4, 1))))
    (head,) = found
    assert head.pid == 1
    assert [victim.pid for victim in head.victims] == [2, 3, 4]
    assert "same order" in head.remedy


@pytest.mark.parametrize(("pid", "state"), [(0, "prepared transaction"), (99, "unknown")])
def test_who_is_no_session_is_told(pid, state):
    (head,) = blockers(Activity(NOW, (session(5, pid),)))
    assert (head.pid, head.state) == (pid, state)


@pytest.mark.parametrize(
    ("query", "wants", "remedy"),
    [
        ("ALTER TABLE t ADD c int", "RowExclusiveLock on public.t", "lock_timeout set"),
        ("UPDATE t SET a = 1", "ShareLock on transactionid", "SKIP LOCKED"),
        ("SELECT * FROM t", "AccessExclusiveLock on public.t", "behind that"),
        ("autovacuum: VACUUM t", "ShareUpdateExclusiveLock on public.t", "wraparound"),
    ],
)
def test_the_remedy_is_for_what_holds_the_lock(query, wants, remedy):
    (head,) = blockers(Activity(NOW, (session(1, query=query), session(2, 1, waits_for=wants))))
    assert remedy in head.remedy


def test_old_transactions_are_told_the_oldest_first():
    sessions = (
        session(1, ago=1000),
        session(2, state="idle in transaction", ago=5000),
        session(3, ago=10),
        session(4, transaction_started=None),
    )
    found = lingering(Activity(NOW, sessions))
    assert [each.pid for each in found] == [2, 1]


def test_what_statements_waited_for_is_counted_over_several_looks():
    looks = [
        Activity(
            NOW + each,
            (
                session(1, query="SELECT  a", wait_event_type="IO", wait_event="DataFileRead"),
                session(2, wait_event_type="Client", wait_event="ClientRead"),
                session(3, state="idle", wait_event_type="IO", wait_event="DataFileRead"),
            ),
        )
        for each in range(20)
    ]
    (found,) = waits(looks)
    assert (found.kind, found.event, found.sessions) == ("IO", "DataFileRead", 1.0)
    assert found.statements == (("SELECT a", 1.0),)
    assert waits(looks[:5]) == ()


def test_long_statements_are_cut_off_and_hidden_ones_are_told():
    sessions = (session(1, query="<insufficient privilege>"), session(2, 1, query="x" * 10_000))
    (head,) = blockers(Activity(NOW, sessions))
    assert "pg_read_all_stats" in head.statement
    assert len(head.victims[0].statement) == 500


@pytest.mark.postgres
def test_a_real_queue_is_seen(postgres):
    with (
        psycopg.connect(postgres) as holder,
        psycopg.connect(postgres) as waiter,
        Connection(postgres) as database,
    ):
        holder.execute("CREATE TABLE t (id int PRIMARY KEY, a int)")
        holder.execute("INSERT INTO t VALUES (1, 1)")
        holder.commit()
        holder.execute("UPDATE t SET a = 2")
        pids = holder.info.backend_pid, waiter.info.backend_pid
        thread = threading.Thread(target=waiter.execute, args=("UPDATE t SET a = 3",))
        thread.start()
        deadline = time.monotonic() + 20
        found = ()
        while not found and time.monotonic() < deadline:
            found = blockers(activity(database, time.time()))
        holder.rollback()
        thread.join()
    (head,) = found
    assert (head.pid, head.state) == (pids[0], "idle in transaction")
    assert [(each.pid, each.statement) for each in head.victims] == [
        (pids[1], "UPDATE t SET a = $1")
    ]
