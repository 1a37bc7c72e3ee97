"""Which settings to use, by what a backtest has shown."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..simulation.curves import Curve
from ..simulation.summary import USUAL
from .contest import Contestant, Outcome, usual_target

# A target beyond this leaves no room for what no history foretells, however well the past went.
HIGHEST = 0.9
# Two settings are about as safe when their under-provisioned time differs by less (percent), and
# another than the usual target is worth the trouble when it saves more (share of pod-minutes).
_AS_SAFE_PCT = 0.01
_WORTHWHILE = 0.03
# Others that are safer are told of where they cost no more than this for each pod-minute of HPA's,
# or of ours where that is more.
_COMPARABLE = 1.1
_TOLD = (Contestant.OFFSET, Contestant.PHPA, Contestant.PROPHET)


@dataclass(frozen=True, slots=True)
class EqualSafety:
    """What it takes to be short for as long as another: pod-minutes, and the target utilisation.

    Both lie between two of the settings that were played.
    """

    pod_minutes: float
    utilization: float


@dataclass(frozen=True, slots=True)
class Rival:
    """Another policy at its usual target that was safer; `ours` is Foretide as safe as that."""

    outcome: Outcome
    ours: EqualSafety | None


@dataclass(frozen=True, slots=True)
class Advice:
    """The target utilisation to use for pods that take `delay` seconds, and what speaks for it.

    `better` says that it is cheaper than HPA or safer, and neither dearer nor less safe; where no
    target is, it is the usual one. `as_safe` is Foretide at HPA's own under-provisioned time,
    `saving` the share of HPA's pod-minutes that it saves, and `oracle_saving` what a perfect
    forecast would have saved; None where the sweep did not get there, or the oracle was not
    played. `safer` are those who were short for less time at about the same cost.
    """

    delay: float
    utilization: float
    better: bool
    ours: Outcome
    hpa: Outcome
    as_safe: EqualSafety | None
    oracle_saving: float | None
    safer: tuple[Rival, ...] = ()

    @property
    def cost_change(self) -> float:
        """Pod-minutes more than HPA's, as a share of them."""
        return self.ours.score.pod_minutes / self.hpa.score.pod_minutes - 1

    @property
    def untried(self) -> float | None:
        """A target between those that were played which would have been better than HPA's."""
        if self.better or self.as_safe is None or self.as_safe.utilization > HIGHEST:
            return None
        return self.as_safe.utilization if (self.saving or 0.0) > _WORTHWHILE else None

    @property
    def saving(self) -> float | None:
        """The share of HPA's pod-minutes that is saved where Foretide is as safe as HPA."""
        return _share(self.as_safe, self.hpa)


def advise(outcomes: Iterable[Outcome], delay: float, curves: Mapping[Contestant, Curve]) -> Advice:
    """The cheapest target that was at least as safe as HPA at 70 %, among those that cost less.

    Where the usual target is nearly as cheap as that, it is the usual one: what a short past says
    of the last few percent will not be so tomorrow. No target above `HIGHEST` is advised.

    Raises:
        KeyError: HPA or Foretide was not played at the usual target.
    """
    played = {(one.policy, one.utilization): one for one in outcomes if one.delay == delay}
    hpa = played[Contestant.HPA, USUAL]
    usual = played[Contestant.FORETIDE, USUAL]
    good = [
        one
        for (policy, target), one in played.items()
        if policy is Contestant.FORETIDE
        and target <= HIGHEST
        and one.score.under_pct <= hpa.score.under_pct + _AS_SAFE_PCT
        and one.score.pod_minutes <= hpa.score.pod_minutes
    ]
    best = min(good, key=lambda one: one.score.pod_minutes, default=usual)
    if usual in good and usual.score.pod_minutes <= best.score.pod_minutes * (1 + _WORTHWHILE):
        best = usual
    curve = curves.get(Contestant.FORETIDE)
    return Advice(
        delay=delay,
        utilization=best.utilization,
        better=best in good and _beats(best, hpa),
        ours=best,
        hpa=hpa,
        as_safe=_equal(curve, hpa),
        oracle_saving=_share(_equal(curves.get(Contestant.ORACLE), hpa), hpa),
        safer=tuple(
            Rival(rival, _equal(curve, rival))
            for rival in (played.get((one, usual_target(one))) for one in _TOLD)
            if rival is not None and _is_safer(rival, best, hpa)
        ),
    )


def _beats(ours: Outcome, hpa: Outcome) -> bool:
    """Whether one of the two is less, where neither is more."""
    return (
        ours.score.pod_minutes < hpa.score.pod_minutes or ours.score.under_pct < hpa.score.under_pct
    )


def _is_safer(rival: Outcome, ours: Outcome, hpa: Outcome) -> bool:
    most = _COMPARABLE * max(ours.score.pod_minutes, hpa.score.pod_minutes)
    return (
        rival.score.under_pct < ours.score.under_pct - _AS_SAFE_PCT
        and rival.score.pod_minutes <= most
    )


def _equal(curve: Curve | None, other: Outcome) -> EqualSafety | None:
    """Where the curve is as safe as the other; None where it does not get there."""
    cost = math.inf if curve is None else curve.cost_at(other.score.under_pct)
    if curve is None or cost >= 2 * other.score.pod_minutes:
        return None
    # The target lies between those of the two settings whose costs are on either side.
    before = [point for point in curve.points if point.pod_minutes <= cost]
    after = [point for point in curve.points if point.pod_minutes >= cost]
    low, high = before[-1], after[0] if after else before[-1]
    span = high.pod_minutes - low.pod_minutes
    share = (cost - low.pod_minutes) / span if span else 0.0
    return EqualSafety(cost, low.utilization + share * (high.utilization - low.utilization))


def _share(found: EqualSafety | None, hpa: Outcome) -> float | None:
    """The share of HPA's pod-minutes that is saved."""
    return None if found is None else 1 - found.pod_minutes / hpa.score.pod_minutes
