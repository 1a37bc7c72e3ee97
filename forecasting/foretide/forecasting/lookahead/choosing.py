"""Which plan suits a workload: found by replaying its own past, out of sample.

`targetUtilization` says what a user is used to from HPA: how much room is left for what nobody
foresees. The replay finds what HPA would have cost at that target, and for how long replicas would
have been too few. Among the plans that would have been at least as safe it finds the cheapest, and
then goes half of the way back to HPA's cost: the gain is shared between cost and safety, and a
past that is no better than the future leaves room for error on both sides. A part of the gain may
be spent on calm before: on a plan that would have changed replicas seldom. Where no plan would
have been both safer and cheaper, the forecast has not earned to be acted on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import ceil, inf
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ..demand import Undecided
from ..series import Values
from .plan import Plan, planned_peak, surprises

_SAFETIES = np.array([0.3, 0.5, 0.7, 0.9, 1.1, 1.3, 1.5, 1.75, 2.0, 2.3, 2.7, 3.2, 3.8, 4.5, 5.5])
Counts = npt.NDArray[np.float32]
Count = TypeVar("Count", Values, Counts)
_MINUTE = 60.0
_TOLERANCE = 0.1
# Shares of 1: as safe as HPA within the resolution of a replay; cheaper than HPA by this at least.
_AS_SAFE = 1e-4
_CHEAPER = 0.985
# Which share of the gain may be spent on changing replicas seldom, and of the rest on safety.
_FOR_CALM, _FOR_SAFETY = 0.4, 0.5
# As a share of HPA's changes: what is spent on fewer than these would be missed elsewhere.
_CALM_ENOUGH = 0.5
# As a multiple of the fewest changes that can be afforded: the last of calm is the dearest.
_NEARLY = 1.1
# Slack, and patience in minutes: from plans that follow closely to such as noise cannot move.
_CALMS = (
    *((slack, 0) for slack in (0.02, 0.06, 0.1, 0.15, 0.2, 0.25, 0.3)),
    *((0.3, patience) for patience in (5, 15, 30)),
    (0.1, 15),
)
_EVENNESSES = (0.0, 0.5, 1.0)
# A replay of a week is no proof: another evenness than 1 must be cheaper by this to be taken.
_UNUSUAL = 0.02


@dataclass(frozen=True, slots=True)
class Workload:
    """What is replayed. `lead` and the windows are in minutes, `per_replica` in demand.

    Like HPA's, the window for scaling down holds the recommendations that are younger than it: five
    minutes of it are those of this minute and of the four before. Those that the forecast makes
    count for `foreseen` minutes only, or as long as a plan is patient, unless that is `fixed`.
    """

    per_replica: float
    min_replicas: int
    lead: int
    stabilization: int = 5
    foreseen: int = 0
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """A replay's result: replica-minutes per minute, and the share of time with too few ready.

    `changes` is how often replicas were changed, a minute.
    """

    replicas: float
    under: float
    changes: float = 0.0


@dataclass(frozen=True, slots=True)
class Choice:
    """The plan for one target utilisation, and what the past says of it and of HPA."""

    utilization: float
    plan: Plan | Undecided
    expected: Outcome | None
    hpa: Outcome


def choose(
    demand: Values, known: Values, quantiles: Values, workload: Workload, targets: Sequence[float]
) -> list[Choice]:
    """A choice for each target utilisation.

    `demand` (n) is what came in each minute, `known` (n) the newest demand known at its beginning,
    `quantiles` (levels, n) what was forecast at that time, out of sample.
    """
    usual = float(np.mean(quantiles[0]))
    grid = np.array(list(product(_EVENNESSES, _SAFETIES)))
    evenness, safeties = (column[:, None] for column in grid.T)
    peaks = planned_peak(quantiles, safeties, evenness, usual)
    peaks = np.maximum(peaks, surprises(quantiles, known)) / workload.per_replica
    curves = _curves(peaks, demand, known, workload)
    return [
        _choose(target, _score(_hpa(known, target, workload), demand, workload)[0], curves, usual)
        for target in targets
    ]


def _curves(peaks: Values, demand: Values, known: Values, workload: Workload) -> "list[_Curve]":
    """A curve for each calm and evenness; `peaks` has shape (evennesses x safeties, n)."""
    calms = [calm for calm in _CALMS if not (workload.fixed and calm[1])]
    slack, patience = np.array(calms).T
    outcomes = _score(_planned(peaks, known, slack, patience, workload), demand, workload)
    count = len(_SAFETIES)
    starts = range(0, len(outcomes), count)
    return [
        _Curve.of(*calm, evenness, outcomes[first : first + count])
        for first, (calm, evenness) in zip(starts, product(calms, _EVENNESSES), strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Curve:
    """What the plans of one calm and evenness would have come to, by rising safety."""

    slack: float
    patience: int
    evenness: float
    costs: Values
    unders: Values
    changes: Values

    @classmethod
    def of(
        cls, slack: float, patience: int, evenness: float, outcomes: Sequence[Outcome]
    ) -> "_Curve":
        """The curve through what a replay found; safer is never cheaper, nor worse."""
        return cls(
            slack,
            patience,
            evenness,
            np.maximum.accumulate([outcome.replicas for outcome in outcomes]),
            np.minimum.accumulate([outcome.under for outcome in outcomes]),
            np.array([outcome.changes for outcome in outcomes]),
        )

    def safe_cost(self, under: float) -> float:
        """The least cost of a plan that is as safe as that; infinite where there is none."""
        wanted = under + _AS_SAFE
        if self.unders[-1] > wanted:
            return inf
        return float(np.interp(wanted, self.unders[::-1], self.costs[::-1]))

    def at_cost(self, replicas: float) -> tuple[Plan, Outcome]:
        """The plan that costs so much, and what would have come of it."""
        safety, under, changes = (
            float(np.interp(replicas, self.costs, values))
            for values in (_SAFETIES, self.unders, self.changes)
        )
        plan = Plan(safety, self.slack, self.evenness, patience=_MINUTE * self.patience)
        return plan, Outcome(replicas, under, changes)


def calm_share(target: float) -> float:
    """The share of the gain that may be spent on calm: none where hardly any headroom is wanted.

    Who asks for 85 % utilisation counts replicas; who asks for 70 % has some to spare.
    """
    return min(_FOR_CALM, max(0.0, 2.0 * (1 / target - 1) - 0.45))


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A curve, what its plan costs that is as safe as HPA, and what comes of the one to be taken.

    That goes half of the way from there to `highest`, which is what HPA costs, nearly.
    """

    cost: float
    curve: _Curve
    plan: Plan
    outcome: Outcome

    @classmethod
    def of(cls, curve: _Curve, hpa: Outcome, highest: float) -> "_Candidate | None":
        """None where no plan on the curve is as safe as HPA."""
        cost = curve.safe_cost(hpa.under) * (1 + _UNUSUAL * (1 - curve.evenness))
        if not np.isfinite(cost):
            return None
        return cls(cost, curve, *curve.at_cost(cost + _FOR_SAFETY * max(0.0, highest - cost)))


def _calm(candidates: Sequence[_Candidate], hpa: float) -> _Candidate:
    """The cheapest that is calm enough, or nearly the calmest; `hpa` is how often HPA changes."""
    fewest = min(one.outcome.changes for one in candidates)
    enough = max(_CALM_ENOUGH * hpa, _NEARLY * fewest)
    calm = [one for one in candidates if one.outcome.changes <= enough]
    return min(calm, key=lambda one: one.cost)


def _choose(target: float, hpa: Outcome, curves: Sequence[_Curve], usual: float) -> Choice:
    highest = hpa.replicas * _CHEAPER
    candidates = [
        one for curve in curves if (one := _Candidate.of(curve, hpa, highest)) is not None
    ]
    least = min((one.cost for one in candidates), default=inf)
    if least > highest:
        reason = Undecided(
            "NoBetterThanReactive",
            "on this workload's past no plan would have been both safer and cheaper than HPA",
        )
        return Choice(target, reason, None, hpa)
    affordable = least + calm_share(target) * (highest - least)
    candidates = [one for one in candidates if one.cost <= affordable]
    # Patience costs safety: it is for where noise would move replicas more often than HPA does.
    hasty = [one for one in candidates if not one.curve.patience]
    chosen = _calm(hasty or candidates, hpa.changes)
    if chosen.outcome.changes > hpa.changes:
        chosen = _calm(candidates, hpa.changes)
    return Choice(target, replace(chosen.plan, usual=usual), chosen.outcome, hpa)


def _hpa(known: Values, target: float, workload: Workload) -> Values:
    """HPA's replicas by the minute, shape (1, n)."""
    window = max(1, workload.stabilization)
    asked = (known / (workload.per_replica * target)).tolist()
    count = max(workload.min_replicas, ceil(asked[0]))
    # Plain numbers: a minute is too little for numpy to gain anything.
    proposals: list[int] = []
    desired = []
    for ask in asked:
        steady = abs(ask / count - 1.0) <= _TOLERANCE
        proposals.append(count if steady else ceil(ask))
        count = max(proposals[-1], min(count, max(proposals[-window:])), workload.min_replicas)
        desired.append(count)
    return np.array([desired], dtype=float)


def _planned(
    peaks: Values, known: Values, slack: Values, patience: Values, workload: Workload
) -> Counts:
    """The replicas of each plan by the minute, shape (calms x peaks, n).

    `peaks` has shape (peaks, n), in replicas; `slack` and `patience` (minutes) have shape (calms).
    """
    plans, minutes = peaks.shape
    # By the minute first: the loop below reads one minute of all plans at a time.
    reactive = np.ceil(known / workload.per_replica)[:, None]
    foreseen = np.ceil(peaks).T.copy()
    surprised = foreseen < reactive
    need = np.maximum(foreseen, np.maximum(reactive, workload.min_replicas))
    further = (1 + slack / 3)[:, None] * (1 - 1e-9)
    within = (1 + slack)[:, None] * (1 + 1e-9)
    unforeseen = np.zeros((max(1, workload.stabilization), len(slack), plans))
    # Each writes round its own window, so that what is older is gone.
    windows = np.maximum(max(1, workload.foreseen), patience).astype(int)
    proposals = np.zeros((windows.max(), len(slack), plans))
    every = np.arange(len(slack))
    desired = np.empty((minutes, len(slack), plans), dtype=np.float32)
    count = np.ceil(need[0] * further)
    for minute in range(minutes):
        least, surprise = need[minute], surprised[minute]
        steady = (count >= least) & (count <= np.floor(least * within))
        asked = np.where(steady, count, np.ceil(least * further))
        unforeseen[minute % len(unforeseen)] = np.where(surprise, asked, 0.0)
        proposals[minute % windows, every] = np.where(surprise, 0.0, asked)
        highest = np.maximum(unforeseen.max(axis=0), proposals.max(axis=0))
        # More is asked for at once; what was asked for before may keep what there is.
        count = np.maximum(asked, np.minimum(count, highest))
        desired[minute] = count
    return desired.reshape(minutes, -1).T


def _score(desired: Count, demand: Values, workload: Workload) -> list[Outcome]:
    ready = trailing_minimum(desired, workload.lead)
    under = demand > ready * workload.per_replica * (1 + 1e-9)
    changed = np.diff(desired, axis=1) != 0
    figures = desired.mean(axis=1), under.mean(axis=1), changed.mean(axis=1)
    return [Outcome(*map(float, one)) for one in zip(*figures, strict=True)]


def trailing_minimum(desired: Count, lead: int) -> Count:
    """What is ready: the least that was asked for in the last `lead` minutes, and now.

    A pod is ready `lead` minutes after it was asked for; those that are asked away meanwhile are
    the ones that are not ready yet, as Kubernetes removes these first.
    """
    ready = desired.copy()
    for back in range(1, min(lead, desired.shape[1] - 1) + 1):
        np.minimum(ready[:, back:], desired[:, :-back], out=ready[:, back:])
    return ready
