"""A connection that is kept, lost and made anew, on a real PostgreSQL."""

import threading

import pytest

from foretide.dbadvisor.connection import Limits, Target
from foretide.dbadvisor.database import DatabaseAway
from foretide.operator.databases.watching import APPLICATION, Watch, connected

pytestmark = pytest.mark.postgres

LIMITS = Limits()


@pytest.fixture
def made():
    """The connections that were made."""
    return []


@pytest.fixture
def watch(made):
    def connect(target, limits):
        made.append(connected(target, limits))
        return made[-1]

    it = Watch(connect, looks=2, pause=0.0)
    yield it
    it.close()


@pytest.fixture
def target(shop):
    return lambda: Target(shop.secret)


def test_a_look_sees_tables_and_sessions_by_one_connection(shop, watch, target, made):
    shop.fill(100)
    first = watch.look("way", target, LIMITS)
    second = watch.look("way", target, LIMITS)
    assert len(made) == 1
    assert [str(table.relation) for table in second.snapshot.tables] == ["public.orders"]
    assert second.snapshot.at >= first.snapshot.at
    assert len(first.activities) == 2


def test_another_way_there_is_another_connection(watch, target, made):
    watch.look("one password", target, LIMITS)
    watch.look("another", target, LIMITS)
    assert len(made) == 2
    assert made[0]._open is None


def test_a_connection_that_is_lost_is_made_anew_with_the_next_look(shop, watch, target, made):
    watch.look("way", target, LIMITS)
    shop.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE application_name = '{APPLICATION}'"
    )
    watch.look("way", target, LIMITS)  # an idle session that was ended is no trouble at all
    made[0].rows = lambda *_: (_ for _ in ()).throw(DatabaseAway("gone"))
    with pytest.raises(DatabaseAway):
        watch.look("way", target, LIMITS)
    assert watch.look("way", target, LIMITS).snapshot.tables is not None
    assert len(made) == 2


def test_closer_looks_share_the_connection_and_end_with_it(shop, watch, target, made):
    shop.fill(10)
    shop.look_up(3)
    look = watch.look("way", target, LIMITS)
    ids = [it.queryid for it in look.snapshot.statements if "customer = $1" in it.text]
    shop.look_up(2)
    pulse = watch.pulse(7.0, ids)
    assert (pulse.at, dict(pulse.calls)) == (7.0, {ids[0]: 5})
    assert len(made) == 1
    watch.close()
    with pytest.raises(DatabaseAway):
        watch.pulse(8.0, ids)


def test_closing_in_the_middle_of_a_look_ends_the_session_after_it(watch, target, made):
    begun, go_on = threading.Event(), threading.Event()

    def held():
        begun.set()
        assert go_on.wait(10)
        return target()

    looking = threading.Thread(target=watch.look, args=("way", held, LIMITS))
    looking.start()
    assert begun.wait(10)
    watch.close()
    go_on.set()
    looking.join(10)
    assert made[0]._open is None
