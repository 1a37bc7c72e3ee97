"""Foretide and Prophet in a replay: nothing is known before it has happened."""

from dataclasses import replace

import numpy as np
import pytest

from foretide.forecasting.demand import Undecided
from foretide.forecasting.lookahead import fitting
from foretide.forecasting.simulation.foretide import FitSettings, ForetidePolicy, stages
from foretide.forecasting.simulation.growth import surges
from foretide.forecasting.simulation.policies import hpa, prophet_only
from foretide.forecasting.simulation.prophet import foresight, prophet_forecasts
from foretide.forecasting.simulation.replay import Setting, drive, replay

DAY = 1_440
FITS = FitSettings(refit_every=43_200.0, history=2 * 86_400.0, min_history=86_400.0)


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Fewer trees: when something is known does not depend on how well it was learned."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "_ROUNDS", 10)
        yield


@pytest.fixture(scope="module")
def played(daily, make_trace):
    """A trace, its setting, and the stages that were fitted along its third day."""
    trace = make_trace(daily(3))
    how = Setting(delay=180.0, start=trace.demand.start + 2 * 86_400.0)
    return trace, how, list(stages(trace, how, (0.7,), FITS))


def test_each_stage_lasts_until_the_next(played):
    _, _, fitted = played
    assert [(stage.first, stage.quantiles.shape[1]) for stage in fitted] == [
        (2 * DAY, DAY // 2),
        (2 * DAY + DAY // 2, DAY // 2),
    ]
    assert not any(isinstance(stage.model, Undecided) for stage in fitted)


def test_foretide_does_better_than_hpa_on_a_daily_wave(played):
    trace, how, fitted = played
    ours = replay(trace, ForetidePolicy(trace, how, fitted), how).score
    theirs = replay(trace, hpa(trace, how), how).score
    assert ours.pod_minutes < theirs.pod_minutes
    assert ours.under_pct <= theirs.under_pct


@pytest.mark.slow
def test_what_comes_later_changes_no_decision_of_foretides(played, make_trace):
    trace, how, fitted = played
    until = 2 * DAY + 1_000  # well after the second fit
    values = trace.demand.values.copy()
    values[until:] = values[until:][::-1] * 1.7 + 30
    other = make_trace(values)
    again = list(stages(other, how, (0.7,), FITS))
    # Both fits saw the same: what was learned once is learned again.
    np.testing.assert_array_equal(again[0].quantiles, fitted[0].quantiles)
    first = drive(trace, ForetidePolicy(trace, how, fitted), how).counts
    second = drive(other, ForetidePolicy(other, how, again), how).counts
    same = until - 2 * DAY + 1
    assert first[:same].tolist() == second[:same].tolist()
    assert first[same:].tolist() != second[same:].tolist()


@pytest.mark.slow
def test_a_lag_is_known_to_the_models(played, make_trace):
    trace, how, _ = played
    late = make_trace(trace.demand.values, lag=120.0)
    model = next(iter(stages(late, how, (0.7,), FITS))).model
    # Demand of two minutes is not known yet: the window reaches so much further.
    assert model.window == 6
    assert model.recent.end == how.start


@pytest.mark.slow
def test_a_surge_that_nothing_foretold_is_met_as_the_operator_would(played, make_trace):
    trace, how, fitted = played
    values = trace.demand.values.copy()
    first = 2 * DAY + 600
    values[first : first + 10] = values[first] * 1.15 ** np.arange(10)
    surging = make_trace(values)
    growth = surges(surging, how)
    assert growth
    assert min(growth) > surging.demand.start + 60.0 * first
    with_it = drive(surging, ForetidePolicy(surging, how, fitted, growth), how).counts
    without = drive(surging, ForetidePolicy(surging, how, fitted, {}), how).counts
    assert (with_it >= without)[: first + 60 - 2 * DAY].all()
    assert with_it.sum() > without.sum()


@pytest.mark.slow
def test_a_query_that_looks_back_is_outlasted_in_a_replay_too(played):
    trace, how, fitted = played
    longer = replace(how, query_range=7_200.0)  # no plan is that patient
    at_once = drive(trace, ForetidePolicy(trace, how, fitted, {}), how).counts
    later = drive(trace, ForetidePolicy(trace, longer, fitted, {}), longer).counts
    assert later.sum() > at_once.sum()
    stage = next(iter(stages(trace, longer, (0.7,), FITS)))
    assert stage.model.choice(0.7).expected.replicas > fitted[0].model.choice(0.7).expected.replicas


@pytest.mark.slow
def test_prophet_is_fitted_to_what_was_known_and_read_over_the_lead_time(played, make_trace):
    trace, how, _ = played
    made = prophet_forecasts(trace, how.start, FITS)
    assert [forecast.fitted_at for forecast in made] == [how.start, how.start + 43_200]
    values = trace.demand.values.copy()
    values[2 * DAY :] = 900
    other = prophet_forecasts(make_trace(values), how.start, FITS)
    assert other[0].upper == made[0].upper
    assert other[1].upper != made[1].upper
    peak = foresight(made, 600.0)
    assert peak(how.start) == made[0].upper_peak(how.start, how.start + 600)
    assert np.isnan(peak(how.start - 60))
    counts = drive(trace, prophet_only(trace, how, peak), how).counts
    assert counts.max() > 40
