"""Resources that are looked after, each with a task that ticks: what several kinds have in common.

There are no finalizers: a resource can be deleted while no operator runs.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, Protocol, TypeVar

from .api.crds import GROUP, VERSION
from .cluster import Cluster, listed
from .waking import woken

logger = logging.getLogger(__name__)

Body = Mapping[str, Any]

_LAST_WORD = 10.0


class Gone(Exception):
    """The resource itself does not exist any more."""


class Announce(Protocol):
    """Where Kubernetes Events go."""

    def __call__(self, body: Body, *, kind: str, reason: str, message: str) -> None:
        """Post an Event of kind Normal or Warning on the resource."""
        ...


class Ticked(Protocol):
    """What is kept in memory of a resource. `newest` is a version that waits for the next tick."""

    uid: str
    namespace: str
    name: str
    generation: int | None
    newest: Body | None

    def update(self, body: Body) -> None:
        """Take over a new version."""
        ...


M = TypeVar("M", bound=Ticked)


class TickingFleet(ABC, Generic[M]):
    """Resources of one kind by uid. `is_watched` says whether a watch has told of any."""

    # Seconds until the next tick after one that failed.
    after_failure = 15.0

    def __init__(self) -> None:
        self.is_watched = False
        self._members: dict[str, tuple[M, asyncio.Task[None], asyncio.Event]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    @abstractmethod
    def _new(self, body: Body) -> M:
        """What is to be kept of a resource that is told of for the first time."""

    @abstractmethod
    async def _tick(self, member: M) -> float:
        """Look after one resource; the seconds until it wants to be looked after again.

        Raises:
            Gone: there is nothing to look after any more.
        """

    @abstractmethod
    async def _leave(self, member: M) -> None:
        """Clean up after a resource that is gone; its task has ended."""

    @abstractmethod
    def _counted(self, gone: M | None = None) -> None:
        """There is one more now, or one less."""

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[M]:
        return iter([member for member, _, _ in self._members.values()])

    def named(self, namespace: str, name: str) -> M | None:
        """The resource of that name."""
        return next((it for it in self if (it.namespace, it.name) == (namespace, name)), None)

    def upsert(self, body: Body) -> None:
        """Look after a resource from now on, or take over its new version."""
        meta = body["metadata"]
        known = self._members.get(meta["uid"])
        if known is None:
            if (namesake := self.named(meta["namespace"], meta["name"])) is not None:
                self.remove(namesake.uid)  # kopf tells of no deletion that its watch has missed
            member, wake = self._new(body), asyncio.Event()
            task = asyncio.create_task(self._run(member, wake), name=f"tick {member.name}")
            self._members[member.uid] = (member, task, wake)
            self._counted()
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

    def wake(self, uid: str) -> None:
        """Tick one of them soon."""
        if (known := self._members.get(uid)) is not None:
            known[2].set()

    def wake_all(self) -> None:
        """Tick all of them soon: the configuration has changed."""
        for _, _, wake in self._members.values():
            wake.set()

    def remove(self, uid: str) -> None:
        """The resource is gone: so is what it has elsewhere, soon."""
        known = self._members.pop(uid, None)
        if known is None:
            return
        member, task, _ = known
        task.cancel()
        self._counted(gone=member)
        ending = asyncio.create_task(self._end(member, task))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def stop(self) -> None:
        """End all ticking. What is elsewhere goes on, and is found again by the next operator."""
        tasks = [task for _, task, _ in self._members.values()]
        self._members.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._ending:
            await asyncio.wait(self._ending, timeout=_LAST_WORD)

    async def _end(self, member: M, task: asyncio.Task[None]) -> None:
        await asyncio.wait([task])  # what a tick has just begun with is to be ended, too
        try:
            await self._leave(member)
        except Exception:  # nobody waits for it
            logger.exception("%s/%s: could not be detached", member.namespace, member.name)

    async def _run(self, member: M, wake: asyncio.Event) -> None:
        trouble: str | None = None
        while True:
            delay = self.after_failure
            # Between two ticks, never within one: it would tell of this version what was another's.
            if (newest := member.newest) is not None:
                member.newest = None
                member.update(newest)
            try:
                delay = await self._tick(member)
                trouble = None
            except Gone:
                self.remove(member.uid)
                return
            except Exception as error:  # one resource must not take the others down
                if trouble != repr(error):  # a traceback once, not at every tick
                    logger.exception("%s/%s: tick failed", member.namespace, member.name)
                    trouble = repr(error)
            await woken(wake, asyncio.get_running_loop().time() + delay)


async def take_census(
    fleet: TickingFleet[M], cluster: Cluster, kind: str, plural: str, namespaces: Iterable[str]
) -> list[dict[str, Any]]:
    """Hold what is thought to exist of a kind against what does, in the given namespaces (none: all
    of them); the resources that there are.

    A watch that breaks loses the deletions of its gap, and a kind that is installed while the
    operator runs may never be watched at all (see the census of PredictiveScalers).

    Raises:
        ClusterError: the API server does not say what there is; nothing is changed then.
    """
    # Before the list: what is created meanwhile is not in it, and must not count as gone.
    known = {member.uid for member in fleet}
    items = listed(cluster, f"{GROUP}/{VERSION}", plural, namespaces)
    head = {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind}  # which lists leave out
    found = [{**head, **item} async for item in items]
    for uid in known - {item["metadata"]["uid"] for item in found}:
        fleet.remove(uid)
    for item in found:
        fleet.upsert(item)
    return found
