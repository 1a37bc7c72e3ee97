"""All Profilers that are looked after, each with a task that ticks.

As with PredictiveScalers there are no finalizers: a Profiler can be deleted while no operator runs.
What is in the pods then ends by itself, and templates are given back by the next sweep.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from ..waking import woken
from . import archive
from .member import Member
from .reconcile import QUIET, ProfilerGone, ProfilerReconciler

logger = logging.getLogger(__name__)

_LAST_WORD = 10.0


class ProfilerFleet:
    """Profilers by uid. `reconciler` is set once, right after both exist: each needs the other.

    `is_watched` says whether a watch has told of any.
    """

    reconciler: ProfilerReconciler

    def __init__(self) -> None:
        self.is_watched = False
        # What one Profiler has learned of an image holds for all.
        self._users: dict[str, str] = {}
        self._members: dict[str, tuple[Member, asyncio.Task[None], asyncio.Event]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        return iter([member for member, _, _ in self._members.values()])

    def named(self, namespace: str, name: str) -> Member | None:
        """The Profiler of that name."""
        return next((it for it in self if (it.namespace, it.name) == (namespace, name)), None)

    def upsert(self, body: Mapping[str, Any]) -> None:
        """Look after a Profiler from now on, or take over its new version."""
        meta = body["metadata"]
        known = self._members.get(meta["uid"])
        if known is None:
            if (namesake := self.named(meta["namespace"], meta["name"])) is not None:
                self.remove(namesake.uid)  # kopf tells of no deletion that its watch has missed
            member, wake = Member.from_body(body), asyncio.Event()
            self._users.update(member.users)
            member.users = self._users
            task = asyncio.create_task(self._run(member, wake), name=f"profile {member.name}")
            self._members[member.uid] = (member, task, wake)
            self.reconciler.telemetry.profilers.set(len(self))
            return
        member, _, wake = known
        newest, generation = member.generation, meta.get("generation")
        if member.newest is not None:
            newest = member.newest["metadata"].get("generation")
        if generation == newest:
            return  # status or metadata only, most often written by ourselves
        if generation is not None and generation < (newest or 0):
            return  # from a list that was made before the watch told of a newer one
        member.newest = body
        wake.set()

    def remove(self, uid: str) -> None:
        """The Profiler is gone: so is what it has in the cluster, soon."""
        known = self._members.pop(uid, None)
        if known is None:
            return
        member, task, _ = known
        task.cancel()
        self.reconciler.telemetry.profilers.set(len(self))
        self.reconciler.telemetry.forget_profiler(member.namespace, member.name)
        ending = asyncio.create_task(self._detach(member, task))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    def wake_all(self) -> None:
        """Tick all of them soon: the configuration has changed."""
        for _, _, wake in self._members.values():
            wake.set()

    async def stop(self) -> None:
        """End all ticking. Samplers go on, and are found again by the next operator."""
        tasks = [task for _, task, _ in self._members.values()]
        self._members.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._ending:
            await asyncio.wait(self._ending, timeout=_LAST_WORD)

    async def _detach(self, member: Member, task: asyncio.Task[None]) -> None:
        await asyncio.wait([task])  # what a tick has just begun with is to be ended, too
        try:
            await self.reconciler.detach(member)
        except Exception:  # nobody waits for it
            logger.exception("%s/%s: could not be detached", member.namespace, member.name)

    async def _run(self, member: Member, wake: asyncio.Event) -> None:
        trouble: str | None = None
        while True:
            delay = QUIET
            # Between two ticks, never within one: it would tell of this run what was another's.
            if (newest := member.newest) is not None:
                member.newest = None
                member.update(newest)
            try:
                delay = await self.reconciler.tick(member)
                if archive.is_due(member, self.reconciler.clock()):
                    await archive.put_away(member)
                    archive.trim(self)
                trouble = None
            except ProfilerGone:
                self.remove(member.uid)
                return
            except Exception as error:  # one resource must not take the others down
                if trouble != repr(error):  # a traceback once, not at every tick
                    logger.exception("%s/%s: tick failed", member.namespace, member.name)
                    trouble = repr(error)
            await woken(wake, asyncio.get_running_loop().time() + delay)
