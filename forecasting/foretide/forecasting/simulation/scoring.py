"""What a replay is judged by, in the terms of the elasticity literature.

Source: Herbst et al., "Ready for Rain? A View from SPEC Research on the Future of Cloud Metrics"
(2016) and Bauer et al., "Chamulteon" (ICDCS 2019): provisioning accuracy θ, wrong provisioning
time share τ, each for too few (U) and too many (O), and instability υ. Beside them what users pay
(pod-minutes) and what their users do not get (unserved demand).
"""

from dataclasses import asdict, dataclass

import numpy as np

from ..series import Values


@dataclass(frozen=True, slots=True)
class Score:
    """`*_pct` are percentages of time or of demand; `theta_*` of the replicas that were needed."""

    under_pct: float
    unserved_pct: float
    over_pct: float
    theta_under_pct: float
    theta_over_pct: float
    instability_pct: float
    pod_minutes: float
    scale_events_per_day: float

    def figures(self) -> dict[str, float]:
        """For JSON."""
        return asdict(self)


def score(
    demand: Values, ready: Values, desired: Values, per_replica: float, *, minimum: int, step: float
) -> Score:
    """Judge one replay.

    All arrays have shape (n), one entry for each `step` seconds; steps with unknown demand (NaN)
    count for nothing. Pods cost from when they are asked for. Under-provisioned means that demand
    is more than the ready replicas carry.
    """
    known = np.isfinite(demand)
    came, there, asked = demand[known], ready[known], desired[known]
    needed = np.maximum(minimum, np.ceil(came / per_replica * (1 - 1e-9)))
    short = np.maximum(0.0, came * (1 - 1e-9) - there * per_replica)
    days = len(came) * step / 86_400
    return Score(
        under_pct=_percent(short > 0),
        unserved_pct=100 * float(short.sum() / max(came.sum(), 1e-12)),
        over_pct=_percent(there > needed),
        theta_under_pct=_percent(np.maximum(0.0, needed - there) / needed),
        theta_over_pct=_percent(np.maximum(0.0, there - needed) / needed),
        instability_pct=_percent(np.sign(np.diff(there)) != np.sign(np.diff(needed))),
        pod_minutes=float(asked.sum()) * step / 60,
        scale_events_per_day=float(np.count_nonzero(np.diff(asked)) / max(days, 1e-9)),
    )


def _percent(values: "Values | np.ndarray[tuple[int], np.dtype[np.bool_]]") -> float:
    return 100 * float(np.mean(values)) if len(values) else 0.0
