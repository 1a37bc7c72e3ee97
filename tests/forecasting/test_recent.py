import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.recent import RecentDemand
from foretide.forecasting.series import Series

START = 1_700_000_040.0  # a whole minute


def minutes(*values, start=START):
    return Series(start, 60.0, np.array(values, dtype=float))


@pytest.fixture
def recent():
    return RecentDemand()


def test_at_first_nothing_is_known(recent):
    assert recent.known(START) is None
    assert len(recent) == 0


def test_the_peak_of_each_minute_is_kept(recent):
    for second, value in ((0, 1.0), (20, 5.0), (40, 2.0), (60, 3.0)):
        recent.add(value, START + second)
    known = recent.known(START + 120)
    assert (known.start, known.step) == (START, 60.0)
    assert list(known.values) == [5.0, 3.0]


def test_ticks_go_on_from_where_the_history_ended(recent):
    recent.seed(minutes(1, 2, 3))
    recent.add(4.0, START + 180)
    assert list(recent.known(START + 240).values) == [1, 2, 3, 4]


def test_a_later_history_replaces_what_ticks_have_seen_of_its_time_and_no_more(recent):
    recent.add(9.0, START + 60)
    recent.add(8.0, START + 180)
    recent.seed(minutes(1, 2, 3))
    assert list(recent.known(START + 240).values) == [1, 2, 3, 8]


def test_a_short_gap_is_held_and_a_long_one_is_not(recent):
    recent.add(5.0, START)
    assert list(recent.known(START + 300).values) == [5.0] * 5
    assert recent.known(START + 720) is None
    recent.add(7.0, START + 60 * 20)
    known = recent.known(START + 60 * 21)
    assert list(known.values[:11]) == [5.0] * 11
    assert np.isnan(known.values[11:20]).all()
    assert known.values[20] == 7.0


def test_a_minute_counts_once_half_of_it_has_passed(recent):
    recent.add(1.0, START)
    recent.add(6.0, START + 65)
    early = recent.known(START + 80)
    assert (early.end, list(early.values)) == (START + 60, [6.0])
    late = recent.known(START + 100)
    assert (late.end, list(late.values)) == (START + 120, [1.0, 6.0])


def test_only_so_much_is_kept(recent):
    recent.seed(minutes(*range(20_000)))
    assert len(recent) < 16_000
    last = START + 20_000 * 60
    for minute in range(100):
        recent.add(float(minute), last + minute * 60)
    assert len(recent) < 16_000
    known = recent.known(last + 100 * 60)
    assert known.values[-101] == 19_999
    assert list(known.values[-100:]) == list(range(100))


@pytest.mark.parametrize("jump", [-86_400.0, 60 * 86_400.0])
def test_after_a_jump_of_the_clock_it_begins_anew(recent, jump):
    recent.seed(minutes(1, 2, 3))
    recent.add(4.0, START + jump)
    assert list(recent.known(START + jump + 60).values) == [4.0]


def test_history_of_another_step_is_refused(recent):
    with pytest.raises(ValueError, match="by the minute, not 300 s"):
        recent.seed(Series(START, 300.0, np.ones(3)))


@given(
    st.lists(st.tuples(st.floats(0, 3_600), st.floats(0, 1e6, width=32)), min_size=1, max_size=60),
    st.floats(0, 4_000),
)
def test_what_is_known_never_lies_ahead_nor_exceeds_what_was_seen(readings, later):
    recent = RecentDemand()
    for second, value in sorted(readings):
        recent.add(value, START + second)
    now = START + max(second for second, _ in readings) + later
    known = recent.known(now)
    if known is not None:
        assert known.end <= now + 30
        assert np.nanmax(known.values, initial=0.0) <= max(value for _, value in readings)
        assert not math.isinf(np.nanmin(known.values, initial=0.0))
