"""A fit in a worker process never raises, and says what it has cost."""

import math
import pickle

import numpy as np
import pytest

from foretide.forecasting import horizon
from foretide.forecasting.demand import Undecided
from foretide.forecasting.events.model import Event, EventCalendar, Kind
from foretide.forecasting.forecast import Forecast
from foretide.forecasting.lookahead import fitting
from foretide.forecasting.lookahead.model import LookaheadModel
from foretide.forecasting.prometheus import PrometheusSource
from foretide.forecasting.series import Series
from foretide.forecasting.worker import (
    NOT_WANTED,
    FitReport,
    FitRequest,
    LookaheadNeed,
    fit_demand,
)

DAY = 86_400.0
NOW = 1_700_006_400.0  # 2023-11-15, midnight
SECRET = "s3cr3t-t0ken"
AHEAD = LookaheadNeed(4, 3, per_replica=10.0, min_replicas=1, target_utilization=0.7)


@pytest.fixture
def request_to():
    """A request for two days of history from an address, for nothing unless told otherwise."""

    def make(url, *, secret=None, **changes):
        values = {
            "source": PrometheusSource(url, bearer_token_file=secret),
            "query": "sum(x)",
            "now": NOW,
            "history": 2 * DAY,
            "step": 600.0,
            "horizon": 7_200.0,
            "quantile": 0.9,
            "min_history": DAY,
            "engine": "",
        }
        return FitRequest(**{**values, **changes})

    return make


@pytest.fixture
def waves(prometheus):
    """A Prometheus that knows a daily wave."""
    prometheus.demand = lambda at: 100 - 50 * math.cos(2 * math.pi * at / DAY) + at / 60 % 3
    return prometheus


class Store:
    """Keeps what it is given, and knows a week that Prometheus does not."""

    def __init__(self, week=None, trouble=None):
        self.week, self.trouble, self.kept = week, trouble, None

    def extend(self, recent, start):
        if self.trouble:
            return self.trouble
        older = Series(recent.start - 7 * DAY, 300.0, np.full(7 * 288, self.week))
        return Series(older.start, 300.0, np.concatenate((older.values, recent.values)))

    def keep(self, peaks):
        self.kept = peaks
        return self.trouble


@pytest.fixture(scope="module")
def quick():
    """Fewer trees from fewer minutes: what is learned here is not looked at closely."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "_ROUNDS", 8)
        patch.setattr(fitting, "_MOST_ROWS", 1_000)
        patch.setattr(fitting, "_REPLAYED", 1_440)
        yield


def test_history_becomes_a_forecast_of_the_hours_ahead(waves, request_to):
    report = fit_demand(request_to(waves.url, engine="SeasonalNaive"))
    assert isinstance(report.result, Forecast)
    assert report.result.step == 600
    assert 0.5 < report.result.coverage <= 1
    assert report.lookahead is NOT_WANTED
    assert report.failure is None
    assert report.query_seconds > 0
    assert report.fit_seconds > 0
    assert report.cpu_seconds > 0


def test_history_becomes_a_model_of_the_coming_maximum(waves, request_to, quick):
    report = fit_demand(request_to(waves.url, lookahead=AHEAD))
    model = report.lookahead
    assert isinstance(model, LookaheadModel)
    assert (model.window, model.history_points, model.fitted_at) == (4, 2_880, NOW)
    assert model.choice(0.7) is not None
    assert report.result is NOT_WANTED
    assert report.failure is None
    assert {asked["step"] for asked in waves.asked} == {"60"}


def test_request_and_report_survive_the_way_between_processes(waves, request_to, quick):
    request = request_to(waves.url, lookahead=AHEAD)
    assert pickle.loads(pickle.dumps(request)) == request
    sent = pickle.loads(pickle.dumps(fit_demand(request)))
    assert sent.lookahead.window == 4


def test_a_server_that_is_down_is_an_answer(nobody, request_to, tmp_path):
    path = tmp_path / "token"
    path.write_text(SECRET, encoding="utf-8")
    report = fit_demand(request_to(nobody, secret=path, lookahead=AHEAD, engine="Prophet"))
    assert report.result.reason == report.lookahead.reason == "HistoryUnavailable"
    assert SECRET not in report.result.message
    assert report.failure is report.lookahead
    assert report.fruitless
    assert report.query_seconds > 0
    assert report.fit_seconds == 0.0


@pytest.mark.parametrize("body", [b"<html>", [], {}, {"data": {"result": [7]}}])
def test_a_server_that_is_no_prometheus_is_an_answer(prometheus, request_to, body):
    prometheus.answer = 200, body
    assert isinstance(fit_demand(request_to(prometheus.url)).result, Undecided)


@pytest.mark.slow
@pytest.mark.parametrize("error", [RuntimeError("Stan: " + "x" * 999), KeyError("ds"), OSError()])
def test_what_one_model_raises_is_an_answer_and_the_other_is_made(
    waves, request_to, monkeypatch, quick, error
):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(horizon, "forecast", fail)
    report = fit_demand(request_to(waves.url, engine="Prophet", lookahead=AHEAD))
    assert report.result.reason == "ProphetFailed"
    assert report.result.message.startswith(type(error).__name__)
    assert len(report.result.message) < 250
    assert report.failure is report.result
    assert isinstance(report.lookahead, LookaheadModel)
    assert not report.fruitless


def test_a_time_zone_nobody_knows_is_an_answer(waves, request_to):
    report = fit_demand(request_to(waves.url, engine="Pattern", time_zone="Mars/Olympus"))
    assert report.failure is not None


@pytest.mark.parametrize("changes", [{"history": math.nan}, {"now": math.inf}])
def test_a_request_that_leads_nowhere_is_an_answer(waves, request_to, changes):
    report = fit_demand(request_to(waves.url, lookahead=AHEAD, **changes))
    assert isinstance(report.lookahead, Undecided)


def test_too_little_history_is_said_of_both(waves, request_to):
    report = fit_demand(request_to(waves.url, history=0.4 * DAY, lookahead=AHEAD, engine="Prophet"))
    assert report.lookahead.reason == report.result.reason == "TooLittleHistory"
    assert report.lookahead.message == "needs 1.0 days of history, has 9.6 h"


def test_hours_of_zero_are_known_whoever_forecasts(prometheus, request_to):
    prometheus.demand = lambda at: 0.0 if at // 3_600 % 24 in (2, 3) else 1.0
    report = fit_demand(request_to(prometheus.url, history=4 * DAY))
    assert report.zeros.hours == {2, 3}


def sale(start, **effect):
    return Event("sale", Kind.CAMPAIGN, start, start + 3_600.0, "campaign:sale", ("campaign",))


@pytest.mark.slow
def test_what_events_have_done_is_learned_and_put_on_the_hours_ahead(prometheus, request_to):
    past = [sale(NOW - days * DAY + 43_200) for days in (1, 3, 5, 7, 9)]
    coming = sale(NOW + 3_600)
    prometheus.demand = lambda at: 300.0 if any(e.start <= at < e.end for e in past) else 100.0
    calendar = EventCalendar((*past, coming))
    request = request_to(
        prometheus.url, history=12 * DAY, engine="SeasonalNaive", calendar=calendar
    )
    report = fit_demand(request)
    assert report.effects.of(coming).median == pytest.approx(3.0, rel=0.15)
    assert report.result.median_at(NOW) == pytest.approx(100, rel=0.05)
    assert report.result.median_at(coming.start + 1_800) == pytest.approx(300, rel=0.15)


def test_without_a_calendar_nothing_is_learned(waves, request_to):
    assert fit_demand(request_to(waves.url, engine="SeasonalNaive")).effects is None


@pytest.mark.slow
def test_an_outage_is_kept_out_and_told(waves, request_to, quick):
    daily, began = waves.demand, NOW - 3 * DAY + 43_200
    waves.demand = lambda at: 0.0 if began <= at < began + 7_200 else daily(at)
    report = fit_demand(request_to(waves.url, history=4 * DAY, lookahead=AHEAD))
    (outage,) = report.excluded
    assert outage.reason == "Outage"
    assert outage.start == pytest.approx(began, abs=60)
    assert outage.end == pytest.approx(began + 7_200, abs=60)
    assert isinstance(report.lookahead, LookaheadModel)


@pytest.mark.slow
def test_the_store_gives_what_prometheus_has_forgotten(waves, request_to, quick):
    store = Store(week=120.0)
    now_known = request_to(waves.url, history=9 * DAY, min_history=8 * DAY, lookahead=AHEAD)
    waves.demand = lambda at: 100.0 if at > NOW - 2 * DAY else None
    assert fit_demand(now_known).lookahead.reason == "TooLittleHistory"
    request = request_to(
        waves.url, history=9 * DAY, min_history=8 * DAY, lookahead=AHEAD, stored=store
    )
    report = fit_demand(request)
    assert isinstance(report.lookahead, LookaheadModel)
    assert report.lookahead.history_seconds == pytest.approx(9 * DAY, abs=300)
    assert report.store_trouble is None
    assert store.kept is None


def test_on_request_the_store_keeps_what_prometheus_has(waves, request_to):
    store = Store(week=120.0)
    fit_demand(request_to(waves.url, stored=store, keep=True))
    assert store.kept.step == 300
    assert store.kept.known == pytest.approx(576, abs=1)


@pytest.mark.slow
def test_a_store_that_is_away_is_told_and_does_no_harm(waves, request_to, quick):
    away = Undecided("Unreachable", "nobody answers")
    report = fit_demand(
        request_to(waves.url, lookahead=AHEAD, stored=Store(trouble=away), keep=True)
    )
    assert report.store_trouble is away
    assert isinstance(report.lookahead, LookaheadModel)


def test_a_report_of_nothing_wanted_is_no_failure():
    assert FitReport(NOT_WANTED, 0.0, 0.0).failure is None
