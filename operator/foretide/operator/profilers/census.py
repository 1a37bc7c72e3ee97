"""Now and then, what is thought to exist is held against what does.

Templates that carry the sidecar of a Profiler that is gone are given back.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from ..api.crds import PROFILERS
from ..api.predictivescaler import ScaleTargetRef
from ..cluster import Cluster
from ..ticking import take_census
from ..trying import Trying
from . import rollout, rollouts
from .door import Pods
from .fleet import ProfilerFleet

logger = logging.getLogger(__name__)

# Seconds between two looks: while no watch has told of any Profiler, and after that.
_SOON, _LATER = 5.0, 60.0


class ProfilerCensus:
    """Counts Profilers in the given namespaces (none: all of them)."""

    def __init__(
        self,
        cluster: Cluster,
        pods: Pods,
        fleet: ProfilerFleet,
        namespaces: Iterable[str],
        may_write: Callable[[], bool],
    ) -> None:
        self._cluster = cluster
        self._pods = pods
        self._fleet = fleet
        self._namespaces = tuple(namespaces)
        self._may_write = may_write
        self._trying = Trying(
            "Profilers cannot be counted for now", "Profilers are counted again.", logger
        )
        self._give_back_at = 0.0

    async def keep(self) -> None:
        """Look again and again, for ever."""
        while True:
            await self._trying.once(self.take)
            await asyncio.sleep(_LATER if self._fleet.is_watched else _SOON)

    async def take(self) -> None:
        """Look after what was overlooked, drop what is gone, give back what nobody holds.

        Raises:
            ClusterError: the API server does not say what there is; nothing is changed then.
        """
        found = await take_census(
            self._fleet, self._cluster, "Profiler", PROFILERS, self._namespaces
        )
        held = {whole for item in found if (whole := _held(item)) is not None}
        now = asyncio.get_running_loop().time()
        if self._may_write() and now >= self._give_back_at:
            self._give_back_at = now + _LATER
            await self._give_back(held)

    async def _give_back(self, held: set[tuple[str, str, str, str]]) -> None:
        """Give back the templates that no Profiler holds any more: it is gone, or has changed."""
        wanted = urlencode({"labelSelector": rollout.LABEL})
        for kind in rollout.KINDS:
            for root in [f"/namespaces/{quote(it)}" for it in self._namespaces] or [""]:
                path = f"/apis/apps/v1{root}/{kind.lower()}s?{wanted}"
                for item in (await self._cluster.request("GET", path))["items"]:
                    meta = item["metadata"]
                    holder = rollout.profiler_of(item["spec"]["template"])
                    if (meta["namespace"], holder, kind, meta["name"]) in held:
                        continue
                    ref = ScaleTargetRef(kind=kind, name=meta["name"])
                    await rollouts.give_back(self._pods, meta["namespace"], ref)


def _held(profiler: Mapping[str, Any]) -> tuple[str, str, str, str] | None:
    """Namespace and name of a Profiler, with the kind and name of the workload that it holds."""
    meta, spec = profiler["metadata"], profiler.get("spec") or {}
    target = spec.get("targetRef") or {}
    if not spec.get("allowRollout") or spec.get("suspend") or not target:
        return None
    return meta["namespace"], meta["name"], target["kind"], target["name"]
