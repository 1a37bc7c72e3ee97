"""The policies that Foretide is compared with, and that none of them looks ahead.

Foretide itself is in test_foretide.py, as it takes models to fit.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretide.forecasting.simulation.policies import (
    coming_peaks,
    forward_maximum,
    hpa,
    keda,
    oracle,
    phpa,
    prophet_only,
    seasonal_offset,
)
from foretide.forecasting.simulation.replay import Setting, drive, replay

DAY = 1_440
REACTIVE = {"HPA": hpa, "KEDA": keda, "offset": seasonal_offset, "PHPA": phpa}


def setting(trace, days=0.0, **options):
    start = trace.demand.start + days * 86_400
    return Setting(**{"delay": 180.0, "start": start, "utilization": 0.5, **options})


def asked(trace, make, how):
    """The counts that a policy asks for."""
    return drive(trace, make(trace, how), how).counts


@pytest.mark.parametrize("make", [hpa, keda])
def test_hpa_asks_for_demand_by_the_target(make_trace, make):
    trace = make_trace([50] * 20)
    assert asked(trace, make, setting(trace))[-1] == 10
    assert asked(trace, make, setting(trace, utilization=1.0))[-1] == 5


def test_minimum_and_maximum_hold_for_all(make_trace, daily):
    trace = make_trace(daily(3))
    how = setting(trace, days=2, min_replicas=20, max_replicas=40)
    for make in (*REACTIVE.values(), oracle):
        counts = asked(trace, make, how)
        assert (counts.min(), counts.max()) == (20, 40)


def test_the_offset_adds_what_came_a_day_ago_before_it_comes_again(make_trace):
    day = np.full(DAY, 20.0)
    day[700:760] = 200.0
    trace = make_trace(np.concatenate([day, day]))
    counts = asked(trace, seasonal_offset, setting(trace, days=1))
    # Pods take 3 minutes, and one passes until the next decision. An HPA at most doubles at once.
    assert counts[690:702].tolist() == [4, 4, 4, 4, 4, 4, 4, 8, 16, 32, 40, 40]
    assert asked(trace, hpa, setting(trace, days=1))[700] == 4


def test_the_offset_looks_a_week_back_where_it_can(make_trace):
    quiet, busy = np.full(DAY, 20.0), np.full(DAY, 100.0)
    week = [busy, *[quiet] * 6]
    trace = make_trace(np.concatenate([*week, quiet]))
    assert asked(trace, seasonal_offset, setting(trace, days=7))[30] == 20
    assert asked(trace, seasonal_offset, setting(trace, days=6))[30] == 4


def test_a_gap_a_season_ago_leaves_the_offset_with_demand(make_trace):
    trace = make_trace(np.concatenate([np.full(DAY, np.nan), np.full(DAY, 20.0)]))
    assert set(asked(trace, seasonal_offset, setting(trace, days=1))[5:]) == {4.0}


def test_while_demand_is_missing_the_offset_may_add_and_not_remove(make_trace):
    before = np.full(DAY, 20.0)
    before[700:900] = 200.0
    now = np.full(DAY, 100.0)
    now[300:900] = np.nan
    trace = make_trace(np.concatenate([before, now]))
    counts = asked(trace, seasonal_offset, setting(trace, days=1))
    assert counts[600] == 20
    assert counts[800] == 40


def test_phpa_meets_what_rises_each_day_sooner_than_hpa(make_trace, daily):
    trace = make_trace(daily(4))
    how = setting(trace, days=3, utilization=0.9)
    shares = [
        replay(trace, make(trace, how), how).score.under_pct
        for make in (hpa, phpa, seasonal_offset)
    ]
    assert shares[0] > shares[1] > shares[2]


def test_phpa_without_two_seasons_is_hpa(make_trace, daily):
    trace = make_trace(daily(1.9))
    how = setting(trace, days=1)
    assert asked(trace, phpa, how).tolist() == asked(trace, hpa, how).tolist()


def test_prophet_only_takes_the_larger_of_the_forecast_and_the_floor(make_trace):
    trace = make_trace([50] * 60)
    how = setting(trace, utilization=1.0)
    assert asked(trace, lambda t, s: prophet_only(t, s, lambda now: 80.0), how)[5] == 8
    assert asked(trace, lambda t, s: prophet_only(t, s, lambda now: 20.0), how)[30] == 5


def test_prophet_only_without_a_forecast_is_hpa_at_the_target(make_trace):
    trace = make_trace([50] * 60)
    how = setting(trace)
    assert asked(trace, lambda t, s: prophet_only(t, s, lambda now: float("nan")), how)[30] == 10


def test_the_oracle_asks_for_what_comes_until_the_next_pods_would_be_ready(make_trace):
    values = [20.0] * 40
    values[20] = 100.0
    trace = make_trace(values)
    how = setting(trace, utilization=1.0)
    counts = asked(trace, oracle, how)
    # Pods of a decision at 17 are ready at 20; at 16 the next decision would be just in time.
    assert counts[16] == 2
    assert counts[17] > 2


@pytest.mark.slow
@settings(max_examples=25)
@given(
    st.lists(st.floats(-0.25, 0.25), min_size=60, max_size=200),
    st.sampled_from([0.0, 60.0, 150.0, 600.0]),
    st.sampled_from([15.0, 60.0]),
)
def test_the_oracle_is_never_short_after_its_start(make_trace, moves, delay, period):
    # Demand that no more than doubles while pods start is within reach of HPA's rate policies.
    demand = 100 * np.exp(np.clip(np.cumsum(moves), -1, 1))
    trace = make_trace(demand)
    how = Setting(delay=delay, period=period, start=trace.demand.start, utilization=1.0)
    run = replay(trace, oracle(trace, how), how)
    short = run.demand > run.ready * trace.per_replica * (1 + 1e-9)
    begun = run.times > trace.demand.start + delay + 3 * period + 60
    assert not short[begun].any()


def changed_after(trace, minute, make_trace):
    values = trace.demand.values.copy()
    values[minute:] = values[minute:][::-1] * 1.7 + 30
    return make_trace(values, per_replica=trace.per_replica, lag=trace.lag)


@pytest.mark.parametrize("make", REACTIVE.values(), ids=REACTIVE)
@pytest.mark.parametrize("lag", [0.0, 90.0])
def test_what_comes_later_changes_no_decision_before(make_trace, daily, make, lag):
    trace = make_trace(daily(4), lag=lag)
    how = setting(trace, days=2, utilization=0.8)
    until = 3 * DAY
    other = changed_after(trace, until, make_trace)
    first, second = asked(trace, make, how), asked(other, make, how)
    # The decision at the beginning of the first changed minute knows none of it.
    same = until - 2 * DAY + 1
    assert first[:same].tolist() == second[:same].tolist()
    assert first[same:].tolist() != second[same:].tolist()


def test_the_oracle_is_found_to_look_ahead(make_trace, daily):
    trace = make_trace(daily(3))
    how = setting(trace, days=2, utilization=1.0)
    values = trace.demand.values.copy()
    values[int(2.5 * DAY) :] = 900
    other = make_trace(values)
    counts = [asked(each, oracle, how)[: DAY // 2].tolist() for each in (trace, other)]
    assert counts[0] != counts[1]


def test_coming_peaks_end_where_the_trace_does(make_trace):
    trace = make_trace([1, 5, 2, np.nan, 3])
    peaks = coming_peaks(trace, setting(trace, delay=60.0))
    start = trace.demand.start
    assert [peaks(start + 60 * minute) for minute in range(5)] == [5, 5, 2, 3, 3]
    assert np.isnan(peaks(start - 60))
    assert np.isnan(peaks(start + 300))


def test_the_forward_maximum_of_nothing_is_unknown():
    found = forward_maximum(np.array([np.nan, np.nan, 4.0]), 2)
    np.testing.assert_array_equal(found, [np.nan, 4, 4])
