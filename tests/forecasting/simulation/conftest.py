"""Traces that the tests of the simulation share."""

import numpy as np
import pytest

from foretide.forecasting.series import Series
from foretide.forecasting.simulation.trace import Trace

MIDNIGHT = 1_700_006_400.0  # a Wednesday, UTC


@pytest.fixture(scope="session")
def make_trace():
    """A trace of these values, a minute each unless told otherwise; a replica carries 10."""

    def make(values, *, step=60.0, per_replica=10.0, lag=0.0, start=MIDNIGHT):
        demand = Series(start, step, np.asarray(values, dtype=float))
        return Trace("test", demand, per_replica, lag)

    return make


@pytest.fixture(scope="session")
def daily():
    """So many days of a daily wave by the minute, between 50 and 450, with a little noise."""

    def make(days, seed=1):
        minutes = np.arange(round(days * 1440))
        noise = np.random.default_rng(seed).normal(0, 8, len(minutes))
        return 250 - 200 * np.cos(2 * np.pi * minutes / 1440) + noise

    return make
