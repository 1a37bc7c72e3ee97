"""Pattern: a direct linear forecast from what was, now, yesterday, a week ago and in between.

For each lead the simple forecasts (patterns.py) are averaged with weights that are positive and
sum to one, found by exponentiated gradient on the absolute error (Kivinen & Warmuth 1997). A ridge
regression on the same views then takes what is left, the more timidly the longer the lead: of
errors a day ahead a history of two weeks holds a dozen, of errors five minutes ahead thousands.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..demand import Undecided
from ..series import Series, Values
from .base import DAY, HOUR, Context, Fitted, Ints, Outlook, hats, knots
from .pairs import learning_pairs
from .patterns import Patterns, Views, look, typical

_MOST_PAIRS = 12_000
_STEPS = 60
_REWEIGHTINGS = 3
# Ridge: how many errors, as a share of those that are independent, it takes to move a coefficient.
_TIMIDITY = 0.3


@dataclass(frozen=True, slots=True)
class Pattern:
    """The direct linear engine."""

    name: str = "Pattern"

    def fit(self, history: Series, context: Context) -> Fitted | Undecided:
        """Learn from pairs within the history. Needs a day of it."""
        if history.end - history.start < DAY:
            return Undecided("TooLittleHistory", "patterns need a day of history")
        origins, leads = learning_pairs(history, context, _MOST_PAIRS)
        if len(origins) < 100:
            return Undecided("TooLittleHistory", "the history has too many gaps")
        return fit_linear(history, context, origins, leads)


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """Weights and coefficients at each knot (knots × forecasts, knots × views)."""

    context: Context
    typical: float
    at: Values
    weights: Values
    coefficients: Values
    spread: Values

    def outlook(self, history: Series, origins: Ints, leads: Ints) -> Outlook:
        """The weighted mean of the simple forecasts, corrected."""
        furthest = int(leads.max(initial=1))
        patterns = Patterns.of(history, self.context, self.typical, furthest)
        views = look(patterns, origins, leads)
        return self.from_views(views, leads)

    def from_views(self, views: Views, leads: Ints) -> Outlook:
        """The same where the views are there already."""
        share = hats(leads, self.at)
        location = self.relative(views, share)
        scale = share @ self.spread
        return Outlook(location * views.level, scale * views.level)

    def relative(self, views: Views, share: Values) -> Values:
        """The forecast relative to the level."""
        mean = ((share @ self.weights) * views.simple).sum(axis=1)
        offset = ((share @ self.coefficients) * regressors(views, mean)).sum(axis=1)
        return np.asarray(np.maximum(mean + offset, 0.0))


def fit_linear(history: Series, context: Context, origins: Ints, leads: Ints) -> Linear:
    """Fit to these pairs of the history, all of whose targets are known."""
    usual = typical(history)
    patterns = Patterns.of(history, context, usual)
    views = look(patterns, origins, leads)
    truth = history.values[origins + leads - 1] / views.level
    at = knots(history.step, context.horizon)
    share = hats(leads, at)
    weights = np.stack([_average(views.simple, truth, share[:, k]) for k in range(len(at))])
    mean = ((share @ weights) * views.simple).sum(axis=1)
    independent = (history.end - history.start) / np.maximum(at * history.step, HOUR)
    coefficients = _ridge(regressors(views, mean), truth - mean, share, _TIMIDITY / independent)
    rough = Linear(context, usual, at, weights, coefficients, np.ones(len(at)))
    missed = np.abs(truth - rough.relative(views, share))
    spread = (share * missed[:, None]).sum(axis=0) / np.maximum(share.sum(axis=0), 1e-12)
    return Linear(context, usual, at, weights, coefficients, np.maximum(spread, 1e-9))


def regressors(views: Views, mean: Values) -> Values:
    """What the ridge regression sees: how far each view is from the mean of the forecasts."""
    both = np.concatenate((views.simple, views.detail), axis=1) - mean[:, None]
    return np.concatenate((both, np.ones((len(mean), 1))), axis=1)


def _average(simple: Values, truth: Values, share: Values) -> Values:
    """Weights on the simplex with a small absolute error, over pairs near one knot."""
    near = share > 0.25
    count = simple.shape[1]
    weights = np.full(count, 1.0 / count)
    if near.sum() < 30:
        return weights
    forecasts, wanted, share = simple[near], truth[near], share[near]
    typical = max(float(np.abs(forecasts - wanted[:, None]).mean()), 1e-12)
    for _ in range(_STEPS):
        sign = np.sign(forecasts @ weights - wanted) * share
        slope = (sign @ forecasts) / (share.sum() * typical)
        weights = weights * np.exp(-2.0 * (slope - slope @ weights))
        weights = weights / weights.sum()
    return weights


def _ridge(views: Values, missed: Values, share: Values, penalty: Values) -> Values:
    """Least absolute deviations by reweighting, with a penalty at each knot (knots × views)."""
    count, wide = share.shape[1], views.shape[1]
    parts = _parts(views, share)
    penalties = np.repeat(penalty, wide) * len(missed)
    found = np.zeros(count * wide)
    for _ in range(_REWEIGHTINGS):
        off = np.empty(len(missed))
        for rows, columns, design in parts:
            off[rows] = np.abs(missed[rows] - design @ found[columns])
        weight = 1.0 / np.maximum(off, max(float(np.median(off)) / 2, 1e-9))
        weight = (weight / weight.mean()).astype(np.float32)
        gram, wanted = np.diag(penalties + 1e-9), np.zeros(count * wide)
        for rows, columns, design in parts:
            weighted = design * weight[rows, None]
            gram[columns, columns] += weighted.T @ design
            wanted[columns] += weighted.T @ missed[rows]
        found = np.linalg.solve(gram, wanted)
    return found.reshape(count, wide)


def _parts(views: Values, share: Values) -> "list[tuple[Ints, slice, Any]]":
    """The design matrix without its zeros: rows, their columns, and what is there.

    A pair's lead has a share in the two knots about it only.
    """
    count, wide = share.shape[1], views.shape[1]
    beside = min(2, count)
    first = np.minimum((share > 0).argmax(axis=1), count - beside)
    parts = []
    for knot in np.unique(first).tolist():
        rows = np.flatnonzero(first == knot)
        both = share[rows, knot : knot + beside, None] * views[rows, None, :]
        # Single precision: half the time, and the penalty keeps it well conditioned.
        design = both.reshape(len(rows), -1).astype(np.float32)
        parts.append((rows, slice(knot * wide, (knot + beside) * wide), design))
    return parts
