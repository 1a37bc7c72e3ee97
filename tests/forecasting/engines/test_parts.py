"""Windows, pairs, calibration and mixing, each on its own."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretide.forecasting.engines.base import Outlook
from foretide.forecasting.engines.calibration import Calibration, widening
from foretide.forecasting.engines.mixing import mixture
from foretide.forecasting.engines.pairs import learning_pairs
from foretide.forecasting.engines.walk_forward import Errors, folds, pinball
from foretide.forecasting.engines.windows import Windows
from foretide.forecasting.series import Series

DAY, STEP = 86_400.0, 600.0


def errors(truth, location, *, scale=None, days=14.0, lead=1):
    """Errors spread over so many days."""
    count = len(truth)
    return Errors(
        np.full(count, lead),
        np.linspace(0.0, days * DAY, count),
        np.asarray(truth, dtype=float),
        Outlook(np.asarray(location, dtype=float), np.ones(count) if scale is None else scale),
    )


@given(
    st.lists(st.sampled_from([np.nan, 0.0, 1.0, 5.0]), min_size=1, max_size=20),
    st.integers(-5, 25),
    st.integers(-5, 25),
)
def test_a_windows_mean_is_that_of_what_is_known(values, start, end):
    windows = Windows.over(np.array(values))
    found = windows.mean(np.array([start]), np.array([end]))[0]
    part = np.array(values)[max(0, start) : max(0, end)]
    known = part[np.isfinite(part)]
    if len(known):
        assert found == pytest.approx(known.mean())
    else:
        assert np.isnan(found)


def test_the_newest_known_value_is_that_before_the_index():
    last = Windows.over(np.array([3.0, np.nan, 7.0])).last
    assert list(last[1:]) == [3.0, 3.0, 7.0]
    assert np.isnan(last[0])


def test_pairs_have_known_targets_within_the_history(make_history, context):
    history = make_history(4.0)
    history.values[300:320] = np.nan
    origins, leads = learning_pairs(history, context, 500)
    targets = origins + leads - 1
    assert len(origins) > 300
    assert targets.max() < len(history)
    assert np.isfinite(history.values[targets]).all()
    assert origins.min() > 144
    assert leads.min() == 1
    assert leads.max() > 100


def test_folds_cover_the_newest_half(make_history):
    found = folds(make_history(8.0))
    assert found[0].end == 4 * 144
    assert found[-1].until == 8 * 144
    assert all(before.until == after.end for before, after in pairwise(found))


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0.5, 0.999))
def test_pinball_is_smallest_at_the_truth(truth, said, level):
    loss = pinball(np.array([truth]), np.array([said]), level)[0]
    assert loss >= 0
    assert loss == pytest.approx(abs(truth - said) * (level if truth > said else 1 - level))


def test_calibrated_quantiles_cover_what_they_are_named_after(context):
    rng = np.random.default_rng(3)
    seen = errors(100 + rng.normal(0, 7, 4000), np.full(4000, 100.0), days=28)
    calibration = Calibration.of(seen, context, STEP)
    coming = 100 + rng.normal(0, 7, 4000)
    values = calibration.quantiles(
        Outlook(np.full(4000, 100.0), np.ones(4000)), np.ones(4000, dtype=int), seen.times
    )
    for level, said in zip(calibration.levels, values, strict=True):
        assert np.mean(coming <= said) == pytest.approx(level, abs=0.02)


def test_levels_do_not_cross_and_are_not_negative(context):
    rng = np.random.default_rng(4)
    seen = errors(rng.gamma(0.5, 5, 300), np.full(300, 2.0), days=1)
    calibration = Calibration.of(seen, context, STEP)
    values = calibration.quantiles(seen.outlook, seen.leads, seen.times)
    assert (np.diff(values, axis=0) >= 0).all()
    assert values.min() >= 0


def test_hours_with_larger_errors_get_wider_quantiles(context):
    rng = np.random.default_rng(5)
    seen = errors(np.zeros(6000) + 100, np.full(6000, 100.0), days=14)
    noon = abs(seen.times % DAY - DAY / 2) < DAY / 8
    truth = 100 + rng.normal(0, np.where(noon, 20, 2))
    seen = errors(truth, np.full(6000, 100.0), days=14)
    calibration = Calibration.of(seen, context, STEP)
    one = Outlook(np.full(2, 100.0), np.ones(2))
    values = calibration.quantiles(one, np.ones(2, dtype=int), np.array([0.5 * DAY, 0.0]))
    assert values[-1, 0] - 100 > 3 * (values[-1, 1] - 100)


def test_without_errors_all_levels_are_the_middle(context):
    calibration = Calibration.of(errors([], [], days=0), context, STEP)
    values = calibration.quantiles(
        Outlook(np.array([5.0]), np.ones(1)), np.ones(1, int), np.zeros(1)
    )
    assert (values == 5.0).all()


def test_few_independent_errors_widen_the_outer_levels_most():
    wider = widening((0.1, 0.5, 0.9, 0.975), np.array([3.0, 1000.0]))
    assert wider[1] == pytest.approx([1.0, 1.0])
    assert wider[3, 0] > wider[2, 0] > 1.3
    assert wider[3, 1] == pytest.approx(1.0, abs=0.01)


def judged(context, *made):
    return [(one, Calibration.of(one, context, STEP)) for one in made]


def test_the_better_engine_gets_the_weight(context):
    rng = np.random.default_rng(6)
    truth = 100 + rng.normal(0, 10, 2000)
    poor = errors(truth, truth + rng.normal(0, 20, 2000))
    good = errors(truth, truth + rng.normal(0, 2, 2000))
    weights = mixture(judged(context, poor, good), context, STEP)
    assert weights.sum(axis=0) == pytest.approx(np.ones(weights.shape[1]))
    assert weights[1, 0] > 0.9


def test_an_engine_that_is_worse_than_the_yardstick_is_not_followed(context):
    rng = np.random.default_rng(7)
    truth = 100 + rng.normal(0, 10, 2000)
    naive = errors(truth, truth + rng.normal(0, 2, 2000))
    poor = errors(truth, truth + rng.normal(0, 20, 2000))
    assert mixture(judged(context, naive, poor), context, STEP)[0, 0] > 0.9


def test_two_errors_prove_nothing(context):
    truth = np.array([100.0, 101.0])
    naive, lucky = errors(truth, truth + 50, days=0.1), errors(truth, truth, days=0.1)
    weights = mixture(judged(context, naive, lucky), context, STEP)
    assert weights[:, 0] == pytest.approx([0.5, 0.5])


def test_an_engine_alone_has_all_the_weight(context):
    weights = mixture(judged(context, errors([1.0, 2.0], [1.0, 2.0])), context, STEP)
    assert (weights == 1.0).all()


def test_a_history_of_gaps_has_no_pairs(context):
    origins, leads = learning_pairs(Series(0.0, STEP, np.full(600, np.nan)), context, 100)
    assert len(origins) == len(leads) == 0


def test_levels_move_out_while_less_is_covered_than_was_promised(context):
    rng = np.random.default_rng(8)
    calm, wild = rng.normal(0, 1, 3000), rng.normal(0, 4, 600)
    steady = Calibration.of(errors(np.append(wild, calm), np.zeros(3600)), context, STEP)
    lately = Calibration.of(errors(np.append(calm, wild), np.zeros(3600)), context, STEP)
    assert lately.factors[-1, 0] > 1.15 * steady.factors[-1, 0]
    middle = lately.levels.index(0.5)
    assert lately.factors[middle, 0] == pytest.approx(steady.factors[middle, 0], abs=0.1)
