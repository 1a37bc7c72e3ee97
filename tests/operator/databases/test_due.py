"""When a database is looked at, and when advice is made anew."""

from foretide.operator.databases.due import AGAIN, SOON, Standing, advice_is_due, until_next

HOUR = 3_600.0
NOW = 1_800_000_000.0


def due(looks=2, at=None, generation=1, failed=None, *, now=NOW):
    return advice_is_due(Standing(looks, at, generation if at else None, failed), 1, HOUR, now)


def test_the_first_advice_comes_after_two_looks_of_which_the_second_comes_soon():
    assert not due(looks=1)
    assert due(looks=2)
    assert [until_next(60.0, looks) for looks in (0, 1, 2)] == [SOON, SOON, 60.0]
    assert until_next(5.0, 1) == 5.0


def test_then_it_comes_as_often_as_asked_for_and_when_the_spec_changes():
    assert not due(at=NOW - HOUR + 1)
    assert due(at=NOW - HOUR)
    assert due(at=NOW - 1, generation=0)


def test_what_failed_is_tried_again_but_not_at_once():
    assert not due(failed=NOW - 1)
    assert due(failed=NOW - AGAIN)
