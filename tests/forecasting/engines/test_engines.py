"""What every engine must be able to do, and must not do.

Left out: Prophet's and statsforecast's own arithmetic. Their engines are in test_curve.py.
"""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretide.forecasting.demand import Undecided
from foretide.forecasting.engines.base import Context, hats, knots
from foretide.forecasting.engines.catalogue import ALL, AUTO, engine_named
from foretide.forecasting.series import Series

DAY, STEP = 86_400.0, 600.0
DAILY = ["SeasonalNaive", "Pattern", "Boosted"]


@pytest.fixture(scope="module")
def history(make_history):
    return make_history(10.0, weekend=0.5)


@pytest.fixture(scope="module")
def fitted(history, context):
    """Each engine, fitted to the first eight days."""
    head = Series(history.start, STEP, history.values[: 8 * 144])
    return {name: engine_named(name).fit(head, context) for name in AUTO}


def look(engine, history, origins, leads):
    return engine.outlook(history, np.asarray(origins), np.asarray(leads))


@pytest.mark.parametrize("name", AUTO)
@settings(max_examples=15, deadline=None)
@given(st.integers(145, 10 * 144 - 1), st.integers(1, 200), st.sampled_from([0.0, np.nan, 1e6]))
def test_nothing_after_the_origin_is_seen(name, fitted, history, origin, lead, other):
    changed = history.values.copy()
    changed[origin:] = other
    seen = look(fitted[name], history, [origin], [lead])
    blind = look(fitted[name], replace(history, values=changed), [origin], [lead])
    cut = look(fitted[name], Series(history.start, STEP, history.values[:origin]), [origin], [lead])
    assert seen.location[0] == pytest.approx(blind.location[0], rel=1e-6)
    assert seen.location[0] == pytest.approx(cut.location[0], rel=1e-6)
    assert seen.scale[0] == pytest.approx(cut.scale[0], rel=1e-6)


@pytest.mark.parametrize("name", AUTO)
def test_pairs_do_not_touch_one_another(name, fitted, history):
    origins, leads = np.array([900, 1200, 1000]), np.array([1, 144, 30])
    together = look(fitted[name], history, origins, leads)
    one = look(fitted[name], history, [1200], [144])
    assert together.location[1] == pytest.approx(one.location[0], rel=1e-9)


@pytest.mark.parametrize("name", DAILY)
def test_a_daily_pattern_is_continued(name, make_history, context):
    history = make_history(8.0, noise=0.01)
    coming = make_history(9.0, noise=0.0).values[-144:]
    engine = engine_named(name).fit(history, context)
    leads = np.arange(1, 145)
    said = look(engine, history, np.full(144, len(history)), leads).location
    assert np.abs(said - coming).max() < 0.12 * coming.max()


@pytest.mark.parametrize("name", DAILY)
@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_the_unit_of_demand_does_not_matter(name, unit, history, context):
    other = replace(history, values=history.values * unit)
    origins, leads = np.full(3, len(history)), np.array([1, 20, 144])
    plain = look(engine_named(name).fit(history, context), history, origins, leads)
    scaled = look(engine_named(name).fit(other, context), other, origins, leads)
    assert scaled.location == pytest.approx(plain.location * unit, rel=0.02)


@pytest.mark.parametrize("name", AUTO)
def test_gaps_are_survived(name, history, context):
    values = history.values.copy()
    values[np.random.default_rng(2).random(len(values)) < 0.3] = np.nan
    values[500:700] = np.nan
    values[-6:] = np.nan
    holes = replace(history, values=values)
    engine = engine_named(name).fit(holes, context)
    said = look(engine, holes, np.full(144, len(holes)), np.arange(1, 145))
    assert np.isfinite(said.location).all()
    assert (said.scale > 0).all()


@pytest.mark.parametrize("name", AUTO)
@pytest.mark.parametrize("level", [0.0, 42.0])
def test_demand_that_never_changes_stays(name, level, context):
    flat = Series(0.0, STEP, np.full(4 * 144, level))
    engine = engine_named(name).fit(flat, context)
    said = look(engine, flat, np.full(144, len(flat)), np.arange(1, 145))
    assert said.location == pytest.approx(np.full(144, level), abs=1e-6)


@pytest.mark.parametrize("name", AUTO)
def test_demand_is_never_negative(name, context):
    falling = Series(0.0, STEP, np.maximum(0.0, np.linspace(300, -100, 4 * 144)))
    engine = engine_named(name).fit(falling, context)
    said = look(engine, falling, np.full(144, len(falling)), np.arange(1, 145))
    assert said.location.min() >= 0


@pytest.mark.parametrize("name", AUTO)
def test_too_little_history_is_said(name, context):
    answer = engine_named(name).fit(Series(0.0, STEP, np.ones(20)), context)
    assert isinstance(answer, Undecided)
    assert answer.reason == "TooLittleHistory"


@pytest.mark.parametrize("name", DAILY)
def test_the_local_hour_counts_after_the_clocks_have_changed(name):
    """Open from 8 to 20 in Berlin, whose clocks change on 29 March 2026 at 1 UTC."""
    change = 1_774_746_000.0
    start = change - 8 * DAY
    times = start + STEP * np.arange(10 * 144)
    local = times + np.where(times >= change, 7200, 3600)
    shop = np.where((local % DAY >= 8 * 3600) & (local % DAY < 20 * 3600), 100.0, 10.0)
    history = Series(start, STEP, shop)
    known = round((change + 3600 - start) / STEP)
    head = Series(start, STEP, shop[:known])
    opening = round((6 * 3600 - 2 * 3600) / STEP)  # 6 UTC is 8 in Berlin now
    leads = np.arange(opening - 2, opening + 4) + 1
    said = {
        zone: look(
            engine_named(name).fit(head, Context(time_zone=zone)),
            history,
            np.full(6, known),
            leads,
        ).location
        for zone in ("Europe/Berlin", "UTC")
    }
    assert list(said["Europe/Berlin"] > 50) == [False, False, True, True, True, True]
    assert not (said["UTC"] > 50).any()


def test_a_week_is_the_season_where_weekends_differ(make_history, context):
    weekly = make_history(15.0, weekend=0.2, noise=0.01)
    engine = engine_named("SeasonalNaive").fit(weekly, context)
    said = look(engine, weekly, [len(weekly)], [1]).location
    assert said[0] == pytest.approx(weekly.values[-7 * 144])
    daily = make_history(22.0, weekend=1.0)
    said = look(engine_named("SeasonalNaive").fit(daily, context), daily, [len(daily)], [1])
    assert said.location[0] == pytest.approx(daily.values[-144])


def test_far_ahead_the_newest_season_that_is_known_is_repeated(make_history, context):
    history = make_history(5.0)
    engine = engine_named("SeasonalNaive").fit(history, context)
    said = look(engine, history, np.full(2, len(history)), np.array([10, 10 + 3 * 144])).location
    assert said == pytest.approx(np.full(2, history.values[-144 + 9]))


def test_smoothing_follows_a_step_and_holt_a_trend(context):
    step = Series(0.0, STEP, np.repeat([10.0, 50.0], 144))
    simple = engine_named("SimpleSmoothing").fit(step, context)
    assert look(simple, step, [288], [6]).location[0] == pytest.approx(50, rel=0.01)
    line = Series(0.0, STEP, np.linspace(100.0, 400.0, 288))
    holt = look(engine_named("Holt").fit(line, context), line, [288], [6]).location[0]
    flat = look(engine_named("SimpleSmoothing").fit(line, context), line, [288], [6]).location[0]
    assert flat < 400 < holt < 410


def test_an_engine_that_does_not_exist_is_said_with_those_that_do():
    with pytest.raises(ValueError, match="no engine 'LSTM': there are SeasonalNaive, "):
        engine_named("LSTM")


@pytest.mark.slow
def test_the_automatic_choice_loads_neither_statsforecast_nor_prophet():
    code = (
        "import sys; from foretide.forecasting.engines.catalogue import AUTO, engines_named;"
        "engines_named(AUTO); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not {"statsforecast", "prophet"} & set(done.stdout.split())
    assert set(AUTO) < set(ALL)


@given(st.sampled_from([60.0, 300.0, 1800.0, 3600.0]), st.integers(1, 5000))
def test_the_shares_of_knots_sum_to_one(step, lead):
    at = knots(step, DAY)
    share = hats(np.array([lead]), at)
    assert share.sum() == pytest.approx(1.0)
    assert (share >= 0).all()
