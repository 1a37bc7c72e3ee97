"""Now and then, what is thought to exist is held against what does.

A watch that breaks loses the deletions of its gap: kopf lists again, and an object that is not in
the list any more is simply never heard of again. A PredictiveScaler would go on scaling, an HPA
would go on being a conflict.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from urllib.parse import quote, urlencode

from .api.crds import GROUP, PLURAL, VERSION
from .cluster import Cluster, ClusterError
from .fleet import Fleet
from .hpa import sweep

logger = logging.getLogger(__name__)

_AUTOSCALERS = (
    ("autoscaling/v2", "horizontalpodautoscalers"),
    ("keda.sh/v1alpha1", "scaledobjects"),
)


class Census:
    """Counts the resources and the autoscalers of the given namespaces (none: all of them)."""

    def __init__(
        self,
        cluster: Cluster,
        fleet: Fleet,
        namespaces: Iterable[str],
        *,
        may_write: Callable[[], bool] = lambda: False,
    ) -> None:
        """`may_write` says whether minimums may be given back that nobody holds any more."""
        self._cluster = cluster
        self._fleet = fleet
        self._namespaces = tuple(namespaces)
        self._may_write = may_write

    async def keep(self, period: float = 300.0) -> None:
        """Sweep at once, then take a census and sweep each `period` seconds, for ever."""
        await self.sweep()
        while True:
            await asyncio.sleep(period)
            try:
                await self.take()
            except ClusterError as error:
                logger.debug("No census: %s", error.message)
            await self.sweep()

    async def sweep(self) -> None:
        """Give back the minimums that a resource which is gone, or has changed, has held up."""
        try:
            released = await sweep(self._cluster, self._namespaces, guard=self._may_write)
        except ClusterError as error:
            logger.debug("No sweep: %s", error.message)
            return
        for holder in released:
            logger.info("%s has its own minimum again: nobody holds it any more.", holder)

    async def take(self) -> None:
        """Drop what is gone.

        Raises:
            ClusterError: the API server does not say what there is; nothing is dropped then.
        """
        # Before the lists: what is created meanwhile is in neither, and must not count as gone.
        resources, autoscalers = self._fleet.uids()
        if resources:
            resources -= await self._list(f"{GROUP}/{VERSION}", PLURAL)
        if autoscalers:
            for version, plural in _AUTOSCALERS:
                autoscalers -= await self._list(version, plural)
        if resources:
            logger.warning("%d resources were deleted while no watch told of it.", len(resources))
        self._fleet.drop(resources, autoscalers)

    async def _list(self, version: str, plural: str) -> set[str]:
        roots = [f"/apis/{version}/namespaces/{quote(name)}/{plural}" for name in self._namespaces]
        found: set[str] = set()
        for root in roots or [f"/apis/{version}/{plural}"]:
            following = ""
            while True:
                query = urlencode({"limit": 500, **({"continue": following} if following else {})})
                try:
                    answer = await self._cluster.request("GET", f"{root}?{query}")
                except ClusterError as error:
                    if error.status == 404:  # the kind is not installed
                        break
                    raise
                found |= {item["metadata"]["uid"] for item in answer["items"]}
                following = answer.get("metadata", {}).get("continue") or ""
                if not following:
                    break
        return found
