"""Holt-Winters as PHPA uses it, held against statsmodels, which PHPA calls for it."""

import numpy as np
import pytest

from foretide.forecasting.simulation.holt_winters import HoltWinters

COUNTS = np.array([5, 8, 12, 9, 4, 3, 6, 9, 13, 9, 5, 3, 7, 9, 14, 11, 5, 4, 7, 10, 15, 11.0])


# The last four fitted values of statsmodels 0.15: ExponentialSmoothing(COUNTS, trend="add",
# seasonal="add", seasonal_periods=6), initial values known: level the mean of the first season,
# trend the mean step to the second, seasonal what the first differs from its mean; not optimized.
STATSMODELS = {
    (0.1, 0.001, 0.3): [7.22264, 9.908486, 14.263375, 11.146917],
    (0.5, 0.1, 0.3): [7.184509, 9.526693, 14.114995, 11.289376],
    (0.9, 0.9, 0.05): [5.979898, 10.260552, 14.658586, 12.587148],
}


@pytest.mark.parametrize("smoothing", STATSMODELS)
def test_forecasts_are_those_of_statsmodels(smoothing):
    ours = HoltWinters(6, *smoothing).one_step_ahead(COUNTS)
    np.testing.assert_allclose(ours[-4:], STATSMODELS[smoothing], atol=1e-6)


def test_the_first_two_seasons_have_no_forecast():
    ahead = HoltWinters(6).one_step_ahead(COUNTS)
    assert np.isnan(ahead[:12]).all()
    assert np.isfinite(ahead[12:]).all()
    assert np.isnan(HoltWinters(6).one_step_ahead(COUNTS[:12])).all()


def test_a_forecast_does_not_know_what_it_forecasts():
    changed = COUNTS.copy()
    changed[20:] = 99
    ours = [HoltWinters(6).one_step_ahead(counts) for counts in (COUNTS, changed)]
    np.testing.assert_array_equal(ours[0][:21], ours[1][:21])
    assert ours[0][21] != ours[1][21]


def test_gaps_are_bridged():
    gaps = COUNTS.copy()
    gaps[[2, 8, 15]] = np.nan
    assert np.isfinite(HoltWinters(6).one_step_ahead(gaps)[12:]).all()
    nothing = np.full(20, np.nan)
    assert np.isnan(HoltWinters(6).one_step_ahead(nothing)).all()
