"""What is taken for the cost of a query with indexes that were not asked about."""

from foretide.dbadvisor.estimates import Estimate, Kinds, Weighed
from foretide.dbadvisor.snapshot import IndexKey, Relation
from foretide.dbadvisor.whatif import Asked

TABLE = Relation("public", "t")
KINDS = Kinds([Weighed(TABLE, IndexKey(column), 1.0) for column in "abc"])
# With all at hand its plan uses the first; without any it costs twice as much.
ANSWERS = (Asked(0b111, 0b001, 50.0), Asked(0, 0, 100.0))


def test_what_is_not_known_lies_between_bounds():
    estimate = Estimate(KINDS, ANSWERS)

    assert estimate.most(0b010) == 100.0
    assert 50.0 <= estimate.cost(0b010) <= 100.0
    assert estimate.most(0b011) == estimate.cost(0b011) == 50.0


def test_no_index_is_hoped_to_save_more_than_all_that_were_at_hand():
    # Without the first, all others at hand saved nothing.
    estimate = Estimate(KINDS, (*ANSWERS, Asked(0b110, 0, 100.0)))

    assert estimate.cost(0b010) == estimate.cost(0b110) == 100.0


def test_without_an_answer_nothing_is_known():
    estimate = Estimate(KINDS, ())

    assert estimate.most(0b111) == float("inf")
    assert estimate.savings == []
