"""What a comparison of two profiles finds, as values, and as sentences that people read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from .attribution import Function
from .report import clean


class Verdict(StrEnum):
    """Always of AFTER against BEFORE. Named as in the Profiler's status."""

    FIXED = "Fixed"  # a function's cost was at least halved, and nothing became dearer
    IMPROVED = "Improved"  # the same work costs less
    NO_CHANGE = "NoChange"  # or cost has moved only, or what changed has gone away again
    REGRESSED = "Regressed"  # the same work costs more
    INSUFFICIENT_DATA = "InsufficientData"


@dataclass(frozen=True, slots=True)
class Change:
    """One function, before and after. Shares of the workload's CPU time (0 to 1), self and total.

    `cost_before` and `cost_after` are of its total, for the same work, in the same unit: CPU
    seconds a request where requests are known, else shares of the CPU time before. `p` is corrected
    for all functions; `error` is the standard error of cost_after - cost_before.
    """

    function: Function
    self_before: float
    self_after: float
    total_before: float
    total_after: float
    cost_before: float
    cost_after: float
    error: float
    p: float
    significant: bool

    @property
    def saved(self) -> float:
        """Of its cost, the share that is gone; negative where it has become dearer."""
        if self.cost_before <= 0:
            return 0.0 if self.cost_after <= 0 else float("-inf")
        return 1 - self.cost_after / self.cost_before


@dataclass(frozen=True, slots=True)
class Shift:
    """Cost that has only moved: `amount` is in the unit of the changes' costs."""

    from_function: Function
    to_function: Function
    ancestor: Function | None
    amount: float


@dataclass(frozen=True, slots=True)
class Latency:
    """A percentile of request latency in seconds, before and after."""

    name: str
    before: float
    after: float

    @property
    def grown(self) -> bool:
        """By more than a twentieth."""
        return self.after > 1.05 * self.before


@dataclass(frozen=True, slots=True)
class Comparison:
    """The verdict of AFTER against BEFORE, and what it comes from.

    `work_cost_ratio`: what the same work costs after, before = 1; `per_request` says whether that
    was measured by requests, or estimated from what keeps its proportions. `missing`: seconds of
    profile that a verdict of InsufficientData still needs, None where more of it would not help;
    `short` is the side that needs them, BEFORE or AFTER, empty where both do. `changes` are ordered
    by how much they matter.
    """

    verdict: Verdict
    reason: str
    changes: tuple[Change, ...] = ()
    shifts: tuple[Shift, ...] = ()
    notes: tuple[str, ...] = ()
    work_cost_ratio: float | None = None
    per_request: bool = False
    seconds_before: float = 0.0
    seconds_after: float = 0.0
    units_before: int = 0
    units_after: int = 0
    missing: float | None = None
    short: str = ""
    latencies: tuple[Latency, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


def render(comparison: Comparison, most: int = 10) -> str:
    """The comparison as text. BEFORE stands left, AFTER right, and words say which way it went."""
    lines = [
        f"{comparison.verdict}: {comparison.reason}",
        f"BEFORE: {comparison.seconds_before:.0f} s of profile; "
        f"AFTER: {comparison.seconds_after:.0f} s",
    ]
    if comparison.missing is not None:
        lines.append(_what_to_record(comparison, comparison.missing))
    told = [change for change in comparison.changes if change.significant][:most]
    if told:
        lines.append("")
        lines.append(f"{'':12}{'share of CPU time':>24}   {'for the same work':>20}")
        lines.append(f"{'':12}{'BEFORE':>10} -> {'AFTER':>9}")
    lines.extend(_row(change) for change in told)
    lines.extend(
        f"cost moved from {shift.from_function.name} to {shift.to_function.name}"
        + (f", both called by {shift.ancestor.name}" if shift.ancestor else "")
        for shift in comparison.shifts
    )
    lines.extend(
        f"{latency.name}: {latency.before * 1e3:,.1f} ms BEFORE -> {latency.after * 1e3:,.1f} ms"
        for latency in comparison.latencies
    )
    lines.extend(comparison.notes)
    return "\n".join(map(clean, lines)) + "\n"


def _what_to_record(comparison: Comparison, missing: float) -> str:
    """A recording cannot be added to, and of BEFORE there may be no other: only what is short."""
    had = {"BEFORE": comparison.seconds_before, "AFTER": comparison.seconds_after}
    if comparison.short:
        return f"Record {comparison.short} again, for {had[comparison.short] + missing:.0f} s."
    return f"Record both again, each for {max(had.values()) + missing:.0f} s."


def _row(change: Change) -> str:
    saved = change.saved
    if change.cost_before <= 0:
        told = "new"
    elif change.cost_after <= 0:
        told = "gone"
    elif saved >= 0:
        told = f"{saved:.0%} cheaper"
    else:
        told = f"{-saved:.0%} dearer"
    word = "better" if saved > 0 else "WORSE"
    return (
        f"{word:12}{change.total_before:>9.1%} -> {change.total_after:>9.1%}   {told:>20}"
        f"   p {change.p:.3f}   {change.function.name} ({change.function.file})"
    )
