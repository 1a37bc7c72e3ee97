"""How far shares and CPU seconds of planted hotspots are from what the programs have booked."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from benchmarks.profiling_programs import Program
from benchmarks.profiling_recording import Plan, Recording, record
from foretide.profiling.attribution import attribute
from foretide.profiling.window import Window

# The function that is the hotspot, by the variant in programs/hotspots.py.
HOTSPOTS: Mapping[str, str] = {
    "share40": "hot",
    "sleepy": "resting",
    "brief": "work",
    "library": "packing",
    "threads": "hot",
}
# Programs and windows of each recording. At 15 samples a second, chance alone may do a point to a
# share of 40 % (its standard error) with two thousand samples at work, for which a program that
# works a sixth of its time needs a quarter of an hour. 16 threads so deep give a few dozen a minute
# at any rate that the budget allows: their error stands beside.
ALONE: Mapping[str, int] = {"share40": 16}  # what the sampler costs is measured here
# Then these rounds of programs at once, which leave a core to the samplers, so that none waits for
# one and takes fewer samples for it.
ROUNDS: Sequence[Sequence[tuple[str, int]]] = (
    (("brief", 28), ("brief", 28), ("sleepy", 28)),
    (("brief", 16), ("library", 16)),
)
LAST: Mapping[str, int] = {"threads": 4}  # want all cores
SECONDS = 10.0
MANY_THREADS = "threads"


@dataclass(frozen=True)
class Error:
    """Of one function over a whole recording. Percentage points of the process' CPU time."""

    program: str
    version: str
    function: str
    hotspot: bool
    true_share: float
    share: float
    true_seconds: float
    seconds: float
    counted_share: float  # the baseline: of the samples that py-spy would call active
    at_work: int  # samples of the process' threads at work, from which the share comes

    @property
    def share_pp(self) -> float:
        return 100 * abs(self.share - self.true_share)

    @property
    def seconds_pp(self) -> float:
        """The error of its CPU seconds, of all that the process used."""
        whole = self.true_seconds / self.true_share if self.true_share else 0.0
        return 100 * abs(self.seconds - self.true_seconds) / whole if whole else 0.0

    @property
    def counted_pp(self) -> float:
        return 100 * abs(self.counted_share - self.true_share)


@dataclass(frozen=True)
class Schedule:
    """What is recorded: each alone, in rounds of several at once, and each alone again."""

    alone: Sequence[Plan]
    rounds: Sequence[Sequence[Plan]]
    last: Sequence[Plan]


def schedule(pythons: Mapping[str, Path], scale: float = 1.0) -> Schedule:
    """Each variant on the Pythons in turn; `scale` times as long as usual."""
    versions = list(pythons.items())

    def plans(windows: Iterable[tuple[str, int]]) -> list[Plan]:
        made = []
        for variant, count in windows:
            version, path = versions[list(HOTSPOTS).index(variant) % len(versions)]
            program = Program("CPU", "hotspots", variant)
            made.append(Plan(program, path, version, max(1, round(count * scale)), SECONDS))
        return made

    return Schedule(plans(ALONE.items()), [plans(each) for each in ROUNDS], plans(LAST.items()))


def run(planned: Schedule, tell: Callable[[str], None]) -> list[Recording]:
    """All recordings, in the order of the schedule."""

    def one(plan: Plan, before_seconds: float = 0.0) -> Recording:
        tell(f"{plan.name} ({plan.windows} x {plan.seconds:g} s)")
        return record(plan, before_seconds)

    made = [one(plan, before_seconds=4.0) for plan in planned.alone]
    for plans in planned.rounds:
        with ThreadPoolExecutor(len(plans)) as at_once:
            made += at_once.map(one, plans)
    return made + [one(plan) for plan in planned.last]


def errors(made: Sequence[Recording]) -> list[Error]:
    """Of all planted functions, over all recordings of each program."""
    programs: dict[Program, list[Recording]] = {}
    for recording in made:
        # Without those whose windows the program's books do not cover.
        if recording.windows and len(recording.truths) == len(recording.windows):
            programs.setdefault(recording.plan.program, []).append(recording)
    return [error for recordings in programs.values() for error in _errors(recordings)]


def _errors(recordings: Sequence[Recording]) -> list[Error]:
    truth: dict[str, float] = {}
    for of_window in chain.from_iterable(recording.truths for recording in recordings):
        for name, value in of_window.items():
            truth[name] = truth.get(name, 0.0) + value
    windows = [window for recording in recordings for window in recording.windows]
    costs = attribute(windows)
    used = costs.cpu_seconds + costs.native_cpu_seconds
    counted = _active_shares(windows)
    at_work = sum(one.active or 0 for window in windows for one in window.samples)
    process = truth.pop("process")
    truth.pop("requests")
    plan = recordings[0].plan
    by_name: dict[str, float] = {}
    for function, cost in costs.functions.items():
        if function.file.endswith("hotspots.py"):
            name = plain(function.name)
            by_name[name] = by_name.get(name, 0.0) + cost.total_cpu
    return [
        Error(
            plan.program.variant,
            plan.version,
            name,
            name == HOTSPOTS.get(plan.program.variant),
            seconds / process,
            by_name.get(name, 0.0) / used if used else 0.0,
            seconds,
            by_name.get(name, 0.0),
            counted.get(name, 0.0),
            at_work,
        )
        for name, seconds in sorted(truth.items())
    ]


def plain(name: str) -> str:
    """A function's own name: from Python 3.11 on, py-spy tells what it stands in, too."""
    return name.rpartition(".")[2]


def _active_shares(windows: Sequence[Window]) -> dict[str, float]:
    """What one gets who counts active samples."""
    total, by_name = 0, dict[str, int]()
    for window in windows:
        for one in window.samples:
            active = one.count if one.active is None else one.active
            total += active
            stack = window.stacks[one.stack]
            names = {plain(window.frames[index].function) for index in stack}
            for name in names:
                by_name[name] = by_name.get(name, 0) + active
    return {name: count / total for name, count in by_name.items()} if total else {}


def summary(found: Sequence[Error]) -> dict[str, float]:
    """`hotspot_error_pp`: the largest error of a hotspot, in its share or its seconds. That of many
    deep threads stands beside it.
    """
    told: dict[str, float] = {}
    for suffix, many in (("", False), ("_threads", True)):
        planted = [one for one in found if (one.program == MANY_THREADS) == many]
        of_hotspots = [one for one in planted if one.hotspot]
        if of_hotspots:
            told[f"hotspot_error_pp{suffix}"] = _largest(of_hotspots)
            told[f"planted_error_pp{suffix}"] = _largest(planted)
            told[f"counted_error_pp{suffix}"] = max(one.counted_pp for one in of_hotspots)
    return told


def _largest(errors: Sequence[Error]) -> float:
    return max(max(one.share_pp, one.seconds_pp) for one in errors)


def details(found: Sequence[Error]) -> list[dict[str, Any]]:
    """For the JSON."""
    return [
        {
            "program": one.program,
            "python": one.version,
            "function": one.function,
            "hotspot": one.hotspot,
            "true_share": round(one.true_share, 5),
            "share": round(one.share, 5),
            "share_error_pp": round(one.share_pp, 3),
            "cpu_seconds_error_pp": round(one.seconds_pp, 3),
            "share_by_active_samples": round(one.counted_share, 5),
            "samples_at_work": one.at_work,
        }
        for one in found
    ]
