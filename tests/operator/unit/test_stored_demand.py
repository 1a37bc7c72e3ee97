"""Roll-ups as series, and series as roll-ups."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.demand import Undecided
from foretide.forecasting.series import Series
from foretide.operator.stored_demand import StoredDemand, join, rollups_of, to_series
from foretide.store.client import StoreAddress
from foretide.store.rollups import STEP, Columns, Rollup, SeriesKey, check

START = 1_790_000_100.0
KEY = SeriesKey("web", "shop", "requests", "0123456789abcdef")
NAN = math.nan


def series(*values, step=300.0, start=START):
    return Series(start, step, np.array(values, dtype=float))


def same(one, other):
    return (
        one.start == other.start
        and one.step == other.step
        and np.array_equal(one.values, other.values, equal_nan=True)
    )


def rollup(place, peak):
    return Rollup(int(START) + place * STEP, 20, peak, peak, peak)


def test_roll_ups_become_a_series_with_gaps():
    found = to_series(Columns.of([rollup(0, 1.0), rollup(3, 2.0)]))
    assert same(found, series(1, NAN, NAN, 2))


def test_no_roll_ups_are_no_series():
    assert to_series(Columns()).reason == "NoRollups"


def test_a_finer_history_becomes_roll_ups_of_its_peaks():
    found = rollups_of(series(1, 9, 2, 3, 4, 5, 6, NAN, 2, 1, step=60.0))
    assert list(found.start) == [START, START + STEP]
    assert list(found.max) == [9, 6]
    assert list(found.samples) == [20, 16]
    assert all(map(math.isnan, [*found.mean, *found.last]))


def test_steps_that_nothing_is_known_of_make_no_roll_up():
    found = rollups_of(series(1, NAN, 3))
    assert list(found.start) == [START, START + 2 * STEP]
    assert len(rollups_of(series(NAN, NAN))) == 0
    assert len(rollups_of(series())) == 0


def test_coarse_samples_count_for_less():
    assert list(rollups_of(series(1.0), sample_every=60.0).samples) == [5]
    assert list(rollups_of(series(1.0), sample_every=1_000.0).samples) == [1]


@pytest.mark.parametrize("step", [600.0, 420.0, 90.0])
def test_steps_that_do_not_make_up_five_minutes_are_refused(step):
    with pytest.raises(ValueError, match="not a multiple"):
        rollups_of(series(1, 2, 3, step=step))


def test_a_history_on_a_grid_of_its_own_lands_on_ours():
    found = rollups_of(series(1, 2, 3, start=START + 60))
    assert [start % STEP for start in found.start] == [0, 0, 0]


values = st.lists(st.one_of(st.just(NAN), st.floats(min_value=0, max_value=1e9)), max_size=40)
steps = st.sampled_from([15.0, 30.0, 60.0, 100.0, 150.0, 300.0])


@given(values, steps, st.integers(0, 40))
def test_what_a_history_becomes_is_taken_by_the_store(some, step, offset):
    columns = rollups_of(series(*some, step=step, start=START + offset * step))
    check({KEY: columns}, now=START + 1e6)
    known = [value for value in some if not math.isnan(value)]
    assert max(columns.max, default=None) == max(known, default=None)


def test_the_recent_series_wins_where_it_knows():
    joined = join(series(1, 2, 3, 4), series(7, NAN, 9, start=START + 2 * STEP))
    assert same(joined, series(1, 2, 7, 4, 9))


def test_a_gap_between_the_two_stays_a_gap():
    assert same(join(series(1), series(2, start=START + 3 * STEP)), series(1, NAN, NAN, 2))


def test_a_finer_recent_series_is_made_coarser():
    recent = series(1, 2, 9, 4, 5, step=60.0, start=START + STEP)
    assert same(join(series(3, 8), recent), series(3, 9))


def test_a_coarser_recent_series_makes_the_old_one_coarser():
    joined = join(series(1, 2, 3, 4, start=START - 300), series(7, step=600.0, start=START + 300))
    assert same(joined, series(2, 7, step=600.0, start=START - 300))


def test_steps_that_do_not_divide_each_other_meet_at_a_common_multiple():
    assert join(series(*range(12)), series(*range(30), step=120.0)).step == 600.0
    with pytest.raises(ValueError, match="do not fit together"):
        join(series(1, 2), series(1, 2, step=299.0))
    with pytest.raises(ValueError, match="whole seconds"):
        join(series(1, 2), series(1, 2, step=0.5))


def test_of_a_step_that_the_recent_one_knows_in_part_the_higher_peak_counts():
    """Prometheus' retention ends within a step: neither has seen all of it alone."""
    recent = series(NAN, NAN, 2, 3, 1, 4, 4, 4, 4, 4, step=60.0)
    assert same(join(series(8, 8), recent), series(8, 4))


def test_a_series_without_values_adds_nothing():
    some = series(1, 2)
    assert same(join(some, series(NAN)), some)
    assert same(join(series(), some), some)
    assert len(join(series(), series(NAN))) == 0


@given(values, values, st.integers(-50, 50))
def test_joining_invents_nothing(old, recent, shift):
    first, second = series(*old), series(*recent, start=START + shift * STEP)
    joined = join(first, second)
    wanted = {}
    for part in (first, second):
        known = zip(part.times.tolist(), part.values.tolist(), strict=True)
        wanted |= {at: value for at, value in known if not math.isnan(value)}
    found = zip(joined.times.tolist(), joined.values.tolist(), strict=True)
    assert {at: value for at, value in found if not math.isnan(value)} == wanted


def test_the_door_for_workers_pickles_and_fails_with_a_reason(tmp_path):
    (tmp_path / "token").write_text("correct-horse-battery")
    address = StoreAddress("http://127.0.0.1:1", tmp_path / "token")
    door = pickle.loads(pickle.dumps(StoredDemand(address)))
    for answer in (door.history(KEY, START, START + STEP), door.record(KEY, series(1.0))):
        assert isinstance(answer, Undecided)
        assert answer.reason == "Unreachable"
        assert answer.message.startswith("store: cannot reach")
    assert door.record(KEY, series(1, 2, step=420.0)).reason == "StepTooLong"
