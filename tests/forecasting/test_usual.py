import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from foretide.forecasting.series import Series
from foretide.forecasting.usual import usual_demand

DAY = 86_400.0
MONDAY = 20_535 * DAY  # 2026-03-23


def history(demand, days, start=MONDAY, step=600.0):
    times = start + step * np.arange(round(days * DAY / step))
    return Series(start, step, np.array([float(demand(at)) for at in times]))


def weekly(at):
    return 50.0 if (at // DAY + 3) % 7 >= 5 else 100.0


def test_each_weekday_has_its_own():
    seen = history(weekly, 28)
    assert usual_demand(seen, "UTC") == pytest.approx(seen.values)


def test_one_odd_day_does_not_change_what_is_usual():
    def demand(at):
        return 900.0 if MONDAY + 15 * DAY <= at < MONDAY + 16 * DAY else weekly(at)

    usual = usual_demand(history(demand, 42), "UTC")
    assert usual == pytest.approx(history(weekly, 42).values)


def test_a_time_does_not_vouch_for_itself():
    def demand(at):
        return 900.0 if at == MONDAY + 7 * DAY else weekly(at)

    seen = history(demand, 14)
    usual = usual_demand(seen, "UTC")
    assert usual[np.flatnonzero(seen.values == 900.0)] == pytest.approx(100)


def test_without_weeks_the_days_around_count():
    seen = history(lambda at: 10.0 + at % DAY // 21_600, 4)
    assert usual_demand(seen, "UTC") == pytest.approx(seen.values)


def test_a_day_alone_has_no_usual():
    assert np.isnan(usual_demand(history(weekly, 1), "UTC")).all()
    assert usual_demand(Series(0.0, 60.0, np.zeros(0)), "UTC").shape == (0,)


def test_usual_is_by_the_wall_clock_when_clocks_change():
    berlin = ZoneInfo("Europe/Berlin")  # 29 March 2026, 02:00

    def opened(at):
        return 100.0 if 8 <= datetime.datetime.fromtimestamp(at, berlin).hour < 20 else 10.0

    seen = history(opened, 14)
    usual = usual_demand(seen, "Europe/Berlin")
    known = np.isfinite(usual)
    assert usual[known] == pytest.approx(seen.values[known])
    assert known.mean() > 0.99
