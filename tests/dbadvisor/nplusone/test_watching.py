"""N+1 by counters and samples, on figures made up for it."""

import pytest

from foretide.dbadvisor.nplusone.watching import watch
from foretide.dbadvisor.snapshot import (
    Activity,
    ForeignKey,
    Query,
    Relation,
    Session,
    Workload,
)

BOOK, AUTHOR = Relation("public", "book"), Relation("public", "author")
CATALOG = (ForeignKey("book_author", BOOK, ("author_id",), AUTHOR, ("id",)),)
BOOKS = "SELECT id, author_id FROM book LIMIT $1"
ONE_AUTHOR = "SELECT name FROM author WHERE id = $1"


def window(lists, look_ups, rows=20):
    return Workload(
        (
            Query("1", BOOKS, lists, 1.0, lists * rows),
            Query("2", ONE_AUTHOR, look_ups, look_ups / 100, look_ups),
        ),
        60.0,
    )


def sample(at, pid, started, *, transaction=None, text=ONE_AUTHOR, queryid=2):
    session = Session(pid, "active", text, queryid, "", "", None, None, None, transaction, started)
    return Activity(at, (session,))


def test_one_look_up_for_each_row_in_every_window_is_found():
    (found,) = watch([window(3, 60), window(7, 140), window(2, 40)], [], CATALOG)
    assert (found.calls, found.per_parent) == (240, 20)
    assert "book_author" in found.link.why
    assert found.seconds == pytest.approx(0.0024)


@pytest.mark.parametrize("look_ups", [(250, 30, 180), (20, 900, 10), (420, 20, 160)])
def test_other_numbers_of_look_ups_or_at_other_times_are_none(look_ups):
    assert watch([window(10, each) for each in look_ups], [], CATALOG) == ()


def test_fewer_look_ups_than_rows_are_found_where_samples_show_one_transaction():
    """An ORM that keeps what it has read asks once for each author."""
    samples = [sample(at / 10, 77, at / 10, transaction=0.5) for at in range(10)]
    (found,) = watch([window(5, 40)], samples, CATALOG)
    assert "shared a transaction" in found.evidence[0]


def test_as_many_look_ups_as_rows_by_chance_are_none_where_samples_show_many_sessions():
    samples = [sample(at, at, at) for at in range(40)]
    assert watch([window(5, 100)] * 4, samples, CATALOG) == ()


def test_a_parent_of_one_row_is_none():
    assert watch([window(100, 100, rows=1)] * 4, [], CATALOG) == ()


def test_statements_that_samples_cut_off_are_known_by_their_id():
    samples = [sample(at / 10, 77, at / 10, transaction=0.5, text="SELECT na") for at in range(10)]
    assert len(watch([window(5, 40)], samples, CATALOG)) == 1
