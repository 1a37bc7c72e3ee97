"""The size of indexes that do not exist yet: the arithmetic, without a database.

test_sizes_built.py holds it against indexes that PostgreSQL has built.
"""

import pytest

from foretide.dbadvisor import sizes, widths
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.snapshot import Column, ColumnStatistics, IndexKey, Relation, Table

PAGE = 8192
TABLE = Relation("public", "t")


def column(name="a", type_name="integer", length=4, align=4, *, nulls=0.0, distinct=-1.0, **known):
    statistics = ColumnStatistics(nulls, known.pop("width", 4), distinct, **known)
    return Column(name, type_name, length, align, nulls == 0, statistics)


def table(*columns, rows=100_000.0):
    return Table(TABLE, "r", rows, 1000, columns)


def candidate(*names, **changes):
    return Candidate(TABLE, tuple(IndexKey(name) for name in names), **changes)


def size(*columns, rows=100_000.0, include=(), **changes):
    keys = [one.name for one in columns if one.name not in include]
    made = candidate(*keys, include=tuple(include), unique=changes.pop("unique", False))
    return sizes.index_bytes(table(*columns, rows=rows), made, **changes)


def test_an_index_of_different_integers_is_as_built():
    # 366 tuples of 20 bytes on each leaf of 100,000 rows: 274 leaves, a root, the metapage.
    assert size(column()) == 276 * PAGE


def test_an_empty_table_has_the_metapage_only():
    assert size(column(), rows=0.0) == PAGE
    assert size(column(), rows=-1.0) == PAGE


def test_equal_keys_are_kept_once():
    assert size(column(distinct=10.0)) < 0.35 * size(column())


@pytest.mark.parametrize(
    "name", ["numeric(12,2)", "double precision", "interval", "jsonb", "int4[]"]
)
def test_types_whose_equals_may_look_different_are_not(name):
    alike = {"length": 8, "align": 8, "width": 8}
    assert size(column(type_name=name, distinct=10.0, **alike)) == size(
        column(type_name="bigint", **alike)
    )


def test_unique_and_covering_indexes_are_not():
    low, key = column("low", distinct=10.0), column("b", distinct=10.0)
    assert size(low, unique=True) == size(column())
    assert size(low, key, include=["b"]) >= size(column())


def test_nulls_take_a_wider_header_and_no_value():
    several = column("a", distinct=-0.5, nulls=0.5), column("b")
    # Half of the tuples: 16 + 4, padded to 24; the others 8 + 4 + 4. With 4 bytes of pointer each.
    assert size(*several) == pytest.approx(100_000 * 24 / 0.895, rel=0.02)


def test_columns_are_aligned():
    small = column("a", "smallint", 2, 2)
    big = column("b", "bigint", 8, 8)
    assert size(small, big) == size(big, column("c", "bigint", 8, 8))


def test_text_is_measured_by_its_values_not_by_their_average():
    def text(*values):
        return column(type_name="text", length=-1, bounds=values, width=8)

    assert size(text("a" * 7)) == size(column("n", "bigint", 8, 8))
    assert size(text("a" * 8)) > size(text("a" * 7))
    mixed = size(text("a" * 7, "a" * 8))
    assert size(text("a" * 7)) < mixed < size(text("a" * 8))


def test_a_known_number_of_different_keys_counts_more_than_independence():
    a, b = column("a", distinct=20_000.0), column("b", distinct=1000.0)
    assert size(a, b) == pytest.approx(size(column("c", "bigint", 8, 8)), rel=0.01)
    assert size(a, b, distinct=10_000.0) < 0.5 * size(a, b)


def test_a_partial_index_holds_its_share_of_the_rows():
    assert size(column(), share=0.1) == pytest.approx(0.1 * size(column()), rel=0.1)


def test_a_larger_fill_factor_takes_fewer_pages():
    assert size(column(), fill_factor=100) < size(column(), fill_factor=90)


def test_a_rare_value_and_a_frequent_one_are_not_taken_for_two_of_the_same():
    """A flag that one row in a hundred has multiplies the different pairs by little."""
    flag = column("f", "boolean", 1, 1, distinct=2.0, common=("f", "t"), frequencies=(0.99, 0.01))
    key = column("k", distinct=2000.0)
    assert 2000 < sizes.joint_distinct([flag, key], 100_000.0) < 3000


def test_indexes_of_partitions_add_up():
    parent = Table(TABLE, "p", 200_000.0, 0, (column(),))
    parts = [Relation("public", f"t{number}") for number in range(2)]
    tables = {TABLE: parent}
    tables |= {part: Table(part, "r", 1e5, 1000, (column(),), parent=TABLE) for part in parts}
    assert sizes.partitioned_bytes(tables, candidate("a")) == 2 * size(column())


def test_expressions_bring_their_own_statistics():
    lower = column("lower(a)", "text", -1, 4, bounds=("abcdefg",), width=8)
    made = Candidate(TABLE, (IndexKey(None, "lower(a)"),))
    found = sizes.index_bytes(table(column()), made, expressions={"lower(a)": lower})
    assert found == size(column("n", "bigint", 8, 8))


@pytest.mark.parametrize(
    ("value", "width"),
    [("0", 3), ("1", 5), ("9999", 5), ("10000", 5), ("12345.67", 9), ("0.0001", 5), ("-1.5", 7)],
)
def test_numbers_take_two_bytes_for_four_digits(value, width):
    assert widths.stored_width("numeric", value) == width


def test_values_of_more_than_126_bytes_have_a_long_header():
    assert widths.stored_width("text", "x" * 126) == 127
    assert widths.stored_width("text", "x" * 127) == 131
    assert widths.stored_width("text", "ü" * 3) == 7


def test_wide_keys_of_many_widths_stay_quick_and_sum_to_one():
    text = column("a", "text", -1, bounds=tuple("x" * length for length in range(100)), width=50)
    stored = [widths.widths_of(text)] * 6
    assert sum(widths.tuple_sizes(stored).values()) == pytest.approx(1)
