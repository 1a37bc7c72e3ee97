"""How often a target's replicas, or its autoscaler's minimum, may change."""

from collections.abc import Iterable

from foretide.forecasting.behavior import Change
from foretide.forecasting.decision import Decision, MetricAnswer, Source

HOUR = 3_600.0
# The hourly limit can be no higher than what status remembers.
MOST_CHANGES = 100


def within_hourly_limit(
    decision: Decision, changes: Iterable[Change], limit: int, *, now: float
) -> bool:
    """Whether this change may be made now.

    Demand that is already there never waits: a scale-up that it asks for passes, whatever the
    count, also where a signal asks for more than that.
    """
    reactive = decision.source in (Source.REACTIVE, Source.HEADROOM)
    asked = max((_by_demand(answer) for answer in decision.answers), default=0)
    needed = max(decision.floor, asked) > decision.current
    if decision.desired > decision.current and (reactive or needed):
        return True
    return sum(change.at > now - HOUR for change in changes) < limit


def _by_demand(answer: MetricAnswer) -> int:
    """What demand alone asks for: with HPA's headroom, where no forecast replaces that."""
    asked = answer.hpa if answer.predicted is None else answer.reactive
    return asked or 0


def remember(
    changes: Iterable[Change], change: Change, *, memory: float = HOUR, at_most: int = MOST_CHANGES
) -> tuple[Change, ...]:
    """The changes with this one added, and those that no rule counts any more left out."""
    horizon = change.at - max(memory, HOUR)
    return (*(past for past in changes if past.at > horizon), change)[-at_most:]
