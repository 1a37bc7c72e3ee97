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
from .ordinary import ordinary, put_back
from .pairs import learning_pairs
from .walk_forward import Errors, folds, head, tail, times_of

# The newest points that are used: two weeks of minutes, ten weeks of 5 minutes.
MOST_POINTS = 20_160
_PAIRS_PER_FOLD = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """An engine, the errors that it made on the history, and how it is calibrated by them."""

    engine: Engine
    errors: Errors
    calibration: Calibration

    def quantiles(self) -> Values:
        """What it said at its errors' pairs (levels × pairs)."""
        errors = self.errors
        return self.calibration.quantiles(errors.outlook, errors.leads, errors.times)


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

    `errors` are the mixture's own, on which it was calibrated; `judged` are all engines that were
    tried, the yardstick first.
    """

    context: Context
    history: Series
    members: tuple[Member, ...]
    calibration: Calibration
    errors: Errors
    judged: tuple[Judged, ...]

    @property
    def name(self) -> str:
        """The engines that have a say, the weightiest first, and whether the time of year has."""
        ordered = sorted(self.members, key=lambda member: -float(member.weights.mean()))
        names = [member.name for member in ordered]
        return "+".join(names if self.context.yearly is None else [*names, "Yearly"])

    def outlook(self, history: Series, origins: Ints, leads: Ints) -> Outlook:
        """The weighted mean of the members, of demand as it is on ordinary days."""
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
        return put_back(values, self.calibration.levels, times, self.context)

    def refreshed(self, history: Series) -> "Chosen":
        """The same fit, calibrated also by how it has done since, on a history that goes on."""
        known = ordinary(history, self.context)
        first = round((self.history.end - history.start) / history.step)
        origins, leads = learning_pairs(known, self.context, _PAIRS_PER_FOLD, first=first)
        if not len(origins):
            return replace(self, history=history)
        times = times_of(history, origins, leads)
        truth = known.values[origins + leads - 1]
        since = Errors(leads, times, truth, self.outlook(known, origins, leads))
        errors = Errors.joined([self.errors, since])
        calibration = Calibration.of(errors, self.context, history.step)
        return replace(self, history=history, calibration=calibration)

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
    tried = [judge(engine, history, context) for engine in engines]
    if isinstance(tried[0], Undecided):
        return tried[0]
    judged = tuple(one for one in tried if not isinstance(one, Undecided))
    weights = mixture([(one.errors, one.calibration) for one in judged], context, history.step)
    members = []
    for one, weight in zip(judged, weights, strict=True):
        if weight.max() == 0:
            continue
        fitted = one.engine.fit(history, context)
        if isinstance(fitted, Undecided):
            return fitted
        members.append(Member(one.engine.name, fitted, one.calibration, weight))
    return _assembled(context, seen, tuple(members), judged, weights)


def alone(judged: Judged, history: Series, context: Context) -> Chosen | Undecided:
    """One engine that was judged on this history, calibrated as a choice is."""
    known = ordinary(history, context)
    fitted = judged.engine.fit(known, context)
    if isinstance(fitted, Undecided):
        return fitted
    weights = np.ones((1, len(judged.calibration.at)))
    member = Member(judged.engine.name, fitted, judged.calibration, weights[0])
    return _assembled(context, history, (member,), (judged,), weights)


def _assembled(
    context: Context,
    history: Series,
    members: tuple[Member, ...],
    judged: tuple[Judged, ...],
    weights: Values,
) -> Chosen:
    """The mixture, calibrated by the errors that it would have made."""
    first = judged[0].errors
    parts = [
        (one.errors.outlook, one.calibration, weight)
        for one, weight in zip(judged, weights, strict=True)
    ]
    errors = replace(first, outlook=blend(parts, first.leads, first.times, context))
    calibration = Calibration.of(errors, context, history.step)
    return Chosen(context, history, members, calibration, errors, judged)


def judge(engine: Engine, history: Series, context: Context) -> Judged | Undecided:
    """An engine's errors over all folds; the pairs are the same for every engine."""
    parts = []
    for fold in folds(history):
        fitted = engine.fit(head(history, fold.end), context)
        if isinstance(fitted, Undecided):
            return fitted
        seen = head(history, fold.until)
        origins, leads = learning_pairs(seen, context, _PAIRS_PER_FOLD, first=fold.end)
        parts.append(Errors.of(fitted, seen, origins, leads))
    errors = Errors.joined(parts)
    if not len(errors.leads):
        return Undecided("TooLittleHistory", "the newest half of the history has no values")
    calibration = Calibration.of(errors, context, history.step, final=False)
    return Judged(engine, errors, calibration)
