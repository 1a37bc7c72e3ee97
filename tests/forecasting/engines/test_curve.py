"""Engines that draw a curve: what is off it now is carried on; those of libraries fit in."""

from dataclasses import replace

import numpy as np
import pytest

from foretide.forecasting.demand import Undecided
from foretide.forecasting.engines.base import Context
from foretide.forecasting.engines.catalogue import engine_named
from foretide.forecasting.engines.curve import curve, grid
from foretide.forecasting.series import Series

DAY, STEP = 86_400.0, 600.0


def of_statsforecast(name):
    """Slow: it brings a compiler of its own, and takes four seconds to import."""
    return pytest.param(name, marks=pytest.mark.slow)


STATSFORECAST = [of_statsforecast(name) for name in ("MSTL", "AutoETS", "AutoTheta")]


def test_a_grid_is_of_local_time_and_has_no_gaps():
    times = STEP * np.arange(3 * 144)
    history = Series(0.0, STEP, times % DAY / 3600)
    history.values[200:230] = np.nan
    known = grid(history, Context(time_zone="Asia/Tokyo"), 3600.0)
    assert known.start == 9 * 3600
    assert known.day == 24
    assert np.isfinite(known.values).all()
    assert known.values[36] == pytest.approx(known.values[12])  # the gap, from a day before


def test_demand_above_the_curve_stays_so_for_a_while(context):
    history = Series(0.0, STEP, np.full(4 * 144, 100.0))
    drawn = curve(history, context, lambda times: np.full(len(times), 100.0), STEP)
    higher = replace(history, values=np.where(history.times > 3.9 * DAY, 150.0, 100.0))
    said = drawn.outlook(higher, np.full(2, len(higher)), np.array([1, 144])).location
    assert said[0] == pytest.approx(150, abs=2)
    assert 100 < said[1] < 130


@pytest.mark.parametrize("name", [*STATSFORECAST, "Prophet"])
def test_libraries_continue_a_daily_pattern(name, make_history, context):
    history = make_history(6.0, step=1800.0, noise=0.02)
    coming = make_history(7.0, step=1800.0, noise=0.0).values[-48:]
    engine = engine_named(name).fit(history, context)
    said = engine.outlook(history, np.full(48, len(history)), np.arange(1, 49)).location
    assert np.abs(said - coming).max() < 0.15 * coming.max()
    changed = replace(
        history, values=np.where(history.times >= history.end - DAY, 0, history.values)
    )
    cut = len(history) - 48
    blind = engine.outlook(changed, np.array([cut]), np.array([5])).location
    seen = engine.outlook(history, np.array([cut]), np.array([5])).location
    assert blind == pytest.approx(seen)


@pytest.mark.parametrize("name", [of_statsforecast("AutoETS"), "Prophet"])
def test_too_little_history_is_said(name, context):
    answer = engine_named(name).fit(Series(0.0, STEP, np.ones(30)), context)
    assert isinstance(answer, Undecided)
