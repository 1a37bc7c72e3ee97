"""Verdicts on pairs of recordings: the same program twice, other rates and lengths, a real fix.

Pairs are cut from long recordings; no window serves both sides of one.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from math import erf, sqrt
from pathlib import Path
from typing import Any

from benchmarks.profiling_programs import Program
from benchmarks.profiling_recording import Plan, Recording, record_together
from foretide.profiling.attribution import Function, attribute
from foretide.profiling.compare import compare
from foretide.profiling.comparison import Verdict
from foretide.profiling.window import Window

SECONDS = 10.0
PAIRS = 400
REPEATS = 60
# Windows of each side in pairs of the same program; until detection, tried in this order.
SIDES = (2, 3, 4, 6)
GROWING = (1, 2, 3, 4, 6, 8)
CHANGED = (Verdict.FIXED, Verdict.IMPROVED, Verdict.REGRESSED)
BETTER = (Verdict.FIXED, Verdict.IMPROVED)
Pair = tuple[tuple[Window, ...], tuple[Window, ...]]


@dataclass
class Recordings:
    """What pairs are cut from. `slow`, `fast` and `long`: `before` at other rates and lengths."""

    before: list[Window] = field(default_factory=list)
    after: list[Window] = field(default_factory=list)
    others: dict[str, list[Window]] = field(default_factory=dict)
    slow: list[Window] = field(default_factory=list)
    fast: list[Window] = field(default_factory=list)
    long: list[Window] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def record_all(
    pythons: Mapping[str, Path], windows: int, tell: Callable[[str], None]
) -> Recordings:
    """Two programs at a time. About `windows` x 20 s."""
    version, python = next(iter(pythons.items()))

    def plan(variant: str, count: int, seconds: float = SECONDS, rate: float = 20.0) -> Plan:
        program = Program("CPU", "hotspots", variant)
        return Plan(program, python, version, max(count, 2), seconds, rate)

    rounds: tuple[tuple[tuple[str, Plan], ...], ...] = (
        (("before", plan("share40", windows)), ("after", plan("share20", windows))),
        (
            ("slow", plan("share40", windows // 2, rate=8.0)),
            ("sleepy", plan("sleepy", windows // 2)),
        ),
        (
            ("fast", plan("share40", windows // 3, rate=50.0)),
            ("long", plan("share40", windows // 9, seconds=30.0)),
        ),
    )
    made = Recordings()
    for together in rounds:
        tell(" and ".join(f"{name} ({one.windows} x {one.seconds:g} s)" for name, one in together))
        recordings = record_together([one for _, one in together])
        for (name, _), recording in zip(together, recordings, strict=True):
            _put(made, name, recording)
    return made


def _put(made: Recordings, name: str, recording: Recording) -> None:
    if recording.error:
        made.errors.append(f"{recording.plan.name}: {recording.error}")
    windows = list(recording.windows)
    if hasattr(made, name):
        setattr(made, name, windows)
    else:
        made.others[name] = windows


def equal_pairs(made: Recordings, count: int, seed: int = 1) -> list[Pair]:
    """Two stretches of one recording that have no window in common; each such pair once."""
    sources = [made.before, made.after, *made.others.values()]
    pairs: list[Pair] = [
        (tuple(windows[one : one + side]), tuple(windows[other : other + side]))
        for windows in sources
        for side in SIDES
        for one in range(len(windows) - side + 1)
        for other in range(one + side, len(windows) - side + 1)
    ]
    dice = random.Random(seed)
    dice.shuffle(pairs)
    # Neither side is always the earlier one.
    return [pair if dice.random() < 0.5 else (pair[1], pair[0]) for pair in pairs[:count]]


def unlike_pairs(made: Recordings, seed: int = 2) -> list[Pair]:
    """The same program at other rates, and in windows of another length."""
    dice = random.Random(seed)
    pairs: list[Pair] = []
    # As much profile on both sides, and a third of it.
    for windows, sides in ((made.slow, (2, 6)), (made.fast, (2, 6)), (made.long, (1, 2))):
        for side in sides:
            for start in range(len(windows) - side + 1):
                at = dice.randrange(max(1, len(made.before) - 6 + 1))
                side_before = tuple(made.before[at : at + 6])
                pairs.append((side_before, tuple(windows[start : start + side])))
    return [pair for pair in pairs if all(pair)]


def verdict(pair: Pair) -> Verdict:
    """What is said of a pair."""
    return compare(*pair).verdict


def detection(arguments: tuple[list[Window], list[Window], int]) -> tuple[float | None, int]:
    """Seconds of each side until the fix is seen, None if it is not; and how often it is called
    worse on the way.
    """
    before, after, seed = arguments
    dice = random.Random(seed)
    starts = [dice.randrange(max(1, len(one) - GROWING[-1] + 1)) for one in (before, after)]
    wrong = 0
    for count in GROWING:
        sides = [one[at : at + count] for one, at in zip((before, after), starts, strict=True)]
        said = compare(*sides).verdict
        if said in BETTER:
            return count * SECONDS, wrong
        wrong += said is Verdict.REGRESSED
    return None, wrong


def naive(pair: Pair) -> bool:
    """The baseline: a two-proportion z test at 5 % on samples, corrected for many by Bonferroni."""
    costs = [attribute(side) for side in pair]
    names: set[Function] = {name for one in costs for name in one.functions}
    if not names:
        return False
    for name in names:
        seen = [one.functions[name].total_samples if name in one.functions else 0 for one in costs]
        looks = [max(one.samples, 1) for one in costs]
        pooled = sum(seen) / sum(looks)
        error = sqrt(pooled * (1 - pooled) * (1 / looks[0] + 1 / looks[1]))
        if error and _p(abs(seen[0] / looks[0] - seen[1] / looks[1]) / error) < 0.05 / len(names):
            return True
    return False


def _p(z: float) -> float:
    return 1 - erf(z / sqrt(2))


def judge(made: Recordings, jobs: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """All verdicts: the summary, and what it comes from."""
    pairs, unlike = equal_pairs(made, PAIRS), unlike_pairs(made)
    tell(f"{len(pairs)} equal pairs, {len(unlike)} that differ in rate or length")
    with ProcessPoolExecutor(jobs) as pool:
        equal = list(pool.map(verdict, pairs, chunksize=10))
        by_naive = list(pool.map(naive, pairs, chunksize=10))
        other = list(pool.map(verdict, unlike, chunksize=2))
        tell(f"{REPEATS} repeats of a fix")
        work = [(made.before, made.after, seed) for seed in range(REPEATS)]
        usable = len(made.before) >= GROWING[-1] and len(made.after) >= GROWING[-1]
        detections = list(pool.map(detection, work, chunksize=4)) if usable else []
    seconds = sorted(found if found is not None else float("inf") for found, _ in detections)
    summary: dict[str, float] = {}
    if equal:
        false = sum(said in CHANGED for said in equal)
        summary["aa_false_pct"] = 100 * false / len(equal)
        summary["aa_pairs"] = float(len(equal))
        summary["aa_false_pct_naive"] = 100 * sum(by_naive) / len(by_naive)
    if other:
        summary["rate_duration_false"] = float(sum(said in CHANGED for said in other))
        summary["rate_duration_pairs"] = float(len(other))
    if seconds:
        # The smallest time by which four of five have been seen.
        summary["detect_seconds"] = seconds[-(-len(seconds) * 4 // 5) - 1]
        summary["called_worse"] = float(sum(wrong for _, wrong in detections))
    return {
        "summary": summary,
        "verdicts": {
            "equal": _counted(equal),
            "rate_or_length": _counted(other),
            "detection_seconds": [found for found, _ in detections],
        },
    }


def _counted(verdicts: Sequence[Verdict]) -> dict[str, int]:
    return {kind.value: sum(said is kind for said in verdicts) for kind in Verdict}
