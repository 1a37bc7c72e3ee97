"""Now and then, what is thought to exist is held against what does.

A watch that breaks loses the deletions of its gap: kopf lists again, and an object that is not in
the list any more is simply never heard of again. A PredictiveScaler would go on scaling, an HPA
would go on being a conflict. And where a kind is installed while the operator runs, kopf looks for
it once, at a moment at which a busy API server may not serve it yet, and not at all where it came
between kopf's first look and its first list: KEDA's kinds, or our own.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable

from .api.crds import GROUP, KIND, PLURAL, VERSION
from .cluster import Cluster, listed
from .fleet import Fleet
from .hpa import sweep
from .hpa_floor import Kind, scaled_by
from .owners import Autoscaler, TargetKey
from .telemetry import Telemetry
from .trying import Trying

logger = logging.getLogger(__name__)

# The API server leaves it out in lists.
_TYPE = {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND}


class Census:
    """Counts the resources and the autoscalers of the given namespaces (none: all of them)."""

    def __init__(
        self,
        cluster: Cluster,
        fleet: Fleet,
        namespaces: Iterable[str],
        telemetry: Telemetry,
        *,
        may_write: Callable[[], bool] = lambda: False,
    ) -> None:
        """`may_write` says whether minimums may be given back that nobody holds any more."""
        self._cluster = cluster
        self._fleet = fleet
        self._namespaces = tuple(namespaces)
        self._may_write = may_write

        def trying(what: str) -> Trying:
            complaint, relief = f"The {what} fails, and is tried again", f"The {what} works again."
            return Trying(complaint, relief, logger, lambda it: telemetry.errors.labels(it).inc())

        self._sweeping, self._counting = trying("sweep of minimums"), trying("census")
        self._autoscalers = trying("look for autoscalers")
        self._resources = trying("look for resources")
        self._found_some = False
        self._standing_in = False

    async def keep(self, period: float = 300.0, looks: int = 10) -> None:
        """Sweep at once, then take a census and sweep each `period` seconds, for ever.

        Within each period it looks so many times for autoscalers that were overlooked.
        """
        await self._sweeping.once(self.sweep)
        while True:
            for _ in range(looks):
                await asyncio.sleep(period / looks)
                await self._autoscalers.once(self.look_for_overlooked)
            await self._counting.once(self.take)
            await self._sweeping.once(self.sweep)

    async def stand_in(self, period: float = 5.0) -> None:
        """Tell the fleet of its resources while no watch does, for ever."""
        while True:
            await asyncio.sleep(period)
            await self._resources.once(self.look_for_resources)

    async def sweep(self) -> None:
        """Give back the minimums that a resource which is gone, or has changed, has held up.

        Raises:
            ClusterError: the API server does not say what there is; nothing is given back then.
        """
        for holder in await sweep(self._cluster, self._namespaces, guard=self._may_write):
            logger.info("%s has its own minimum again: nobody holds it any more.", holder)

    async def look_for_overlooked(self) -> None:
        """Tell the fleet of the autoscalers that no watch has told of.

        Those are ScaledObjects, and HPAs too while the fleet's resources are told of here: then
        nothing says how far the watches are.

        Raises:
            ClusterError: the API server does not say what there is; nothing is changed then.
        """
        found = []
        for kind in Kind if self._standing_in else (Kind.SCALED_OBJECT,):
            items = listed(self._cluster, *kind.resource, self._namespaces)
            found += [scaled_by(kind, item) async for item in items]
        # Afterwards: a watch may have told of some while the list was made.
        _, known = self._fleet.uids()
        overlooked: dict[TargetKey, list[Autoscaler]] = {}
        for key, autoscaler in found:
            if autoscaler.uid not in known:
                overlooked.setdefault(key, []).append(autoscaler)
        self._fleet.overlooked = overlooked

    async def look_for_resources(self) -> None:
        """Tell the fleet of the resources that there are, if no watch has told of any.

        They are told of from the second look on, for at first a watch may be about to begin.

        Raises:
            ClusterError: the API server does not say what there is; nothing is changed then.
        """
        if self._fleet.is_watched:
            self._standing_in = False
            return
        items = listed(self._cluster, f"{GROUP}/{VERSION}", PLURAL, self._namespaces)
        found = [{**_TYPE, **item} async for item in items]
        if not self._standing_in:
            # Afterwards: a watch may have told of them while the list was made.
            self._standing_in = self._found_some and bool(found) and not self._fleet.is_watched
            self._found_some = bool(found)
            if not self._standing_in:
                return
            logger.info("%d resources are there that no watch has told of.", len(found))
            # Before the first decision: a target that is another's must not be scaled.
            await self.look_for_overlooked()
        for item in found:
            self._fleet.upsert(item)

    async def take(self) -> None:
        """Drop what is gone.

        Raises:
            ClusterError: the API server does not say what there is; nothing is dropped then.
        """
        # Before the lists: what is created meanwhile is in neither, and must not count as gone.
        resources, autoscalers = self._fleet.uids()
        if resources:
            resources -= await self._uids(f"{GROUP}/{VERSION}", PLURAL)
        if autoscalers:
            for kind in Kind:
                autoscalers -= await self._uids(*kind.resource)
        if resources:
            logger.warning("%d resources were deleted while no watch told of it.", len(resources))
        self._fleet.drop(resources, autoscalers)

    async def _uids(self, version: str, plural: str) -> set[str]:
        items = listed(self._cluster, version, plural, self._namespaces)
        return {item["metadata"]["uid"] async for item in items}
