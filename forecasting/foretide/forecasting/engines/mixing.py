"""Weights for several engines: the mean quantiles with the smallest pinball loss.

For each lead the weights are positive and sum to one. They begin at a prior that trusts
seasonal-naive as much as all others together, follow the exponentiated gradient (Kivinen &
Warmuth 1997) of the loss on walk-forward errors, and are then drawn back to the prior by how few
errors there were: an engine must show its gain for days before it is followed, and a mean of
engines is as a rule better than the best of them (Bates & Granger 1969).
"""

from collections.abc import Sequence

import numpy as np

from ..series import Values
from .base import HOUR, Context, hats, knots
from .calibration import Calibration
from .walk_forward import Errors, pinball

_NAIVE_TRUST = 0.5
# Errors closer to one another than this count as one, however short the lead.
_APART = 4 * HOUR
_DOUBT = 1.0
_STEPS = 60
_SPEED = 0.5
_NEGLIGIBLE = 0.02


def mixture(judged: Sequence[tuple[Errors, Calibration]], context: Context, step: float) -> Values:
    """The weight of each engine at each knot (engines × knots); the first is the yardstick.

    All errors are at the same pairs.
    """
    errors = judged[0][0]
    at = knots(step, context.horizon)
    share = hats(errors.leads, at)
    prior = _prior(len(judged))
    said = np.stack([_said(*one, context) for one in judged], axis=2)
    weights = np.empty((len(judged), len(at)))
    for knot, lead in enumerate(at):
        found = _descend(said, errors.truth, share[:, knot], prior, context)
        evidence = errors.span / max(float(lead) * step, _APART)
        mixed = (evidence * found + _DOUBT * prior) / (evidence + _DOUBT)
        mixed = np.where(mixed < _NEGLIGIBLE, 0.0, mixed)
        weights[:, knot] = mixed / mixed.sum()
    return weights


def _prior(count: int) -> Values:
    if count == 1:
        return np.ones(1)
    prior = np.full(count, (1 - _NAIVE_TRUST) / (count - 1))
    prior[0] = _NAIVE_TRUST
    return prior


def _said(errors: Errors, calibration: Calibration, context: Context) -> Values:
    """The median and the quantile in use that an engine gave (shape: 2 × pairs)."""
    values = calibration.quantiles(errors.outlook, errors.leads, errors.times)
    return values[[calibration.levels.index(level) for level in (0.5, context.quantile)]]


def _descend(said: Values, truth: Values, share: Values, prior: Values, context: Context) -> Values:
    """Weights on the simplex with a small loss near one knot (shape: engines)."""
    near = share > 0.25
    if near.sum() < 30 or len(prior) == 1:
        return prior
    said, truth, share = said[:, near], truth[near], share[near]
    levels = (0.5, context.quantile)
    # Both losses count alike, whatever their size, so each is taken relative to the yardstick's.
    typical = [
        max(float(pinball(truth, said[k, :, 0], level).mean()), 1e-300)
        for k, level in enumerate(levels)
    ]
    weights = prior
    for _ in range(_STEPS):
        slope = np.zeros(len(prior))
        for k, level in enumerate(levels):
            pull = np.where(truth > said[k] @ weights, -level, 1 - level) * share
            slope += (pull @ said[k]) / (share.sum() * typical[k]) / 2
        weights = weights * np.exp(-_SPEED * np.clip(slope - slope @ weights, -2, 2))
        weights = weights / weights.sum()
    return weights
