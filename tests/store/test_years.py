"""Months of roll-ups in a real store, over HTTP, reach the forecast of the hours ahead."""

import asyncio

import numpy as np
import pytest
from aiohttp import web

from foretide.forecasting import history
from foretide.forecasting.demand import Undecided
from foretide.forecasting.prometheus import PrometheusSource
from foretide.forecasting.series import Series
from foretide.forecasting.worker import FitRequest, fit_demand
from foretide.operator.stored_demand import StoredDemand
from foretide.operator.stored_metric import StoredMetric
from foretide.store.client import StoreAddress
from foretide.store.repository import Repository
from foretide.store.rollups import STEP
from foretide.store.service import Service, Token

DAY = 86_400


def demand(times):
    """A day's shape, four times as high in winter as in summer, and some noise."""
    season = np.exp(0.7 * np.cos(2 * np.pi * times / (365.25 * DAY)))
    noise = np.random.default_rng(1).normal(1, 0.03, len(times))
    return season * (100 - 60 * np.cos(2 * np.pi * times / DAY)) * noise


@pytest.fixture
def stored(tmp_path, key, now):
    """Runs something in a thread beside a service that holds so many days of roll-ups."""

    async def run(days, work):
        token = tmp_path / "token"
        token.write_text("correct-horse-battery\n")
        repository = await Repository.open(str(tmp_path / "store.db"), clock=lambda: now)
        runner = web.AppRunner(Service(repository, Token(token), repository.ping).application())
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        times = np.arange(now - days * DAY, now, STEP)
        metric = StoredMetric(StoredDemand(StoreAddress(f"http://{host}:{port}", token)), key())
        try:
            past = Series(float(times[0]), float(STEP), demand(times))
            assert await asyncio.to_thread(metric.keep, past) is None
            return await asyncio.to_thread(work, metric)
        finally:
            await runner.cleanup()
            await repository.aclose()

    return run


@pytest.fixture
def request_of(monkeypatch, now):
    """A fit to two weeks; Prometheus knows the newest three days."""

    def peaks(source, query, *, start, end, step):
        times = np.arange(max(start, now - 3 * DAY) // step * step, end, step)
        if not len(times):
            return Undecided("HistoryEmpty", "the query has no history")
        return Series(float(times[0]), step, demand(times))

    monkeypatch.setattr(history, "fetch_peaks", peaks)

    def make(metric):
        return FitRequest(
            source=PrometheusSource("http://prometheus.example"),
            query="sum(x)",
            now=now,
            history=14.0 * DAY,
            step=300.0,
            horizon=float(DAY),
            quantile=0.9,
            min_history=float(DAY),
            engine="SeasonalNaive",
            stored=metric,
        )

    return make


@pytest.mark.slow
async def test_400_days_of_roll_ups_teach_the_time_of_year(stored, request_of):
    report = await stored(400, lambda metric: fit_demand(request_of(metric)))
    assert report.store_trouble is None
    assert report.result.model == "SeasonalNaive+Yearly"
    assert report.result.history_seconds == pytest.approx(14 * DAY, abs=STEP)
