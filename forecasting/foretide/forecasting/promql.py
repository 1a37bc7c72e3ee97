"""The little that must be known of a PromQL query: over how long a time it looks back."""

import re

_RANGE = re.compile(r"\[\s*((?:[0-9]+(?:ms|[smhdwy]))+)\s*(?::[^\]]*)?\]")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_LONGEST = 3_600.0


def longest_range(query: str) -> float:
    """The longest range selector or subquery of a query, in seconds; 0 without one.

    An hour is the most that is ever answered: what averages over longer hardly moves.
    """
    ranges = (
        sum(
            int(number) * _UNITS[unit]
            for number, unit in re.findall(r"([0-9]+)(ms|[smhdwy])", found)
        )
        for found in _RANGE.findall(query)
    )
    return min(_LONGEST, max(ranges, default=0.0))
