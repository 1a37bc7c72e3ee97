"""Which settings to use, by what a backtest has shown."""

from collections.abc import Iterable
from dataclasses import dataclass

from ..simulation.curves import Curve
from ..simulation.summary import USUAL
from .contest import Contestant, Outcome

# Two settings are about as safe when their under-provisioned time differs by less (percent), and
# another than the usual target is worth the trouble when it saves more (share of pod-minutes).
_AS_SAFE_PCT = 0.01
_WORTHWHILE = 0.03


@dataclass(frozen=True, slots=True)
class Advice:
    """The target utilisation to use for pods that take `delay` seconds, and what speaks for it.

    `better` says that it is cheaper than HPA or safer, and neither dearer nor less safe; where no
    target is, it is the usual one. `saving` is the share of HPA's pod-minutes that would have been
    saved at HPA's own under-provisioned time, `oracle_saving` what a perfect forecast would have
    saved; None where the sweep did not get there, or the oracle was not played.
    """

    delay: float
    utilization: float
    better: bool
    ours: Outcome
    hpa: Outcome
    saving: float | None
    oracle_saving: float | None

    @property
    def cost_change(self) -> float:
        """Pod-minutes more than HPA's, as a share of them."""
        return self.ours.score.pod_minutes / self.hpa.score.pod_minutes - 1


def advise(outcomes: Iterable[Outcome], delay: float, curves: "dict[Contestant, Curve]") -> Advice:
    """The cheapest target that was at least as safe as HPA at 70 %, among those that cost less.

    Where the usual target is nearly as cheap as that, it is the usual one: what a short past says
    of the last few percent will not be so tomorrow.

    Raises:
        KeyError: HPA or Foretide was not played at the usual target.
    """
    played = {(one.policy, one.utilization): one for one in outcomes if one.delay == delay}
    hpa = played[Contestant.HPA, USUAL]
    usual = played[Contestant.FORETIDE, USUAL]
    good = [
        one
        for (policy, _), one in played.items()
        if policy is Contestant.FORETIDE
        and one.score.under_pct <= hpa.score.under_pct + _AS_SAFE_PCT
        and one.score.pod_minutes <= hpa.score.pod_minutes
    ]
    best = min(good, key=lambda one: one.score.pod_minutes, default=usual)
    if usual in good and usual.score.pod_minutes <= best.score.pod_minutes * (1 + _WORTHWHILE):
        best = usual
    return Advice(
        delay=delay,
        utilization=best.utilization,
        better=best in good and _beats(best, hpa),
        ours=best,
        hpa=hpa,
        saving=_saving(curves.get(Contestant.FORETIDE), hpa),
        oracle_saving=_saving(curves.get(Contestant.ORACLE), hpa),
    )


def _beats(ours: Outcome, hpa: Outcome) -> bool:
    """Whether one of the two is less, where neither is more."""
    return (
        ours.score.pod_minutes < hpa.score.pod_minutes or ours.score.under_pct < hpa.score.under_pct
    )


def _saving(curve: Curve | None, hpa: Outcome) -> float | None:
    if curve is None:
        return None
    share = 1 - curve.cost_at(hpa.score.under_pct) / hpa.score.pod_minutes
    return share if share > -1 else None
