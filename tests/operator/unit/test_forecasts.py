import asyncio
import itertools
from dataclasses import replace

import pytest

from foretide.forecasting.demand import Undecided, ZeroKnowledge
from foretide.forecasting.events.effects import LearnedEffects
from foretide.forecasting.worker import NOT_WANTED, FitReport
from foretide.operator.forecasts import NOT_FITTED_YET, Forecasts, Slot

NOON = 1_790_000_000.0

DAY, HOUR = 86_400.0, 3_600.0
FAILED = Undecided("Unreachable", "nobody answers")


class Fitter:
    def __init__(self):
        self.requests = []
        self.firsts = []
        self.answer = FAILED
        self.gate = asyncio.Event()
        self.gate.set()

    async def fit(self, ask, *, first=False):
        self.requests.append(ask())
        self.firsts.append(first)
        await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        if isinstance(self.answer, FitReport):
            return self.answer
        lookahead = self.answer if isinstance(self.answer, Undecided) else NOT_WANTED
        return FitReport(self.answer, 0.1, 1.0, lookahead=lookahead)


@pytest.fixture
def fitter():
    return Fitter()


@pytest.fixture
async def forecasts(fitter):
    forecasts = Forecasts(fitter)
    yield forecasts
    await forecasts.stop()


@pytest.fixture
def begin(forecasts, fit_request):
    """Refresh the slot at a time, and return it at once."""

    def go(now=NOON, uid="a", metric=0, *, refit_every=HOUR, window=None, query="demand", name=""):
        return forecasts.refresh(
            uid,
            metric,
            lambda: fit_request(now, query),
            now=now,
            refit_every=refit_every,
            window=window,
            name=name,
        )

    return go


@pytest.fixture
def refresh(begin):
    """Refresh the slot at a time and wait for the fit, if there was one."""

    async def go(*args, **options):
        slot = begin(*args, **options)
        if slot.task is not None:
            await slot.task
        return slot

    return go


async def test_a_forecast_that_was_never_made_is_due(fitter, forecasts, begin):
    slot = begin()
    assert slot.horizon is NOT_FITTED_YET
    assert slot.task is not None
    await slot.task
    assert slot.horizon is FAILED
    assert len(fitter.requests) == 1


async def test_one_metric_is_never_fitted_twice_at_the_same_time(fitter, forecasts, begin):
    fitter.gate.clear()
    slots = [begin() for _ in range(3)]
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
    assert slot.horizon is fitter.answer
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
    assert slot.horizon is good
    assert slot.failure is FAILED
    fitter.answer = better = forecast(400)
    await refresh(slot.due_at)
    assert (slot.horizon, slot.failure, slot.failures) == (better, None, 0)


async def test_without_an_older_forecast_the_reason_is_shown(refresh, fitter):
    await refresh()
    fitter.answer = Undecided("TooLittleHistory", "needs 2 days")
    slot = await refresh(NOON + HOUR)
    assert slot.horizon is fitter.answer


async def test_a_fitter_that_raises_is_a_failure_like_any_other(refresh, fitter, caplog):
    fitter.answer = RuntimeError("no")
    slot = await refresh()
    assert slot.horizon == Undecided("FitFailed", "RuntimeError")
    assert "a fit failed unexpectedly" in caplog.text
    fitter.answer = FAILED
    await refresh(slot.due_at)
    assert len(fitter.requests) == 2


async def test_each_report_is_passed_on(fitter, forecasts, refresh, forecast):
    reports = []
    forecasts.on_report = reports.append
    fitter.answer = forecast()
    await refresh()
    assert [report.result for report in reports] == [fitter.answer]


async def test_what_is_forgotten_is_cancelled_and_starts_afresh(fitter, forecasts, begin):
    fitter.gate.clear()
    gone = [begin(metric=metric) for metric in (0, 1)]
    kept = begin(uid="b")
    await asyncio.sleep(0)
    forecasts.forget("a")
    await asyncio.gather(*(slot.task for slot in gone), return_exceptions=True)
    assert all(slot.task.cancelled() for slot in gone)
    assert not kept.task.done()
    assert forecasts.slot("b", 0) is kept
    assert forecasts.slot("a", 0) == Slot()
    forecasts.forget("never heard of")


async def test_a_stop_waits_until_no_fit_is_under_way(fitter, forecasts, begin):
    fitter.gate.clear()
    slot = begin()
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
    slot.horizon = forecast()
    slot.score(100, NOON + 30 * 86_400)
    slot.score(0, NOON)
    assert slot.error_ratio is None


async def test_a_forecast_that_has_expired_serves_until_there_is_a_new_one(
    begin, refresh, fitter, forecasts, forecast
):
    old = fitter.answer = forecast(upper=300)
    other = await refresh(uid="b")
    slot = await refresh(metric=1)
    forecasts.expire("a")
    fitter.answer, fitter.gate = forecast(upper=400), asyncio.Event()
    begin(metric=1)
    assert slot.horizon is old
    fitter.gate.set()
    await slot.task
    assert slot.horizon is fitter.answer
    assert other.due_at > NOON


async def test_a_fit_for_settings_that_have_expired_changes_nothing(
    fitter, forecasts, begin, refresh
):
    fitter.gate.clear()
    slot = begin(query="old")
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


# The model of the coming maximum


@pytest.fixture
def report(look_ahead, forecast):
    """A report of both kinds, unless told otherwise."""

    def make(lookahead=None, horizon=None, **changes):
        lookahead = look_ahead(at=NOON) if lookahead is None else lookahead
        return FitReport(horizon or forecast(), 0.1, 1.0, lookahead=lookahead, **changes)

    return make


async def test_what_a_fit_has_made_is_in_force(refresh, fitter, report):
    fitter.answer = report(zeros=ZeroKnowledge(frozenset({3})), excluded=("an outage",))
    slot = await refresh()
    assert slot.lookahead is fitter.answer.lookahead
    assert slot.horizon is fitter.answer.result
    assert (slot.zeros.hours, slot.excluded) == ({3}, ("an outage",))
    assert not slot.empty


async def test_one_kind_alone_is_no_reason_to_hurry(refresh, fitter, report):
    fitter.answer = report(horizon=FAILED)
    slot = await refresh()
    assert (slot.failure, slot.failures, slot.horizon) == (FAILED, 0, FAILED)
    assert slot.due_at >= NOON + 0.9 * HOUR


async def test_a_model_outlives_a_failed_fit_but_not_for_ever(refresh, fitter, report):
    fitter.answer = good = report()
    slot = await refresh()
    fitter.answer = FAILED
    await refresh(slot.due_at)
    assert slot.model_at(NOON + 2 * DAY, HOUR) is good.lookahead
    assert slot.model_at(NOON + 2 * DAY + 2 * HOUR, HOUR).reason == "Stale"


async def test_a_kind_that_is_not_wanted_any_more_is_dropped(refresh, fitter, report):
    fitter.answer = report()
    slot = await refresh()
    fitter.answer = report(lookahead=NOT_WANTED)
    await refresh(slot.due_at)
    assert slot.lookahead is NOT_WANTED


async def test_what_was_learned_of_events_outlives_a_fit_that_learned_nothing(
    refresh, fitter, report
):
    learned = LearnedEffects(quantile=0.9)
    fitter.answer = report(effects=learned)
    slot = await refresh()
    fitter.answer = report()
    await refresh(slot.due_at)
    assert slot.effects is learned


async def test_effects_that_could_not_be_learned_are_kept_in_mind_and_logged_once(
    refresh, fitter, report, caplog
):
    unlearned = Undecided("LearningFailed", "KeyError: 'x'")
    fitter.answer = report(unlearned=unlearned)
    slot = await refresh(name="web/shop demand")
    await refresh(slot.due_at, name="web/shop demand")
    assert slot.unlearned is unlearned
    assert slot.failures == 0
    assert [record.getMessage() for record in caplog.records] == [
        "web/shop demand: what events do could not be learned: KeyError: 'x'"
    ]
    fitter.answer = report()
    await refresh(slot.due_at)
    assert slot.unlearned is None


async def test_recent_demand_is_taken_once(refresh, fitter, report, look_ahead):
    fitter.answer = report(look_ahead(at=NOON, recent=(1, 2, 3)))
    slot = await refresh()
    assert list(slot.take_recent().values) == [1, 2, 3]
    assert slot.take_recent() is None
    assert len(slot.lookahead.recent) == 0
    assert slot.lookahead.window == 4


@pytest.mark.parametrize(
    ("window", "outgrown"), [(240, False), (276, False), (277, True), (100, False), (None, False)]
)
async def test_a_window_that_has_become_too_short_makes_a_fit_due(
    refresh, begin, fitter, report, window, outgrown
):
    fitter.answer = report()
    await refresh(window=180)
    slot = begin(NOON + 900, window=window)
    assert (slot.task is not None) == outgrown


async def test_a_whole_minute_is_too_short_whatever_the_window(refresh, begin, fitter, report):
    fitter.answer = report(horizon=FAILED)
    slot = await refresh()
    slot.lookahead = replace(slot.lookahead, window=60)
    assert begin(NOON + 900, window=3_659).task is None
    assert begin(NOON + 900, window=3_660).task is not None


async def test_a_fit_that_leaves_the_window_too_short_is_not_repeated_at_once(
    refresh, begin, fitter, report
):
    fitter.answer = report()
    await refresh()
    await refresh(NOON + 700, window=1_000)
    assert begin(NOON + 715, window=1_000).task is None
    assert begin(NOON + 1_400, window=1_000).task is not None


async def test_who_has_no_forecast_comes_first(refresh, fitter, report):
    fitter.answer = report()
    slot = await refresh()
    await refresh(slot.due_at)
    assert fitter.firsts == [True, False]


async def test_a_request_is_made_when_it_is_its_turn(refresh, begin, fitter, forecasts):
    moments = []

    class Waiting(Fitter):
        async def fit(self, ask, *, first=False):
            await self.gate.wait()
            return await super().fit(ask, first=first)

    forecasts.fitter = waiting = Waiting()
    waiting.gate.clear()
    slot = begin()
    await asyncio.sleep(0)
    assert waiting.requests == moments
    waiting.gate.set()
    await slot.task
    assert len(waiting.requests) == 1


async def test_a_request_that_cannot_be_made_is_a_failure(forecasts, caplog):
    def ask():
        raise KeyError("spec")

    slot = forecasts.refresh("a", 0, ask, now=NOON, refit_every=HOUR)
    await slot.task
    assert slot.horizon == Undecided("FitFailed", "KeyError")
    assert slot.due_at > NOON + 40
