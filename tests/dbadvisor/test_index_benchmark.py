"""The benchmark of index selection: what it reverts, what it remembers,
and a whole run on little data.
"""

import contextlib
import json
import os
import signal
import time

import psycopg
import pytest

from benchmarks import dbadvisor, dbadvisor_building, dbadvisor_data, dbadvisor_recorded
from benchmarks.dbadvisor_building import Built, build, build_verified, seen_slower, standing
from benchmarks.dbadvisor_choosing import CORRECTED, SHIPPED, Chosen
from benchmarks.dbadvisor_indexes import Found
from benchmarks.dbadvisor_recorded import Made, Record
from benchmarks.dbadvisor_recording import Recording
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.snapshot import IndexKey, Relation

TABLE = Relation("public", "t")
ON_A = Candidate(TABLE, (IndexKey("a"),))
ON_B = Candidate(TABLE, (IndexKey("b"),))


def test_a_record_counts_only_for_the_same_inputs(tmp_path):
    path = tmp_path / "record.json"
    made = Made(
        (ON_A, Candidate(TABLE, (IndexKey("b"), IndexKey("a")))), 12, 0.5, 8192.0, 10.0, 1.0
    )
    dbadvisor_recorded.write(path, "tpch", Record("these", {("dexter's way", 1.5e6): made}))
    dbadvisor_recorded.write(path, "tpcds", Record("others"))
    assert dbadvisor_recorded.read(path, "tpch", "these").made == {("dexter's way", 1.5e6): made}
    assert not dbadvisor_recorded.read(path, "tpch", "changed").made
    assert not dbadvisor_recorded.read(tmp_path / "none", "tpch", "these").made


class Interrupted(Exception):
    pass


class Choosing:
    """One that is interrupted at its second choice."""

    def __init__(self, most=1):
        self.asked, self.most = [], most

    def choose(self, way, budget):
        if len(self.asked) == self.most:
            raise Interrupted
        self.asked.append(budget)
        return Chosen((ON_A,), 7, 0.5)


def test_recording_goes_on_where_it_was_interrupted(tmp_path):
    path, keys = tmp_path / "record.json", [("extend", 1e6), ("extend", 2e6)]

    def recording(peers, build):
        record = dbadvisor_recorded.read(path, "tpcds", "these")
        return Recording(
            record,
            lambda: peers,
            build,
            lambda: dbadvisor_recorded.write(path, "tpcds", record),
            lambda text: None,
        )

    def interrupted(indexes):
        raise Interrupted

    def built(indexes):
        return Built({ON_A: 8192.0}, {"q": 3.0}, {"q": 1.5})

    with pytest.raises(Interrupted):
        recording(Choosing(), built).complete(keys)
    second = Choosing()
    with pytest.raises(Interrupted):
        recording(second, interrupted).complete(keys)
    assert second.asked == [2e6]
    third = recording(Choosing(most=0), built)
    assert third.complete(keys) == {}
    assert third.record.made == dict.fromkeys(keys, Made((ON_A,), 7, 0.5, 8192.0, 3.0, 1.5))
    assert dbadvisor_recorded.read(path, "tpcds", "these") == third.record


def test_what_is_left_of_an_unfinished_record_goes_with_its_last_workload(tmp_path):
    path = dbadvisor_recorded.unfinished(tmp_path / "record.json")
    for workload in ("tpch", "tpcds"):
        dbadvisor_recorded.write(path, workload, Record("these"))
    dbadvisor_recorded.remove(path, "tpch")
    assert set(json.loads(path.read_text())) == {"tpcds"}
    dbadvisor_recorded.remove(path, "tpcds")
    assert not path.exists()


def found(name, cost, peers, calls=10, seconds=1.0, slower=(), seen=()):
    """One budget of 1 MB; `peers` are costs by way."""
    built = Built({ON_A: 9e5}, {"q": cost}, {"q": 1.0}, slower=slower, seen_slower=seen)
    chosen = Chosen((ON_A,), calls, seconds)
    return Found(
        name,
        Built({}, {"q": 100.0}, {"q": 2.0}),
        {1e6: (chosen, built)},
        {(way, 1e6): Made((), 100, 9.0, 1.0, peer, 1.0) for way, peer in peers.items()},
        {1e6: Chosen((), 100, 10.0)},
        {1e6: 2.0},
        {ON_A: (9.9e5, 9e5)},
    )


def test_figures_are_ratios_to_the_best_peer_that_is_shipped_and_to_extend():
    peers = dict(zip((*SHIPPED, CORRECTED), (60.0, 50.0, 80.0, 45.0), strict=True))
    figures = dbadvisor.of_indexes(
        [found("tpch", 40.0, peers, calls=99), found("tpcds", 55, peers)]
    )
    assert figures["cost_ratio_best_peer"] == {"tpch@1MB": 0.8, "tpcds@1MB": 1.1}
    assert figures["cost_ratio_best_peer_worst"] == 1.1
    assert figures["cost_ratio_extend_corrected"]["tpch@1MB"] == 40 / 45
    assert figures["wall_ratio_best_peer_median"] == 0.5
    assert (figures["calls_ratio_extend"], figures["time_ratio_extend"]) == (0.1, 0.1)
    assert figures["size_error_median"] == pytest.approx(0.1)
    assert figures["size_error_by_bytes"] == pytest.approx(0.1)
    assert (figures["size_exact_share"], figures["sizes"]) == (0, 2)


def test_queries_that_stay_slower_are_counted_whoever_has_seen_it():
    peers = dict.fromkeys((*SHIPPED, CORRECTED), 50.0)
    bench = found("shop", 40.0, peers, slower=("q", "r"), seen=("r", "s"))
    figures = dbadvisor.of_indexes([bench])
    assert (figures["regressions_known"], figures["regressions_seen"]) == (2, 2)
    assert figures["regressions_accepted"] == 3


def test_a_folder_without_queries_is_refused_with_what_is_missing(tmp_path):
    (tmp_path / "schema.sql").write_text("CREATE TABLE t (a int)")
    with pytest.raises(dbadvisor_data.BadFolder, match=r"queries\.sql"):
        dbadvisor_data.load_folder(tmp_path, "nowhere")


# The planner believes that rows with b = 1 are near the beginning of a: they are at its end.
LURED = """
CREATE TABLE t AS SELECT i AS a, CASE WHEN i > 599000 THEN 1 ELSE 0 END AS b, repeat('x', 50) AS c
FROM generate_series(1, 600000) AS i ORDER BY hashint4(i);
"""
QUERIES = {
    "lured": "SELECT * FROM t WHERE b = 1 ORDER BY a LIMIT 1",
    "helped": "SELECT * FROM t WHERE a = 5",
}


@pytest.mark.postgres
@pytest.mark.slow
def test_an_index_that_makes_a_query_slower_is_reverted_and_something_else_chosen(postgres):
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(LURED)
    times = {}
    before = build(postgres, QUERIES, (), times).times
    asked = []

    def again(kept, reverted):
        asked.append((tuple(kept), tuple(reverted)))
        return [ON_B]

    built = build_verified(postgres, QUERIES, [ON_A], times, before, again)
    assert built.slower_at_first == ("lured",)
    assert asked == [((), (ON_A,))]
    assert (built.reverted, built.slower) == ((ON_A,), ())
    assert set(built.sizes) == {ON_B}
    with psycopg.connect(postgres) as connection:
        assert connection.execute(
            "SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass"
        ).fetchone() == (0,)


@pytest.mark.postgres
@pytest.mark.slow
def test_a_query_that_an_index_makes_slower_is_seen_without_the_verification(postgres):
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(LURED)
    with standing(postgres, QUERIES, [ON_A]) as database:
        assert seen_slower(database) == ("lured",)
        assert database.indexes == [ON_A]


@pytest.mark.postgres
def test_a_plan_that_was_run_before_is_not_run_again(postgres):
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE t AS SELECT i AS a, i AS b FROM generate_series(1, 9999) i"
        )
    queries = {"on a": "SELECT * FROM t WHERE a = 5", "sum": "SELECT sum(b) FROM t"}
    times = {}
    before = build(postgres, queries, (), times).times
    assert len(times) == 2
    with_index = build(postgres, queries, [ON_A], times).times
    assert len(times) == 3
    assert with_index["sum"] == before["sum"]


@pytest.mark.postgres
def test_a_query_counts_as_long_as_it_may_take(postgres):
    queries = {"long": "SELECT pg_sleep(5)", "short": "SELECT 1"}
    with psycopg.connect(postgres, autocommit=True) as connection:
        database = dbadvisor_building.Standing(connection, queries, {})
        with database.without([]):
            found = database.seconds(queries, {"long": 0.05, "short": 0.5})
            for setting, value in (("statement_timeout", "0"), ("transaction_read_only", "off")):
                assert connection.execute(f"SHOW {setting}").fetchone() == (value,)
    assert found["long"] == 0.05 > found["short"]


@pytest.mark.postgres
def test_the_limit_of_a_query_is_none_of_the_end_of_its_transaction(postgres):
    """It broke the one around it, in which indexes are gone for a while."""
    limits = []

    class Connection:
        def __init__(self, real):
            self.real = real

        @contextlib.contextmanager
        def transaction(self, **options):
            with self.real.transaction(**options):
                yield
                limits.append(self.real.execute("SHOW statement_timeout").fetchone())

        def __getattr__(self, name):
            return getattr(self.real, name)

    with psycopg.connect(postgres, autocommit=True) as connection:
        database = dbadvisor_building.Standing(Connection(connection), {"q": "SELECT 1"}, {})
        database.seconds(["q"], {"q": 5.0})
    assert set(limits) == {("0",)}


@pytest.mark.postgres
def test_a_run_that_a_pause_fell_into_is_made_again(postgres, monkeypatch):
    monkeypatch.setattr(dbadvisor_building, "RUNS", 1)
    dbadvisor_building.notice_pauses()
    paused = []

    class Connection:
        def __init__(self, real):
            self.real = real

        def execute(self, *arguments):
            if "count" in str(arguments[0]) and not paused:
                paused.append(True)
                os.kill(os.getpid(), signal.SIGCONT)
                time.sleep(0.5)
            return self.real.execute(*arguments)

        def __getattr__(self, name):
            return getattr(self.real, name)

    queries = {"q": "SELECT count(*) FROM pg_class"}
    with psycopg.connect(postgres, autocommit=True) as connection:
        database = dbadvisor_building.Standing(Connection(connection), queries, {})
        assert database.seconds(queries)["q"] < 0.4
    assert paused


@pytest.mark.postgres
def test_what_writes_is_explained_and_not_run(postgres):
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS a, 2 AS b")
    queries = {"write": "UPDATE t SET b = 3", "read": "SELECT b FROM t"}
    with standing(postgres, queries, [ON_A]) as database:
        assert database.explained()["write"].cost > 0
        assert database.seconds(queries)["write"] == 0
    with psycopg.connect(postgres) as connection:
        assert connection.execute("SELECT b FROM t").fetchall() == [(2,)]


@pytest.mark.postgres
def test_sizes_of_a_partitioned_table_are_those_of_its_parts(postgres):
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE t (a int, b int) PARTITION BY RANGE (a);"
            "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (5000);"
            "CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (5000) TO (90000);"
            "INSERT INTO t SELECT i, i FROM generate_series(1, 9000) AS i"
        )
    with standing(postgres, {"q": "SELECT * FROM t WHERE b = 6000"}, [ON_B]) as database:
        assert database.sizes[ON_B] > 9000 * 12
        assert database.explained()["q"].used == {ON_B}


@pytest.mark.postgres
@pytest.mark.slow
def test_a_whole_run_on_little_data(tmp_path, monkeypatch):
    monkeypatch.setattr(dbadvisor_building, "RUNS", 1)
    figures = tmp_path / "figures.json"
    record = tmp_path / "record.json"
    options = ["--only", "tpch", "--scale", "0.01", "--budgets", "1", "--record", str(record)]
    assert dbadvisor.main([*options, "--full", "--json", str(figures)]) == 0
    first = json.loads(figures.read_text())
    assert first["cost_ratio_best_peer"]["tpch@1MB"] < 1.2
    assert first["aborted"] == 0
    assert dbadvisor.main([*options, "--json", str(figures)]) == 0
    again = json.loads(figures.read_text())
    assert peers(again) == peers(first)


def peers(figures):
    """What is recorded of them."""
    names = ("way", "indexes", "mb", "cost", "plans")
    places = [one for one in figures["places"] if one["way"] != "foretide"]
    return [{name: one[name] for name in names} for one in places]
