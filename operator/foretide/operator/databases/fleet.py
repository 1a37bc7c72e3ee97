"""All DatabaseAdvisors that are looked after, each with a task that ticks."""

from collections.abc import Callable

from ..ticking import Body, TickingFleet
from .due import QUIET
from .member import Member
from .reconcile import AdvisorReconciler
from .watching import Watch


class AdvisorFleet(TickingFleet[Member]):
    """DatabaseAdvisors by uid. `reconciler` is set once, right after both exist: each needs the
    other.
    """

    reconciler: AdvisorReconciler
    after_failure = QUIET

    def __init__(self, new_watch: Callable[[], Watch] = Watch) -> None:
        super().__init__()
        self._new_watch = new_watch

    def _new(self, body: Body) -> Member:
        return Member.from_body(body, self._new_watch)

    async def _tick(self, member: Member) -> float:
        return await self.reconciler.tick(member)

    async def _leave(self, member: Member) -> None:
        member.leave()

    def _counted(self, gone: Member | None = None) -> None:
        telemetry = self.reconciler.telemetry
        telemetry.databases.set(len(self))
        if gone is not None:
            telemetry.forget_database(gone.namespace, gone.name)

    async def stop(self) -> None:
        """End all ticking, and close all connections."""
        members = list(self)
        await super().stop()
        for member in members:
            member.leave()
