"""Looks for annotated workloads, and lets there be a Profiler for each.

It asks for metadata alone, now and then, instead of watching: that is cheap, and an operator
without the right to list workloads works on without this.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote, urlencode

from ..api.crds import GROUP, PROFILERS, VERSION
from ..cluster import ClusterError, KubernetesCluster, listed
from ..ticking import Announce
from ..trying import Trying
from . import rollout
from .annotations import BadAnnotation, Changes, Workload, asks, changes, profiler_of

logger = logging.getLogger(__name__)

_PERIOD = 20.0
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_MERGE = "application/merge-patch+json"


class Annotated:
    """Workloads of the given namespaces (none: all of them)."""

    def __init__(
        self,
        cluster: KubernetesCluster,
        namespaces: Iterable[str],
        announce: Announce,
        may_write: Callable[[], bool],
    ) -> None:
        self._cluster = cluster
        self._namespaces = tuple(namespaces)
        self._announce = announce
        self._may_write = may_write
        self._told: dict[str, str] = {}
        self._trying = Trying(
            "Annotated workloads are not looked for",
            "Annotated workloads are looked for again.",
            logger,
        )

    async def keep(self) -> None:
        """Look again and again, for ever."""
        while True:
            await self._trying.once(self._look_if_allowed)
            await asyncio.sleep(_PERIOD)

    async def _look_if_allowed(self) -> None:
        if self._may_write():
            await self.look()

    async def look(self) -> None:
        """Create, change and delete Profilers as annotations ask for them.

        Raises:
            ClusterError: the API server does not say what there is, or refuses.
        """
        workloads = [it for kind in rollout.KINDS for it in await self._list(kind)]
        wanted = []
        for workload in filter(asks, workloads):
            try:
                wanted.append(profiler_of(workload))
            except BadAnnotation as error:
                self._tell(workload, str(error))
        items = listed(self._cluster, f"{GROUP}/{VERSION}", PROFILERS, self._namespaces)
        found = changes(wanted, [item async for item in items])
        refused: list[ClusterError] = []
        for method, path, body in _requests(found):
            kind = _MERGE if method == "PATCH" else "application/json"
            try:
                await self._cluster.request(method, path, body, content_type=kind)
            except ClusterError as error:  # a namespace that ends, say: the others have theirs
                refused.append(error)
        if refused:
            raise refused[0]

    async def _list(self, kind: str) -> list[Workload]:
        found = []
        for root in [f"/namespaces/{quote(it)}" for it in self._namespaces] or [""]:
            page = {"limit": "500"}
            while True:
                path = f"/apis/apps/v1{root}/{kind.lower()}s?{urlencode(page)}"
                answer = json.loads(await self._cluster.text(path, accept=_METADATA))
                # A list of metadata that is empty has null for its items.
                found += [Workload(kind, item["metadata"]) for item in answer["items"] or ()]
                following = answer.get("metadata", {}).get("continue")
                if not following:
                    break
                page["continue"] = following
        return found

    def _tell(self, workload: Workload, message: str) -> None:
        uid = workload.meta["uid"]
        if self._told.get(uid) != message:
            body: dict[str, Any] = {
                "apiVersion": "apps/v1",
                "kind": workload.kind,
                "metadata": dict(workload.meta),
            }
            self._announce(body, kind="Warning", reason="BadAnnotation", message=message)
        self._told[uid] = message


def _requests(found: Changes) -> Iterator[tuple[str, str, Any]]:
    """What brings the changes about: method, path and body."""
    for document in found.create:
        yield "POST", _path(document["metadata"]["namespace"]), document
    for document in found.change:
        meta = document["metadata"]
        yield (
            "PATCH",
            f"{_path(meta['namespace'])}/{quote(meta['name'])}",
            {"spec": document["spec"]},
        )
    for namespace, name in found.delete:
        yield "DELETE", f"{_path(namespace)}/{quote(name)}", None


def _path(namespace: str) -> str:
    return f"/apis/{GROUP}/{VERSION}/namespaces/{quote(namespace)}/{PROFILERS}"
