"""What candidates cost: partial ones, expressions, and which of them begin alike."""

import pytest

from foretide.dbadvisor import pricing
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.snapshot import Column, ColumnStatistics, IndexKey, Relation, Table

NAME = Relation("public", "people")
TABLES = {
    NAME: Table(
        NAME,
        "r",
        100_000,
        1000,
        (
            Column("id", "integer", 4, 4, True, ColumnStatistics(0.0, 4, -1.0)),
            Column("email", "text", -1, 4, True, ColumnStatistics(0.0, 24, -1.0)),
        ),
    )
}


def test_a_partial_index_is_priced_by_the_rows_that_it_holds():
    whole = Candidate(NAME, (IndexKey("id"),))
    part = Candidate(NAME, (IndexKey("id"),), predicate='"id" < 10', reads=("id",), share=0.1)
    assert pricing.foreseen_bytes(part, TABLES) == pytest.approx(
        0.1 * pricing.foreseen_bytes(whole, TABLES), rel=0.1
    )


def test_an_expression_is_priced_as_the_widest_column_that_it_reads():
    plain = Candidate(NAME, (IndexKey("email"),))
    lower = Candidate(NAME, (IndexKey(None, "lower(email)"),), reads=("email",))
    both = Candidate(NAME, (IndexKey(None, "concat(id, email)"),), reads=("id", "email"))
    expected = pricing.foreseen_bytes(plain, TABLES)
    assert pricing.foreseen_bytes(lower, TABLES) == pricing.foreseen_bytes(both, TABLES) == expected


def test_prices_come_in_the_order_of_the_candidates_with_their_upkeep():
    one, other = Candidate(NAME, (IndexKey("id"),)), Candidate(NAME, (IndexKey("email"),))
    prices = pricing.weighed(
        [one, other], TABLES.values(), lambda candidate, size: 7.0 if candidate == other else 0.0
    )
    assert [price.write_cost for price in prices] == [0.0, 7.0]
    assert prices[0].bytes < prices[1].bytes


def test_all_that_an_index_holds_counts_for_its_width():
    covering = Candidate(NAME, (IndexKey("id"),), include=("email",))
    partial = Candidate(NAME, (IndexKey("id"),), predicate='"id" < 10', reads=("id",))
    pair = Candidate(NAME, (IndexKey("id"), IndexKey("email")))
    wide = pricing.weighed(
        [Candidate(NAME, (IndexKey("id"),)), covering, partial, pair],
        TABLES.values(),
        lambda candidate, size: 0.0,
    )
    assert [one.width for one in wide] == [1, 2, 2, 2]
