import asyncio
import itertools

import pytest

from foretide.forecasting.demand import Undecided
from foretide.forecasting.worker import FitReport
from foretide.operator.forecasts import NOT_FITTED_YET, Forecasts, Slot

NOON = 1_790_000_000.0

HOUR = 3_600.0
FAILED = Undecided("Unreachable", "nobody answers")


class Fitter:
    def __init__(self):
        self.requests = []
        self.answer = FAILED
        self.gate = asyncio.Event()
        self.gate.set()

    async def fit(self, request):
        self.requests.append(request)
        await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return FitReport(self.answer, 0.1, 1.0)


@pytest.fixture
def fitter():
    return Fitter()


@pytest.fixture
async def forecasts(fitter):
    forecasts = Forecasts(fitter)
    yield forecasts
    await forecasts.stop()


@pytest.fixture
def refresh(forecasts, fit_request):
    """Refresh the slot at a time and wait for the fit, if there was one."""

    async def go(now=NOON, uid="a", metric=0, refit_every=HOUR):
        slot = forecasts.refresh(uid, metric, fit_request(now), refit_every=refit_every)
        if slot.task is not None:
            await slot.task
        return slot

    return go


async def test_a_forecast_that_was_never_made_is_due(fitter, forecasts, fit_request):
    slot = forecasts.refresh("a", 0, fit_request(), refit_every=HOUR)
    assert slot.forecast is NOT_FITTED_YET
    assert slot.task is not None
    await slot.task
    assert slot.forecast is FAILED
    assert len(fitter.requests) == 1


async def test_one_metric_is_never_fitted_twice_at_the_same_time(fitter, forecasts, fit_request):
    fitter.gate.clear()
    slots = [forecasts.refresh("a", 0, fit_request(), refit_every=HOUR) for _ in range(3)]
    await asyncio.sleep(0)
    assert len(fitter.requests) == 1
    assert slots[0] is slots[1] is slots[2]


async def test_each_metric_of_each_resource_has_its_own(refresh, fitter):
    slots = [await refresh(uid=uid, metric=metric) for uid in "ab" for metric in (0, 1)]
    assert len({id(slot) for slot in slots}) == 4
    assert len(fitter.requests) == 4


async def test_a_good_forecast_is_made_anew_only_when_it_is_due(refresh, fitter, forecast):
    fitter.answer = forecast()
    slot = await refresh()
    assert slot.forecast is fitter.answer
    assert 0.9 * HOUR <= slot.due_at - NOON <= HOUR
    await refresh(slot.due_at - 1)
    assert len(fitter.requests) == 1
    await refresh(slot.due_at)
    assert len(fitter.requests) == 2


async def test_failures_are_retried_ever_more_seldom_up_to_a_bound(refresh):
    now, waits = NOON, []
    for _ in range(12):
        slot = await refresh(now)
        waits.append(slot.due_at - now)
        now = slot.due_at
    assert slot.failures == 12
    for position, wait in enumerate(waits):
        assert 0.8 <= wait / min(900, 60 * 2**position) <= 1.2
    assert all(later > 1.2 * earlier for earlier, later in itertools.pairwise(waits[:4]))


async def test_after_very_many_failures_it_still_goes_on(refresh, forecasts):
    forecasts.slot("a", 0).failures = 5_000
    slot = await refresh()
    assert slot.due_at - NOON <= 900 * 1.2


async def test_a_retry_is_never_later_than_a_refit_would_be(refresh):
    slot = await refresh(refit_every=60)
    slot.failures = 10
    now = slot.due_at
    await refresh(now, refit_every=60)
    assert slot.due_at - now <= 72


async def test_an_older_forecast_outlives_a_failed_fit(refresh, fitter, forecast):
    fitter.answer = good = forecast()
    slot = await refresh()
    fitter.answer = FAILED
    await refresh(slot.due_at)
    assert slot.forecast is good
    assert slot.failure is FAILED
    fitter.answer = better = forecast(400)
    await refresh(slot.due_at)
    assert (slot.forecast, slot.failure, slot.failures) == (better, None, 0)


async def test_without_an_older_forecast_the_reason_is_shown(refresh, fitter):
    await refresh()
    fitter.answer = Undecided("TooLittleHistory", "needs 2 days")
    slot = await refresh(NOON + HOUR)
    assert slot.forecast is fitter.answer


async def test_a_fitter_that_raises_is_a_failure_like_any_other(refresh, fitter, caplog):
    fitter.answer = RuntimeError("no")
    slot = await refresh()
    assert slot.forecast == Undecided("FitFailed", "RuntimeError")
    assert "a fit failed unexpectedly" in caplog.text
    fitter.answer = FAILED
    await refresh(slot.due_at)
    assert len(fitter.requests) == 2


async def test_each_report_is_passed_on(fitter, fit_request, forecast):
    reports = []
    forecasts = Forecasts(fitter, on_report=reports.append)
    fitter.answer = forecast()
    await forecasts.refresh("a", 0, fit_request(), refit_every=HOUR).task
    assert [report.result for report in reports] == [fitter.answer]


async def test_what_is_forgotten_is_cancelled_and_starts_afresh(fitter, forecasts, fit_request):
    fitter.gate.clear()
    gone = [forecasts.refresh("a", metric, fit_request(), refit_every=HOUR) for metric in (0, 1)]
    kept = forecasts.refresh("b", 0, fit_request(), refit_every=HOUR)
    await asyncio.sleep(0)
    forecasts.forget("a")
    await asyncio.gather(*(slot.task for slot in gone), return_exceptions=True)
    assert all(slot.task.cancelled() for slot in gone)
    assert not kept.task.done()
    assert forecasts.slot("b", 0) is kept
    assert forecasts.slot("a", 0) == Slot()
    forecasts.forget("never heard of")


async def test_a_stop_waits_until_no_fit_is_under_way(fitter, forecasts, fit_request):
    fitter.gate.clear()
    slot = forecasts.refresh("a", 0, fit_request(), refit_every=HOUR)
    await asyncio.sleep(0)
    await forecasts.stop()
    assert slot.task.cancelled()


def test_the_error_is_a_share_of_demand(forecast):
    slot = Slot(forecast(median=200))
    assert slot.error_ratio is None
    for _ in range(20):
        slot.score(250, NOON)
    assert slot.error_ratio == pytest.approx(0.2)


def test_newer_errors_count_more(forecast):
    slot = Slot(forecast(median=200))
    for _ in range(100):
        slot.score(100, NOON)
    for _ in range(500):
        slot.score(200, NOON)
    assert slot.error_ratio < 0.01


def test_nothing_is_scored_without_a_forecast_or_outside_of_it(forecast):
    slot = Slot()
    slot.score(100, NOON)
    slot.forecast = forecast()
    slot.score(100, NOON + 30 * 86_400)
    slot.score(0, NOON)
    assert slot.error_ratio is None


async def test_a_forecast_that_has_expired_serves_until_there_is_a_new_one(
    refresh, fitter, forecasts, fit_request, forecast
):
    old = fitter.answer = forecast(upper=300)
    other = await refresh(uid="b")
    slot = await refresh(metric=1)
    forecasts.expire("a")
    fitter.answer, fitter.gate = forecast(upper=400), asyncio.Event()
    forecasts.refresh("a", 1, fit_request(), refit_every=HOUR)
    assert slot.forecast is old
    fitter.gate.set()
    await slot.task
    assert slot.forecast is fitter.answer
    assert other.due_at > NOON


async def test_a_fit_for_settings_that_have_expired_changes_nothing(
    fitter, forecasts, fit_request, refresh
):
    fitter.gate.clear()
    slot = forecasts.refresh("a", 0, fit_request(query="old"), refit_every=HOUR)
    await asyncio.sleep(0)
    old = slot.task
    forecasts.expire("a")
    fitter.gate.set()
    await refresh()
    await asyncio.gather(old, return_exceptions=True)
    assert old.cancelled()
    assert [request.query for request in fitter.requests] == ["old", "demand"]
    assert slot.failures == 1


async def test_a_clock_that_was_set_back_does_not_put_off_the_next_fit(refresh, fitter, forecast):
    fitter.answer = forecast()
    slot = await refresh()
    await refresh(NOON - 86_400)
    assert slot.due_at <= NOON - 86_400 + HOUR
