"""Features: what is known at a moment, and nothing of what comes after it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.lookahead.features import (
    DAY,
    REACH,
    UNKNOWN,
    features,
    fill_gaps,
    peaks_ahead,
    smallest_unit,
)

START = 1_699_833_600.0


def rows_of(values, at, *, zone="UTC", start=START, window=4, unit=1.0):
    return features(values, np.array(at), start=start, window=window, unit=unit, zone=zone)


@given(st.integers(0, 2**32 - 1), st.integers(300, 1_900))
def test_nothing_from_the_moment_on_is_looked_at(seed, at):
    random = np.random.default_rng(seed)
    values = random.uniform(0, 100, 2_000)
    changed = np.concatenate((values[:at], random.uniform(0, 1e6, 2_000 - at)))
    assert np.array_equal(rows_of(values, [at]).table, rows_of(changed, [at]).table)


def test_one_row_is_what_it_is_among_many(daily):
    values = daily(9).values
    at = np.arange(8 * DAY, 8 * DAY + 50)
    together = rows_of(values, at).table
    alone = np.concatenate([rows_of(values, [moment]).table for moment in at])
    assert np.array_equal(together, alone)


def test_the_last_week_and_some_is_all_that_is_needed(daily):
    values = daily(10).values
    long = rows_of(values, [len(values)])
    short = rows_of(values[-REACH:], [REACH], start=START + 60.0 * (len(values) - REACH))
    assert np.allclose(long.table, short.table)


def test_scale_changes_only_what_says_how_large_demand_is(daily):
    values = daily(8).values
    small = rows_of(values, [11_000], unit=smallest_unit(values))
    large = rows_of(1000 * values, [11_000], unit=smallest_unit(1000 * values))
    assert np.allclose(small.table, large.table)
    assert large.level[0] == pytest.approx(small.level[0] + np.log(1000))


def test_without_earlier_days_their_features_are_unknown(daily):
    table = rows_of(daily(1).values, [600]).table
    assert (table == UNKNOWN).sum() >= 24
    assert np.isfinite(table).all()


def test_yesterday_is_the_same_time_on_the_clock_when_the_clocks_have_changed():
    # Berlin puts its clocks back on 26 October 2025 at 01:00 UTC. Demand peaks at local noon.
    start = 1_761_264_000.0  # 24 October, 00:00 UTC
    times = start + 60.0 * np.arange(3 * DAY)
    offset = np.where(times < 1_761_440_400.0, 7_200.0, 3_600.0)
    clock = (times + offset) % 86_400
    values = np.where((clock >= 43_200) & (clock < 43_500), 100.0, 10.0)
    before_noon = int((1_761_476_400.0 - start) // 60) - 2  # 26 October, 11:58 in Berlin
    assert values[before_noon : before_noon + 4].max() == 100.0
    seen = values[:before_noon]
    came_next = np.log(101 / 11)
    berlin = rows_of(seen, [before_noon], zone="Europe/Berlin", start=start).table[0]
    utc = rows_of(seen, [before_noon], start=start).table[0]
    assert np.isclose(berlin, came_next).any()
    assert not np.isclose(utc, came_next).any()


def test_short_gaps_are_held_and_long_ones_stay():
    values = np.array([1.0, np.nan, np.nan, 4.0] + [np.nan] * 12 + [5.0])
    filled = fill_gaps(values)
    assert filled[:4].tolist() == [1.0, 1.0, 1.0, 4.0]
    assert filled[4:14].tolist() == [4.0] * 10
    assert np.isnan(filled[14:16]).all()


def test_a_gap_before_all_demand_stays():
    assert np.isnan(fill_gaps(np.array([np.nan, 1.0]))[0])


def test_peaks_ahead_reach_over_the_window_and_no_further():
    values = np.array([1.0, 5.0, 2.0, 3.0])
    assert peaks_ahead(values, np.array([0, 1, 2]), 2).tolist() == [5.0, 5.0, 3.0]
    assert np.isnan(peaks_ahead(values, np.array([3]), 2)[0])


def test_demand_that_is_nothing_has_a_unit_all_the_same():
    assert smallest_unit(np.zeros(10)) > 0
    assert smallest_unit(np.full(10, np.nan)) > 0
