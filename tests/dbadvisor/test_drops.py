"""Which indexes can go: duplicates, covered ones, unused ones, leftovers; and which must not."""

import pytest

from foretide.dbadvisor.drops import DAY, find_drops
from foretide.dbadvisor.snapshot import Index, IndexKey, Relation, Snapshot, Table

NOW = 1_790_000_000.0
TABLE = Relation("public", "t")


def index(name, *keys, **changes):
    own = tuple(key if isinstance(key, IndexKey) else IndexKey(key) for key in keys)
    changes = {"scans": 5, "bytes": 1000, "method": "btree", **changes}
    method = changes.pop("method")
    return Index(Relation("public", name), TABLE, method, own, **changes)


def found(*indexes, counted=100 * DAY, kind="r", **options):
    reset = NOW - counted if counted is not None else None
    tables = (Table(TABLE, kind, 1e5, 1000),)
    return find_drops(
        Snapshot(NOW, "db", 150018, tables=tables, indexes=indexes, stats_reset=reset), **options
    )


def told(*indexes, **options):
    return [
        (drop.index.name, drop.reason, drop.instead.name if drop.instead else None)
        for drop in found(*indexes, **options).drops
    ]


def test_of_two_equal_indexes_one_goes():
    assert told(index("a1", "a"), index("a2", "a", scans=9)) == [("a1", "Duplicate", "a2")]


def test_the_one_that_a_constraint_needs_stays():
    pair = index("a1", "a"), index("t_pkey", "a", unique=True, constraint=True, scans=0)
    assert told(*pair) == [("a1", "Duplicate", "t_pkey")]


def test_a_prefix_is_covered_by_what_stays():
    three = index("a", "a"), index("ab", "a", "b"), index("abc", "a", "b", "c")
    assert told(*three) == [("a", "Covered", "abc"), ("ab", "Covered", "abc")]


def test_an_index_read_backwards_is_the_same():
    backwards = IndexKey("a", descending=True, nulls_first=True)
    assert told(index("a", "a"), index("down", backwards, "b")) == [("a", "Covered", "down")]


@pytest.mark.parametrize(
    "other",
    [
        index("other", "b", "a"),
        index("other", "a", "b", predicate="c > 0"),
        index("other", IndexKey("a", operator_class="text_pattern_ops"), "b"),
        index("other", IndexKey("a", collation="C"), "b"),
        index("other", "a", method="hash"),
        index("other", "a", "b", valid=False, constraint=True),
    ],
)
def test_what_another_one_cannot_do_is_not_covered(other):
    assert told(index("a", "a"), other) == []


def test_a_unique_index_is_covered_by_its_unique_twin_alone():
    unique = index("a", "a", unique=True)
    assert told(unique, index("ab", "a", "b", unique=True)) == []
    assert told(unique, index("twin", "a", unique=True, constraint=True)) == [
        ("a", "Duplicate", "twin")
    ]


def test_included_columns_must_be_in_the_other_one():
    covering = index("a", "a", include=("x",))
    assert told(covering, index("ab", "a", "b")) == []
    assert told(covering, index("axb", "a", "x", "b")) == [("a", "Covered", "axb")]


def test_unused_indexes_go_when_they_were_watched_for_long():
    idle = index("a", "a", scans=0)
    assert told(idle) == [("a", "Unused", None)]
    assert told(idle, counted=3 * DAY) == []
    assert "3 days" in found(idle, counted=3 * DAY).unproven
    assert found(idle, counted=None).unproven.startswith("nobody knows")


def test_an_index_that_was_first_seen_lately_is_not_called_unused():
    idle = index("a", "a", scans=0)
    assert told(idle, first_seen={idle.relation: NOW - DAY}) == []
    assert told(idle, first_seen={idle.relation: NOW - 60 * DAY}) == [("a", "Unused", None)]


def test_an_index_that_was_read_long_ago_is_unused_where_the_server_tells():
    assert told(index("a", "a", scans=9, last_scan=NOW - 50 * DAY)) == [("a", "Unused", None)]
    assert told(index("a", "a", scans=9, last_scan=NOW - DAY)) == []


@pytest.mark.parametrize("bound", ["unique", "constraint", "replica_identity"])
def test_unused_indexes_that_uphold_something_stay(bound):
    assert told(index("a", "a", scans=0, **{bound: True})) == []


def test_one_partition_that_uses_its_index_keeps_all():
    whole = index("whole", "a", scans=0)
    part = index("part", "a", scans=1, parent=whole.relation)
    assert told(whole, part, kind="p") == []
    idle = index("part", "a", scans=0, parent=whole.relation)
    drops = found(whole, idle, kind="p").drops
    assert [(one.index.name, one.bytes) for one in drops] == [("whole", 2000)]
    assert 'DROP INDEX IF EXISTS "public"."whole"' in drops[0].statements


def test_an_invalid_index_is_a_leftover():
    assert told(index("a", "a", valid=False)) == [("a", "Invalid", None)]
    whole = index("whole", "a", valid=False)
    part = index("part", "a", parent=whole.relation)
    assert told(whole, part, kind="p") == [], "still being attached"


def test_a_much_larger_cover_is_said_so():
    drop = found(index("a", "a"), index("ab", "a", "b", bytes=9000)).drops[0]
    assert drop.caveats == ("ab is 9 times as large",)
