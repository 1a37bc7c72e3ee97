"""The cost guard: how much more than HPA the forecast may cost. Pure.

Two limits, each optional, both measured against HPA's answer (demand at the target utilisation):

- `max_extra_replicas`: the forecast may ask for at most so many replicas more than HPA at once.
- `max_extra_pod_hours`: a budget of extra pod-hours in the trailing 24 hours. What is spent is the
  integral of (desired − HPA's answer), so hours in which the forecast ran leaner than HPA pay for
  hours in which it ran ahead. It adds only while the last 24 hours together have cost less than
  HPA would have and the budget.

When the budget is spent the forecast adds nothing until a quarter of it is free again (an allowance
of a few pod-minutes would make replicas flap). Replicas then follow HPA's answer: the guard takes
away what was added ahead of demand, never what demand asks for, and nothing at all while replicas
must not fall (`keep`).

HPA takes nothing away while a metric cannot be had, so its answer then is the last one it gave, or
what other metrics ask for where that is more: `baseline`. Measured against the replicas that run,
the forecast might add its limit anew at each tick.

Spending is kept in hours, so the oldest one falls out of the window bit by bit; 25 numbers are all
that a restart needs. Time in which nobody looked (the operator was away) counts for ten minutes.
"""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

_HOUR = 3_600.0
_DAY = 86_400.0
_BUCKETS = 25
_LONGEST_GAP = 600.0
# What must be free before the forecast may add again, as a share of the budget.
_FREE_AGAIN = 0.25

BY_REPLICAS = "MaxExtraReplicas"
BY_BUDGET = "ExtraPodHoursSpent"


@dataclass(frozen=True, slots=True)
class CostPolicy:
    """What the user allows the forecast to cost; None where there is no limit."""

    max_extra_replicas: int | None = None
    max_extra_pod_hours: float | None = None


@dataclass(frozen=True, slots=True)
class Spending:
    """Extra pod-hours by the hour: `hours[i]` are those of hour `first + i` since 1970.

    `extra` replicas have been running since `at` (Unix seconds, None at first), when HPA's answer
    was `hpa`; `exhausted` says that the budget was spent and not enough of it is free yet.
    """

    first: int = 0
    hours: tuple[float, ...] = ()
    at: float | None = None
    extra: int = 0
    exhausted: bool = False
    hpa: int | None = None

    def spent(self, now: float) -> float:
        """Extra pod-hours in the 24 hours before `now`; negative where it was leaner than HPA."""
        total = 0.0
        for position, value in enumerate(self.hours):
            begins = (self.first + position) * _HOUR
            ends = min(begins + _HOUR, now)
            if ends > begins:
                inside = ends - max(begins, now - _DAY)
                total += value * min(1.0, max(0.0, inside / (ends - begins)))
        return total

    def after(self, *, desired: int, hpa: int, now: float) -> "Spending":
        """The spending until `now`, from where on `desired` replicas run instead of `hpa`."""
        if self.at is None or now <= self.at:
            return replace(self, at=now, extra=desired - hpa, hpa=hpa)
        known = dict(enumerate(self.hours, self.first))
        start = max(self.at, now - _LONGEST_GAP)
        while start < now:
            hour = math.floor(start / _HOUR)
            end = min(now, (hour + 1) * _HOUR)
            known[hour] = known.get(hour, 0.0) + self.extra * (end - start) / _HOUR
            start = end
        last = math.floor(now / _HOUR)
        first = max(min(known, default=last), last - _BUCKETS + 1)
        hours = tuple(known.get(hour, 0.0) for hour in range(first, last + 1))
        extra = desired - hpa
        return replace(self, first=first, hours=hours, at=now, extra=extra, hpa=hpa)

    def figures(self) -> list[str]:
        """The spending for status: the first hour since 1970, then the hours' pod-hours."""
        if not self.hours:
            return []
        return [str(self.first), *(f"{value:.2f}" for value in self.hours)]

    @classmethod
    def from_figures(
        cls, figures: Sequence[object], now: float, *, exhausted: bool = False
    ) -> "Spending":
        """The spending of earlier `figures`; nothing where they cannot be read or are of later."""
        with contextlib.suppress(IndexError, OverflowError, TypeError, ValueError):
            first = int(str(figures[0]))
            hours = tuple(float(str(value)) for value in figures[1 : _BUCKETS + 1])
            if all(map(math.isfinite, hours)) and first + len(hours) - 1 <= now / _HOUR:
                return cls(first, hours, exhausted=exhausted)
        return cls()


@dataclass(frozen=True, slots=True)
class Guarded:
    """What the guard leaves of a proposal, and why it is less (None when it is not).

    `until` is when the forecast may add replicas again, if nothing more is spent (Unix seconds).
    """

    replicas: int
    by: str | None = None
    message: str = ""
    until: float | None = None


def baseline(hpa: int | None, *, outage: bool, current: int, spending: Spending) -> int:
    """What HPA would run, to measure the forecast's cost against.

    `hpa` is the answer of the metrics that can be had, None where none can. In an `outage` of one
    HPA takes nothing away; where it has never answered, it leaves the `current` replicas alone.
    """
    if hpa is not None and not outage:
        return hpa
    return max(hpa or 0, current if spending.hpa is None else spending.hpa)


def guard(
    proposed: int,
    *,
    hpa: int,
    policy: CostPolicy,
    spending: Spending,
    now: float,
    keep: int = 0,
) -> tuple[Guarded, Spending]:
    """Limit what the forecast adds to HPA's answer, and remember whether money is left.

    `hpa` is demand at the target utilisation, and at least what demand needs without headroom;
    `keep` are replicas that the guard must not take away, whatever they cost.
    Let `spending` know what came of it: `spending.after(desired=…, hpa=…, now=now)`.
    """
    spending, until = _budget(policy, spending, now)
    if spending.exhausted:
        left = max(hpa, keep)
        if proposed <= left:
            return Guarded(proposed, until=until), spending
        return Guarded(
            left, BY_BUDGET, _spent_message(policy, spending, until, now), until
        ), spending
    most = policy.max_extra_replicas
    if most is None or proposed <= max(hpa + most, keep):
        return Guarded(proposed), spending
    message = f"the forecast may add {most} replicas to HPA's {hpa}, not {proposed - hpa}"
    if keep > hpa + most:
        message += f", and none of the {keep} is taken away now"
    return Guarded(max(hpa + most, keep), BY_REPLICAS, message), spending


def _budget(policy: CostPolicy, spending: Spending, now: float) -> tuple[Spending, float | None]:
    """Whether the budget is spent, and when enough of it is free again."""
    budget = policy.max_extra_pod_hours
    if budget is None:
        return replace(spending, exhausted=False), None
    limit = budget * (1 - _FREE_AGAIN) if spending.exhausted else budget
    if spending.spent(now) < limit:
        return replace(spending, exhausted=False), None
    return replace(spending, exhausted=True), _free_at(spending, budget * (1 - _FREE_AGAIN), now)


def _free_at(spending: Spending, limit: float, now: float) -> float:
    """When less than `limit` will have been spent, if nothing more is."""
    before, at = spending.spent(now), now
    # Spending moves in straight lines between the times at which an hour begins to fall out.
    first = math.floor((now - _DAY) / _HOUR)
    for hour in range(first + 1, first + _BUCKETS + 1):
        end = hour * _HOUR + _DAY
        after = spending.spent(end)
        if after < limit:
            share = (before - limit) / (before - after) if before > after else 1.0
            return at + share * (end - at)
        before, at = after, end
    return now + _DAY


def _spent_message(policy: CostPolicy, spending: Spending, until: float | None, now: float) -> str:
    wait = "" if until is None else f", for another {max(1, round((until - now) / 60))} min"
    return (
        f"{spending.spent(now):.1f} of {policy.max_extra_pod_hours:g} extra pod-hours of 24 h are "
        f"spent: the forecast adds nothing{wait}"
    )
