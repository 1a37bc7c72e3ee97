"""Traces: their grid, what is known of them when, and what a replica carries."""

from dataclasses import replace

import numpy as np
import pytest

from foretide.forecasting.series import Series
from foretide.forecasting.simulation.trace import Trace, held, usual_step


def test_the_safe_load_makes_the_highest_demand_need_fifty_replicas():
    values = np.full(10_000, 100.0)
    values[:5] = 1e6  # one in two thousand does not count
    trace = Trace.of("t", 60.0 * np.arange(10_000), values)
    assert trace.per_replica == pytest.approx(2.0)


def test_long_steps_are_held_not_interpolated_and_called_coarse():
    trace = Trace.of("t", [0, 1800, 3600], [10, 40, 20])
    assert trace.coarse
    assert trace.demand.step == 60.0
    assert trace.demand.values.tolist() == [10] * 30 + [40] * 30 + [20] * 30


def test_short_steps_stay_as_they_are():
    trace = Trace.of("t", 10.0 * np.arange(12), np.arange(1, 13))
    assert (trace.coarse, trace.demand.step) == (False, 10.0)
    assert trace.minutes().values.tolist() == [6, 12]


def test_a_missing_minute_is_a_gap():
    trace = Trace.of("t", [0, 60, 180, 240], [1, 2, 4, 5])
    np.testing.assert_array_equal(trace.demand.values, [1, 2, np.nan, 4, 5])


def test_a_value_is_known_when_its_step_is_over_and_the_lag_too(make_trace):
    def known(trace, *after):
        return trace.known_at(trace.demand.start + np.array(after, dtype=float)).tolist()

    values = [1, 2, 3]
    assert known(make_trace(values), 60, 119, 120, 180) == [1, 1, 2, 3]
    assert np.isnan(known(make_trace(values), 0, 59, 240)).all()
    assert known(make_trace(values, lag=30), 90, 149, 150) == [1, 1, 2]


def test_demand_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no demand"):
        Trace.of("t", [0, 60, 120], [0, 0, 0])
    with pytest.raises(ValueError, match="two samples"):
        Trace.of("t", [0], [1])


def test_the_usual_step_ignores_gaps():
    assert usual_step(np.array([0, 60, 120, 4000, 4060])) == 60.0


def test_holding_keeps_times():
    fine = held(Series(3600.0, 1800.0, np.array([1.0, 2.0])), 60.0)
    assert (fine.start, fine.end, len(fine)) == (3600.0, 7200.0, 60)


@pytest.mark.parametrize("beat", [0, 20, 55])
def test_stamps_that_jitter_leave_no_minute_empty(beat):
    minutes = 1_700_000_040.0 + beat + 60.0 * np.arange(2_000)
    jittered = minutes + np.random.default_rng(1).uniform(-8, 8, len(minutes))
    values = np.arange(len(minutes)) % 50 + 1.0
    trace = Trace.of("jitter", jittered, values)
    assert trace.demand.step == 60
    assert trace.demand.values.tolist() == values.tolist()


@pytest.mark.parametrize("step", [11, 29, 45, 50, 55])
def test_no_sample_is_lost_where_steps_do_not_divide_a_minute(step):
    values = np.ones(2_000)
    values[::37] = 9
    trace = Trace.of("odd", step * np.arange(2_000.0), values)
    rises = np.flatnonzero(np.diff(trace.demand.values) > 0)
    assert len(rises) + 1 == len(values[::37])


def test_demand_is_known_at_the_next_scrape(make_trace):
    trace = replace(make_trace([1.0, 2.0, 3.0, 4.0], lag=10.0), scrape=30.0)
    start = trace.demand.start
    known = trace.known_at(start + np.array([60.0, 69.0, 70.0, 99.0, 130.0, 190.0]))
    np.testing.assert_array_equal(known, [np.nan, np.nan, 1.0, 1.0, 2.0, 3.0])
    assert trace.late == 10.0
    assert replace(trace, scrape=45.0).late == 55.0
