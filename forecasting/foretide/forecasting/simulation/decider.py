"""The operator's own decision, from tick to tick of a replay."""

from dataclasses import replace

from ..behavior import Behavior, Change
from ..decision import Memory, MetricObservation, MetricPolicy, Observation, ScalingPolicy, decide
from ..demand import Reading, Unavailable, Undecided
from ..forecast import Forecast, PeakForecast
from ..surge import Surge
from .replay import Setting
from .trace import Trace

_MISSING = Unavailable("Empty", "no demand")


def behavior_of(setting: Setting) -> Behavior:
    """The default behavior, and what a query that looks back asks of it."""
    return Behavior().outlasting(setting.query_range)


class Decider:
    """`decide` with what it must remember: recommendations, and the changes that were made."""

    def __init__(self, trace: Trace, setting: Setting) -> None:
        self.metric = MetricPolicy("demand", trace.per_replica, setting.utilization)
        self._policy = ScalingPolicy(
            min_replicas=setting.min_replicas,
            max_replicas=setting.max_replicas,
            metrics=(self.metric,),
            lead_time=setting.delay,
            behavior=behavior_of(setting),
        )
        self._memory: Memory | None = None

    def step(
        self,
        demand: float | None,
        forecast: Forecast | PeakForecast | Undecided,
        replicas: int,
        now: float,
        *,
        surge: Surge | None = None,
    ) -> int:
        """The replicas to ask for at `now`; `demand` is None when there is none."""
        known = _MISSING if demand is None else Reading(demand, now)
        memory = self._memory or Memory.starting_at(replicas, now)
        seen = Observation(replicas, (MetricObservation(known, forecast, surge=surge),))
        decision = decide(seen, self._policy, memory, now=now)
        memory = memory.after(decision, self._policy.behavior, now)
        if decision.desired != replicas:
            horizon = now - self._policy.behavior.longest_memory
            recent = [change for change in memory.changes if change.at > horizon]
            change = Change(now, replicas, decision.desired)
            memory = replace(memory, changes=(*recent, change))
        self._memory = memory
        return decision.desired
