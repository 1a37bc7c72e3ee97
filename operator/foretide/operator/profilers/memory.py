"""`Pods` in memory, for tests and for trying things out: pods as JSON, logs as lines."""

import copy
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from ..api.predictivescaler import ScaleTargetRef
from ..cluster import ClusterError
from .door import Pods
from .log_lines import Line

Json = dict[str, Any]


class MemoryPods(Pods):
    """Attached containers run at once; `forbids` is what admission says against them, if anything.

    `calls` lists what was changed, as (verb, name, what); `answers` what orders are answered.
    """

    def __init__(self) -> None:
        self.pods: dict[str, Json] = {}
        self.workloads: dict[str, Json] = {}
        self.labels: dict[str, str] = {}
        self.logs: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        self.calls: list[tuple[str, str, Any]] = []
        self.read_since: list[float | None] = []
        self.longest_log = 1_000_000
        self.forbids = ""
        self.answers = "ok"
        self.away = False

    def add(self, pod: Json) -> None:
        """Let there be a pod."""
        self.pods[pod["metadata"]["name"]] = pod

    def _reach(self) -> None:
        if self.away:
            raise ClusterError("ApiUnreachable", "no answer from the API server")

    async def matching(self, namespace: str, selector: str) -> list[Json]:
        """See `Pods`. Only `key=value` is understood."""
        self._reach()
        wanted = dict(part.split("=", 1) for part in selector.split(","))
        found = [
            pod
            for pod in self.pods.values()
            if wanted.items() <= (pod["metadata"].get("labels") or {}).items()
        ]
        return copy.deepcopy(found)

    async def read(self, namespace: str, pod: str) -> Json:
        """See `Pods`."""
        self._reach()
        if pod not in self.pods:
            raise ClusterError("NotFound", f"pods {pod!r} not found", 404)
        return copy.deepcopy(self.pods[pod])

    async def template(self, namespace: str, ref: ScaleTargetRef) -> Json:
        """See `Pods`."""
        self._reach()
        if ref.name not in self.workloads:
            raise ClusterError("NotFound", f"{ref.kind} {ref.name} not found", 404)
        return copy.deepcopy(self.workloads[ref.name])

    async def namespace(self, name: str) -> Json:
        """See `Pods`."""
        return {"metadata": {"name": name, "labels": self.labels}}

    async def attach(self, namespace: str, pod: str, container: Json, *, dry_run: bool) -> None:
        """See `Pods`."""
        self._reach()
        if self.forbids:
            raise ClusterError("Forbidden", self.forbids, 403)
        if dry_run:
            return
        self.calls.append(("attach", pod, container))
        there = self.pods[pod]
        there["spec"].setdefault("ephemeralContainers", []).append(container)
        self.set_state(pod, container["name"], {"running": {}})

    def set_state(self, pod: str, container: str, state: Json) -> None:
        """Let an ephemeral container be in a state."""
        status = self.pods[pod]["status"]
        others = [
            it for it in status.get("ephemeralContainerStatuses", ()) if it["name"] != container
        ]
        status["ephemeralContainerStatuses"] = [*others, {"name": container, "state": state}]

    async def log(
        self, namespace: str, pod: str, container: str, *, since: float | None
    ) -> tuple[list[Line], bool]:
        """See `Pods`. At most `longest_log` lines come; each took a second of the node's time,
        which began in 1970.
        """
        self._reach()
        self.read_since.append(since)
        written = [Line(float(at), it) for at, it in enumerate(self.logs[pod, container])]
        lines = [line for line in written if since is None or line.at >= since]
        return lines[: self.longest_log], len(lines) <= self.longest_log

    async def order(self, namespace: str, pod: str, container: str, text: str) -> str:
        """See `Pods`."""
        self._reach()
        self.calls.append(("order", pod, text))
        if text == "end":
            self.set_state(pod, container, {"terminated": {"reason": "Completed"}})
        return self.answers

    async def annotate(
        self, namespace: str, pod: str, annotations: Mapping[str, str | None]
    ) -> None:
        """See `Pods`."""
        self._reach()
        self.calls.append(("annotate", pod, dict(annotations)))
        kept = self.pods[pod]["metadata"].setdefault("annotations", {})
        for key, value in annotations.items():
            kept.pop(key, None)
            if value is not None:
                kept[key] = value

    async def apply(
        self, namespace: str, ref: ScaleTargetRef, document: Json, *, dry_run: bool = False
    ) -> None:
        """See `Pods`."""
        self._reach()
        if not dry_run:
            self.calls.append(("apply", ref.name, document))
