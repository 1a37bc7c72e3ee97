"""Which plan suits a workload: found by replaying its own past, out of sample.

`targetUtilization` says what a user is used to from HPA: how much room is left for what nobody
foresees. The replay finds what HPA would have cost at that target, and for how long replicas would
have been too few. Among the plans that would have been at least as safe it finds the cheapest, and
then goes half of the way back to HPA's cost: the gain is shared between cost and safety, and a
past that is no better than the future leaves room for error on both sides. Where no plan would
have been both safer and cheaper, the forecast has not earned to be acted on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..demand import Undecided
from ..series import Values
from .plan import Plan, planned_peak

_SAFETIES = np.array(
    [0.3, 0.5, 0.7, 0.85, 1.0, 1.15, 1.3, 1.45, 1.6, 1.8, 2.0, 2.2, 2.5, 2.8, 3.2, 3.7, 4.3, 5.0]
)
_TOLERANCE = 0.1
# Shares of 1: as safe as HPA within the resolution of a replay; cheaper than HPA by this at least.
_AS_SAFE = 1e-4
_CHEAPER = 0.985
_MOST_SLACK = 0.25


@dataclass(frozen=True, slots=True)
class Workload:
    """What is replayed. `lead` and `stabilization` are in minutes, `per_replica` in demand."""

    per_replica: float
    min_replicas: int
    lead: int
    stabilization: int = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """A replay's result: replica-minutes per minute, and the share of time with too few ready."""

    replicas: float
    under: float


@dataclass(frozen=True, slots=True)
class Choice:
    """The plan for one target utilisation, and what the past says of it and of HPA."""

    utilization: float
    plan: Plan | Undecided
    expected: Outcome | None
    hpa: Outcome


def slack_for(utilization: float) -> float:
    """How much calm a target utilisation affords: half of the headroom that it leaves."""
    return min(_MOST_SLACK, 0.5 * max(0.0, 1.0 / utilization - 1.0))


def choose(
    demand: Values, known: Values, quantiles: Values, workload: Workload, targets: Sequence[float]
) -> list[Choice]:
    """A choice for each target utilisation.

    `demand` (n) is what came in each minute, `known` (n) the newest demand known at its beginning,
    `quantiles` (levels, n) what was forecast at that time, out of sample.
    """
    usual = float(np.mean(quantiles[0]))
    peaks = planned_peak(quantiles, _SAFETIES[:, None], usual) / workload.per_replica
    choices = []
    for target in targets:
        hpa = _score(_hpa(known, target, workload), demand, workload)[0]
        slack = slack_for(target)
        outcomes = _score(_planned(peaks, known, slack, workload), demand, workload)
        choices.append(_choose(target, hpa, outcomes, slack, usual))
    return choices


def _choose(
    target: float, hpa: Outcome, outcomes: list[Outcome], slack: float, usual: float
) -> Choice:
    safe = [outcome.replicas for outcome in outcomes if outcome.under <= hpa.under + _AS_SAFE]
    highest = hpa.replicas * _CHEAPER
    if not safe or min(safe) > highest:
        reason = Undecided(
            "NoBetterThanReactive",
            "on this workload's past no plan would have been both safer and cheaper than HPA",
        )
        return Choice(target, reason, None, hpa)
    wanted = (min(safe) + highest) / 2
    costs = np.maximum.accumulate([outcome.replicas for outcome in outcomes])
    safety = float(np.interp(wanted, costs, _SAFETIES))
    expected = Outcome(wanted, float(np.interp(wanted, costs, [o.under for o in outcomes])))
    return Choice(target, Plan(safety, slack, usual), expected, hpa)


def _hpa(known: Values, target: float, workload: Workload) -> Values:
    """HPA's replicas by the minute, shape (1, n)."""
    wanted = known / (workload.per_replica * target)
    count = max(float(workload.min_replicas), np.ceil(wanted[0]))
    proposals = np.empty(len(known))
    desired = np.empty((1, len(known)))
    for minute, ask in enumerate(wanted):
        steady = abs(ask / count - 1.0) <= _TOLERANCE
        proposals[minute] = count if steady else np.ceil(ask)
        first = max(0, minute - workload.stabilization)
        highest = proposals[first : minute + 1].max()
        count = max(count, proposals[minute]) if proposals[minute] > count else min(count, highest)
        count = max(count, workload.min_replicas)
        desired[0, minute] = count
    return desired


def _planned(peaks: Values, known: Values, slack: float, workload: Workload) -> Values:
    """The replicas of each plan by the minute, shape (plans, n)."""
    plans, minutes = peaks.shape
    floor = np.ceil(known / workload.per_replica)
    need = np.maximum(np.ceil(peaks), np.maximum(floor, workload.min_replicas)[None, :])
    calm = calm_level(need, slack)
    most = np.floor(need * (1 + slack) + 1e-9)
    proposals = np.zeros((workload.stabilization + 1, plans))
    desired = np.empty((plans, minutes))
    count = calm[:, 0].copy()
    for minute in range(minutes):
        steady = (count >= need[:, minute]) & (count <= most[:, minute])
        asked = np.where(steady, count, calm[:, minute])
        proposals[minute % len(proposals)] = asked
        highest = proposals.max(axis=0)
        count = np.where(asked > count, asked, np.minimum(count, highest))
        desired[:, minute] = count
    return desired


def calm_level(need: Values, slack: float) -> Values:
    """Where replicas go when they must move: a third of the slack above what is needed."""
    return np.asarray(np.ceil(need * (1 + slack / 3) * (1 - 1e-9)))


def _score(desired: Values, demand: Values, workload: Workload) -> list[Outcome]:
    ready = trailing_minimum(desired, workload.lead)
    under = demand > ready * workload.per_replica * (1 + 1e-9)
    return [
        Outcome(float(replicas), float(share))
        for replicas, share in zip(desired.mean(axis=1), under.mean(axis=1), strict=True)
    ]


def trailing_minimum(desired: Values, lead: int) -> "npt.NDArray[np.float64]":
    """What is ready: the least that was asked for in the last `lead` minutes, and now.

    A pod is ready `lead` minutes after it was asked for; those that are asked away meanwhile are
    the ones that are not ready yet, as Kubernetes removes these first.
    """
    ready = desired.copy()
    for back in range(1, min(lead, desired.shape[1] - 1) + 1):
        np.minimum(ready[:, back:], desired[:, :-back], out=ready[:, back:])
    return ready
