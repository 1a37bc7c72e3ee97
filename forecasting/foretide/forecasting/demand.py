"""What is known about a workload's demand: a reading now, or the reason why there is none.

Times are Unix seconds as floats throughout Foretide's decision code; demand is in the unit of the
user's query (requests per second, messages, cores), the same unit as `perReplica`.
"""

import math
from dataclasses import dataclass

# Demand below this share of the forecast's lower band is far below it.
_FAR_BELOW = 0.5


@dataclass(frozen=True, slots=True)
class Reading:
    """Demand as the metric source reported it.

    `value` is finite and not negative; `at` is the time of the sample in Unix seconds.
    """

    value: float
    at: float


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Demand could not be had: a machine-readable reason (CamelCase) and a sentence for people."""

    reason: str
    message: str


Demand = Reading | Unavailable


@dataclass(frozen=True, slots=True)
class Undecided:
    """No answer, and why: shown to the user as a condition, never replaced by a guess."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Awaited(Undecided):
    """No answer yet after a restart, but one is on its way, as there was one before.

    Until it comes replicas do not fall: a restart must not undo what the forecast had arranged.
    They rise by what demand itself asks for; when the forecast is `overdue`, by what HPA would.
    """

    overdue: bool = False


@dataclass(frozen=True, slots=True)
class ZeroKnowledge:
    """At which hours of the day (UTC, 0-23) the history has seen demand of exactly zero."""

    hours: frozenset[int] = frozenset()

    def knows(self, at: float) -> bool:
        """Whether a zero at this time has been seen before, give or take an hour."""
        hour = int(at // 3600) % 24
        return any((hour + shift) % 24 in self.hours for shift in (-1, 0, 1))


def reading(value: float, at: float, *, now: float, stale_after: float) -> Demand:
    """Turn a sample into a `Reading`, or say what is wrong with it.

    `stale_after` is the age in seconds at which a sample no longer speaks for the present.
    """
    if not math.isfinite(value):
        return Unavailable("NotANumber", f"the query answers {value}")
    if value < 0:
        return Unavailable(
            "NegativeDemand", f"the query answers {value:g}; demand is never negative"
        )
    age = now - at
    if age > stale_after:
        return Unavailable(
            "Stale", f"the newest sample is {age:.0f} s old, the limit is {stale_after:.0f} s"
        )
    return Reading(value, at)


def doubt_sudden_zero(
    demand: Demand,
    *,
    zero_since: float | None,
    known: ZeroKnowledge,
    grace: float,
    now: float,
) -> tuple[Demand, float | None]:
    """Take an exact zero that the history does not know for an outage, for `grace` seconds.

    A broken exporter and a workload without visitors both answer 0. Following the first one down
    is the classic outage of autoscalers, so an unknown zero has to last before it is believed.

    Returns the demand to use and since when it has been zero (None when it is not): the caller
    keeps the latter, and hands it in again at the next tick.
    """
    if isinstance(demand, Unavailable):
        return demand, None  # only zeros that were seen count: a crashing exporter shows few
    if demand.value > 0:
        return demand, None
    # Never later than now: a clock that was set back must not make the wait longer.
    since = now if zero_since is None else min(zero_since, now)
    if known.knows(now) or now - since >= grace:
        return demand, since
    wait = grace - (now - since)
    return (
        Unavailable(
            "SuddenZero",
            f"demand fell to exactly 0, which its history does not know at this hour; "
            f"taken for an outage for another {wait / 60:.0f} min",
        ),
        since,
    )


def hold_sudden_drop(
    demand: Demand, *, lower: float, since: float | None, grace: float, now: float
) -> tuple[Undecided | None, float | None]:
    """Take nothing away for `grace` seconds when demand is far below what was forecast.

    An outage upstream looks like fewer users, and they come back all at once. `lower` is the
    forecast's lower band now, NaN where there is none; `since` what was returned at the last tick.

    Returns why nothing is to be taken away (None when that is no matter), and since when demand
    has been so low: the caller keeps the latter, and hands it in again at the next tick.
    """
    if isinstance(demand, Unavailable):
        return None, since  # an outage in between says nothing of demand
    if not demand.value < _FAR_BELOW * lower:
        return None, None
    # Never later than now: a clock that was set back must not make the wait longer.
    since = now if since is None else min(since, now)
    wait = grace - (now - since)
    if wait <= 0:
        return None, since
    return (
        Undecided(
            "SuddenDrop",
            f"demand is {demand.value:.4g} where {lower:.4g} at least was expected: nothing is "
            f"taken away for another {wait / 60:.0f} min, as it may be an outage upstream",
        ),
        since,
    )
