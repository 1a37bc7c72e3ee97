"""When a database is looked at, and when advice is made anew. Pure; times in seconds."""

from dataclasses import dataclass

# The second look comes soon: the first advice waits for it.
SOON = 10.0
LOOKS = 2
# Advice that could not be made is tried again after this.
AGAIN = 300.0
# While nothing can be looked at.
QUIET = 60.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with the advice: how many looks there were, when the last was made (None: never
    by this operator) and for which generation of the spec, and when it failed, if it did.
    """

    looks: int
    advised_at: float | None
    advised_for: int | None
    failed_at: float | None


def patience(statement_timeout: float) -> float:
    """How long one look may take until it is given up. The server ends each statement in time, but
    one that has come to a stop ends nothing, and a network that still acknowledges hides that.
    """
    return 60.0 + 4 * statement_timeout


def advice_is_due(standing: Standing, generation: int | None, every: float, now: float) -> bool:
    """Whether advice is to be made now. `every` is how often it is, as a rule."""
    if standing.looks < LOOKS:
        return False
    if standing.failed_at is not None:
        return now - standing.failed_at >= min(AGAIN, every)
    if standing.advised_at is None or standing.advised_for != generation:
        return True
    return now - standing.advised_at >= every


def until_next(interval: float, looks: int) -> float:
    """Until the next look, after so many."""
    return min(interval, SOON) if looks < LOOKS else interval
