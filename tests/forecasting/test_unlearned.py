"""A fit that cannot learn what events do says so, and makes its forecast all the same."""

import math

import pytest

from foretide.forecasting import fits
from foretide.forecasting.events.model import Event, EventCalendar, Kind
from foretide.forecasting.forecast import Forecast
from foretide.forecasting.prometheus import PrometheusSource
from foretide.forecasting.worker import FitRequest, fit_demand

DAY = 86_400.0
NOW = 1_700_006_400.0  # 2023-11-15, midnight


@pytest.fixture
def fit(prometheus, monkeypatch):
    """A fit to two days of a daily wave with a campaign in them; learning may raise."""
    prometheus.demand = lambda at: 100 - 50 * math.cos(2 * math.pi * at / DAY) + at / 60 % 3
    start = NOW - DAY
    sale = Event("sale", Kind.CAMPAIGN, start, start + 3_600, "campaign:sale")

    def go(error=None, events=(sale,)):
        def learn(*arguments, **options):
            if error is not None:
                raise error

        monkeypatch.setattr(fits, "learn", learn)
        return fit_demand(
            FitRequest(
                source=PrometheusSource(prometheus.url),
                query="sum(x)",
                now=NOW,
                history=2 * DAY,
                step=600.0,
                horizon=7_200.0,
                quantile=0.9,
                min_history=DAY,
                engine="SeasonalNaive",
                calendar=EventCalendar(events),
            )
        )

    return go


def test_why_nothing_was_learned_is_in_the_report(fit):
    report = fit(KeyError("no such key"))
    assert report.unlearned.reason == "LearningFailed"
    assert report.unlearned.message == "KeyError: 'no such key'"
    assert report.effects is None
    assert isinstance(report.result, Forecast)
    assert report.failure is None


def test_where_there_is_nothing_to_learn_nothing_is_amiss(fit):
    assert fit().unlearned is None
    assert fit(KeyError("not asked"), events=()).unlearned is None
