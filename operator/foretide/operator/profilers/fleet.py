"""All Profilers that are looked after, each with a task that ticks.

What is in the pods of one that is deleted while no operator runs ends by itself, and templates are
given back by the next sweep.
"""

from ..ticking import Body, TickingFleet
from . import archive
from .member import Member
from .reconcile import QUIET, ProfilerReconciler


class ProfilerFleet(TickingFleet[Member]):
    """Profilers by uid. `reconciler` is set once, right after both exist: each needs the other."""

    reconciler: ProfilerReconciler
    after_failure = QUIET

    def __init__(self) -> None:
        super().__init__()
        # What one Profiler has learned of an image holds for all.
        self._users: dict[str, str] = {}

    def _new(self, body: Body) -> Member:
        member = Member.from_body(body)
        self._users.update(member.users)
        member.users = self._users
        return member

    async def _tick(self, member: Member) -> float:
        delay = await self.reconciler.tick(member)
        if archive.is_due(member, self.reconciler.clock()):
            await archive.put_away(member)
            archive.trim(self)
        return delay

    async def _leave(self, member: Member) -> None:
        await self.reconciler.detach(member)

    def _counted(self, gone: Member | None = None) -> None:
        telemetry = self.reconciler.telemetry
        telemetry.profilers.set(len(self))
        if gone is not None:
            telemetry.forget_profiler(gone.namespace, gone.name)
