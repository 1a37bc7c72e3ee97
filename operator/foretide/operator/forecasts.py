"""Which forecasts there are, which are due, and how good the ones in use have been."""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from foretide.forecasting.demand import Undecided
from foretide.forecasting.forecast import Forecast
from foretide.forecasting.worker import FitReport, FitRequest

from .fitting import Fitter

logger = logging.getLogger(__name__)

NOT_FITTED_YET = Undecided("NotFittedYet", "the first forecast is being made")
_FIRST_RETRY = 60.0
_LAST_RETRY = 900.0


@dataclass(slots=True)
class Slot:
    """The forecast of one metric of one resource."""

    forecast: Forecast | Undecided = NOT_FITTED_YET
    failure: Undecided | None = None
    due_at: float = 0.0
    failures: int = 0
    task: "asyncio.Task[None] | None" = None
    error: float = 0.0
    weight: float = 0.0

    @property
    def error_ratio(self) -> float | None:
        """Absolute error of the median over demand (WAPE), older ticks counting less."""
        return self.error / self.weight if self.weight > 0 else None

    def score(self, demand: float, now: float) -> None:
        """Hold the forecast that was in use against what came."""
        if not isinstance(self.forecast, Forecast):
            return
        expected = self.forecast.median_at(now)
        if expected != expected:  # outside the grid
            return
        fade = 0.99  # at a tick each 15 s, half of the weight is on the last 17 minutes
        self.error = self.error * fade + abs(demand - expected)
        self.weight = self.weight * fade + demand


@dataclass(slots=True)
class Forecasts:
    """All slots. `on_report` is called with each fit's report, `on_news` when one has changed."""

    fitter: Fitter
    on_report: Callable[[FitReport], None] = lambda report: None
    _slots: dict[tuple[str, int], Slot] = field(default_factory=dict)

    def slot(self, uid: str, metric: int) -> Slot:
        """The slot of a resource's metric; it is made when it is asked for."""
        return self._slots.setdefault((uid, metric), Slot())

    def refresh(self, uid: str, metric: int, request: FitRequest, *, refit_every: float) -> Slot:
        """Start a fit in the background if one is due, and return the slot as it is now."""
        slot = self.slot(uid, metric)
        # A clock that was set back must not put off the next fit for as long.
        slot.due_at = min(slot.due_at, request.now + refit_every)
        if slot.task is None and request.now >= slot.due_at:
            slot.task = asyncio.create_task(
                self._fit(slot, request, refit_every), name=f"fit {uid}/{metric}"
            )
        return slot

    def expire(self, uid: str) -> None:
        """Have all of a resource's forecasts made anew; those that there are serve until then."""
        for key, slot in self._slots.items():
            if key[0] == uid:
                if slot.task is not None:
                    slot.task.cancel()
                slot.task, slot.due_at = None, 0.0

    def forget(self, uid: str) -> None:
        """Drop all of a resource's forecasts: it is gone, or asks for something else now."""
        for key in [key for key in self._slots if key[0] == uid]:
            slot = self._slots.pop(key)
            if slot.task is not None:
                slot.task.cancel()

    async def stop(self) -> None:
        """Drop everything, and wait until no fit is under way any more."""
        tasks = [slot.task for slot in self._slots.values() if slot.task is not None]
        self._slots.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fit(self, slot: Slot, request: FitRequest, refit_every: float) -> None:
        try:
            report = await self.fitter.fit(request)
        except Exception as error:  # whatever it is, it must not stop later fits
            logger.exception("a fit failed unexpectedly")
            report = FitReport(Undecided("FitFailed", type(error).__name__), 0.0, 0.0)
        self.on_report(report)
        if isinstance(report.result, Forecast):
            slot.forecast, slot.failure, slot.failures = report.result, None, 0
            # Spread out, so that resources made together do not stay in step for ever.
            delay = refit_every * random.uniform(0.9, 1.0)
        else:
            slot.failure = report.result
            slot.failures += 1
            if not isinstance(slot.forecast, Forecast):
                slot.forecast = report.result  # an older forecast stays until it runs out
            doublings = min(slot.failures - 1, 10)  # a float holds only a thousand of them
            retry = min(_LAST_RETRY, refit_every, _FIRST_RETRY * 2**doublings)
            delay = retry * random.uniform(0.8, 1.2)
        slot.due_at = request.now + delay
        slot.task = None
