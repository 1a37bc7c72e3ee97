"""The work of a contest, in units that know nothing of each other, so that processes share it.

What is costly is done once: Foretide's models are fitted once for each delay, Prophet's once for
all delays, and a policy that does not know how long pods take is asked once for all delays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..simulation import policies
from ..simulation.foretide import ForetidePolicy, Stage, stages
from ..simulation.growth import Surges, surges
from ..simulation.prophet import foresight, prophet_forecasts
from ..simulation.replay import Policy, Setting
from ..simulation.trace import Trace
from .contest import Contest, Contestant, Make, Outcome, Tick, play

_REACTIVE: dict[Contestant, Make] = {
    Contestant.HPA: policies.hpa,
    Contestant.KEDA: policies.keda,
    Contestant.PHPA: policies.phpa,
}


class Unit(Protocol):
    """A piece of work. `run` ticks `steps` times; `weight` is about how long it takes."""

    @property
    def label(self) -> str: ...
    @property
    def steps(self) -> int: ...
    @property
    def weight(self) -> float: ...
    def run(self, tick: Tick) -> list[Outcome]: ...


def units(contests: Sequence[Contest]) -> list[Unit]:
    """All the work, the longest first, so that processes end at about the same time."""
    found: list[Unit] = []
    for contest in contests:
        found.append(Reactive(contest))
        if Contestant.PROPHET in contest.contestants:
            found.append(Prophetic(contest))
        found += [Ahead(contest, delay) for delay in contest.delays]
    return sorted((unit for unit in found if unit.steps), key=lambda unit: -unit.weight)


@dataclass(frozen=True, slots=True, eq=False)
class Reactive:
    """HPA and its likes: they do not know how long pods take."""

    contest: Contest

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.contest.trace.name}: HPA, KEDA, PHPA"

    @property
    def steps(self) -> int:
        """See `Unit`."""
        return len(_chosen(self.contest, _REACTIVE)) * len(self.contest.targets)

    @property
    def weight(self) -> float:
        """See `Unit`."""
        return 0.1 * self.steps * self.contest.days

    def run(self, tick: Tick) -> list[Outcome]:
        """See `Unit`."""
        contest, found = self.contest, []
        for contestant in _chosen(contest, _REACTIVE):
            found += play(contest, contestant, _REACTIVE[contestant], contest.delays, tick)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Prophetic:
    """Prophet only."""

    contest: Contest

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.contest.trace.name}: Prophet"

    @property
    def steps(self) -> int:
        """See `Unit`."""
        return 1 + len(self.contest.delays) * len(self.contest.targets)

    @property
    def weight(self) -> float:
        """See `Unit`."""
        return self.steps * self.contest.days

    def run(self, tick: Tick) -> list[Outcome]:
        """See `Unit`."""
        contest, found = self.contest, []
        forecasts = prophet_forecasts(contest.trace, contest.start, contest.fits)
        tick()

        def prophet(trace: Trace, setting: Setting) -> Policy:
            return policies.prophet_only(trace, setting, foresight(forecasts, setting.delay))

        for delay in contest.delays:
            found += play(contest, Contestant.PROPHET, prophet, (delay,), tick)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Ahead:
    """The policies that look just so far ahead as pods take to become ready."""

    contest: Contest
    delay: float

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.contest.trace.name}, {self.delay / 60:g} min: Foretide"

    @property
    def steps(self) -> int:
        """See `Unit`."""
        chosen = _chosen(self.contest, self._makers([], {}))
        fits = self.contest.fits_each if Contestant.FORETIDE in chosen else 0
        return fits + len(chosen) * len(self.contest.targets)

    @property
    def weight(self) -> float:
        """See `Unit`."""
        return 2 * self.steps * self.contest.days

    def run(self, tick: Tick) -> list[Outcome]:
        """See `Unit`."""
        contest, found = self.contest, []
        fitted = []
        if Contestant.FORETIDE in contest.contestants:
            setting = contest.asking(self.delay, contest.targets[0])
            for stage in stages(contest.trace, setting, contest.targets, contest.fits):
                fitted.append(stage)
                tick()
        makers = self._makers(fitted, surges(contest.trace, contest.asking(self.delay, 1.0)))
        for contestant in _chosen(contest, makers):
            found += play(contest, contestant, makers[contestant], (self.delay,), tick)
        return found

    def _makers(self, fitted: list[Stage], growth: Surges) -> dict[Contestant, Make]:
        return {
            Contestant.OFFSET: policies.seasonal_offset,
            Contestant.ORACLE: policies.oracle,
            Contestant.FORETIDE: lambda trace, setting: ForetidePolicy(
                trace, setting, fitted, growth
            ),
        }


def _chosen(contest: Contest, makers: dict[Contestant, Make]) -> list[Contestant]:
    return [contestant for contestant in contest.contestants if contestant in makers]
