"""What is played: one trace under all policies, with each delay and each headroom."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import fmean

from ..simulation.curves import Curve, Point
from ..simulation.foretide import FitSettings
from ..simulation.replay import Path, Policy, Setting, drive, judge
from ..simulation.scoring import Score
from ..simulation.summary import USUAL, Case
from ..simulation.trace import MINUTE, Trace

DAY = 86_400.0
# The headrooms that every policy is tried with: target utilisations.
TARGETS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.4)

FIT_SETTINGS = FitSettings()

Tick = Callable[[], None]
Make = Callable[[Trace, Setting], Policy]


class Contestant(StrEnum):
    """A way to scale (see `simulation/policies.py`)."""

    HPA = "HPA"
    KEDA = "KEDA"
    OFFSET = "SeasonalOffset"
    PHPA = "PHPA"
    PROPHET = "Prophet"
    FORETIDE = "Foretide"
    ORACLE = "Oracle"


@dataclass(frozen=True, slots=True, eq=False)
class Contest:
    """What is played. Durations are in seconds, `start` in Unix seconds.

    Before `start` the trace is history only. `jitter` is the share of the delay by which pods
    differ, for each of the `seeds` anew; scores are means over the seeds. `query_range` is how far
    back the query looks: so long at least Foretide looks back before it scales down.
    """

    trace: Trace
    start: float
    delays: tuple[float, ...]
    targets: tuple[float, ...] = TARGETS
    contestants: tuple[Contestant, ...] = tuple(Contestant)
    period: float = MINUTE
    jitter: float = 0.0
    seeds: tuple[int, ...] = (0,)
    min_replicas: int = 2
    max_replicas: int = 1_000
    fits: FitSettings = FIT_SETTINGS
    query_range: float = 0.0

    def asking(self, delay: float, target: float) -> Setting:
        """The setting as policies know it: their lead time is the 0.9 quantile of the delays."""
        lead = delay * (1 + 0.8 * self.jitter)
        return replace(self.happening(delay, 0), delay=lead, utilization=target)

    def happening(self, delay: float, seed: int) -> Setting:
        """The setting as pods know it."""
        return Setting(
            delay=delay,
            start=self.start,
            period=self.period,
            jitter=self.jitter,
            seed=seed,
            min_replicas=self.min_replicas,
            max_replicas=self.max_replicas,
            query_range=self.query_range,
        )

    @property
    def days(self) -> float:
        """How long is played."""
        return (self.trace.demand.end - self.start) / DAY

    @property
    def fits_each(self) -> int:
        """How many fits one model takes along the way."""
        return max(1, math.ceil(self.days * DAY / self.fits.refit_every))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one policy came to with one delay (seconds) and one target utilisation."""

    trace: str
    delay: float
    policy: Contestant
    utilization: float
    score: Score
    most_replicas: int


def history_needed(trace: Trace) -> float:
    """How much of a trace is history only (seconds): the first quarter, two days at least."""
    quarter = trace.days * DAY / 4 // MINUTE * MINUTE
    return max(2 * DAY, quarter)


def play(
    contest: Contest, contestant: Contestant, make: Make, delays: Sequence[float], tick: Tick
) -> list[Outcome]:
    """Ask a policy with each target, as one that knows the first delay, and judge it under all."""
    found = []
    for target in contest.targets:
        setting = contest.asking(delays[0], target)
        path = drive(contest.trace, make(contest.trace, setting), setting)
        for delay in delays:
            scores = [_score(contest, delay, seed, path) for seed in contest.seeds]
            found.append(
                Outcome(
                    contest.trace.name,
                    delay,
                    contestant,
                    target,
                    mean_score(scores),
                    int(path.counts.max(initial=path.initial)),
                )
            )
        tick()
    return found


def mean_score(scores: Sequence[Score]) -> Score:
    """The mean of each figure."""
    figures = [score.figures() for score in scores]
    return Score(**{name: fmean(each[name] for each in figures) for name in figures[0]})


def _score(contest: Contest, delay: float, seed: int, path: Path) -> Score:
    return judge(contest.trace, path, contest.happening(delay, seed)).score


def curves(outcomes: Iterable[Outcome]) -> "dict[tuple[str, float], dict[Contestant, Curve]]":
    """Cost against violations: a curve for each policy, by trace and delay."""
    points: dict[tuple[str, float], dict[Contestant, list[Point]]] = {}
    for one in outcomes:
        point = Point(
            one.utilization,
            one.score.pod_minutes,
            one.score.under_pct,
            one.score.scale_events_per_day,
        )
        points.setdefault((one.trace, one.delay), {}).setdefault(one.policy, []).append(point)
    return {
        key: {policy: Curve.of(found) for policy, found in by_policy.items()}
        for key, by_policy in points.items()
    }


def case(trace: str, delay: float, curves: Mapping[Contestant, Curve]) -> Case:
    """A case for the summary.

    Raises:
        KeyError: one of the policies that it compares has not been played.
    """
    return Case(
        trace,
        delay,
        hpa=curves[Contestant.HPA],
        foretide=curves[Contestant.FORETIDE],
        oracle=curves[Contestant.ORACLE],
        offset=curves[Contestant.OFFSET],
    )


def usual_target(contestant: Contestant) -> float:
    """The target that a policy is used with: 1 where a forecast stands in place of the headroom."""
    return 1.0 if contestant in (Contestant.PROPHET, Contestant.ORACLE) else USUAL
