"""How often a target's replicas may change."""

from collections.abc import Iterable

from foretide.forecasting.behavior import Change
from foretide.forecasting.decision import Decision, Source

HOUR = 3_600.0


def within_hourly_limit(
    decision: Decision, changes: Iterable[Change], limit: int, *, now: float
) -> bool:
    """Whether this change may be made now.

    Demand that is already there never waits: a scale-up that reactive demand asks for passes,
    whatever the count.
    """
    reactive = decision.source in (Source.REACTIVE, Source.HEADROOM)
    if decision.desired > decision.current and (reactive or decision.floor > decision.current):
        return True
    return sum(change.at > now - HOUR for change in changes) < limit


def remember(
    changes: Iterable[Change], change: Change, *, memory: float, at_most: int = 100
) -> tuple[Change, ...]:
    """The changes with this one added, and those that no rule counts any more left out."""
    horizon = change.at - max(memory, HOUR)
    return (*(past for past in changes if past.at > horizon), change)[-at_most:]
