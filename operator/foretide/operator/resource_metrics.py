"""The door to metrics.k8s.io: what pods use of CPU and memory.

What demand is made of it stands in `foretide.forecasting.resource_demand`. The history to forecast
by comes from Prometheus, as the resource metrics API has none: by the user's query, or, for CPU, by
`default_history_query`.
"""

import asyncio
import contextlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from foretide.forecasting.demand import Unavailable, Undecided
from foretide.forecasting.resource_demand import PodUsage, ResourcePod, ResourceSample

from .api.metrics import ResourceName
from .api.predictivescaler import ScaleTargetRef
from .cluster import Cluster, ClusterError

_QUANTITY = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE]([+-]?[0-9]{1,2})|([A-Za-z]{0,2}))")
_SUFFIXES = {
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "": 1.0,
    **{letter: 1000.0**power for power, letter in enumerate("kMGTPE", 1)},
    **{f"{letter}i": 1024.0**power for power, letter in enumerate("KMGTPE", 1)},
}
_WINDOW = re.compile(r"([0-9.]+)(h|ms|m|s|us|µs|ns)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}

# How the pods of a kind are named; the label on cAdvisor's series is the pod's name alone.
_POD_NAMES = {
    "Deployment": "-[a-z0-9]+-[a-z0-9]{5}",
    "ReplicaSet": "-[a-z0-9]{5}",
    "StatefulSet": "-[0-9]+",
}


class ResourceMetrics(Protocol):
    """What the operator needs of metrics.k8s.io."""

    async def sample(
        self, namespace: str, selector: str, resource: ResourceName, container: str | None = None
    ) -> ResourceSample | Unavailable:
        """The pods of a label selector and what they use; every failure is an `Unavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class ClusterResourceMetrics:
    """`ResourceMetrics` over the door to Kubernetes."""

    cluster: Cluster

    async def sample(
        self, namespace: str, selector: str, resource: ResourceName, container: str | None = None
    ) -> ResourceSample | Unavailable:
        """See `ResourceMetrics`."""
        if not selector:
            return Unavailable("SelectorMissing", "the target's scale names no selector of pods")
        where = f"namespaces/{quote(namespace, safe='')}/pods"
        pods, usage = await asyncio.gather(
            self._list(f"/api/v1/{where}", selector),
            self._list(f"/apis/metrics.k8s.io/v1beta1/{where}", selector),
        )
        if isinstance(usage, ClusterError):
            return _refused(usage)
        if isinstance(pods, ClusterError):
            return Unavailable(pods.reason, f"pods cannot be listed: {pods.message}")
        return ResourceSample(
            read_pods(pods, resource, container), read_usage(usage, resource, container)
        )

    async def _list(self, path: str, selector: str) -> list[Mapping[str, Any]] | ClusterError:
        items: list[Mapping[str, Any]] = []
        page = {"labelSelector": selector, "limit": "200"}
        while True:
            try:
                answer = await self.cluster.request("GET", f"{path}?{urlencode(page)}")
            except ClusterError as error:
                return error
            items += answer.get("items") or ()
            following = (answer.get("metadata") or {}).get("continue")
            if not following:
                return items
            page["continue"] = following


@dataclass(slots=True)
class MemoryResourceMetrics:
    """`ResourceMetrics` that answers what it was told, by namespace and selector."""

    answers: dict[tuple[str, str], ResourceSample | Unavailable] = field(default_factory=dict)

    async def sample(
        self, namespace: str, selector: str, resource: ResourceName, container: str | None = None
    ) -> ResourceSample | Unavailable:
        """See `ResourceMetrics`."""
        nobody = Unavailable("NoPods", f"nothing is known of pods with {selector}")
        return self.answers.get((namespace, selector), nobody)


def default_history_query(
    namespace: str, ref: ScaleTargetRef, resource: ResourceName, container: str | None = None
) -> str | Undecided:
    """PromQL for the history of what the target's pods use, or why there is none.

    CPU comes from cAdvisor, which every kubelet has; the empty container is the sum of the others.
    The names of pods are those that the kind's controller gives them, so that a Deployment `shop`
    does not take in the pods of `shop-api`.
    """
    if resource is not ResourceName.CPU:
        return Undecided(
            "NoHistoryQuery",
            "memory is not forecast by default, as what pods hold grows with their number: "
            "give query to forecast it all the same",
        )
    pods = re.escape(ref.name).replace("\\-", "-").replace("\\", "\\\\")
    which = f'container="{container}"' if container else 'container!=""'
    return (
        f'sum(rate(container_cpu_usage_seconds_total{{namespace="{namespace}",'
        f'pod=~"{pods}{_POD_NAMES.get(ref.kind, "-.+")}",{which}}}[2m]))'
    )


def read_pods(
    pods: Iterable[Mapping[str, Any]], resource: ResourceName, container: str | None = None
) -> tuple[ResourcePod, ...]:
    """The pods as the API lists them; those that cannot be read are left out."""
    found = []
    for pod in pods:
        with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
            found.append(_read_pod(pod, resource, container))
    return tuple(found)


def read_usage(
    entries: Iterable[Mapping[str, Any]], resource: ResourceName, container: str | None = None
) -> dict[str, PodUsage]:
    """Usage by pod; like HPA, a pod of which one container has no figure has none."""
    found = {}
    for entry in entries:
        with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
            containers = [one for one in entry["containers"] if container in (None, one["name"])]
            if containers:
                found[str(entry["metadata"]["name"])] = PodUsage(
                    sum(quantity(one["usage"][resource]) for one in containers),
                    datetime.fromisoformat(entry["timestamp"]).timestamp(),
                    _seconds(entry.get("window") or "0s"),
                )
    return found


def quantity(text: str | int | float) -> float:
    """A quantity as Kubernetes writes it, in base units: `250m` → 0.25, `12345n`, `64Mi`, `1e3`.

    Raises:
        ValueError: not a quantity.
    """
    match = _QUANTITY.fullmatch(str(text))
    if match is None or (match[3] or "") not in _SUFFIXES:
        raise ValueError(f"{str(text)[:40]!r} is not a quantity")
    scale = 10.0 ** int(match[2]) if match[2] else _SUFFIXES[match[3] or ""]
    return float(match[1]) * scale


def _read_pod(pod: Mapping[str, Any], resource: ResourceName, container: str | None) -> ResourcePod:
    status = pod.get("status") or {}
    ready = next((one for one in status.get("conditions") or () if one["type"] == "Ready"), None)
    phase = status.get("phase")
    return ResourcePod(
        name=str(pod["metadata"]["name"]),
        request=_request(pod["spec"], resource, container),
        started=_time(status.get("startTime")),
        ready=None if ready is None else ready["status"] == "True",
        ready_changed=None if ready is None else _time(ready.get("lastTransitionTime")),
        pending=phase == "Pending",
        ended=phase in ("Failed", "Succeeded") or bool(pod["metadata"].get("deletionTimestamp")),
    )


def _request(
    spec: Mapping[str, Any], resource: ResourceName, container: str | None
) -> float | None:
    """What the pod requests; None where one of its containers does not say, as in HPA."""
    whole = ((spec.get("resources") or {}).get("requests") or {}).get(resource)
    if whole is not None and container is None:
        return quantity(whole)
    # An init container that is always restarted is a sidecar, and runs as long as the pod.
    sidecars = [
        one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"
    ]
    counted = [one for one in [*spec["containers"], *sidecars] if container in (None, one["name"])]
    total = 0.0
    for one in counted:
        request = ((one.get("resources") or {}).get("requests") or {}).get(resource)
        if request is None:
            return None
        total += quantity(request)
    return total if counted else None


def _refused(error: ClusterError) -> Unavailable:
    if error.status == 404:
        return Unavailable(
            "MetricsApiMissing",
            "the cluster has no metrics.k8s.io: install metrics-server, or use type Prometheus",
        )
    if error.status == 403:
        return Unavailable(
            error.reason, "the operator may not list pods of metrics.k8s.io: grant it get and list"
        )
    if error.status == 503:
        return Unavailable(
            "MetricsApiUnavailable",
            "metrics.k8s.io does not answer: see whether metrics-server runs",
        )
    return Unavailable(error.reason, f"metrics.k8s.io: {error.message}")


def _seconds(text: str) -> float:
    """A duration as Go writes it: `30s`, `1m0.5s`; 0 for anything else."""
    return sum(float(number) * _UNITS[unit] for number, unit in _WINDOW.findall(text))


def _time(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).timestamp()
