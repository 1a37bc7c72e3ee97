"""The containers that profile, as Kubernetes takes them. Pure.

They satisfy the Pod Security Standard `restricted` wherever the application's own user does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .facts import SIDECAR, PodFacts, TargetFacts
from .routes import Access, Route

Json = dict[str, Any]

COMMAND = ("python3", "-m", "foretide.profiling.resident")
# Set by the operator, seen by the sidecar: until when (Unix seconds) its pod has its turn, and the
# id of the container that is profiled, which nobody knew when the pod was created.
TURN = "foretide.dev/profiling-until"
PROFILER = "foretide.dev/profiler"
_ORDERS = "foretide-profiler-orders"
_ORDERS_PATH = "/foretide"


@dataclass(frozen=True, slots=True)
class Order:
    """What to sample. `seconds` None: for as long as it is this pod's turn.

    `run` comes back with each window, so that no run takes another's for its own.
    """

    image: str
    run: str
    seconds: float | None
    rate: int
    window: float
    idle: float
    locals: bool = False

    def arguments(self) -> list[str]:
        """The order on the command line of the resident."""
        found = [f"--rate={self.rate}", f"--window={self.window:g}", f"--run={self.run}"]
        if self.seconds is not None:
            found += [f"--seconds={self.seconds:g}", f"--idle={self.idle:g}"]
        if self.locals:
            found.append("--locals")
        return found


def ephemeral(name: str, pod: PodFacts, target: TargetFacts, access: Access, order: Order) -> Json:
    """An ephemeral container beside the target, in the target's process namespace."""
    arguments = ["--probe"] if access.is_probe else order.arguments()
    return {
        **_container(name, access, order, [*arguments, *_whose(pod, target, Route.EPHEMERAL)]),
        "targetContainerName": target.name,
    }


def sidecar(pod: PodFacts, target: TargetFacts, access: Access, order: Order) -> Json:
    """A native sidecar: an init container that starts before the application and stays.

    It has no CPU limit, as a sampler that is throttled while it looks keeps the application
    stopped. Only in a pod of the class Guaranteed there is one, far above what it uses: without
    it the pod would lose its class.
    """
    arguments = [
        *order.arguments(),
        f"--turn={_ORDERS_PATH}/until",
        *_whose(pod, target, Route.SIDECAR),
    ]
    if pod.guaranteed:
        requests = limits = {"cpu": "250m", "memory": "128Mi"}
    else:
        requests, limits = {"cpu": "10m", "memory": "64Mi"}, {"memory": "128Mi"}
    return {
        **_container(SIDECAR, access, order, arguments),
        "restartPolicy": "Always",
        "resources": {"requests": requests, "limits": limits},
        "volumeMounts": [{"name": _ORDERS, "mountPath": _ORDERS_PATH, "readOnly": True}],
    }


def orders_volume() -> Json:
    """The volume through which the sidecar sees whose turn it is: an annotation of its own pod."""
    field = {"fieldPath": f"metadata.annotations['{TURN}']"}
    return {
        "name": _ORDERS,
        "downwardAPI": {"items": [{"path": "until", "fieldRef": field}]},
    }


def _container(name: str, access: Access, order: Order, arguments: list[str]) -> Json:
    return {
        "name": name,
        "image": order.image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(COMMAND),
        "args": arguments,
        "env": [
            _from_field("FORETIDE_POD", "metadata.name"),
            _from_field("FORETIDE_NODE", "spec.nodeName"),
            {"name": "FORETIDE_CONTAINER", "value": name},
        ],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": security(access),
    }


def security(access: Access) -> Json:
    """The security context of a sampler."""
    context: Json = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    capabilities: Json = {}
    if access.drop:
        capabilities["drop"] = list(access.drop)
    if access.add:
        capabilities["add"] = list(access.add)
    if capabilities:
        context["capabilities"] = capabilities
    if access.user is None:
        return {**context, "runAsNonRoot": True}
    context["runAsUser"] = access.user.uid
    context["runAsNonRoot"] = access.user.uid != 0
    if access.user.gid is not None:
        context["runAsGroup"] = access.user.gid
    return context


def _whose(pod: PodFacts, target: TargetFacts, route: Route) -> list[str]:
    labels = {
        "namespace": pod.namespace,
        "container": target.name,
        "image": target.image_id or target.image,
        "route": str(route),
    }
    found = [f"--label={key}={value}" for key, value in labels.items() if value]
    if target.container_id:
        found.append(f"--container-id={target.container_id}")
    return found


def _from_field(name: str, path: str) -> Json:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def selector_text(labels: Mapping[str, str]) -> str:
    """Labels as a label selector is written in a URL."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
