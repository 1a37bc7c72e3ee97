import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.past_demand import after, gather, grid_of, held_before
from foretide.forecasting.prometheus import PrometheusSource
from foretide.forecasting.series import Series
from foretide.forecasting.worker import LookaheadNeed

NOW = 1_700_006_400.0


def known(series):
    """The values that are known, by time."""
    pairs = zip(series.times.tolist(), series.values.tolist(), strict=True)
    return {at: value for at, value in pairs if not math.isnan(value)}


def series(start, *values, step=60.0):
    return Series(start, step, np.array(values, dtype=float))


@pytest.mark.parametrize(
    ("step", "grid"), [(10, 60), (60, 60), (90, 120), (300, 300), (3_600, 3_600)]
)
def test_the_grid_is_of_whole_minutes(step, grid):
    assert grid_of(step) == grid


def test_what_is_older_comes_before_and_the_recent_one_counts():
    joined = after(series(0, 1, 2, 3), series(120, 9, 9))
    assert known(joined) == {0: 1, 60: 2, 120: 9, 180: 9}


def test_a_gap_between_them_stays_one():
    joined = after(series(0, 1), series(180, 9))
    assert len(joined) == 4
    assert known(joined) == {0: 1, 180: 9}


def test_what_begins_later_adds_nothing():
    recent = series(0, 9, 9)
    assert after(series(60, 1, 1), recent) is recent


@given(st.integers(0, 30), st.integers(1, 30), st.integers(0, 30), st.integers(1, 30))
def test_no_recent_value_is_ever_lost(start, count, later, more):
    old = series(60.0 * start, *range(1, count + 1))
    new = series(60.0 * (start + later), *range(100, 100 + more))
    joined = after(old, new)
    assert known(new).items() <= known(joined).items()
    assert joined.end == new.end


def test_before_the_first_known_minute_the_peak_of_each_step_is_held():
    coarse = series(0, 5, 7, 8, step=300.0)
    minutes = held_before(series(600, 1, 2), coarse, 300)
    assert minutes.step == 60
    assert list(minutes.values) == [7] * 5 + [1, 2]


def test_where_nothing_older_is_known_minutes_stay_as_they_are():
    minutes = series(600, 1, 2)
    assert held_before(minutes, series(0, math.nan, math.nan, step=300.0), 0) is minutes
    assert held_before(minutes, series(600, 4, step=300.0), 0) is minutes


# What a scaler saw


@pytest.fixture
def past(prometheus, make_request):
    """What is fetched for a model of the coming maximum, half a day of it."""

    def fetch(**changes):
        need = LookaheadNeed(4, 3, per_replica=1.0, min_replicas=1, target_utilization=0.7)
        source = PrometheusSource(prometheus.url)
        values = {"source": source, "now": NOW, "history": 43_200.0, "lookahead": need}
        return gather(make_request(**{**values, **changes}))

    return fetch


def test_samples_are_what_was_known_at_the_end_of_each_minute(past, prometheus):
    """A burst in the middle of a minute is a peak that no sample shows."""
    prometheus.demand = lambda at: 9.0 if at % 60 == 30 else 1.0 + (at // 60 % 2)
    found = past()
    assert (found.samples.start, len(found.samples)) == (found.minutes.start, len(found.minutes))
    assert set(found.minutes.values) == {9.0}
    for position, at in enumerate(found.minutes.times.tolist()):
        assert found.samples.values[position] == 1.0 + ((at + 60) // 60 % 2)


def test_where_no_sample_is_known_the_peak_stands_for_it(past, prometheus):
    gap = NOW - 3_600
    prometheus.demand = lambda at: (
        None if at % 60 == 0 and gap <= at < gap + 600 else 9.0 if at % 60 == 30 else 1.0
    )
    assert set(past().samples.values) == {1.0, 9.0}


def test_samples_are_asked_for_only_where_a_plan_is_looked_for(past, prometheus):
    past(lookahead=None)
    assert all(asked["query"].startswith("max_over_time(") for asked in prometheus.asked)


# The store


class Stored:
    """`StoredHistory` that knows as much as it is asked for."""

    def extend(self, recent, start):
        count = round((recent.end - start) / 300)
        return Series(recent.end - 300 * count, 300.0, np.ones(count))

    def keep(self, peaks):
        return None


def test_two_years_are_known_from_the_store_and_events_learned_from_400_days(past):
    found = past(stored=Stored(), step=300.0)
    starts = [NOW - part.start for part in (found.years, found.longest, found.coarse)]
    assert starts == pytest.approx([731 * 86_400, 400 * 86_400, 43_200], abs=300)


def test_without_a_store_all_that_is_known_is_what_prometheus_has(past):
    found = past()
    assert found.years is found.longest is found.coarse
