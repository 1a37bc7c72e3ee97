"""Demand that the tests of the lookahead share."""

import numpy as np
import pytest

from foretide.forecasting.series import Series

DAY = 86_400.0
# A Monday, 00:00 UTC.
MONDAY = 1_699_833_600.0


@pytest.fixture(scope="session")
def daily():
    """Some days of a daily wave of 100 ± 60 with noise of 3 %, by the minute."""

    def make(days, *, noise=0.03, seed=1, start=MONDAY):
        minutes = np.arange(int(days * 1440))
        wave = 100 + 60 * np.sin(2 * np.pi * minutes / 1440)
        random = np.random.default_rng(seed)
        return Series(start, 60.0, wave * random.normal(1, noise, len(minutes)).clip(0.5))

    return make
