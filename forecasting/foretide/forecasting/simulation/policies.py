"""What Foretide is compared with: other ways to scale, each stepped by `replay`.

How the headroom (`Setting.utilization`, u) enters each of them, so that all can be swept alike:

- **HPA**, **KEDA**: the target is u × the safe load of a replica.
- **Seasonal offset**: both of its triggers have that target.
- **PHPA**: the target of the HPA inside it, whose replica counts are what is forecast.
- **Prophet only**, **oracle**: replicas carry the forecast at u × their safe load. At 1, Prophet
  only is what Foretide's first release did.
- **Foretide**: `targetUtilization`; its own replay of the past turns that into a plan.
"""

import math
from collections.abc import Callable

import numpy as np

from ..behavior import Behavior
from ..demand import Undecided
from ..forecast import PeakForecast
from ..series import Values
from .decider import Decider
from .holt_winters import HoltWinters
from .hpa import HpaPolicy
from .replay import Policy, Setting
from .trace import MINUTE, Trace

DAY = 86_400.0
WEEK = 7 * DAY

# Demand that is foreseen at a moment (Unix seconds), NaN when nothing is.
Foresight = Callable[[float], float]

# Less than a replica in any count, but not the zero that stands for HPA's tolerance.
_NO_SLACK = 1e-9
_NOTHING = Undecided("NoForecast", "there is no forecast of this moment")


class HpaReplay:
    """`Policy` by the real HPA on demand, and on a second metric where there is one.

    With several metrics HPA takes the largest answer, and removes nothing while one of them is
    missing. As both have the same target, the larger metric gives the larger answer.
    """

    def __init__(self, hpa: HpaPolicy, second: Foresight | None = None) -> None:
        self._hpa, self._second = hpa, second

    def step(self, demand: float | None, replicas: int, now: float) -> int:
        """See `Policy`."""
        if self._second is not None:
            foreseen = self._second(now)
            if math.isfinite(foreseen):
                # What keeps the replicas as they are stands for a metric that is missing.
                known = replicas * self._hpa.target if demand is None else demand
                demand = max(known, foreseen)
        return self._hpa.step(demand, replicas, now)


class ForecastReplay:
    """`Policy` by the operator's own decision, on a forecast that somebody else has made."""

    def __init__(
        self, trace: Trace, setting: Setting, foresight: Foresight, *, slack: float = 0.0
    ) -> None:
        self._decider = Decider(trace, setting)
        self._foresight, self._setting, self._slack = foresight, setting, slack

    def step(self, demand: float | None, replicas: int, now: float) -> int:
        """See `Policy`."""
        peak = self._foresight(now) / self._setting.utilization
        forecast = PeakForecast("", now, now, peak, peak, 1.0, self._slack)
        return self._decider.step(
            demand, forecast if math.isfinite(peak) else _NOTHING, replicas, now
        )


def hpa(trace: Trace, setting: Setting) -> Policy:
    """Kubernetes' HPA on demand, with the defaults of `behavior` spelled out."""
    return HpaReplay(
        HpaPolicy(
            trace.per_replica * setting.utilization,
            min_replicas=setting.min_replicas,
            max_replicas=setting.max_replicas,
            behavior=Behavior(),
        )
    )


def keda(trace: Trace, setting: Setting) -> Policy:
    """The HPA that KEDA makes of a trigger on demand: without `behavior`."""
    return HpaReplay(_keda(trace, setting))


def seasonal_offset(trace: Trace, setting: Setting) -> Policy:
    """KEDA with two triggers: demand, and what came in the lead time that lies ahead a season ago.

    Source: grafana/mimir#7775, `max_over_time(METRIC[30m] offset 6d23h30m)`, with the lead time in
    place of its half hour. The season is a week where demand of a week ago is known, else a day;
    the lead time must be shorter than that.
    """
    peaks = coming_peaks(trace, setting)

    def a_season_ago(now: float) -> float:
        found = peaks(now - WEEK)
        return found if math.isfinite(found) else peaks(now - DAY)

    return HpaReplay(_keda(trace, setting), a_season_ago)


def phpa(trace: Trace, setting: Setting) -> Policy:
    """PHPA's Holt-Winters: the replica counts that HPA would ask for, forecast one step ahead.

    Source: jthomperoo/predictive-horizontal-pod-autoscaler v0.13 (decisionType `maximum`). Kinder
    to it than it is: it has seen the counts of all the history, though there is no way to give it
    any, and it smooths far more than in its examples, whose forecasts diverge over a season of a
    day.
    """
    per_count = trace.per_replica * setting.utilization
    demand = trace.minutes()
    counts = np.maximum(setting.min_replicas, np.ceil(demand.values / per_count * (1 - 1e-9)))
    ahead = HoltWinters(season=round(DAY / MINUTE)).one_step_ahead(counts)

    def predicted(now: float) -> float:
        # The newest count that is known by now is that of the minute that has just ended.
        next_minute = math.floor((now - trace.lag - demand.start) / MINUTE + 1e-9)
        if not 0 <= next_minute < len(ahead):
            return math.nan
        return float(np.ceil(ahead[next_minute] * (1 - 1e-9))) * per_count * (1 - 1e-9)

    policy = HpaPolicy(
        per_count,
        min_replicas=setting.min_replicas,
        max_replicas=setting.max_replicas,
        behavior=Behavior(),
    )
    return HpaReplay(policy, predicted)


def prophet_only(trace: Trace, setting: Setting, foresight: Foresight) -> Policy:
    """Foretide's first release: the reactive floor, or Prophet's upper quantile where larger."""
    return ForecastReplay(trace, setting, foresight)


def oracle(trace: Trace, setting: Setting) -> Policy:
    """A perfect forecast under the same decision, behavior and delays: what no one can beat.

    It plans for exactly what comes until the pods of the next decision would be ready, and follows
    it down at once: a perfect forecast has no use for HPA's tolerance.
    """
    return ForecastReplay(trace, setting, coming_peaks(trace, setting), slack=_NO_SLACK)


def coming_peaks(trace: Trace, setting: Setting) -> Foresight:
    """The true maximum of demand from a moment until the pods of the next one would be ready."""
    demand = trace.demand
    highest: dict[int, Values] = {}

    def peak(now: float) -> float:
        begin = now - demand.start
        first = math.floor(begin / demand.step + 1e-9)
        end = math.ceil((begin + setting.delay + setting.period) / demand.step - 1e-9)
        if not 0 <= first < len(demand):
            return math.nan
        count = end - first
        if count not in highest:
            highest[count] = forward_maximum(demand.values, count)
        return float(highest[count][first])

    return peak


def forward_maximum(values: Values, count: int) -> Values:
    """The largest known of `count` values from each one on; NaN where none of them is known."""
    filled = np.where(np.isfinite(values), values, -np.inf)
    padded = np.concatenate([filled, np.full(count, -np.inf)])
    highest = filled
    for ahead in range(1, count):
        highest = np.maximum(highest, padded[ahead : ahead + len(filled)])
    return np.where(np.isneginf(highest), np.nan, highest)


def _keda(trace: Trace, setting: Setting) -> HpaPolicy:
    return HpaPolicy.keda(
        trace.per_replica * setting.utilization,
        min_replicas=setting.min_replicas,
        max_replicas=setting.max_replicas,
    )
