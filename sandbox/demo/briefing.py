"""What a person is told before a demo begins. Pure."""

from datetime import UTC, datetime
from itertools import pairwise
from statistics import median

from sandbox.demo.scenario import DAY, LIVE, MIN_HISTORY, Scenario

# Smaller numbers are seconds since a trace's beginning: these are a date of 1973.
_DATES = 1e8


def introduction(scenario: Scenario, *, pod_ready: float) -> str:
    """What will be played, and how."""
    return (
        f"Playing {scenario.trace.name} from {_moment(scenario)} on, for {LIVE:.0f} s at speed 1. "
        f"One replica carries {scenario.per_replica:g}; new pods take {pod_ready:.0f} s or more to "
        "become ready. Foretide and the real HPA see the same demand."
    )


def cautions(scenario: Scenario) -> list[str]:
    """What keeps this demo from showing much, and what was guessed of the trace."""
    found = [f"Note: {note}." for note in scenario.trace.notes]
    times = scenario.trace.times
    before = scenario.start_at - times[0]
    if before < MIN_HISTORY:
        found.append(
            f"Only {before / 3600:.0f} h of history lie before: Foretide forecasts from "
            f"{MIN_HISTORY / DAY:.0f} days on. Until then it scales as HPA does."
        )
    step = median(b - a for a, b in pairwise(times))
    if step >= LIVE:
        found.append(
            f"There is a sample each {step / 60:.0f} min only: demand changes in steps, and once "
            f"in these {LIVE:.0f} s at the most."
        )
    if scenario.expected_miss is not None and scenario.expected_miss < 60:
        found.append(
            "HPA keeps up with every part of this trace at this speed: do not expect a difference."
        )
    return found


def _moment(scenario: Scenario) -> str:
    """When the part begins that is played: a date, or how far into the trace."""
    if scenario.start_at >= _DATES:
        moment = datetime.fromtimestamp(scenario.start_at, UTC)
        return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    days, rest = divmod(scenario.start_at - scenario.trace.times[0], DAY)
    return f"{days:.0f} days and {datetime.fromtimestamp(rest, UTC):%H:%M:%S} into it"
