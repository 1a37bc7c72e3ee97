"""What an index costs at writes: from counters and texts of statements, and really measured."""

from dataclasses import replace

import pytest

from benchmarks import dbadvisor_upkeep
from foretide.dbadvisor import parsing
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.scopes import Catalog
from foretide.dbadvisor.snapshot import (
    Column,
    ColumnStatistics,
    Index,
    IndexKey,
    Query,
    Relation,
    Snapshot,
    Table,
    Workload,
)
from foretide.dbadvisor.upkeep import USUAL_PACE, pace, upkeep
from foretide.dbadvisor.writes import written
from sandbox.errors import SandboxError
from sandbox.postgres_binaries import debian

HOUR = 3600.0
MB = 2**20
SALE = Relation("public", "sale")
NAMES = ("id", "customer", "state", "note", "seen")


def column(name, correlation=0.0):
    return Column(
        name, "integer", 4, 4, True, ColumnStatistics(0.0, 4, -1.0, correlation=correlation)
    )


def table(relation=SALE, **changes):
    made = {"kind": "r", "rows": 1e6, "pages": 10_000, "columns": tuple(map(column, NAMES))}
    return Table(relation, **{**made, **changes})


def index(*columns, name="sale_pkey", **changes):
    keys = tuple(IndexKey(each) for each in columns)
    return Index(Relation("public", name), SALE, "btree", keys, bytes=20 * MB, **changes)


def candidate(*columns, **changes):
    return Candidate(SALE, tuple(IndexKey(each) for each in columns), **changes)


def snapshot(*tables, at=HOUR, indexes=(), **changes):
    indexes = indexes or (index("id"),)
    return Snapshot(
        at, "shop", 150000, tables=tables, indexes=tuple(indexes), stats_reset=0.0, **changes
    )


def cost(one, *queries, seen=None, size=20 * MB, **counted):
    """The upkeep of an index in an hour in which the table's counters came to `counted`."""
    seen = seen or snapshot(table(**counted))
    workload = Workload(queries, HOUR)
    parsed = parsing.parse_all(queries, Catalog.of(seen))
    return upkeep(one, size, seen, written(workload, parsed, seen))


def update(text, rows, id="1"):  # noqa: A002
    return Query(id, text, calls=rows, total_ms=1.0, rows=rows)


def test_without_writes_there_is_no_upkeep():
    assert cost(candidate("customer")).cost == 0


def test_each_row_that_is_inserted_costs_an_entry():
    one = cost(candidate("customer"), inserted=1000)
    ten = cost(candidate("customer"), inserted=10_000)
    assert one.entries == 1000
    assert 5 * one.cost < ten.cost < 10 * one.cost, "several entries share a page"


def test_only_what_is_written_in_the_workloads_time_counts():
    before = snapshot(table(inserted=5000, updated=7), at=0.0)
    after = snapshot(table(inserted=6000, updated=7))
    writes = written(Workload((), HOUR), [], after, before)[SALE]
    assert (writes.inserted, writes.updated) == (1000, 0)
    reset = written(Workload((), HOUR), [], snapshot(table(inserted=10)), before)[SALE]
    assert reset.inserted == 10
    longer = written(Workload((), 10 * HOUR), [], snapshot(table(inserted=10)))[SALE]
    assert longer.inserted == 100


def test_what_a_table_was_first_filled_with_is_no_part_of_what_goes_on():
    one = Query("1", "INSERT INTO sale VALUES ($1)", 300.0, 1.0, rows=300.0)
    many = Query("2", "INSERT INTO sale SELECT $1 FROM generate_series(1, $2)", 2.0, 1.0, 1e6)
    counted = table(inserted=1_000_300, live=1_000_300)
    assert written(Workload((one, many), HOUR), [], snapshot(counted))[SALE].inserted == 300
    older = table(inserted=1000, live=1_000_000)
    assert written(Workload((one,), HOUR), [], snapshot(older))[SALE].inserted == 1000
    again = table(inserted=5000, deleted=4000, live=1000)
    assert written(Workload((), HOUR), [], snapshot(again))[SALE].inserted == 4000


def test_rows_that_come_in_order_of_the_column_change_fewer_pages():
    columns = (*(column(name) for name in NAMES), column("day", correlation=1.0))
    seen = snapshot(table(columns=columns, inserted=50_000))
    anywhere, in_order = (cost(candidate(name), seen=seen) for name in ("customer", "day"))
    assert in_order.pages < anywhere.pages / 10
    assert in_order.cost < anywhere.cost


def test_hot_updates_cost_nothing_until_the_index_ends_them():
    quiet = update("UPDATE sale SET seen = $1 WHERE id = $2", 1000)
    counted = {"updated": 1000, "hot_updated": 1000}
    assert cost(candidate("customer"), quiet, **counted).cost == 0
    for one in (
        candidate("seen"),
        candidate("customer", include=("seen",)),
        candidate("customer", predicate="seen > 0", reads=("seen",)),
        Candidate(SALE, (IndexKey(None, "(seen + 1)"),), reads=("seen",)),
    ):
        lost = cost(one, quiet, **counted)
        assert (lost.hot_lost, lost.entries) == (1000, 1000)
        assert 0 < lost.hot_cost < lost.cost


def test_what_hot_loss_costs_grows_with_the_indexes_that_are_there():
    quiet = update("UPDATE sale SET seen = $1 WHERE id = $2", 1000)
    counted = {"updated": 1000, "hot_updated": 1000}
    more = [index("id"), index("customer", name="a"), index("state", name="b")]
    few = cost(candidate("seen"), quiet, **counted)
    many = cost(candidate("seen"), quiet, seen=snapshot(table(**counted), indexes=more))
    assert many.hot_cost > 1.8 * few.hot_cost


def test_updates_of_columns_that_are_indexed_already_were_not_hot():
    queries = (
        update("UPDATE sale SET customer = $1 WHERE id = $2", 600, "1"),
        update("UPDATE sale SET seen = $1, note = $2 WHERE id = $3", 400, "2"),
    )
    seen = snapshot(
        table(updated=1000, hot_updated=400), indexes=[index("id"), index("customer", name="a")]
    )
    assert cost(candidate("state"), *queries, seen=seen).hot_lost == 0
    assert cost(candidate("customer", "state"), *queries, seen=seen).hot_lost == 0
    assert cost(candidate("note"), *queries, seen=seen).hot_lost == 400


def test_columns_that_are_set_and_stay_the_same_are_believed_to():
    """Mappers set all columns: the key, too, and the updates are HOT all the same."""
    everything = update("UPDATE sale SET id = $1, customer = $2, seen = $3 WHERE id = $4", 1000)
    lost = cost(candidate("customer"), everything, updated=1000, hot_updated=1000).hot_lost
    assert lost == 1000, "that the customer stays the same, too, is not known"
    assert cost(candidate("state"), everything, updated=1000, hot_updated=1000).hot_lost == 0


def test_updates_that_nobody_saw_are_like_the_others():
    """Functions and triggers update, and their statements are not counted."""
    known = update("UPDATE sale SET seen = $1 WHERE id = $2", 100)
    counted = {"updated": 1000, "hot_updated": 1000}
    assert cost(candidate("seen"), known, **counted).hot_lost == 1000
    assert cost(candidate("note"), known, **counted).hot_lost == 0
    unknown = cost(candidate("note"), **counted).hot_lost
    assert unknown == 1000 / len(NAMES)


def test_a_workload_from_a_file_counts_calls():
    known = replace(update("UPDATE sale SET seen = $1 WHERE id = $2", 100), rows=0.0)
    assert cost(candidate("seen"), known, updated=50, hot_updated=50).hot_lost == 50


def test_deletes_cost_vacuums_that_read_the_index():
    cheap = cost(candidate("customer"), deleted=100_000)
    dear = cost(candidate("customer"), deleted=100_000, size=200 * MB)
    assert cheap.entries == 0
    assert dear.cost > 2 * cheap.cost > 0


def test_all_partitions_are_written_to():
    parts = [Relation("public", f"sale_{number}") for number in (1, 2)]
    seen = snapshot(
        table(kind="p", pages=0, rows=2e6),
        *(table(part, parent=SALE, inserted=500, updated=10, hot_updated=10) for part in parts),
    )
    quiet = update("UPDATE sale SET seen = $1 WHERE id = $2", 20)
    found = cost(candidate("seen"), quiet, seen=seen)
    assert (found.entries, found.hot_lost) == (1020, 20)


def test_what_does_not_fit_into_memory_is_read_from_the_disk():
    counted = table(inserted=1000)
    small = snapshot(counted, settings={"effective_cache_size": "16MB"})
    large = snapshot(counted, settings={"effective_cache_size": "64GB"})
    assert (
        cost(candidate("customer"), seen=small).cost
        > 2 * cost(candidate("customer"), seen=large).cost
    )


def test_the_pace_is_that_of_most_of_the_time():
    queries = (
        Query("usual", "", calls=100, total_ms=1000.0),
        Query("locked", "", calls=1, total_ms=900.0),
        Query("unplanned", "", calls=1, total_ms=1e6),
    )
    workload = Workload(queries, HOUR)
    assert pace(workload, {"usual": 1000.0, "locked": 1.0}) == pytest.approx(0.01)
    assert pace(workload, {}) == USUAL_PACE


@pytest.mark.postgres
@pytest.mark.slow
def test_the_model_is_right_within_a_factor_of_four_on_a_real_server():
    try:
        programs = debian()
    except SandboxError as missing:
        pytest.skip(str(missing))
    # It is CPU time, and yet what shares a core makes it longer, now of what has the index, now of
    # what has not. A model that is off is off each time.
    off = list(dbadvisor_upkeep.CASES)
    for _ in range(3):
        found = dbadvisor_upkeep.measure(rows=20_000, runs=7, programs=programs, cases=off)
        off = [case for case, cost in zip(off, found, strict=True) if not _is_near(cost)]
        if not off:
            return
    pytest.fail(str(found))


def _is_near(one):
    if one.case == "update that stays HOT":
        return one.modelled_ms == 0
    return 1 / 4 <= one.modelled_ms / one.measured_ms <= 4
