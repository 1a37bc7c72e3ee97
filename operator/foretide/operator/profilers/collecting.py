"""Reads what samplers have printed: windows and events, out of the logs of our containers."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from foretide.profiling.events import Event, read_events
from foretide.profiling.sampler.wire import read_windows
from foretide.profiling.window import Window

from ..cluster import ClusterError
from .door import Pods
from .facts import OursFacts, PodFacts
from .log_lines import Line, Place
from .member import Member

logger = logging.getLogger(__name__)

_AT_ONCE = 8

# Told of new windows, with the pod that they are of.
Sink = Callable[[Member, PodFacts, Sequence[Window]], None]


class Collector:
    """Reads logs, each from where it was read to."""

    def __init__(self, pods: Pods, sink: Sink) -> None:
        self._pods = pods
        self._sink = sink

    async def collect(self, member: Member, pods: Iterable[PodFacts]) -> list[str]:
        """Read what is new in the logs of these pods; what could not be read, in sentences."""
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(pod: PodFacts, ours: OursFacts) -> str:
            async with limit:
                try:
                    await self._read(member, pod, ours)
                except ClusterError as error:
                    return f"the log of {pod.name}/{ours.name} cannot be read: {error.message}"
            return ""

        wanted = [
            one(pod, ours)
            for pod in pods
            for ours in pod.ours
            if ours.running or (ours.ended and not self._is_read(member, pod, ours))
        ]
        return [trouble for trouble in await asyncio.gather(*wanted) if trouble]

    def _is_read(self, member: Member, pod: PodFacts, ours: OursFacts) -> bool:
        """Whether a log that has ended was read to its end: nothing comes after that."""
        return ours.name in member.from_pod(pod.uid, pod.name).read_to_end

    async def _read(self, member: Member, pod: PodFacts, ours: OursFacts) -> None:
        from_pod = member.from_pod(pod.uid, pod.name)
        place = from_pod.read_to.get(ours.name, Place())
        lines, complete = await self._pods.log(
            pod.namespace, pod.name, ours.name, since=place.since
        )
        # Some tens of kB a window are unpacked: not while the event loop waits.
        windows, events = await asyncio.to_thread(_parse, place.new(lines))
        # Others' runs are theirs, and those before this one are in the store: sent again they would
        # be there twice.
        own = [it for it in windows if it.labels.get("run") == member.run]
        if fresh := from_pod.take(ours.name, own, events):
            self._sink(member, pod, fresh)
        target = pod.container(ours.target or (member.spec.container if member.spec else None))
        if target is not None:
            member.learn_users(target.image, events)
        from_pod.read_to[ours.name] = place.after(lines, complete=complete)
        if complete and ours.ended:
            from_pod.read_to_end.add(ours.name)


def _parse(lines: list[Line]) -> tuple[list[Window], list[Event]]:
    texts = [line.text for line in lines]
    return list(read_windows(texts)), list(read_events(texts))
