"""`mode: Apply` on a real PostgreSQL: created, verified, reverted; writers, crashes, locks."""

import contextlib
import threading
import time
import uuid
from dataclasses import replace

import psycopg
import pytest

from foretide.dbadvisor import builds, ddl, deltas, verdicts
from foretide.dbadvisor.applying import BACKOFF, decide, recorded, suspects
from foretide.dbadvisor.applying_state import Phase, decoded, encoded
from foretide.dbadvisor.applying_steps import Create, Drop, Observed, Policy, Rest, Wanted, Why
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.changing import Changer, perform
from foretide.dbadvisor.collecting import Collector
from foretide.dbadvisor.connection import Connection
from foretide.dbadvisor.database import DatabaseAway, DatabaseError
from foretide.dbadvisor.maintenance import Window
from foretide.dbadvisor.snapshot import IndexKey, Relation
from foretide.dbadvisor.trying import Trier
from sandbox.process import wait_until

pytestmark = pytest.mark.postgres

# A Monday, in the window.
NOW = 1_790_553_600.0 + 2.5 * 3600
POLICY = Policy("shop/main", (Window.of(["Mon"], "02:00", 7200),), 1e9)
VISIT = Relation("public", "visit")
# Those with a rare status have all come last by their key, which the planner does not know.
SCHEMA = """
CREATE TABLE visit (key int, status text, place int, filler text);
INSERT INTO visit SELECT k, CASE WHEN k > {0} * 0.98 THEN 'rare' ELSE 'usual' END, k % 1000,
    repeat('x', 60) FROM generate_series(1, {0}) k ORDER BY md5(k::text);
ANALYZE visit;
"""
WALK = "SELECT * FROM visit WHERE status = 'rare' ORDER BY key LIMIT 1"
LOOK = "SELECT count(*) FROM visit WHERE place = 7"


def wanted(*columns, table=VISIT):
    return Wanted(Candidate(table, tuple(map(IndexKey, columns))), 1e6)


class Applying:
    """The operator's part: looks, decides, keeps the state as JSON, acts."""

    def __init__(self, url, connection):
        self.changer = Changer(url)
        self.connection = connection
        self.collector = Collector(connection)
        self.first = self.collector.collect(0.0)
        self.state = []
        self.now = NOW
        self.outcome = None

    def observed(self):
        seen = self.collector.collect(self.now)
        workload = deltas.between(self.first, seen)
        wanted = suspects(decoded(self.state))
        queries = [query for query in workload.queries if query.id in wanted]
        named = {query.id for query in workload.queries if "visit" in query.text}
        return Observed(
            seen,
            builds.running(self.connection),
            builds.created(self.connection),
            builds.forbidden(self.connection),
            before=verdicts.timings(workload),
            concerned={VISIT: frozenset(named)},
            uses=builds.used(self.connection, queries),
        )

    def decide(self, *want):
        decision = decide(decoded(self.state), want, self.observed(), POLICY, self.now)
        self.state = encoded(decision.state)
        return decision.step

    def tick(self, *want):
        step = self.decide(*want)
        if not isinstance(step, Rest):
            self.outcome = perform(step, self.changer)
            state = recorded(decoded(self.state), step, self.outcome, self.now)
            self.state = encoded(state)
        self.now += 60
        return step

    @property
    def phases(self):
        return [each.phase for each in decoded(self.state)]

    @property
    def indexes(self):
        return {
            row[0]: row[1]
            for row in self.connection.rows(
                "SELECT c.relname, i.indisvalid FROM pg_index i "
                "JOIN pg_class c ON c.oid = i.indexrelid "
                "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public'"
            )
        }


@pytest.fixture
def owner(postgres):
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(SCHEMA.format(2000))
        yield connection


@pytest.fixture
def applying(postgres, owner):
    with Connection(postgres) as connection:
        yield Applying(postgres, connection)


@contextlib.contextmanager
def meanwhile(work):
    """Does something in a thread, over and over, until the block is left."""
    ended, failed = threading.Event(), []

    def run():
        while not ended.is_set():
            try:
                work()
            except Exception as error:
                failed.append(error)
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(30)
    assert not failed, failed


def test_an_index_is_created_claimed_and_never_twice(applying):
    step = applying.tick(wanted("place"))
    assert isinstance(step, Create)
    assert applying.outcome.error == ""
    assert list(applying.indexes.values()) == [True]
    assert builds.created(applying.connection) == {step.index: "shop/main"}
    assert isinstance(applying.tick(wanted("place")), Rest)
    assert applying.phases == [Phase.VERIFYING]
    applying.state = []
    assert isinstance(applying.tick(wanted("place")), Rest)
    assert applying.phases == [Phase.UNPROVEN], "found again without any state"


@pytest.mark.slow
def test_an_index_that_misleads_the_planner_is_reverted_and_one_that_helps_stays(
    postgres, applying
):
    with psycopg.connect(postgres, autocommit=True) as client:
        client.execute("DROP TABLE visit")
        client.execute(SCHEMA.format(60_000))
        # Else the INSERTs are waited for, as long as nobody knows whether the index helps them.
        client.execute("SELECT pg_stat_statements_reset()")

        def calls():
            for _ in range(24):
                client.execute(WALK)
                client.execute(LOOK)

        calls()
        good, bad = wanted("place"), wanted("key")
        for _ in range(2):
            assert isinstance(applying.tick(good, bad), Create)
        steps = []
        # Four looks are enough, as a rule; a busy machine may take as many calls to tell.
        while len(steps) < 20 and applying.phases != [Phase.KEPT, Phase.REVERTED]:
            steps.append(applying.tick(good, bad))
            calls()
    assert applying.phases == [Phase.KEPT, Phase.REVERTED]
    kept, reverted = decoded(applying.state)
    assert list(applying.indexes) == [kept.name]
    assert [step.index.name for step in steps if isinstance(step, Drop)] == [reverted.name]
    assert "instead of" in reverted.reason
    assert kept.watches[0].ratio < 0.5


def test_writers_go_on_while_an_index_is_created(postgres, owner, applying):
    longest, written = [0.0], [0]
    with psycopg.connect(postgres, autocommit=True) as writer:

        def write():
            begun = time.monotonic()
            writer.execute("INSERT INTO visit (key, place) VALUES (1, 7)")
            longest[0] = max(longest[0], time.monotonic() - begun)
            written[0] += 1

        with meanwhile(write):
            assert wait_until(lambda: written[0] > 5, 10)
            applying.tick(wanted("place"))
            seen = written[0]
            assert wait_until(lambda: written[0] > seen, 10)
    assert applying.outcome.error == ""
    assert longest[0] < 2
    owner.execute("SET enable_seqscan = off")
    owner.execute("SET enable_bitmapscan = off")
    by_index = owner.execute("SELECT count(*) FROM visit WHERE place = 7").fetchone()
    assert by_index == (2 + written[0],)


def test_what_a_crash_leaves_is_cleaned_up_and_built_again(postgres, owner, applying):
    step = applying.decide(wanted("place"))
    with psycopg.connect(postgres) as old:
        # The build waits for those who have written to the table, and its process ends there.
        old.execute("INSERT INTO visit (key) VALUES (0)")
        thread = threading.Thread(target=perform, args=(step, applying.changer))
        thread.start()
        assert wait_until(lambda: builds.running(applying.connection), 10)
        assert isinstance(applying.tick(), Rest), "somebody is building it"
        (build,) = builds.running(applying.connection)
        assert build.table == VISIT
        assert wait_until(lambda: False in applying.indexes.values(), 10)
        owner.execute("SELECT pg_terminate_backend(%s)", (build.pid,))
        thread.join(10)
    assert list(applying.indexes.values()) == [False]
    assert isinstance(applying.tick(), Drop)
    assert applying.indexes == {}
    assert applying.decide().why is Why.LATER
    applying.now += BACKOFF
    assert isinstance(applying.tick(), Create)
    applying.tick()
    assert applying.phases == [Phase.VERIFYING]


def test_a_build_ends_with_its_time_and_leaves_nothing_for_long(postgres, applying):
    step = applying.decide(wanted("place"))
    with psycopg.connect(postgres) as old:
        old.execute("INSERT INTO visit (key) VALUES (0)")
        with pytest.raises(DatabaseError, match="statement timeout") as ended:
            applying.changer.run(step.statements, 0.5)
    assert ended.value.code == "57014"
    assert list(applying.indexes.values()) == [False]
    assert isinstance(applying.tick(), Drop)
    assert applying.indexes == {}


def test_a_lock_that_does_not_come_is_not_waited_for(postgres, applying, monkeypatch):
    monkeypatch.setattr(ddl, "LOCK_TIMEOUT", "1s")
    with psycopg.connect(postgres) as holder:
        holder.execute("LOCK TABLE visit IN SHARE ROW EXCLUSIVE MODE")
        applying.tick(wanted("place"))
        assert applying.outcome.code == "55P03"
    (one,) = decoded(applying.state)
    assert (one.phase, "lock timeout" in one.reason) == (Phase.BUILDING, True)
    applying.now += BACKOFF
    while applying.phases != [Phase.VERIFYING]:
        assert not isinstance(applying.tick(), Rest) or applying.phases == [Phase.VERIFYING]


def test_a_partitioned_table_is_indexed_gone_on_with_and_reverted(owner, applying):
    owner.execute(
        "DROP TABLE visit; CREATE TABLE visit (key int, place int) PARTITION BY RANGE (key);"
        "CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE visit_2 PARTITION OF visit FOR VALUES FROM (10) TO (20)"
        " PARTITION BY RANGE (key);"
        "CREATE TABLE visit_21 PARTITION OF visit_2 FOR VALUES FROM (10) TO (20)"
    )
    step = applying.decide(wanted("place"))
    # A crash after the first partition.
    first = next(place for place, text in enumerate(step.statements) if "visit_1" in text)
    applying.changer.run(step.statements[: first + 1], 30)
    assert sorted(applying.indexes.values()) == [False, True]
    applying.now += BACKOFF
    assert isinstance(applying.tick(), Create)
    assert applying.outcome.error == ""
    assert list(applying.indexes.values()) == [True] * 4
    applying.tick()
    assert applying.phases == [Phase.VERIFYING]
    assert {*builds.created(applying.connection).values()} == {"shop/main"}
    (one,) = decoded(applying.state)
    applying.state = encoded([replace(one, phase=Phase.REVERTING, tried=0.0)])
    assert isinstance(applying.tick(), Drop)
    assert applying.indexes == {}
    applying.tick()
    assert applying.phases == [Phase.REVERTED]


def test_a_partitioned_table_that_cannot_be_finished_is_cleaned_up(owner, applying):
    owner.execute(
        "DROP TABLE visit; CREATE TABLE visit (key int, place int) PARTITION BY RANGE (key);"
        "CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM (0) TO (10);"
    )
    step = applying.decide(wanted("place"))
    attach = next(place for place, text in enumerate(step.statements) if "ATTACH" in text)
    applying.changer.run(step.statements[:attach], 30)
    (one,) = applying.state
    applying.state = [{**one, "attempts": 3, "reason": "no luck"}]
    assert isinstance(applying.tick(), Drop)
    assert applying.indexes == {}
    applying.tick()
    assert applying.phases == [Phase.FAILED]


def test_without_the_right_to_it_nothing_is_tried_and_the_grant_is_told(postgres, owner, applying):
    name = f"stranger_{uuid.uuid4().hex[:8]}"
    owner.execute(f"CREATE ROLE {name} LOGIN; GRANT pg_read_all_data TO {name}")
    url = postgres.replace("foretide@", f"{name}@")
    try:
        with Connection(url) as connection:
            stranger = Applying(url, connection)
            step = stranger.decide(wanted("place"))
            assert step.why is Why.PERMISSION
            assert f'GRANT "foretide" TO "{name}"' in step.message
        step = applying.decide(wanted("place"))
        outcome = perform(step, Changer(url))
        assert outcome.code == "42501"
        state = recorded(decoded(applying.state), step, outcome, NOW)
        assert [each.phase for each in state] == [Phase.FAILED]
    finally:
        owner.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_what_others_have_created_is_never_dropped(owner, applying):
    applying.tick(wanted("place"))
    applying.tick()
    (name,) = applying.indexes
    owner.execute(f"COMMENT ON INDEX {name} IS 'mine'")
    owner.execute("CREATE INDEX theirs ON visit (key)")
    owner.execute("COMMENT ON INDEX theirs IS 'foretide: created for shop/another'")
    for _ in range(3):
        assert isinstance(applying.tick(wanted("place"), wanted("key")), Rest)
        applying.now += 2 * 86_400
    assert applying.phases == [Phase.GONE]
    assert set(applying.indexes) == {name, "theirs"}


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE visit",
        "DELETE FROM visit",
        "SET ROLE foretide",
        "SET lock_timeout = '1s'; DROP TABLE visit",
        "/* */ DROP TABLE visit",
    ],
)
def test_the_door_changes_nothing_but_indexes(owner, applying, statement):
    with pytest.raises(ValueError, match="more than an index"):
        applying.changer.run([statement], 5)


def test_several_statements_in_one_are_refused(owner, applying):
    with pytest.raises(DatabaseError, match="multiple commands"):
        applying.changer.run(["CREATE INDEX x ON visit (key); DROP TABLE visit"], 5)
    assert owner.execute("SELECT count(*) FROM visit").fetchone() == (2000,)


def test_errors_hold_no_password():
    changer = Changer("postgresql://me:s3cret@127.0.0.1:1/shop?connect_timeout=2")
    with pytest.raises(DatabaseAway) as away:
        changer.run(["DROP INDEX x"], 5)
    assert "s3cret" not in str(away.value)
    outcome = perform(Drop(VISIT, ("DROP INDEX x",), ""), changer)
    assert outcome.error
    assert "s3cret" not in outcome.error


@pytest.mark.slow
def test_with_known_constants_nobody_has_to_suffer_first(postgres, owner, applying):
    owner.execute("DROP TABLE visit")
    owner.execute(SCHEMA.format(150_000))
    for _ in range(2):
        owner.execute(WALK)
    step = applying.decide(wanted("key"))
    texts = {
        query.id: query.samples[0]
        for query in deltas.total(applying.collector.collect(NOW)).queries
        if query.samples and "ORDER BY key" in query.text
    }
    with Connection(postgres) as connection:
        trier = Trier(connection)

        def attempt(queries, again):
            return trier.trials(texts, [each for each in queries if each in texts], again=again)

        outcome = perform(step, applying.changer, attempt)
    assert [each.query for each in outcome.slower] == [*texts]
    applying.state = encoded(recorded(decoded(applying.state), step, outcome, NOW))
    assert isinstance(applying.tick(), Drop)
    assert applying.indexes == {}
