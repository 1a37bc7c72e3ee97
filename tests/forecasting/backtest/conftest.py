"""A contest that needs no models, and files of demand."""

import numpy as np
import pytest

from foretide.forecasting.backtest.contest import Contest, Contestant
from foretide.forecasting.series import Series
from foretide.forecasting.simulation.trace import Trace

MIDNIGHT = 1_700_006_400  # a Wednesday, UTC


def wave(days):
    """A daily wave by the minute, between 50 and 450, with a little noise."""
    minutes = np.arange(round(days * 1440))
    noise = np.random.default_rng(1).normal(0, 8, len(minutes))
    return 250 - 200 * np.cos(2 * np.pi * minutes / 1440) + noise


@pytest.fixture(scope="session")
def make_contest():
    """A day of a daily wave after two days of history; HPA, the offset and the oracle play."""

    def make(**changes):
        trace = Trace("wave", Series(MIDNIGHT, 60.0, wave(3)), 10.0)
        values = {
            "start": MIDNIGHT + 2 * 86_400.0,
            "delays": (180.0, 600.0),
            "targets": (1.0, 0.7, 0.5),
            "contestants": (Contestant.HPA, Contestant.OFFSET, Contestant.ORACLE),
        }
        return Contest(trace, **{**values, **changes})

    return make


@pytest.fixture
def write_csv(tmp_path):
    """Writes lines to a file, and returns its path."""

    def write(*lines, name="demand.csv"):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def wave_csv(write_csv):
    """Writes so many days of the wave."""

    def write(days):
        rows = (f"{MIDNIGHT + 60 * at},{value:.3f}" for at, value in enumerate(wave(days)))
        return write_csv("time,requests", *rows, name="shop.csv")

    return write
