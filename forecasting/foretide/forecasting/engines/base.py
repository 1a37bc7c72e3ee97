"""What a forecast engine is: fitted to a history, it looks ahead from any origin within another.

Engines speak of *pairs* of an origin and a lead. Origin `i` is the moment at which the values
before index `i` are known and those from `i` on are not; lead `h` (1, 2, …) is the h-th step after
it, index `i + h - 1`. So walk-forward evaluation needs no refit for each origin, and "nothing
after the origin is visible" is one rule that one test can hold every engine to.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..demand import Undecided
from ..events.effects import LearnedEffects
from ..events.model import EventCalendar
from ..series import Series, Values
from .yearly import Yearly

Ints = npt.NDArray[np.int64]

DAY = 86_400.0
HOUR = 3_600.0
NO_EVENTS = EventCalendar()


@dataclass(frozen=True, slots=True)
class Context:
    """What a fit needs to know beside the history.

    `quantile` is the one that the decision uses: models are chosen by their pinball loss at it and
    at the median. `horizon` (seconds) is how far ahead forecasts are to be good. `effects` are what
    the events of the `calendar` have been found to do; without them events are only kept out.
    `yearly` is what the time of year does, where that is known.
    """

    time_zone: str = "UTC"
    quantile: float = 0.975
    levels: tuple[float, ...] = (0.025, 0.1, 0.5, 0.9, 0.975)
    horizon: float = DAY
    calendar: EventCalendar = NO_EVENTS
    effects: LearnedEffects | None = None
    yearly: Yearly | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """What an engine expects at each pair: the middle, and how wide errors are (shape: pairs).

    `scale` is positive and only right up to a factor: calibration finds the factor.
    """

    location: Values
    scale: Values


@dataclass(frozen=True, slots=True, eq=False)
class QuantileForecast:
    """Quantiles of demand from `start` on (Unix seconds), one column for each `step` seconds.

    `values` has the shape levels × steps; no level crosses a higher one, none is negative.
    """

    model: str
    start: float
    step: float
    levels: tuple[float, ...]
    values: Values

    def at(self, level: float) -> Values:
        """One level (shape: steps).

        Raises:
            ValueError: the level is not among those that were forecast.
        """
        return np.asarray(self.values[self.levels.index(level)])


class Fitted(Protocol):
    """An engine that has learned from a history.

    `outlook` may look at `history.values[:origin]` alone for a pair with that origin. The history
    is on the same grid as the one that it was fitted to, and may begin and end elsewhere.
    """

    def outlook(self, history: Series, origins: Ints, leads: Ints) -> Outlook: ...


class Engine(Protocol):
    """A way to forecast. `fit` says why where it cannot."""

    @property
    def name(self) -> str: ...

    def fit(self, history: Series, context: Context) -> Fitted | Undecided: ...


def knots(step: float, horizon: float) -> Values:
    """Leads between which all that depends on the lead is interpolated (in steps, ascending).

    Spaced by a factor of about four: an error's size goes with the logarithm of the lead.
    """
    ahead = [0.0, 300.0, 900.0, HOUR, 4 * HOUR, DAY]
    ahead = [seconds for seconds in ahead if seconds < horizon * 0.99] + [horizon]
    return np.unique([max(1.0, round(seconds / step)) for seconds in ahead])


def hats(leads: Ints, at: Values) -> Values:
    """The share of each knot in each lead, linear in the logarithm (shape: leads × knots)."""
    position = np.interp(np.log(leads), np.log(at), np.arange(len(at)))
    return np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(len(at))))
