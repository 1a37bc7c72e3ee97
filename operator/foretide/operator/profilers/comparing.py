"""Holds a Profiler's profile against its baseline."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from foretide.profiling.window import Window

from ..api.profiler import BaselineSpec, ProfilerSpec
from ..conditions import Condition
from .member import Member
from .telling import COMPARED

Json = dict[str, Any]


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


# The windows of a baseline, for a Profiler in a namespace.
Baselines = Callable[[Member, BaselineSpec], Awaitable[Sequence[Window]]]


class Comparer:
    """Compares when there is something new to compare."""

    def __init__(self, baselines: Baselines) -> None:
        self._baselines = baselines

    async def compare(self, member: Member, spec: ProfilerSpec, now: float) -> Compared:
        """The verdict on the profile of now against that of before."""
        if spec.baseline is None:
            return Compared()
        try:
            before = await self._baselines(member, spec.baseline)
        except BaselineMissing as error:
            return Compared(condition=Condition(COMPARED, False, error.reason, str(error)))
        after = member.windows()
        if not before or not after:
            which = "before" if not before else "now"
            message = f"there is no profile of {which} yet"
            return Compared(condition=Condition(COMPARED, None, "NothingToCompare", message))
        return Compared()
