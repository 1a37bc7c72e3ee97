"""Histories to learn from."""

from datetime import UTC, datetime

import numpy as np
import pytest

from foretide.forecasting.engines.base import Context
from foretide.forecasting.series import Series

DAY, HOUR = 86_400.0, 3_600.0
MONDAY = datetime(2026, 3, 2, tzinfo=UTC).timestamp()


@pytest.fixture(scope="session")
def make_history():
    """Noisy days that peak at noon, between 20 and 180; weekends as a share of weekdays."""

    def make(days=8.0, *, step=600.0, weekend=1.0, noise=0.05, start=MONDAY, seed=1):
        times = start + step * np.arange(round(days * DAY / step))
        level = 100 - 80 * np.cos(2 * np.pi * times / DAY)
        level = level * np.where((times - MONDAY) // DAY % 7 >= 5, weekend, 1.0)
        spread = np.random.default_rng(seed).normal(1, noise, len(times))
        return Series(start, step, np.maximum(level * spread, 0.0))

    return make


@pytest.fixture(scope="session")
def context():
    """The usual one."""
    return Context()
