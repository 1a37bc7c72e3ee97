"""Holds a Profiler's profile against its baseline."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from foretide.forecasting.prometheus import DemandSource
from foretide.profiling.compare import compare
from foretide.profiling.comparison import Change, Comparison, Latency, Verdict
from foretide.profiling.window import Window

from ..api.profiler import BaselineSpec, ProfilerSpec
from ..api.profiler_status import MOST_EVIDENCE, VerdictStatus
from ..conditions import Condition
from ..thinking import Think, ThinkingFailed, in_thread
from . import traffic
from .archive import WindowsGone, windows_of
from .member import Member
from .telling import COMPARED

Json = dict[str, Any]

_LONGEST = 400
# Comparing takes CPU: while a run goes on, so often at the most (seconds).
_EVERY = 15.0


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of it: parts of status, and a condition; neither where no baseline is given."""

    figures: Json = field(default_factory=dict)
    condition: Condition | None = None


class BaselineMissing(Exception):
    """The state before is not to be had; `reason` is for machines."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


# A Prometheus source by its name in the operator's configuration.
SourceByName = Callable[[str], Awaitable[DemandSource | None]]


@dataclass(frozen=True, slots=True)
class Baseline:
    """The windows of before: how many, when the newest began, and how they are had."""

    extent: tuple[int, float]
    read: Callable[[], Awaitable[Sequence[Window]]]


# What a Profiler is compared with. Raises `BaselineMissing`.
Baselines = Callable[[Member, BaselineSpec], Awaitable[Baseline]]


class Comparer:
    """Compares when there is something new to compare."""

    def __init__(
        self, baselines: Baselines, sources: SourceByName, think: Think = in_thread
    ) -> None:
        self._baselines = baselines
        self._sources = sources
        self._think = think

    async def compare(self, member: Member, spec: ProfilerSpec, now: float) -> Compared:
        """The verdict on the profile of now against that of before."""
        if spec.baseline is None:
            return Compared()
        try:
            before = await self._baselines(member, spec.baseline)
            extents = (before.extent, member.extent())
            for which, (count, _) in zip(("before", "now"), extents, strict=True):
                if not count:
                    message = f"there is no profile of {which} yet"
                    nothing = Condition(COMPARED, None, "NothingToCompare", message)
                    return Compared(condition=nothing)
            known = member.compared
            if known is None or (known[0] != extents and self._is_due(member, now - known[1])):
                sides = await before.read(), await windows_of(member)
                told = await self._judge(spec, *sides, now)
                known = member.compared = (extents, now, told)
        except BaselineMissing as error:
            return Compared(condition=Condition(COMPARED, False, error.reason, str(error)))
        except WindowsGone as error:
            message = f"{error}; let it run again, or compare with a period in the store"
            return Compared(condition=Condition(COMPARED, False, "WindowsGone", message))
        last: Compared = known[2]
        return last

    async def _judge(
        self, spec: ProfilerSpec, before: Sequence[Window], after: Sequence[Window], now: float
    ) -> Compared:
        requests, latencies, problem = None, list[Latency](), ""
        if spec.traffic is not None:
            source = await self._sources(spec.traffic.source)
            sides = [
                await traffic.measure(source, spec.traffic, side, now) for side in (before, after)
            ]
            requests, latencies = traffic.pairs(*sides)
            problem = sides[0].problem or sides[1].problem
        try:
            found = await self._think(
                len(before) + len(after),
                compare,
                before,
                after,
                requests=requests,
                latencies=latencies,
            )
        except ThinkingFailed as error:
            message = f"the comparison was not finished: {error}"
            return Compared(condition=Condition(COMPARED, False, "GaveUp", message))
        return _told(found, problem)

    def _is_due(self, member: Member, age: float) -> bool:
        return age >= _EVERY or member.finished_at is not None


def _told(found: Comparison, problem: str) -> Compared:
    functions = [_of_function(it) for it in found.changes if it.significant]
    message = found.reason
    if found.missing is not None:
        side = f"of {found.short}" if found.short else "on each side"
        message += f"; {found.missing:.0f} s more of profile are needed {side}"
    for one in found.latencies:
        message += f"; {one.name} {1e3 * one.before:.1f} ms before, {1e3 * one.after:.1f} ms after"
    if problem:
        message += f"; without what Prometheus knows ({problem})"
    verdict = VerdictStatus(
        verdict=str(found.verdict),
        message=message[:_LONGEST],
        functions=functions[:MOST_EVIDENCE] or None,
    )
    enough = found.verdict is not Verdict.INSUFFICIENT_DATA
    return Compared(
        {"verdict": verdict.model_dump(by_alias=True, mode="json")},
        Condition(COMPARED, enough or None, str(found.verdict), message[:_LONGEST]),
    )


def _of_function(change: Change) -> str:
    before, after = 100 * change.total_before, 100 * change.total_after
    return f"{change.function.name}: {before:.1f} % before, {after:.1f} % after"[:_LONGEST]
