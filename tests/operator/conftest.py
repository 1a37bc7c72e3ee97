"""What the tests of the operator share: forecasts that say what a test wants them to say."""

import asyncio
import math
import time

import numpy as np
import pytest

from foretide.forecasting.lookahead.choosing import Choice, Outcome
from foretide.forecasting.lookahead.model import LookaheadModel
from foretide.forecasting.lookahead.plan import LEVELS, Plan
from foretide.forecasting.lookahead.trees import Trees
from foretide.forecasting.series import Series


@pytest.fixture(scope="session")
def eventually():
    """Polls until a callable gives something true, and returns that."""

    async def wait(condition, timeout=20.0):
        deadline = time.monotonic() + timeout
        while not (answer := condition()):
            assert time.monotonic() < deadline, f"not within {timeout:g} s"
            await asyncio.sleep(0.005)
        return answer

    return wait


@pytest.fixture(scope="session")
def look_ahead():
    """A model that foresees so many times the demand of now, with a plan that goes by it."""

    def make(factor=2.0, *, at=0.0, window=4, utilization=0.5, plan=None, recent=()):
        leaf = np.zeros(0)
        return LookaheadModel(
            trees=Trees(
                roots=np.full((len(LEVELS), 1), -1, dtype=np.int32),
                feature=leaf.astype(np.int16),
                threshold=leaf,
                left=leaf.astype(np.int32),
                right=leaf.astype(np.int32),
                leaves=np.array([math.log(factor)], dtype=np.float32),
            ),
            shifts=np.zeros(len(LEVELS)),
            unit=1e-6,
            zone="UTC",
            window=window,
            choices=(
                Choice(
                    utilization,
                    Plan(safety=1.0, slack=0.1) if plan is None else plan,
                    Outcome(5.0, 0.001),
                    Outcome(7.0, 0.002),
                ),
            ),
            coverage=LEVELS,
            recent=Series(
                60.0 * math.floor(at / 60) - 60.0 * len(recent),
                60.0,
                np.array(recent, dtype=float),
            ),
            fitted_at=at,
            history_seconds=14 * 86_400.0,
            history_points=20_160,
        )

    return make
