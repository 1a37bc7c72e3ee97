"""The statements that create and drop indexes: names, quoting, partitions, leftovers."""

import pytest

from foretide.dbadvisor import ddl
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.snapshot import Index, IndexKey, Relation, Table

ORDERS = Relation("public", "orders")


def candidate(*keys, table=ORDERS, **changes):
    return Candidate(table, tuple(IndexKey(key) for key in keys), **changes)


def relation_table(relation, kind="r", parent=None):
    return Table(relation, kind, 10, 1, parent=parent)


def test_an_index_is_created_without_a_lock_on_writers():
    made = candidate("customer", "day", include=("total",), predicate="status = 'open'")
    assert ddl.creation(made, {ORDERS: relation_table(ORDERS)}) == (
        "SET lock_timeout = '60s'",
        'CREATE INDEX CONCURRENTLY IF NOT EXISTS "orders_customer_day_idx_'
        f'{ddl.name_of(made)[-8:]}" ON "public"."orders" USING btree ("customer", "day")'
        " INCLUDE (\"total\") WHERE (status = 'open')",
        "RESET lock_timeout",
    )


def test_names_are_those_of_the_definition():
    assert ddl.name_of(candidate("a")) == ddl.name_of(candidate("a"))
    assert ddl.name_of(candidate("a")) != ddl.name_of(candidate("a", predicate="b"))
    other = Candidate(ORDERS, (IndexKey("a", descending=True, nulls_first=True),))
    assert ddl.name_of(candidate("a")) != ddl.name_of(other)


def test_names_fit_whatever_the_table_is_called():
    made = candidate("ü" * 60, "b" * 63, table=Relation("public", 'ta"ble ' * 8))
    assert len(ddl.name_of(made).encode()) <= 63
    assert ddl.name_of(made).isascii()


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (IndexKey("a"), '"a"'),
        (IndexKey('od"d'), '"od""d"'),
        (IndexKey("a", descending=True, nulls_first=True), '"a" DESC'),
        (IndexKey("a", descending=True), '"a" DESC NULLS LAST'),
        (IndexKey("a", nulls_first=True), '"a" NULLS FIRST'),
        (IndexKey(None, "lower(a)"), "(lower(a))"),
        (IndexKey("a", operator_class="text_pattern_ops"), '"a" text_pattern_ops'),
        (IndexKey("a", collation="C"), '"a" COLLATE "C"'),
    ],
)
def test_keys_are_written_as_postgresql_reads_them(key, text):
    assert f"btree ({text})" in ddl.definition(Candidate(ORDERS, (key,)))


def test_what_a_failed_build_left_is_dropped_first():
    made = candidate("a")
    own = Relation("public", ddl.name_of(made))
    left = Index(own, ORDERS, "btree", made.keys, valid=False)
    statements = ddl.creation(made, {ORDERS: relation_table(ORDERS)}, [left])
    assert statements[1] == f'DROP INDEX CONCURRENTLY IF EXISTS "public"."{own.name}"'
    whole = Index(own, ORDERS, "btree", made.keys)
    assert not any("DROP" in one for one in ddl.creation(made, {}, [whole]))


def test_a_partitioned_table_is_indexed_part_by_part():
    part = Relation("public", "orders_1")
    tables = {ORDERS: relation_table(ORDERS, "p"), part: relation_table(part, parent=ORDERS)}
    made = candidate("a")
    statements = ddl.creation(made, tables)
    verbs = [one.split(" USING")[0] for one in statements if "lock_timeout" not in one]
    inner = ddl.name_of(made, part)
    assert verbs == [
        f'CREATE INDEX IF NOT EXISTS "{ddl.name_of(made)}" ON ONLY "public"."orders"',
        f'CREATE INDEX CONCURRENTLY IF NOT EXISTS "{inner}" ON "public"."orders_1"',
        f'ALTER INDEX "public"."{ddl.name_of(made)}" ATTACH PARTITION "public"."{inner}"',
    ]


@pytest.mark.parametrize(("text", "constant"), [("a'b", "'a''b'"), ("a\\b", "E'a\\\\b'")])
def test_constants_are_quoted(text, constant):
    assert ddl.literal(text) == constant
