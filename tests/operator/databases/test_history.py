"""What is remembered of a database, and the workload that comes of it."""

import math

import pytest

from foretide.dbadvisor.snapshot import Activity, Snapshot, Statement
from foretide.operator.databases.history import (
    ENOUGH,
    LONGEST,
    MARK_SECONDS,
    MOST_STRETCHES,
    History,
    lightened,
    marks_since,
    with_look,
    workload,
)

START = 1_800_000_000.0
MINUTE = 60.0


def seen(at, calls, database="shop"):
    statement = Statement(1, 10, True, "SELECT $1 FROM orders", calls, calls * 2.0, calls)
    return Snapshot(
        at, database, 150_000, statements=(statement,), statements_reset=START - 10 * LONGEST
    )


def watched(*looks):
    history = History()
    for at, calls in looks:
        history = with_look(history, seen(at, calls), [Activity(at)], MINUTE)
    return history


def test_at_first_all_that_was_ever_counted_is_the_workload():
    history = watched((START, 1_000), (START + MINUTE, 1_001))
    assert workload(history).queries[0].calls == 1_000 + 1


def test_after_an_hour_it_is_what_was_seen_to_happen():
    history = watched((START, 1_000), (START + ENOUGH, 1_200))
    assert workload(history).queries[0].calls == 200
    assert workload(history).seconds == ENOUGH


def test_what_is_older_than_two_days_counts_no_more():
    looks = [(START + n * LONGEST / 2, 100 * n) for n in range(12)]
    assert LONGEST <= workload(watched(*looks)).seconds <= 2 * LONGEST


def test_stretches_follow_one_another_and_are_bounded():
    history = watched(*((START + n * MINUTE, n) for n in range(2 * MOST_STRETCHES)))
    assert len(history.stretches) == MOST_STRETCHES
    assert {stretch.queries[0].calls for stretch in history.stretches} == {1}


def test_after_a_gap_nothing_is_concluded_from_before_it():
    history = watched((START, 0), (START + MINUTE, 10), (START + 60 * MINUTE, 500))
    assert history.stretches == ()
    assert [activity.at for activity in history.activities] == [START + 60 * MINUTE]
    assert history.looks == 3


@pytest.mark.parametrize(
    "other", [seen(START + MINUTE, 5, database="other"), seen(START - MINUTE, 5)]
)
def test_another_database_or_a_clock_that_was_set_back_begins_anew(other):
    history = with_look(watched((START, 10)), other, [], MINUTE)
    assert (history.looks, history.begin, history.since) == (1, other, other.at)


def test_what_is_sent_to_a_worker_is_light_and_says_the_same_with_the_next_look():
    history = watched((START, 1_000), (START + ENOUGH, 1_200))
    light = lightened(history)
    assert {it.text for it in (*light.begin.statements, *light.last.statements)} == {""}
    fresh = seen(START + ENOUGH + 5, 1_230)
    assert workload(with_look(light, fresh, [], math.inf)) == workload(
        with_look(history, fresh, [], math.inf)
    )


def test_without_a_look_there_is_no_workload():
    with pytest.raises(ValueError, match="nothing has been seen"):
        workload(History())


def test_how_a_days_calls_came_is_kept_for_as_long_as_the_workload():
    looks = [(START + n * MINUTE, 10 * n) for n in range(int(3 * LONGEST / MINUTE))]
    history = watched(*looks)
    marks = marks_since(history)
    begin, end = marks[0].at, marks[-1].at
    assert end - begin == pytest.approx(workload(history).seconds, abs=2 * MARK_SECONDS)
    assert len(marks) == (end - begin) / MARK_SECONDS + 1
    assert marks[-1].calls[1] - marks[0].calls[1] == 10 * (end - begin) / MINUTE


def test_until_the_workload_is_what_was_seen_to_happen_nothing_is_said_of_a_day():
    assert marks_since(watched((START, 0), (START + ENOUGH / 2, 10))) == ()
