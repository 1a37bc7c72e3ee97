"""A whole advice as parts of a status: what is shown of it, and that it stays small."""

import dataclasses
import json
from dataclasses import replace

import pytest

from foretide.dbadvisor.caching import Cacheable, CacheAdvice, Projection, Undecided
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.distribution import Finding as Distribution
from foretide.dbadvisor.distribution import Kind
from foretide.dbadvisor.drops import Drop, Drops
from foretide.dbadvisor.nplusone.advice import Advice as Batch
from foretide.dbadvisor.nplusone.findings import Finding as Repeated
from foretide.dbadvisor.nplusone.findings import Kind as Repeat
from foretide.dbadvisor.nplusone.proof import Proof
from foretide.dbadvisor.nplusone.rewriting import Form, Rewrite
from foretide.dbadvisor.planning import Unplanned
from foretide.dbadvisor.report import (
    Advice,
    Change,
    IndexAdvice,
    IndexSet,
    QueryFacts,
    Remark,
    Repeats,
    Topic,
    WorkloadFacts,
)
from foretide.dbadvisor.scans import TableScan
from foretide.dbadvisor.snapshot import IndexKey, Query, Relation
from foretide.operator.api.databaseadvisor import MOST_SHOWN
from foretide.operator.api.databaseadvisor_status import DatabaseAdvisorStatus
from foretide.operator.databases.figures import figure, quantity, shortened
from foretide.operator.databases.summary import MOST_BYTES, TOO_LONG, bounded, summarized

ORDERS = Relation("public", "orders")
HOUR = 3_600_000.0  # ms
TEXT = "SELECT total FROM orders WHERE customer = $1"


def index(name="orders_customer", statements=("SET lock_timeout = '60s'", "CREATE INDEX …")):
    change = Change("17", 0, 1_000.0, 8.25)
    return IndexAdvice(
        Candidate(ORDERS, (IndexKey("customer"),)),
        name,
        statements,
        ("DROP INDEX …",),
        2_162_688.0,
        0.5 * HOUR,
        1.0,
        (change,),
        change,
        "customer = $1",
        True,
    )


def advice(**parts):
    facts = WorkloadFacts(
        "pg_stat_statements",
        7_200.0,
        12,
        4_000.0,
        HOUR,
        9,
        10,
        (QueryFacts("17", TEXT, 4_000, HOUR, 40_000, 1.0),),
    )
    return Advice("shop", 150_018, 1_800_000_000.0, facts, **parts)


def valid(parts):
    """As the API server would take them, without what is taken away."""
    status = {key: value for key, value in parts.items() if value is not None}
    DatabaseAdvisorStatus.model_validate(status)
    return parts


def test_an_index_is_shown_with_the_figures_that_it_comes_from():
    chosen = IndexSet((index(),), 2**24, 2_162_688.0, HOUR, 0.4 * HOUR, asked=31, candidates=7)
    parts = valid(summarized(advice(indexes=chosen), 10))
    (shown,) = parts["indexes"]
    assert (shown["table"], shown["size"]) == ("public.orders", "2.06Mi")
    assert (shown["savedPercent"], shown["savedSecondsPerHour"]) == ("50", "900")
    assert shown["queries"] == [{"id": "17", "before": "1000", "after": "8.25"}]
    assert (parts["advice"]["savedPercent"], parts["advice"]["budget"]) == ("60", "16Mi")
    assert (parts["workload"]["period"], parts["workload"]["plannedPercent"]) == ("2h", "90")
    assert parts["counts"]["indexes"] == 1


def test_what_the_budget_keeps_away_is_told():
    chosen = IndexSet((index(),), 2**24, 2**21, HOUR, 0.4 * HOUR)
    told = valid(summarized(advice(indexes=chosen), 10))["advice"]
    assert told["beyondBudget"] is None
    chosen = replace(chosen, beyond_bytes=2**25, beyond_ms=0.05 * HOUR)
    told = valid(summarized(advice(indexes=chosen), 10))["advice"]
    assert (told["beyondBudget"], told["beyondSavedPercent"]) == ("32Mi", "95")


def test_without_the_planners_word_no_saving_of_the_whole_is_claimed():
    chosen = IndexSet((), 2**24, 0.0, HOUR, 0.4 * HOUR, unverified="HypoPG is not installed")
    parts = valid(summarized(advice(indexes=chosen), 10))
    assert parts["advice"]["savedPercent"] is None
    assert parts["advice"]["unverified"] == "HypoPG is not installed"


def everything():
    """Some of each kind, more than is shown."""
    query = Query("17", TEXT, 4_000, HOUR)
    worth = Cacheable((ORDERS,), (Projection(30.0, 0.8, 0.7, 200.0),), 30.0, 9, "9 keys", 0.1)
    found = Repeated(Repeat.N_PLUS_ONE, TEXT, "SELECT id FROM c", 4e3, 9.9, None, 3.0, ("twice",))
    batch = Rewrite(TEXT, "SELECT … = ANY($1)", Form.ANY, (1,), ("batch_key",), ("integer",))
    drop = Drop(ORDERS, ORDERS, "Unused", "not read for 99 days", 2**20, ("DROP …",))
    lies = Distribution(Kind.SKEW, ORDERS, "state", "90 % are done", "do", ("CREATE …",), 5.0)
    return advice(
        indexes=IndexSet(tuple(index(f"index_{n}") for n in range(30))),
        drops=Drops((drop,) * 30, "too young"),
        repeats=Repeats((Batch(found, batch, Proof(True, 200, 900, 0.2, 0.01)),) * 30),
        caches=(CacheAdvice(query, worth),) * 30 + (CacheAdvice(query, Undecided("no")),),
        distribution=(lies,) * 30,
        scans=(TableScan("17", ORDERS, 1e4, 10, 4_000, HOUR, ("customer = $1",)),) * 30,
        unplanned=(Unplanned("9", "what is x?"),) * 30 + (Unplanned("8", "VACUUM", True),),
        remarks=(Remark(Topic.INCOMPLETE, "more " * 500),) * 30,
    )


def test_of_each_kind_status_shows_the_first_and_counts_all():
    parts = valid(summarized(everything(), 4))
    lists = ("indexes", "drops", "repeats", "caches", "distribution", "scans", "unplanned")
    assert {name: len(parts[name]) for name in lists} == dict.fromkeys(lists, 4)
    assert parts["counts"] == dict.fromkeys(lists, 30)
    assert parts["repeats"][0]["speedup"] == "20"
    assert parts["caches"][0]["hitPercent"] == "70"
    assert parts["dropsUnproven"] == "too young"


def test_a_status_stays_small_whatever_there_is_to_say():
    long = tuple(f"CREATE INDEX {n} " + "x" * 3_900 for n in range(40))
    large = dataclasses.replace(
        everything(), indexes=IndexSet(tuple(index(f"i{n}", long) for n in range(30)))
    )
    parts = valid(summarized(large, MOST_SHOWN))
    assert len(json.dumps(parts)) < 1.3 * MOST_BYTES
    assert parts["drops"]  # one kind that is long does not push out the others


def test_what_is_cut_off_is_the_last_of_the_longest():
    kept = bounded({"a": [{"x": "y" * 90}] * 10, "b": [{"x": "y"}] * 3}, most_bytes=500)
    assert (len(kept["a"]), len(kept["b"])) == (4, 3)


def test_a_statement_is_shown_as_a_whole_or_not_at_all():
    chosen = IndexSet((index(statements=("SET x", "CREATE INDEX " + "y" * 5_000)),))
    parts = valid(summarized(advice(indexes=chosen), 10))
    assert parts["indexes"][0]["statements"] == ["SET x", TOO_LONG]


@pytest.mark.parametrize(
    ("size", "said"),
    [(0, "0"), (512, "512"), (1536, "1.5Ki"), (2_162_688, "2.06Mi"), (3 * 2**40, "3072Gi")],
)
def test_sizes_are_quantities(size, said):
    assert quantity(size) == said


def test_figures_have_about_three_digits_and_texts_one_line():
    shown = [figure(it) for it in (0.0, 0.004, 1.5, 99.996, 1234.5)]
    assert shown == ["0", "0", "1.5", "100", "1234"]
    assert shortened("a\n  b", 3) == "a b"
    assert shortened("abcdef", 4) == "abc…"
