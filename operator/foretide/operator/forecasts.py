"""Which forecasts there are, which are due, and how good the ones in use have been."""

import asyncio
import logging
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from foretide.forecasting.demand import Undecided, ZeroKnowledge
from foretide.forecasting.events.effects import LearnedEffects
from foretide.forecasting.forecast import Forecast, PeakForecast
from foretide.forecasting.lookahead.model import LookaheadModel
from foretide.forecasting.series import Series
from foretide.forecasting.worker import NOT_WANTED, FitReport, FitRequest, Stretch

from .fitting import Fitter

logger = logging.getLogger(__name__)

NOT_FITTED_YET = Undecided("NotFittedYet", "the first forecast is being made")
NOTHING_LEARNED = LearnedEffects()
_FIRST_RETRY = 60.0
_LAST_RETRY = 900.0
# A window that is too short by so much, as a share of itself or in seconds, is not waited with.
_OUTGROWN_SHARE = 0.15
_OUTGROWN = 60.0
# At least so long after a fit, as the next one may not do better.
_REST = 600.0
_MINUTE = 60.0
# A model of the coming maximum looks at demand as it is: it lasts for longer than a forecast.
_MODEL_LASTS = 2 * 86_400.0


@dataclass(slots=True)
class Slot:
    """The forecasts of one metric of one resource, as the last fits have left them.

    `horizon` is that of the hours ahead, `lookahead` the model of the coming maximum; `failure` is
    why the last fit could not make something, `store_trouble` why it could not use the store,
    `unlearned` why it could not learn what events do, and `hindrance` why none can be made now.
    `peak` is what the model said last, at `peak_at` and
    to `peak_asked`.
    """

    horizon: Forecast | Undecided = NOT_FITTED_YET
    lookahead: LookaheadModel | Undecided = NOT_FITTED_YET
    effects: LearnedEffects = NOTHING_LEARNED
    zeros: ZeroKnowledge = ZeroKnowledge()
    excluded: tuple[Stretch, ...] = ()
    failure: Undecided | None = None
    store_trouble: Undecided | None = None
    unlearned: Undecided | None = None
    hindrance: Undecided | None = None
    fits: int = 0
    due_at: float = 0.0
    rests_until: float = -math.inf
    failures: int = 0
    task: "asyncio.Task[None] | None" = None
    error: float = 0.0
    weight: float = 0.0
    peak: PeakForecast | Undecided = NOT_FITTED_YET
    peak_at: float = -math.inf
    peak_asked: object = None

    @property
    def empty(self) -> bool:
        """Whether there is no forecast of either kind."""
        return isinstance(self.horizon, Undecided) and isinstance(self.lookahead, Undecided)

    @property
    def error_ratio(self) -> float | None:
        """Absolute error of the median over demand (WAPE), older ticks counting less."""
        return self.error / self.weight if self.weight > 0 else None

    def score(self, demand: float, now: float) -> None:
        """Hold the forecast of the hours ahead against what came."""
        if not isinstance(self.horizon, Forecast):
            return
        expected = self.horizon.median_at(now)
        if expected != expected:  # outside the grid
            return
        fade = 0.99  # at a tick each 15 s, half of the weight is on the last 17 minutes
        self.error = self.error * fade + abs(demand - expected)
        self.weight = self.weight * fade + demand

    def take_recent(self) -> Series | None:
        """The demand by the minute that the model came with, once: it is kept elsewhere then."""
        model = self.lookahead
        if isinstance(model, Undecided) or not len(model.recent):
            return None
        nothing = Series(model.recent.end, model.recent.step, np.zeros(0))
        self.lookahead = replace(model, recent=nothing)
        return model.recent

    def outgrown(self, window: float | None) -> bool:
        """Whether the model looks ahead too short a time for a window of so many seconds."""
        if window is None or isinstance(self.lookahead, Undecided):
            return False
        has = self.lookahead.window * _MINUTE
        return window >= has + _OUTGROWN or window > has * (1 + _OUTGROWN_SHARE)

    def model_at(self, now: float, refit_every: float) -> LookaheadModel | Undecided:
        """The model, unless it is so old that demand has probably changed its ways."""
        model = self.lookahead
        if isinstance(model, Undecided) or now <= model.fitted_at + refit_every + _MODEL_LASTS:
            return model
        age = (now - model.fitted_at) / 86_400.0
        return Undecided("Stale", f"the model was fitted {age:.1f} days ago")

    def take_over(self, report: FitReport) -> None:
        """Put in force what a fit has made; what it could not make serves on until it runs out."""
        self.fits += 1
        self.failure, self.store_trouble = report.failure, report.store_trouble
        if _replaces(report.lookahead, self.lookahead):
            self.lookahead, self.peak_at = report.lookahead, -math.inf
        if _replaces(report.result, self.horizon):
            self.horizon = report.result
        if not report.fruitless:
            self.zeros, self.excluded = report.zeros, report.excluded
        self.unlearned = report.unlearned
        if report.effects is not None:
            self.effects = report.effects


def _replaces(made: object, before: object) -> bool:
    if not isinstance(made, Undecided):
        return True
    return isinstance(before, Undecided) or made.reason == NOT_WANTED.reason


@dataclass(slots=True)
class Forecasts:
    """All slots. `on_report` is called with each fit's report."""

    fitter: Fitter
    on_report: Callable[[FitReport], None] = lambda report: None
    _slots: dict[tuple[str, int], Slot] = field(default_factory=dict)

    def slot(self, uid: str, metric: int) -> Slot:
        """The slot of a resource's metric; it is made when it is asked for."""
        return self._slots.setdefault((uid, metric), Slot())

    def refresh(
        self,
        uid: str,
        metric: int,
        ask: Callable[[], FitRequest],
        *,
        now: float,
        refit_every: float,
        window: float | None = None,
        name: str = "",
    ) -> Slot:
        """Start a fit in the background if one is due, and return the slot as it is now.

        `ask` makes the request when it is its turn. `window` (seconds) is how far ahead the model
        must look: once that is longer than it does, a fit is due at once. `name` is the metric's
        in the log.
        """
        slot = self.slot(uid, metric)
        # A clock that was set back must not put off the next fit for as long.
        slot.due_at = min(slot.due_at, now + refit_every)
        slot.rests_until = min(slot.rests_until, now + _REST)
        outgrown = now >= slot.rests_until and slot.outgrown(window)
        if slot.task is None and (now >= slot.due_at or outgrown):
            slot.task = asyncio.create_task(
                self._fit(slot, ask, now, refit_every, name or f"{uid}/{metric}"),
                name=f"fit {uid}/{metric}",
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

    async def _fit(
        self, slot: Slot, ask: Callable[[], FitRequest], now: float, refit_every: float, name: str
    ) -> None:
        asked_at = now

        def ask_now() -> FitRequest:
            nonlocal asked_at
            request = ask()
            asked_at = request.now
            return request

        try:
            report = await self.fitter.fit(ask_now, first=slot.empty)
        except Exception as error:  # whatever it is, it must not stop later fits
            logger.exception("a fit failed unexpectedly")
            why = Undecided("FitFailed", type(error).__name__)
            report = FitReport(why, 0.0, 0.0, lookahead=why)
        self.on_report(report)
        if report.unlearned is not None and report.unlearned != slot.unlearned:
            logger.warning(
                "%s: what events do could not be learned: %s", name, report.unlearned.message
            )
        slot.take_over(report)
        if report.fruitless and report.failure is not None:
            slot.failures += 1
            doublings = min(slot.failures - 1, 10)  # a float holds only a thousand of them
            retry = min(_LAST_RETRY, refit_every, _FIRST_RETRY * 2**doublings)
            delay = retry * random.uniform(0.8, 1.2)
        else:
            slot.failures = 0
            # Spread out, so that resources made together do not stay in step for ever.
            delay = refit_every * random.uniform(0.9, 1.0)
        slot.due_at, slot.rests_until = asked_at + delay, asked_at + _REST
        slot.task = None
