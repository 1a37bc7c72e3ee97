"""Did the fix work? BEFORE against AFTER, by what each function costs for the same work.

How both are put on one scale is told in `measuring.py`, how chance is told from change in
`permutation.py`, and what the units are in `units.py`. From FBDetect (Meta, SOSP 2024) come two
checks: whether cost has only moved between functions (cost shift), and whether a change was there
for a while only (went away).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from .comparison import Change, Comparison, Latency, Shift, Verdict
from .hotspots import LEAST_SAMPLES
from .measuring import Measured, measure, units_of
from .permutation import least_p
from .units import Path, Unit, parts_of
from .window import Window


@dataclass(frozen=True, slots=True)
class Rules:
    """When a comparison says what.

    `alpha`: the share of equal pairs that chance alone may call different, in any function.
    `overlooked`: there is no NoChange unless a change of so much of the CPU time would have been
    seen. `least`: a smaller one is nobody's business. `told`, `accuracy`: nor is one of less than
    such a share of the function's own cost, unless it is more of the CPU time than how far shares
    may be off at another rate or beside other work, however sure it is. `moved`: cost has only
    moved where no more than this share of what fell, or rose, is left over. `fixed`: the share of
    its cost that a function must have lost. `units`: stretches of each side that are needed.
    `pods`: from so many pods on they are the units.
    """

    alpha: float = 0.003
    overlooked: float = 0.1
    least: float = 0.01
    told: float = 0.1
    accuracy: float = 0.03
    moved: float = 0.25
    fixed: float = 0.5
    units: int = 6
    pods: int = 6


RULES = Rules()


def compare(
    before: Sequence[Window],
    after: Sequence[Window],
    *,
    requests: tuple[float, float] | None = None,
    latencies: Sequence[Latency] = (),
    function: str = "",
    rules: Rules = RULES,
) -> Comparison:
    """The verdict of AFTER against BEFORE.

    `requests`: how many the workload served in the windows of either side. `function`: the name of
    the one that was to be fixed; only that one can then be Fixed.

    Raises:
        ValueError: there are requests that are not positive.
    """
    if requests is not None and min(requests) <= 0:
        raise ValueError("the numbers of requests must be positive")
    seconds = (sum(one.seconds for one in before), sum(one.seconds for one in after))
    first, second = parts_of(before), parts_of(after)
    found = _lacking_samples(first, second, seconds, rules)
    if found is None:
        found = _judge(first, second, requests, seconds, function, rules)
        found = _gone_away(found, first, second, rules)
    found = replace(
        found, seconds_before=seconds[0], seconds_after=seconds[1], latencies=tuple(latencies)
    )
    return _with_latency(found)


def _judge(
    first: list[Unit],
    second: list[Unit],
    requests: tuple[float, float] | None,
    seconds: tuple[float, float],
    function: str,
    rules: Rules,
) -> Comparison:
    lacking = _lacking(first, second, seconds, rules)
    if lacking is not None:
        return lacking
    before, after = units_of(first, second, rules.pods)
    measured = measure(before, after, requests, seconds, rules.alpha)
    changes = _changes(measured, rules)
    base = Comparison(
        Verdict.NO_CHANGE,
        "",
        changes,
        work_cost_ratio=measured.ratio,
        per_request=requests is not None,
        units_before=len(before),
        units_after=len(after),
    )
    if any(change.significant for change in changes):
        return _with_changes(base, measured, function, rules)
    return _without_change(base, measured, seconds, rules)


def _lacking(
    first: Sequence[Unit], second: Sequence[Unit], seconds: tuple[float, float], rules: Rules
) -> Comparison | None:
    """Too few units for any verdict: how many more seconds give enough of them."""
    few = min(len(first), len(second))
    if few >= rules.units and least_p(len(first), len(second)) <= rules.alpha:
        return None
    at = 0 if len(first) <= len(second) else 1
    side = ("BEFORE", "AFTER")[at]
    if few == 0:
        reason = f"{side} has no sample that used the CPU: record it under load"
        missing = None
    else:
        missing = float(ceil(seconds[at] / few * (rules.units - few)))
        reason = f"{side} has {few} stretches of profile to compare, {rules.units} are needed"
    return Comparison(
        Verdict.INSUFFICIENT_DATA,
        reason,
        units_before=len(first),
        units_after=len(second),
        missing=missing,
        short=side if max(len(first), len(second)) >= rules.units else "",
    )


def _lacking_samples(
    first: Sequence[Unit], second: Sequence[Unit], seconds: tuple[float, float], rules: Rules
) -> Comparison | None:
    """Too few samples of threads at work for any verdict, where there is something to compare.

    On which scale most of the program costs what it did cannot be told from a few dozen samples,
    and a function that was renamed is then one that is gone.
    """
    if _lacking(first, second, seconds, rules) is not None:
        return None  # which says so itself
    counts = [sum(unit.samples for unit in side) for side in (first, second)]
    few = min(counts)
    if few >= LEAST_SAMPLES:
        return None
    at = counts.index(few)
    side = ("BEFORE", "AFTER")[at]
    return Comparison(
        Verdict.INSUFFICIENT_DATA,
        f"{side} has {few:.0f} samples that used the CPU, {LEAST_SAMPLES} are needed",
        units_before=len(first),
        units_after=len(second),
        missing=float(ceil(seconds[at] * (LEAST_SAMPLES / few - 1))) if few > 0 else None,
        short=side if max(counts) >= LEAST_SAMPLES else "",
    )


def _changes(measured: Measured, rules: Rules) -> tuple[Change, ...]:
    """All functions, those that matter first."""
    changes = []
    for at, name in enumerate(measured.functions):
        # What was measured must differ, too: without requests the scale is an estimate.
        p = max(measured.tested.p[at], measured.plain.p[at])
        before, after = measured.costs[0][at], measured.costs[1][at]
        changes.append(
            Change(
                function=name,
                self_before=float(measured.own[0][at]),
                self_after=float(measured.own[1][at]),
                total_before=float(measured.shares[0][at]),
                total_after=float(measured.shares[1][at]),
                cost_before=float(before),
                cost_after=float(after),
                error=float(measured.tested.error[at]),
                p=float(p),
                significant=bool(p <= rules.alpha)
                and _matters(float(before), float(after), measured.whole, rules),
            )
        )
    changes.sort(key=lambda one: (not one.significant, -abs(one.cost_after - one.cost_before)))
    return tuple(changes)


def _matters(before: float, after: float, whole: float, rules: Rules) -> bool:
    """Is the change large enough to be more than how shares are measured?"""
    own = rules.told * max(before, after)
    return abs(after - before) >= max(rules.least * whole, min(own, rules.accuracy * whole))


def _without_change(
    base: Comparison, measured: Measured, seconds: tuple[float, float], rules: Rules
) -> Comparison:
    """NoChange, if one that matters would have been seen."""
    errors = measured.plain.error[: len(measured.functions)]
    scale = measured.whole if base.per_request else 1.0
    visible = measured.plain.critical * (float(errors.max()) if errors.size else 0.0) / scale
    if visible <= rules.overlooked:
        reason = f"no function's cost changed; {visible:.1%} of the CPU time would have been seen"
        return replace(base, verdict=Verdict.NO_CHANGE, reason=reason)
    # The error shrinks with the root of the time.
    missing = min(seconds) * ((visible / rules.overlooked) ** 2 - 1)
    reason = (
        f"nothing is sure yet: only changes above {visible:.0%} of the CPU time would be seen, "
        f"{rules.overlooked:.0%} are asked for"
    )
    return replace(
        base, verdict=Verdict.INSUFFICIENT_DATA, reason=reason, missing=float(ceil(missing))
    )


def _with_changes(base: Comparison, measured: Measured, function: str, rules: Rules) -> Comparison:
    """Better, worse, or only moved."""
    significant = [change for change in base.changes if change.significant]
    pieces = _pieces_changed(measured)
    fell = {path: -amount for path, amount in pieces.items() if amount < 0}
    rose = {path: amount for path, amount in pieces.items() if amount > 0}
    down, up = sum(fell.values()), sum(rose.values())
    base = replace(base, shifts=_shifts(fell, rose))
    if fell and rose and abs(up - down) <= rules.moved * max(up, down):
        reason = "cost has moved between functions; the same work costs as much as before"
        return replace(base, verdict=Verdict.NO_CHANGE, reason=reason)
    if not base.per_request:
        base = replace(base, notes=(_NOTE,))
    better = [change for change in significant if change.cost_after < change.cost_before]
    worse = [change for change in significant if change.cost_after > change.cost_before]
    dearer = up > down if fell or rose else measured.ratio > 1
    if dearer or not better:
        return replace(
            base, verdict=Verdict.REGRESSED, reason=_told((worse or significant)[0], base)
        )
    named = [change for change in better if _is(change, function)]
    if function and not named:
        reason = f"{function} costs what it did; {_told(better[0], base)}"
        return replace(base, verdict=Verdict.IMPROVED, reason=reason)
    what = (named or better)[0]
    fixed = what.saved >= rules.fixed and up <= rules.moved * down
    verdict = Verdict.FIXED if fixed else Verdict.IMPROVED
    return replace(base, verdict=verdict, reason=_told(what, base))


def _is(change: Change, name: str) -> bool:
    """By its own name, or by what it stands in, too."""
    return change.function.name == name or change.function.name.endswith(f".{name}")


_NOTE = (
    "Without the number of requests, what most of the program costs is taken to be what it was: "
    "give --requests to be sure."
)


def _pieces_changed(measured: Measured) -> dict[Path, float]:
    """By how much each piece's cost changed, where that is beyond chance."""
    count = len(measured.functions)
    difference = (measured.costs[1] - measured.costs[0])[count:]
    sure = np.abs(measured.tested.t[count:]) >= measured.tested.critical
    return {path: float(difference[at]) for at, path in enumerate(measured.pieces) if sure[at]}


def _gone_away(
    found: Comparison, first: list[Unit], second: list[Unit], rules: Rules
) -> Comparison:
    """NoChange, where the first half of AFTER differs from BEFORE and the second does not."""
    ordered = sorted(second, key=lambda unit: unit.started_at)
    half = len(ordered) // 2
    if half < rules.units or not found.changes:
        return found
    halves = [
        _judge(first, part, None, (1.0, 1.0), "", rules)
        for part in (ordered[:half], ordered[half:])
    ]
    early, late = halves
    if early.verdict not in _CHANGED or late.verdict in _CHANGED:
        return found
    change = early.changes[0]
    still = next((one for one in late.changes if one.function == change.function), None)
    if still is not None:
        left = abs(still.cost_after - still.cost_before)
        if left >= abs(change.cost_after - change.cost_before) / 4:
            return found
    name = change.function.name
    reason = f"{name} differed in the first half of AFTER, and in the second no longer"
    return replace(found, verdict=Verdict.NO_CHANGE, reason=reason, missing=None)


_CHANGED = (Verdict.FIXED, Verdict.IMPROVED, Verdict.REGRESSED)


def _shifts(fell: dict[Path, float], rose: dict[Path, float]) -> tuple[Shift, ...]:
    """What fell, with what rose instead, as far as amounts go: the largest first."""
    shifts = []
    left = dict(rose)
    for path in sorted(fell, key=lambda one: (-fell[one], one)):
        amount = fell[path]
        # Those with most callers in common first: a function that was split is still called there.
        for other in sorted(left, key=lambda one: (-_common(path, one), -left[one], one)):
            moved = min(amount, left[other])
            if moved > 0:
                shifts.append(_shift(path, other, moved))
                amount -= moved
                left[other] -= moved
    return tuple(shifts)


def _common(one: Path, other: Path) -> int:
    """How many callers two paths share, from the root."""
    same = [a == b for a, b in zip(one, other, strict=False)]
    return same.index(False) if False in same else len(same)


def _shift(path: Path, other: Path, amount: float) -> Shift:
    shared = _common(path, other)
    parts = [one[shared] if len(one) > shared else one[-1] for one in (path, other) if one]
    ancestor = path[shared - 1] if shared else None
    return Shift(parts[0], parts[-1], ancestor, amount)


def _told(change: Change, base: Comparison) -> str:
    saved = change.saved
    way = "gone" if change.cost_after <= 0 else f"{abs(saved):.0%} cheaper"
    if change.cost_before <= 0:
        way = "new"
    elif saved < 0:
        way = f"{-saved:.0%} dearer"
    unit = "a request" if base.per_request else "for the same work"
    of_all = ""
    if base.work_cost_ratio is not None:
        ratio = base.work_cost_ratio - 1
        of_all = f"; all of it needs {abs(ratio):.0%} {'more' if ratio > 0 else 'less'} CPU {unit}"
    return (
        f"{change.function.name} went from {change.total_before:.1%} to {change.total_after:.1%} "
        f"of the CPU time, {way}{of_all}"
    )


def _with_latency(found: Comparison) -> Comparison:
    """A fix that requests do not feel is not told as one without saying so."""
    slower = [latency for latency in found.latencies if latency.grown]
    if not slower or found.verdict not in (Verdict.FIXED, Verdict.IMPROVED):
        return found
    names = ", ".join(latency.name for latency in slower)
    note = f"Less CPU, but latency has grown ({names}): requests do not feel the fix."
    return replace(found, verdict=Verdict.IMPROVED, notes=(note, *found.notes))
