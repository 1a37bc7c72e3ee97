"""The choice among engines: by walk-forward backtest on the user's own history.

Each engine is fitted to the beginning of the history and judged on what came after, by the pinball
loss at the quantile in use and at the median: too few replicas cost more than too many, which no
squared error knows. What they said is mixed, and the mixture calibrated on its own errors.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..demand import Undecided
from ..series import Series, Values
from .base import Context, Engine, Fitted, Ints, Outlook, QuantileForecast, hats
from .calibration import Calibration
from .mixing import mixture
from .ordinary import ordinary, with_events
from .pairs import learning_pairs
from .walk_forward import Errors, folds, head, tail, times_of

# The newest points that are used: two weeks of minutes, ten weeks of 5 minutes.
MOST_POINTS = 20_160
_PAIRS_PER_FOLD = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A fitted engine, how its outlook becomes quantiles, and its weight at each knot."""

    name: str
    fitted: Fitted
    calibration: Calibration
    weights: Values


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """Fitted engines and the calibration of their mixture.

    `errors` are the mixture's own, on which it was calibrated.
    """

    context: Context
    history: Series
    members: tuple[Member, ...]
    calibration: Calibration
    errors: Errors

    @property
    def name(self) -> str:
        """The engines that have a say, the weightiest first."""
        ordered = sorted(self.members, key=lambda member: -float(member.weights.mean()))
        return "+".join(member.name for member in ordered)

    def outlook(self, history: Series, origins: Ints, leads: Ints) -> Outlook:
        """The weighted mean of the members, of demand as it is without events."""
        times = times_of(history, origins, leads)
        said = [member.fitted.outlook(history, origins, leads) for member in self.members]
        parts = [
            (outlook, member.calibration, member.weights)
            for outlook, member in zip(said, self.members, strict=True)
        ]
        return blend(parts, leads, times, self.context)

    def quantiles(self, history: Series, origins: Ints, leads: Ints) -> Values:
        """Calibrated quantiles at pairs (levels × pairs)."""
        times = times_of(history, origins, leads)
        outlook = self.outlook(ordinary(history, self.context), origins, leads)
        values = self.calibration.quantiles(outlook, leads, times)
        return with_events(values, self.calibration.levels, times, self.context)

    def predict(self, start: float, steps: int) -> QuantileForecast:
        """Quantiles for the `steps` steps from that which holds `start` (Unix seconds).

        Steps that ended before the history did are left out.
        """
        step = self.history.step
        first = max(0, int((start - self.history.end) // step))
        leads = first + 1 + np.arange(steps)
        origins = np.full(steps, len(self.history))
        return QuantileForecast(
            self.name,
            self.history.end + first * step,
            step,
            self.calibration.levels,
            self.quantiles(self.history, origins, leads),
        )


def blend(
    parts: Sequence[tuple[Outlook, Calibration, Values]],
    leads: Ints,
    times: Values,
    context: Context,
) -> Outlook:
    """The mean of calibrated medians and of calibrated widths, weighted by lead."""
    location, scale = np.zeros(len(leads)), np.zeros(len(leads))
    for outlook, calibration, weights in parts:
        share = hats(leads, calibration.at) @ weights
        values = calibration.quantiles(outlook, leads, times)
        middle = values[calibration.levels.index(0.5)]
        upper = values[calibration.levels.index(context.quantile)]
        location += share * middle
        scale += share * np.maximum(upper - middle, 0.0)
    return Outlook(location, np.maximum(scale, 1e-9 + 1e-6 * np.abs(location)))


def choose(engines: Sequence[Engine], history: Series, context: Context) -> Chosen | Undecided:
    """Judge the engines, the first of which is the yardstick, and fit those that count."""
    seen = tail(history, MOST_POINTS)
    history = ordinary(seen, context)
    judged: list[tuple[Engine, Errors, Calibration]] = []
    for engine in engines:
        errors = judge(engine, history, context)
        if isinstance(errors, Undecided):
            if not judged:
                return errors
            continue
        judged.append((engine, errors, Calibration.of(errors, context, history.step)))
    weights = mixture([(errors, one) for _, errors, one in judged], context, history.step)
    first = judged[0][1]
    parts = [(errors.outlook, one, weights[k]) for k, (_, errors, one) in enumerate(judged)]
    together = replace(first, outlook=blend(parts, first.leads, first.times, context))
    members = []
    for (engine, _, calibration), weight in zip(judged, weights, strict=True):
        if weight.max() == 0:
            continue
        fitted = engine.fit(history, context)
        if isinstance(fitted, Undecided):
            return fitted
        members.append(Member(engine.name, fitted, calibration, weight))
    calibration = Calibration.of(together, context, history.step)
    return Chosen(context, seen, tuple(members), calibration, together)


def judge(engine: Engine, history: Series, context: Context) -> Errors | Undecided:
    """The errors of an engine over all folds; the pairs are the same for every engine."""
    parts = []
    for fold in folds(history):
        fitted = engine.fit(head(history, fold.end), context)
        if isinstance(fitted, Undecided):
            return fitted
        seen = head(history, fold.until)
        origins, leads = learning_pairs(seen, context, _PAIRS_PER_FOLD, first=fold.end)
        parts.append(Errors.of(fitted, seen, origins, leads))
    return Errors.joined(parts)
