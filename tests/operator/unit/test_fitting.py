import asyncio
import multiprocessing
import os
import time
from functools import partial

import pytest

from foretide.forecasting.demand import Undecided
from foretide.forecasting.worker import FitReport
from foretide.operator.fitting import ProcessFitter

# Jobs run in spawned processes, which import what they are given: hence the standard library's.
# A request is the job's argument, whatever it is; partial() makes a job ignore it.


class Fitter(ProcessFitter):
    """Takes the request itself."""

    async def fit(self, request):
        return await super().fit(lambda: request)


@pytest.fixture
async def fitter():
    made = []

    def make(job, *, workers=1, timeout=30.0, idle_timeout=30.0):
        made.append(Fitter(workers=workers, timeout=timeout, idle_timeout=idle_timeout, job=job))
        return made[-1]

    yield make
    for one in made:
        one.close()


def failure(report):
    assert isinstance(report, FitReport)
    return report.result.reason


def children():
    return {process.pid for process in multiprocessing.active_children()}


async def test_a_job_runs_in_another_process_and_its_answer_comes_back(fitter, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # what the worker has, it sets
    fit = fitter(eval).fit
    pid = "__import__('os').getpid()"
    first = await fit(pid)
    assert first != os.getpid()
    assert (await fit("1 / 0")).result == Undecided("FitFailed", "ZeroDivisionError")
    assert await fit(pid) == first  # what was raised did no harm
    assert await fit("__import__('os').nice(0)") > os.nice(0)
    assert await fit("__import__('os').environ['OMP_NUM_THREADS']") == "1"


@pytest.mark.slow
async def test_a_worker_that_dies_is_replaced(fitter):
    one = fitter(eval)
    assert failure(await one.fit("__import__('os')._exit(1)")) == "WorkerDied"
    assert await one.fit("6 * 7") == 42


@pytest.mark.slow
async def test_a_worker_that_dies_while_it_is_idle_costs_one_fit_at_most(fitter, eventually):
    before = children()
    one = fitter(eval)
    pid = await one.fit("__import__('os').getpid()")
    os.kill(pid, 9)
    await eventually(lambda: not children() - before)
    answers = [await one.fit("6 * 7") for _ in range(2)]
    assert answers[1] == 42


@pytest.mark.slow
async def test_a_job_that_takes_too_long_is_ended_and_the_next_one_runs(fitter, eventually):
    before = children()
    one = fitter(time.sleep, timeout=1.5)
    report = await one.fit(60)
    assert failure(report) == "FitTimeout"
    assert report.fit_seconds >= 1.4
    assert report.cpu_seconds >= 1.4  # nobody knows better, and it must not come for nothing
    await eventually(lambda: not children() - before)
    one._timeout = 30
    assert await one.fit(0) is None


async def abandon(fits):
    tasks = [asyncio.create_task(fit) for fit in fits]
    for _ in range(5):
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.slow
async def test_fits_that_wait_behind_abandoned_ones_always_get_an_answer(fitter):
    one = fitter(time.sleep, workers=2, timeout=1)
    for _ in range(4):
        await abandon(one.fit(60) for _ in range(2))
    answers = await asyncio.wait_for(asyncio.gather(one.fit(60), one.fit(60)), 25)
    assert {failure(answer) for answer in answers} <= {"FitTimeout", "WorkerDied"}
    one._timeout = 30
    assert await one.fit(0) is None


@pytest.mark.slow
async def test_a_fit_that_is_abandoned_before_its_turn_costs_nothing(fitter):
    one = fitter(time.sleep, timeout=30)
    first = asyncio.create_task(one.fit(0.3))
    await abandon(one.fit(60) for _ in range(5))
    assert await first is None
    assert await asyncio.wait_for(one.fit(0), 25) is None


@pytest.mark.slow
async def test_idle_workers_are_stopped_and_started_again(fitter, eventually):
    before = children()
    one = fitter(partial(pow, 2), idle_timeout=0.1)
    assert await one.fit(10) == 1_024
    await eventually(lambda: not children() - before)
    assert await one.fit(3) == 8


async def test_close_ends_even_a_busy_worker(fitter, eventually):
    before = children()
    one = fitter(time.sleep)
    task = asyncio.create_task(one.fit(60))
    await eventually(lambda: children() - before)
    one.close()
    assert failure(await asyncio.wait_for(task, 20)) == "WorkerDied"
    await eventually(lambda: not children() - before)


async def test_close_without_work_is_nothing_to_fall_over(fitter):
    one = fitter(time.sleep)
    one.close()
    one.close()


@pytest.mark.slow
async def test_a_request_that_cannot_be_made_leaves_its_place_to_the_next(fitter):
    one = fitter(partial(pow, 2))

    def ask():
        raise RuntimeError("no such resource any more")

    with pytest.raises(RuntimeError):
        await ProcessFitter.fit(one, ask)
    assert await asyncio.wait_for(one.fit(3), 25) == 8


def cost(seconds):
    return FitReport(Undecided("None", ""), 0.0, 0.0, cpu_seconds=seconds)


async def test_what_fits_cost_slows_down_the_next_ones(monkeypatch):
    one = ProcessFitter(workers=2, timeout=30, idle_timeout=30, cores=lambda: 0.01)
    monkeypatch.setattr(one, "_fit", lambda request: asyncio.sleep(0, cost(request)))
    await one.fit(lambda: 40.0)
    await one.fit(lambda: 40.0)
    waiting = asyncio.create_task(one.fit(lambda: 1.0))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    one.close()
