"""Forecasts are fitted in worker processes, one at a time for each metric, only when due.

Workers are spawned, not forked: the main process has threads, and must stay free of pandas and
Prophet. They are stopped when there is nothing to do, because each holds well over 100 MB.
"""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol

from foretide.forecasting.demand import Undecided
from foretide.forecasting.processes import belong_to_parent
from foretide.forecasting.worker import FitReport, FitRequest, fit_demand

from .pacing import Pace, Turns

logger = logging.getLogger(__name__)


class Fitter(Protocol):
    """Fits forecasts somewhere."""

    async def fit(self, ask: Callable[[], FitRequest], *, first: bool = False) -> FitReport:
        """Fit; failures are an `Undecided` in the report, never an exception.

        `ask` is called when it is its turn, which may be hours later. Those that come `first`, as
        they have no forecast yet, do not wait for the others.
        """
        ...


class ProcessFitter:
    """`Fitter` in a pool of spawned processes."""

    def __init__(
        self,
        *,
        workers: int,
        timeout: float,
        idle_timeout: float,
        cores: Callable[[], float] = lambda: 1_000.0,
        job: Callable[[FitRequest], FitReport] = fit_demand,
    ) -> None:
        """`timeout` and `idle_timeout` are in seconds, `cores` is what all may use together."""
        self._workers = workers
        self._timeout = timeout
        self._idle_timeout = idle_timeout
        self._job = job
        self._pool: ProcessPoolExecutor | None = None
        self._turns = Turns(workers, Pace(cores))
        self._occupied: set[asyncio.Task[FitReport]] = set()
        self._busy = 0
        self._reaper: asyncio.TimerHandle | None = None

    async def fit(self, ask: Callable[[], FitRequest], *, first: bool = False) -> FitReport:
        """See `Fitter`."""
        thought = await self._turns.take(first=first)
        try:
            request = ask()
        except BaseException:
            self._turns.give_back(thought, 0.0)
            raise
        task = asyncio.create_task(self._occupy(request, thought))
        self._occupied.add(task)
        task.add_done_callback(self._occupied.discard)
        # An abandoned fit keeps its place, and its time limit, until its worker is done with it.
        # Let go, the next one would wait in the pool, where a cancelled future stops the thread
        # that tells all others that the pool broke (Python 3.11).
        return await asyncio.shield(task)

    async def _occupy(self, request: FitRequest, thought: float) -> FitReport:
        self._busy += 1
        if self._reaper is not None:
            self._reaper.cancel()
        cost = 0.0
        try:
            report = await self._fit(request)
            cost = getattr(report, "cpu_seconds", 0.0)
            return report
        finally:
            self._turns.give_back(thought, cost)
            self._busy -= 1
            if self._busy == 0:
                loop = asyncio.get_running_loop()
                self._reaper = loop.call_later(self._idle_timeout, self._stop_idle)

    async def _fit(self, request: FitRequest) -> FitReport:
        began = time.monotonic()
        pool = self._pool or self._start()
        try:
            future = asyncio.get_running_loop().run_in_executor(pool, self._job, request)
            async with asyncio.timeout(self._timeout):
                return await future
        except TimeoutError:
            # A worker cannot be interrupted, so it goes; a neighbour's fit is lost with it.
            self._discard(pool)
            message = f"gave up after {self._timeout:.0f} s"
            return _failed("FitTimeout", message, time.monotonic() - began)
        except BrokenProcessPool:
            self._discard(pool)
            return _failed("WorkerDied", "the worker process died", time.monotonic() - began)
        except Exception as error:  # of the job itself, which came back from the worker
            logger.exception("a fit failed unexpectedly")
            return _failed("FitFailed", type(error).__name__, time.monotonic() - began)

    def _start(self) -> ProcessPoolExecutor:
        self._pool = ProcessPoolExecutor(
            self._workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=prepare_worker,
        )
        return self._pool

    def _stop_idle(self) -> None:
        if self._busy == 0 and self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None

    def _discard(self, pool: ProcessPoolExecutor) -> None:
        if self._pool is pool:
            self._pool = None
        for process in list((pool._processes or {}).values()):
            process.kill()
        # Not cancel_futures: a fit that waits must learn that the pool broke, not be cancelled.
        pool.shutdown(wait=False)

    def close(self) -> None:
        """End the workers, whatever they do."""
        self._turns.stop()
        if self._reaper is not None:
            self._reaper.cancel()
        if self._pool is not None:
            self._discard(self._pool)


def _failed(reason: str, message: str, seconds: float) -> FitReport:
    why = Undecided(reason, message)
    # What it has really used nobody knows: all of the time, at the most.
    return FitReport(why, 0.0, seconds, lookahead=why, cpu_seconds=seconds)


def prepare_worker() -> None:
    """Runs in each new worker: decisions come first, and no worker outlives the operator."""
    with contextlib.suppress(OSError):
        os.nice(10)
    # One BLAS thread: with more, two workers starve the event loop on a small machine.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    belong_to_parent()
