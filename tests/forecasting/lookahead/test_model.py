"""Fitting the lookahead, and what the operator does with the result."""

import pickle

import lightgbm as lgb
import numpy as np
import pytest

from foretide.forecasting.demand import Undecided
from foretide.forecasting.forecast import PeakForecast
from foretide.forecasting.lookahead import fitting
from foretide.forecasting.lookahead.choosing import Workload
from foretide.forecasting.lookahead.features import peaks_ahead
from foretide.forecasting.lookahead.fitting import LookaheadRequest, Past, fit, learn
from foretide.forecasting.lookahead.plan import LEVELS, Plan
from foretide.forecasting.lookahead.trees import Trees
from foretide.forecasting.series import Series

DAY = 86_400.0


def request_at(now, **changes):
    values = {
        "workload": Workload(per_replica=4.0, min_replicas=2, lead=3),
        "window": 4,
        "targets": (0.7,),
        "now": now,
        "min_history": 2 * DAY,
    }
    return LookaheadRequest(**{**values, **changes})


@pytest.fixture(scope="module")
def history(daily):
    return daily(6)


@pytest.fixture(
    scope="module",
    params=[20, pytest.param(fitting._ROUNDS, marks=pytest.mark.slow)],
    ids="{} trees".format,
)
def model(request, history):
    """Of few trees, which is quick, and then of as many as the product learns."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "_ROUNDS", request.param)
        return fit(history, request_at(history.end))


@pytest.fixture
def quick(monkeypatch):
    """Fewer trees, where it does not matter how well something is learned."""
    monkeypatch.setattr(fitting, "_ROUNDS", 8)


def test_upper_quantiles_cover_what_comes_about_as_often_as_they_say(daily, model):
    whole = daily(8)
    at = np.arange(6 * 1440, 8 * 1440 - 4)
    found = model.quantiles(whole.values, at, whole.start)
    came = peaks_ahead(whole.values, at, 4)
    for level, quantile in zip(LEVELS, found, strict=True):
        assert np.mean(came <= quantile) == pytest.approx(level, abs=0.06)


def test_coverage_is_told_for_each_level_as_it_was_on_the_newest_days(model):
    assert list(model.coverage) == sorted(model.coverage)
    assert model.coverage[3:] == pytest.approx(LEVELS[3:], abs=0.04)


@pytest.mark.slow
def test_coverage_tells_when_the_newest_days_are_not_like_the_others(daily, quick):
    calm, wild = daily(6, noise=0.02), daily(6, noise=0.15)
    values = np.concatenate((calm.values[: 5 * 1440], wild.values[5 * 1440 :]))
    model = fit(Series(calm.start, 60.0, values), request_at(calm.end))
    assert model.coverage[LEVELS.index(0.975)] < 0.93


def test_a_regular_workload_gets_a_plan_that_was_safer_and_cheaper_than_hpa(model):
    choice = model.choice(0.7)
    assert isinstance(choice.plan, Plan)
    assert choice.expected.replicas < choice.hpa.replicas
    assert choice.expected.under <= choice.hpa.under + 1e-4


def test_what_nobody_asked_for_has_no_choice(model):
    assert model.choice(0.8) is None


def test_a_forecast_rises_before_demand_does(daily, model):
    whole = daily(7)
    morning = whole.between(whole.start, whole.start + 6 * DAY + 60 * 60)
    forecast = model.forecast(morning, Plan.at_quantile(0.975, 0.0))
    assert isinstance(forecast, PeakForecast)
    assert forecast.made_at == morning.end
    assert forecast.until == morning.end + 240
    assert forecast.upper > whole.values[6 * 1440 + 60 : 6 * 1440 + 64].max() * 0.97
    assert forecast.median < forecast.upper


def test_after_a_leap_that_nothing_foretold_there_is_room_for_more(history, model):
    plan = Plan.at_quantile(0.9, 0.0)
    calm = model.forecast(history, plan)
    leap = Series(history.start, 60.0, history.values.copy())
    leap.values[-1] *= 3
    assert not calm.surprised
    surprised = model.forecast(leap, plan)
    assert surprised.surprised
    assert surprised.upper == pytest.approx(leap.values[-1] / 0.7)
    assert (surprised.made_at, surprised.until) == (calm.made_at, calm.until)


def test_ten_minutes_without_demand_make_no_forecast(history, model):
    blind = Series(
        history.start, 60.0, np.where(np.arange(len(history)) < 8_000, history.values, np.nan)
    )
    found = model.forecast(blind, Plan.at_quantile(0.975, 0.0))
    assert isinstance(found, Undecided)
    assert found.reason == "DemandUnknown"


def test_a_model_can_be_sent_between_processes_and_is_small(model, history):
    sent = pickle.dumps(model)
    assert len(sent) < 500_000
    again = pickle.loads(sent)
    plan = Plan.at_quantile(0.9, 0.0)
    assert again.forecast(history, plan) == model.forecast(history, plan)


@pytest.mark.slow
def test_the_same_history_makes_the_same_model(daily, quick):
    history = daily(3)
    one, again = (fit(history, request_at(history.end)) for _ in range(2))
    assert np.array_equal(again.trees.threshold, one.trees.threshold)
    assert again.choices == one.choices


def test_too_little_history_is_said(daily):
    short = daily(1)
    found = fit(short, request_at(short.end))
    assert isinstance(found, Undecided)
    assert "needs 2.0 days of history, has 1.0 days" in found.message


@pytest.mark.parametrize(
    "values",
    [np.zeros(4_000), np.full(4_000, 7.0), np.where(np.arange(4_000) % 2, 0.0, 1e9)],
    ids=["nothing", "constant", "extremes"],
)
def test_odd_demand_makes_finite_forecasts_or_none(values, quick):
    series = Series(0.0, 60.0, values)
    found = fit(series, request_at(series.end))
    if isinstance(found, Undecided):
        return
    forecast = found.forecast(series, Plan(6.0, 0.2, 1.0, 1.0))
    assert np.isfinite(forecast.upper)
    assert forecast.upper >= 0


@pytest.mark.slow
def test_minutes_that_are_not_usable_teach_nothing(daily, quick):
    calm = daily(3, noise=0.01)
    values = calm.values.copy()
    values[2_000:2_400] *= 20
    usable = np.ones(len(values), dtype=bool)
    usable[1_990:2_410] = False
    incident = Series(calm.start, 60.0, values)
    request = request_at(calm.end, targets=())
    with_it = fit(incident, request)
    without = fit(incident, request, usable)
    eve = np.array([2_000])
    told = with_it.quantiles(values, eve, calm.start)[-1]
    spared = without.quantiles(values, eve, calm.start)[-1]
    assert spared < 1.1 * calm.values[2_000] < 2 * calm.values[2_000] < told
    assert isinstance(without.forecast(incident, Plan(2.3, 0.0)), PeakForecast)


def test_history_in_other_steps_is_refused(daily):
    with pytest.raises(ValueError, match="by the minute"):
        fit(daily(4).coarser(300.0), request_at(0.0))


def test_numpy_trees_answer_as_lightgbm_does(history, quick):
    past = Past.of(history.values, start=history.start, window=4, zone="UTC")
    examples = past.examples(past.moments())
    learned = learn(examples)
    table = examples[::37].table
    theirs = np.array([booster.predict(table) for booster in learned.boosters])
    assert np.allclose(learned.trees().predict(table), theirs, rtol=1e-5, atol=1e-5)


def test_a_tree_without_a_split_is_a_constant():
    data = lgb.Dataset(np.zeros((50, 1)), np.full(50, 3.0), free_raw_data=False)
    booster = lgb.train({"verbose": -1, "min_data_in_leaf": 1}, data, 2)
    trees = Trees.of_boosters([booster.dump_model()])
    assert trees.predict(np.zeros((4, 1))).tolist() == [pytest.approx([3.0] * 4)]
