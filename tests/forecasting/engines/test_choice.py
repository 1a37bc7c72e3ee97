"""The choice: better than seasonal-naive where it can be, no worse where it cannot, calibrated."""

from dataclasses import replace

import numpy as np
import pytest

from foretide.forecasting.demand import Undecided
from foretide.forecasting.engines.accuracy import CHOICE, Tally, Trial, add, trial
from foretide.forecasting.engines.base import Context
from foretide.forecasting.engines.catalogue import AUTO, engines_named
from foretide.forecasting.engines.choice import choose
from foretide.forecasting.engines.walk_forward import head, pinball
from foretide.forecasting.events.effects import KeyEffect, LearnedEffects
from foretide.forecasting.events.model import Event, EventCalendar, Kind
from foretide.forecasting.series import Series

DAY, HOUR, STEP = 86_400.0, 3_600.0, 600.0
LIGHT = ("SeasonalNaive", "SimpleSmoothing", "Pattern")


@pytest.fixture(scope="module")
def drifting(make_history):
    """Days that are 30 % higher or lower than the one before, which a good model sees by noon."""
    history = make_history(15.0)
    levels = np.exp(np.random.default_rng(2).normal(0, 0.3, 15))
    return replace(history, values=history.values * np.repeat(levels, 144))


@pytest.fixture(scope="module")
def chosen(drifting, context):
    return choose(engines_named(AUTO), head(drifting, 12 * 144), context)


def losses(model, history, first, lead):
    """Pinball losses at the median and at the quantile in use."""
    origins = np.arange(first, len(history) - lead)
    values = model.quantiles(history, origins, np.full(len(origins), lead))
    levels = model.calibration.levels
    truth = history.values[origins + lead - 1]
    return [
        float(pinball(truth, values[levels.index(level)], level).mean())
        for level in (0.5, model.context.quantile)
    ]


@pytest.fixture(scope="module")
def naive(drifting, context):
    return choose(engines_named(LIGHT[:1]), head(drifting, 12 * 144), context)


def test_what_seasonal_naive_cannot_know_is_known_better(chosen, naive, drifting):
    ours, theirs = (losses(model, drifting, 12 * 144, 3) for model in (chosen, naive))
    assert ours[0] < 0.6 * theirs[0]
    assert ours[1] < 0.6 * theirs[1]


def test_where_nothing_else_helps_seasonal_naive_is_as_good(make_history, context):
    """Each day repeats the one before but for a little noise, and jumps about within the day."""
    wild = np.random.default_rng(4).gamma(1.0, 50, 144)
    noise = np.random.default_rng(5).normal(1, 0.01, 15 * 144)
    history = Series(0.0, STEP, np.tile(wild, 15) * noise)
    ours, theirs = (
        losses(choose(engines_named(names), head(history, 12 * 144), context), history, 1728, 6)
        for names in (LIGHT, LIGHT[:1])
    )
    assert ours[0] < 1.1 * theirs[0]
    assert ours[1] < 1.1 * theirs[1]


def test_the_yardstick_is_always_among_those_that_were_tried(chosen):
    assert [one.engine.name for one in chosen.judged] == list(AUTO)
    assert sum(member.weights for member in chosen.members) == pytest.approx(
        np.ones(len(chosen.calibration.at))
    )


def test_a_forecast_is_a_grid_of_ascending_quantiles(chosen):
    end = chosen.history.end
    made = chosen.predict(end, 144)
    assert made.start == end
    assert made.step == STEP
    assert made.values.shape == (len(made.levels), 144)
    assert (np.diff(made.values, axis=0) >= 0).all()
    assert made.values.min() >= 0
    assert made.levels == (0.025, 0.1, 0.5, 0.9, 0.975)
    assert (made.at(0.975) >= made.at(0.5)).all()
    with pytest.raises(ValueError, match="not in"):
        made.at(0.42)


def test_a_forecast_from_later_on_is_the_same_one(chosen):
    end = chosen.history.end
    whole, later = chosen.predict(end, 20), chosen.predict(end + 5.5 * STEP, 10)
    assert later.start == end + 5 * STEP
    assert later.values == pytest.approx(whole.values[:, 5:15])


@pytest.mark.slow
def test_the_same_history_gives_the_same_forecast(chosen, drifting, context):
    again = choose(engines_named(AUTO), head(drifting, 12 * 144), context)
    end = chosen.history.end
    assert (again.predict(end, 30).values == chosen.predict(end, 30).values).all()


def test_the_name_says_who_has_a_say(chosen):
    assert set(chosen.name.split("+")) <= set(AUTO)
    assert "Pattern" in chosen.name or "Boosted" in chosen.name


def test_too_little_history_is_no_forecast(make_history, context):
    answer = choose(engines_named(LIGHT), make_history(0.5), context)
    assert isinstance(answer, Undecided)
    assert answer.reason == "TooLittleHistory"


def test_a_history_without_values_lately_is_no_forecast(make_history, context):
    history = make_history(6.0)
    history.values[2 * 144 :] = np.nan
    assert isinstance(choose(engines_named(LIGHT), history, context), Undecided)


def test_recent_misses_widen_the_quantiles(make_history, context):
    history = make_history(12.0, noise=0.02)
    model = choose(engines_named(LIGHT[:1]), head(history, 8 * 144), context)
    wild = history.values.copy()
    wild[8 * 144 :] *= np.random.default_rng(3).uniform(0.5, 1.6, 4 * 144)
    history = replace(history, values=wild)
    later = model.refreshed(history)
    before, after = (
        one.quantiles(history, np.array([1700]), np.array([1])) for one in (model, later)
    )
    assert np.ptp(after[:, 0]) > 2 * np.ptp(before[:, 0])
    assert later.history is history


def test_nothing_new_changes_nothing(chosen):
    again = chosen.refreshed(chosen.history)
    end = chosen.history.end
    assert (again.predict(end, 5).values == chosen.predict(end, 5).values).all()


@pytest.fixture(scope="module")
def sale():
    """A campaign that triples demand, at noon of day 9 and, ahead, of day 12."""
    calendar = EventCalendar(
        tuple(
            Event("Sale", Kind.CAMPAIGN, at, at + 3 * HOUR, "campaign:sale")
            for at in (9.5 * DAY, 12.5 * DAY)
        )
    )
    profile = (float(np.log(3)),) * 32
    effects = LearnedEffects(
        {"campaign:sale": KeyEffect("campaign:sale", 1, 3.0, 3.5, profile, 0.1)}
    )
    return calendar, effects


@pytest.fixture(scope="module")
def sales(make_history):
    history = make_history(12.0, start=0.0, noise=0.02)
    on = (history.times >= 9.5 * DAY) & (history.times < 9.5 * DAY + 3 * HOUR)
    return replace(history, values=history.values * np.where(on, 3.0, 1.0))


def test_an_event_ahead_is_expected_with_what_it_did(sales, sale):
    calendar, effects = sale
    usual = choose(engines_named(LIGHT), sales, Context())
    known = choose(engines_named(LIGHT), sales, Context(calendar=calendar, effects=effects))
    plain, eventful = (one.predict(sales.end, 144) for one in (usual, known))
    during, after = slice(73, 89), slice(100, 144)
    share = eventful.at(0.5) / plain.at(0.5)
    assert share[during] == pytest.approx(np.full(16, 3.0), rel=0.15)
    assert share[after] == pytest.approx(np.full(44, 1.0), rel=0.15)
    assert (eventful.at(0.975)[during] > 3.2 * plain.at(0.5)[during]).all()


def test_a_past_event_is_no_pattern_for_the_day_after(sales, sale):
    calendar, effects = sale
    day_after = head(sales, 10 * 144)
    usual = choose(engines_named(LIGHT[:1]), day_after, Context())
    known = choose(engines_named(LIGHT[:1]), day_after, Context(calendar=calendar, effects=effects))
    noon = 77
    assert usual.predict(day_after.end, 144).at(0.5)[noon] > 350
    assert known.predict(day_after.end, 144).at(0.5)[noon] < 250


def test_a_trial_sums_up_what_came_after_the_fit(drifting):
    found = trial(Trial(drifting, 12 * 144, 13 * 144, (1, 144), LIGHT, LIGHT, times=24))
    named = {*LIGHT, CHOICE}
    # Seasonal-naive is told once more for each, over the points that both were asked for.
    assert {name for _, name in found} == named | {f"SeasonalNaive beside {one}" for one in named}
    figures = found[1, CHOICE].figures()
    assert found[1, CHOICE].count == found[144, "Pattern"].count == 24
    assert 0 < figures["wape"] < 0.3
    assert figures["pinball_median"] == pytest.approx(figures["wape"] / 2)
    assert 0.5 < figures["coverage"] <= 1


@pytest.mark.slow
def test_a_trial_does_not_see_what_comes(drifting):
    changed = drifting.values.copy()
    changed[13 * 144 :] = 0.0
    wanted = Trial(drifting, 12 * 144, 13 * 144, (1,), LIGHT, LIGHT, times=24)
    blind = replace(wanted, history=replace(drifting, values=changed))
    assert trial(wanted) == trial(blind)


def test_tallies_add_up():
    truth = np.array([1.0, 2.0, 4.0])
    one, rest = (Tally.of(part, part + 1, part - 1, 0.9) for part in (truth[:1], truth[1:]))
    both: dict = {}
    add(both, {(1, "a"): one})
    add(both, {(1, "a"): rest})
    assert both[1, "a"] == Tally.of(truth, truth + 1, truth - 1, 0.9)
    assert both[1, "a"].figures()["wape"] == pytest.approx(3 / 7)
    assert both[1, "a"].figures()["coverage"] == 0.0
    assert both[1, "a"].figures()["pinball_upper"] == pytest.approx(3 * 0.9 / 7)
