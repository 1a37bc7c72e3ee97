"""The time of year is learned where it has been seen, and only where it would have helped."""

import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from foretide.forecasting.engines.base import Context
from foretide.forecasting.engines.catalogue import engines_named
from foretide.forecasting.engines.choice import choose
from foretide.forecasting.engines.walk_forward import head, tail
from foretide.forecasting.engines.yearly import YEAR, learn
from foretide.forecasting.events.model import Event, EventCalendar, Kind
from foretide.forecasting.series import Series

DAY, HOUR = 86_400.0, 3_600.0
# A Sunday at the end of September, when the demand of these tests rises fastest.
RISING = datetime(2026, 9, 27, tzinfo=UTC).timestamp()
NO_EVENTS = EventCalendar()
MONTH = 30.5


def season(times, height=0.7):
    """The log of the time of year: highest in the last days of December."""
    return height * np.cos(2 * np.pi * (times / YEAR))


@pytest.fixture(scope="module")
def make_years():
    """Hours until `end`: days, weekends, growth of a fifth a year, noise that lasts for days.

    `log` says by how much demand differs from that, in logarithms, from its times.
    """

    def make(months, log=season, *, end=RISING, step=HOUR, seed=1, noise=0.02):
        random = np.random.default_rng(seed)
        count = round(months * MONTH * DAY / step)
        times = end - step * np.arange(count, 0, -1)
        lasting = random.normal(0, noise, round(months * MONTH) + 2)
        for day in range(1, len(lasting)):
            lasting[day] += 0.7 * lasting[day - 1]
        lasting = lasting[((times - times[0]) / DAY).astype(int)]
        weekday = (times // DAY + 3) % 7
        level = lasting + 0.2 * (times - end) / YEAR + np.where(weekday >= 5, -0.3, 0.0)
        shape = 100 - 60 * np.cos(2 * np.pi * times / DAY)
        values = shape * np.exp(level + log(times) + random.normal(0, 2.5 * noise, count))
        return Series(float(times[0]), step, values)

    return make


@pytest.mark.parametrize("months", [14, 20, 26])
def test_a_season_that_came_again_is_learned(make_years, months):
    history = make_years(months)
    found = learn(history, "UTC", NO_EVENTS)
    around = history.end + DAY * np.arange(-28, 8)
    truth = np.exp(season(around) - season(np.array([history.end])))
    assert np.abs(found.multipliers(around) / truth - 1).max() < 0.06
    assert found.multipliers(np.array([history.end])) == pytest.approx(1.0)


@pytest.mark.parametrize("days", [14, 200, 392])
def test_less_than_thirteen_months_tell_nothing(make_years, days):
    assert learn(make_years(days / MONTH), "UTC", NO_EVENTS) is None


def test_nothing_known_tells_nothing(make_years):
    history = make_years(14)
    assert learn(replace(history, values=history.values * math.nan), "UTC", NO_EVENTS) is None
    gone = np.where(np.arange(len(history)) % 3, math.nan, history.values)
    assert learn(replace(history, values=gone), "UTC", NO_EVENTS) is None


def test_who_closes_at_weekends_has_a_year_all_the_same(make_years):
    history = make_years(14)
    closed = (history.times // DAY + 3) % 7 >= 5
    found = learn(replace(history, values=np.where(closed, 0.0, history.values)), "UTC", NO_EVENTS)
    ahead = history.end + DAY * np.arange(8)
    truth = np.exp(season(ahead) - season(np.array([history.end])))
    assert np.abs(found.multipliers(ahead) / truth - 1).max() < 0.06


def flat(times):
    return np.zeros(len(times))


def stepped(times):
    """Half as much again since May."""
    return np.where(times > RISING - 140 * DAY, 0.4, 0.0)


def wandering(times):
    """A level that drifts by 1 % a day."""
    days = ((times - times[0]) / DAY).astype(int)
    return np.cumsum(np.random.default_rng(3).normal(0, 0.01, days[-1] + 1))[days]


@pytest.mark.parametrize("months", [14, 26])
@pytest.mark.parametrize("log", [flat, stepped, wandering])
def test_where_there_is_no_season_none_is_learned(make_years, log, months):
    assert [learn(make_years(months, log, seed=seed), "UTC", NO_EVENTS) for seed in range(5)] == [
        None
    ] * 5


def test_one_year_that_does_not_come_again_is_no_season(make_years):
    """It rose at the end of last September, and this year it falls."""
    first = RISING - 14 * MONTH * DAY

    def once(times):
        return season(np.minimum(times, first + YEAR)) - np.maximum(0, times - first - YEAR) / YEAR

    assert learn(make_years(14, once), "UTC", NO_EVENTS) is None


def test_what_events_did_is_no_season(make_years):
    """A sale of two months, from last October on: five times the demand."""
    start = RISING - YEAR + 7 * DAY
    sale = Event("sale", Kind.CAMPAIGN, start, start + 60 * DAY, "sale")

    def sold(times):
        inside = (times >= sale.start) & (times < sale.end)
        return season(times) + np.where(inside, math.log(5), 0.0)

    ahead = RISING + DAY * np.arange(60)
    truth = learn(make_years(26), "UTC", NO_EVENTS).multipliers(ahead)
    known = learn(make_years(26, sold), "UTC", EventCalendar((sale,))).multipliers(ahead)
    assert np.abs(known / truth - 1).max() < 0.04


def test_events_on_every_day_do_not_take_the_year_away(make_years):
    begins = RISING - 26 * MONTH * DAY
    batches = tuple(
        Event("batch", Kind.RECURRING, at, at + HOUR, "batch")
        for at in np.arange(begins, RISING, DAY).tolist()
    )
    assert learn(make_years(26), "UTC", EventCalendar(batches)) is not None


# Forecasts


def missed(engine, years, context, days):
    """Mean absolute errors of the medians of the day after each of the newest days (in logs)."""
    off = []
    for back in days:
        known = head(years, len(years) - round(back * DAY / years.step))
        chosen = choose(engines_named([engine]), tail(known, round(28 * DAY / HOUR)), context)
        median = chosen.predict(known.end, 24).at(0.5)
        came = years.values[len(known) : len(known) + 24]
        off.append(np.abs(np.log(median / came)).mean())
    return float(np.mean(off))


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["SeasonalNaive", "Pattern", "Boosted"])
def test_in_the_weeks_of_the_rise_forecasts_are_better_with_the_year(make_years, engine):
    """Demand that doubles in two months; the year was learned a month before."""

    def steep(times):
        return season(times, 1.4)

    years = make_years(15, steep, noise=0.01)
    yearly = learn(head(years, len(years) - round(28 * DAY / HOUR)), "UTC", NO_EVENTS)
    days = range(26, 0, -9)
    off = missed(engine, years, Context(), days)
    on = missed(engine, years, Context(yearly=yearly), days)
    assert on < 0.9 * off


def test_that_it_acts_is_told(make_years):
    years = make_years(14)
    recent = tail(years, 14 * 24)
    for yearly in (None, learn(years, "UTC", NO_EVENTS)):
        chosen = choose(engines_named(["SeasonalNaive"]), recent, Context(yearly=yearly))
        assert chosen.name == ("SeasonalNaive" if yearly is None else "SeasonalNaive+Yearly")
