"""Foretide in a replay: the models that a worker would fit, and the operator's own decision."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..cleaning import clean
from ..demand import Undecided
from ..forecast import PeakForecast
from ..lookahead.choosing import Workload
from ..lookahead.features import REACH, STEP, fill_gaps
from ..lookahead.fitting import LookaheadRequest, fit
from ..lookahead.model import LookaheadModel, to_peaks
from ..lookahead.plan import Plan
from ..series import Series, Values
from ..surge_trust import SurgeMeter
from ..trust import Foreseen, TrustMeter, judged
from .decider import Decider, behavior_of
from .growth import Surges, surges
from .replay import Setting
from .trace import Trace

_NOT_YET = Undecided("NotFittedYet", "no forecast yet")


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """One fit and the minutes until the next: its quantiles there, shape (levels, n).

    `first` is the number of the first minute within the trace's minutes, `known` (n) the newest
    demand known at the beginning of each.
    """

    model: LookaheadModel | Undecided
    first: int
    quantiles: Values
    known: Values

    def peaks(self, utilization: float, start: float) -> "list[PeakForecast | Undecided]":
        """The forecast for each minute, for a target utilisation; `start` is when minutes begin."""
        count = self.quantiles.shape[1]
        if isinstance(self.model, Undecided):
            return [self.model] * count
        choice = self.model.choice(utilization)
        plan: Plan | Undecided = _NOT_YET if choice is None else choice.plan
        if isinstance(plan, Undecided):
            return [plan] * count
        now = start + STEP * self.first
        forecasts = to_peaks(self.quantiles, self.known, plan, now=now, window=self.model.window)
        known = np.isfinite(self.quantiles[0])
        return [
            forecast if good else _NOT_YET for forecast, good in zip(forecasts, known, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How models are fitted along a replay; all in seconds."""

    refit_every: float = 2 * 86_400.0
    history: float = 14 * 86_400.0
    min_history: float = 2 * 86_400.0
    zone: str = "UTC"


def stages(
    trace: Trace, setting: Setting, targets: tuple[float, ...], fits: FitSettings
) -> Iterator[Stage]:
    """Fit along the trace, each time on what was known then, and predict until the next fit."""
    minutes = trace.minutes()
    # What the lag hides is not known yet: the models see demand so many minutes late.
    late = math.ceil(trace.late / STEP)
    values = np.concatenate([np.full(late, np.nan), minutes.values])[: len(minutes)]
    begin = math.floor((setting.start - minutes.start) / STEP + 1e-9)
    every, back = round(fits.refit_every / STEP), round(fits.history / STEP)
    window = window_for(setting.delay, setting.period) + late
    down = behavior_of(setting).down
    workload = Workload(
        trace.per_replica,
        setting.min_replicas,
        math.ceil(setting.delay / STEP),
        math.ceil(down.window(foreseen=False) / STEP),
        math.ceil(down.window(foreseen=True) / STEP),
    )
    for first in range(begin, len(values), every):
        oldest = max(0, first - back)
        history = Series(minutes.start + STEP * oldest, STEP, values[oldest:first])
        samples = trace.known_at(history.times + STEP)
        request = LookaheadRequest(
            workload=workload,
            window=window,
            targets=targets,
            now=history.end,
            min_history=fits.min_history,
            zone=fits.zone,
        )
        # As the operator's worker does: what was wrong with demand is no example of anything.
        wrong = np.isfinite(history.values) & ~np.isfinite(clean(history, fits.zone).series.values)
        model = fit(history, request, ~wrong, Series(history.start, STEP, samples))
        last = min(first + every, len(values))
        yield _stage(model, values, minutes.start, first, last)


def window_for(delay: float, period: float) -> int:
    """The window to forecast, in minutes: until the pods of the next decision would be ready."""
    return max(1, math.ceil((delay + period) / STEP - 1e-9))


def _stage(
    model: LookaheadModel | Undecided, values: Values, start: float, first: int, last: int
) -> Stage:
    oldest = max(0, first - REACH)
    seen = fill_gaps(values[oldest:last])
    at = np.arange(first - oldest, last - oldest)
    known = seen[at - 1]
    if isinstance(model, Undecided):
        return Stage(model, first, np.full((1, last - first), np.nan), known)
    found = model.quantiles(seen, at, start + STEP * oldest)
    # A minute before which nothing is known has no forecast.
    found[:, ~np.isfinite(known)] = np.nan
    return Stage(model, first, found, known)


class ForetidePolicy:
    """`Policy` by the operator's decision, with forecasts that were prepared along the trace."""

    def __init__(
        self,
        trace: Trace,
        setting: Setting,
        fitted: "list[Stage]",
        growth: Surges | None = None,
    ) -> None:
        self._setting = setting
        self._start = trace.minutes().start
        self._peaks: list[PeakForecast | Undecided] = []
        self._first = fitted[0].first if fitted else 0
        for stage in fitted:
            self._peaks += stage.peaks(setting.utilization, self._start)
        self._decider = Decider(trace, setting)
        self._trust, self._surges = TrustMeter(), SurgeMeter()
        self._growth = surges(trace, setting) if growth is None else growth

    def step(self, demand: float | None, replicas: int, now: float) -> int:
        """See `Policy`."""
        forecast: Foreseen = self._forecast(now)
        surge = self._growth.get(now)
        if demand is not None:
            metric = self._decider.metric
            surge = self._surges.see(
                surge,
                demand,
                enough=metric.capacity(metric.with_headroom(demand)),
                lead_time=self._setting.delay,
                now=now,
            )
            forecast = judged(
                self._trust,
                forecast,
                metric,
                demand,
                lead_time=self._setting.delay,
                now=now,
            )
        return self._decider.step(demand, forecast, replicas, now, surge=surge)

    def _forecast(self, now: float) -> PeakForecast | Undecided:
        minute = int((now - self._start) // STEP) - self._first
        if not 0 <= minute < len(self._peaks):
            return _NOT_YET
        # Between two minutes it is the same forecast that is asked again.
        return self._peaks[minute]
