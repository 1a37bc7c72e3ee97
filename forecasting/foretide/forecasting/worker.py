"""What a worker process does: pull history, fit, predict. Heavy imports happen inside, on purpose.

The operator's main process imports this module only for its types and hands `fit_demand` to a
process pool; it must never load pandas, LightGBM or Prophet itself.
"""

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from .demand import Undecided, ZeroKnowledge
from .events.model import EventCalendar
from .forecast import Forecast
from .prometheus import PrometheusSource

if TYPE_CHECKING:  # these need numpy, which the base install does not have
    from .events.effects import LearnedEffects
    from .lookahead.model import LookaheadModel
    from .series import Series

AUTO = "Auto"
_NO_EVENTS = EventCalendar()
NOT_WANTED = Undecided("NotWanted", "spec.forecast.engine makes no such forecast")


@dataclass(frozen=True, slots=True)
class LookaheadNeed:
    """What the forecast of the coming maximum is for.

    `window`, `lead`, `stabilization` and `foreseen` are in minutes: how far ahead is looked, how
    long replicas take to be ready, and how long they stay once they were asked for, by what nobody
    foresaw and by the forecast (`fixed`: no plan may hold them longer). `per_replica` is the safe
    load, in the unit of demand.
    """

    window: int
    lead: int
    per_replica: float
    min_replicas: int
    target_utilization: float
    stabilization: int = 5
    foreseen: int = 0
    fixed: bool = False


class StoredHistory(Protocol):
    """A series in a store that keeps demand for longer than Prometheus does. Must pickle."""

    def extend(self, recent: "Series", start: float) -> "Series | Undecided":
        """The history from `start` (Unix seconds) on, the recent one where it knows."""
        ...

    def keep(self, peaks: "Series") -> Undecided | None:
        """Keep a history of peaks, or say why that failed."""
        ...


@dataclass(frozen=True, slots=True)
class FitRequest:
    """All that one fit needs. Durations in seconds, `now` in Unix seconds.

    `engine` makes the forecast of the horizon: the name of one, `Auto` for a mixture of several,
    weighted by how good each has been on this history (`engines.catalogue.AUTO`), empty for none.
    `lookahead` asks for a model of the coming maximum. `calendar` holds the events of the past that
    can teach, and of the horizon. With `keep`, what Prometheus has is kept in the store.
    """

    source: PrometheusSource
    query: str
    now: float
    history: float
    step: float
    horizon: float
    quantile: float
    min_history: float
    time_zone: str = "UTC"
    engine: str = AUTO
    lookahead: LookaheadNeed | None = None
    calendar: EventCalendar = _NO_EVENTS
    stored: StoredHistory | None = None
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the history that was kept out of the fit (Unix seconds), and why."""

    start: float
    end: float
    reason: str


@dataclass(frozen=True, slots=True)
class FitReport:
    """The outcome of a fit and what it cost, in seconds.

    `result` is the forecast of the horizon, `lookahead` the model of the coming maximum, `effects`
    what the calendar's events have done before, `unlearned` why that could not be learned, `zeros`
    at which hours demand is zero as a rule, `excluded` what was kept out. `store_trouble` says why
    the store could not be used, None where it was, or was not asked.
    """

    result: Forecast | Undecided
    query_seconds: float
    fit_seconds: float
    lookahead: "LookaheadModel | Undecided" = NOT_WANTED
    effects: "LearnedEffects | None" = None
    unlearned: Undecided | None = None
    zeros: ZeroKnowledge = ZeroKnowledge()
    excluded: tuple[Stretch, ...] = ()
    store_trouble: Undecided | None = None
    cpu_seconds: float = 0.0

    @property
    def failure(self) -> Undecided | None:
        """Why something that was wanted could not be made; None where all of it was."""
        for made in (self.lookahead, self.result):
            if isinstance(made, Undecided) and made.reason != NOT_WANTED.reason:
                return made
        return None

    @property
    def fruitless(self) -> bool:
        """Whether nothing was made at all."""
        return isinstance(self.lookahead, Undecided) and isinstance(self.result, Undecided)


def fit_demand(request: FitRequest) -> FitReport:
    """Fit forecasts to the history of one metric. Never raises: failures are `Undecided`."""
    began, cpu = time.perf_counter(), time.process_time()
    try:
        from . import fits

        report = fits.fit(request)
    except Exception as error:  # of whichever library it is: an operator must go on
        reason = Undecided("FitFailed", f"{type(error).__name__}: {str(error)[:200]}")
        report = FitReport(reason, 0.0, time.perf_counter() - began, lookahead=reason)
    return replace(report, cpu_seconds=time.process_time() - cpu)
