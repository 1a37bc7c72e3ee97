"""Windows about many moments at once: the same as each window looked at by itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.lookahead.running import Running

FIGURES = {
    "mean": np.nanmean,
    "spread": np.nanstd,
    "highest": np.nanmax,
    "lowest": np.nanmin,
    "peak": np.max,
}


def demand(seed, length):
    random = np.random.default_rng(seed)
    return np.where(random.random(length) < 0.2, np.nan, random.uniform(0, 100, length))


def alone(figure, values, at, start, end):
    """One window by itself; what is outside of the values is not known."""
    padded = np.concatenate((np.full(300, np.nan), values, np.full(300, np.nan)))
    window = padded[300 + at + start : 300 + at + end]
    return FIGURES[figure](window) if np.isfinite(window).any() else np.nan


@pytest.mark.parametrize("figure", FIGURES)
@given(
    seed=st.integers(0, 2**32 - 1),
    length=st.integers(1, 80),
    at=st.lists(st.integers(-40, 120), min_size=1, max_size=8),
    start=st.integers(-60, 60),
    width=st.integers(1, 100),
)
def test_each_moment_is_told_of_its_own_window(figure, seed, length, at, start, width):
    values, end = demand(seed, length), start + width
    running = Running.around(values, np.array(at), before=max(0, -start), after=max(0, end))
    found = getattr(running, figure)(start, end)
    wanted = [alone(figure, values, moment, start, end) for moment in at]
    assert np.allclose(found, wanted, atol=1e-6, equal_nan=True)


def test_what_is_around_a_window_changes_no_digit_of_it():
    values = demand(1, 400)
    louder = np.concatenate((1e9 * demand(2, 400), values[100:200], 1e9 * demand(3, 37)))
    quiet = Running.around(values, np.array([200]), before=100)
    loud = Running.around(louder, np.array([500]), before=300)
    for figure in FIGURES:
        found = (getattr(one, figure)(-100, 0) for one in (quiet, loud))
        assert np.array_equal(*found, equal_nan=True)


def test_of_no_moments_nothing_is_told():
    assert len(Running.around(demand(1, 10), np.array([], dtype=int), before=5).mean(-5, 0)) == 0
