"""What attaching depends on, read from a pod as the API server gives it. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..conditions import parse_timestamp

# Our containers are recognised by their name: an ephemeral one can never be taken away again.
PREFIX = "foretide-profiler"
SIDECAR = "foretide-profiler-sidecar"

_MIRROR = "kubernetes.io/config.mirror"
_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
_OS_LABEL = "kubernetes.io/os"


@dataclass(frozen=True, slots=True)
class User:
    """A Linux user with its group; `gid` None where only the user is known."""

    uid: int
    gid: int | None = None

    def __str__(self) -> str:
        return str(self.uid) if self.gid is None else f"{self.uid}:{self.gid}"

    @classmethod
    def parse(cls, text: str) -> "User":
        """The user of `1000` or `1000:1000`.

        Raises:
            ValueError: it is neither.
        """
        uid, _, gid = text.partition(":")
        return cls(int(uid), int(gid) if gid else None)


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """A container of the application. `user` None: its image says, and the cluster does not."""

    name: str
    image: str
    image_id: str
    container_id: str
    running: bool
    user: User | None
    privileged: bool = False
    capabilities_added: tuple[str, ...] = ()
    capabilities_dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OursFacts:
    """A container of Foretide's in the pod. `ended` says how it ended, empty while it has not.

    `run` is what it was started for; `probe` where it only finds out as whom the target runs.
    """

    name: str
    target: str
    sidecar: bool
    image: str
    user: User | None
    capabilities: tuple[str, ...]
    running: bool
    waiting: str = ""
    ended: str = ""
    run: str = ""
    probe: bool = False


@dataclass(frozen=True, slots=True)
class PodFacts:
    """A pod. `created_at` in Unix seconds."""

    namespace: str
    name: str
    uid: str
    created_at: float
    phase: str
    ending: bool
    ready: bool
    static: bool
    windows: bool
    host_pid: bool
    shared_processes: bool
    guaranteed: bool
    default_container: str
    containers: tuple[TargetFacts, ...]
    init_containers: tuple[str, ...]
    ours: tuple[OursFacts, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""
    node: str = ""

    def container(self, name: str | None) -> TargetFacts | None:
        """The container to profile; None where the pod has none of that name."""
        wanted = name or self.default_container
        return next((it for it in self.containers if it.name == wanted), None)

    @property
    def sidecar(self) -> OursFacts | None:
        """Our sidecar, if it was created with one."""
        return next((it for it in self.ours if it.sidecar), None)

    def reusable(self, target: str, capabilities: tuple[str, ...] = ()) -> OursFacts | None:
        """Our ephemeral container beside that one, if it has not ended."""
        return next(
            (
                it
                for it in self.ours
                if not (it.sidecar or it.ended or it.probe)
                and it.target == target
                and it.capabilities == capabilities
            ),
            None,
        )


def read_pod(pod: Mapping[str, Any], users: Mapping[str, str] | None = None) -> PodFacts:
    """The facts of a pod. `users` are those that images were seen to run as, by image."""
    meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    states = _statuses(status.get("containerStatuses"))
    containers = tuple(
        _target(container, spec, states.get(container["name"], {}), users or {})
        for container in spec.get("containers") or ()
        if not container["name"].startswith(PREFIX)
    )
    annotations = meta.get("annotations") or {}
    first = containers[0].name if containers else ""
    return PodFacts(
        namespace=meta.get("namespace") or "",
        name=meta.get("name") or meta.get("generateName") or "",
        uid=meta.get("uid") or "",
        created_at=parse_timestamp(meta["creationTimestamp"])
        if meta.get("creationTimestamp")
        else 0.0,
        phase=status.get("phase") or "Pending",
        ending="deletionTimestamp" in meta,
        ready=any(
            it.get("type") == "Ready" and it.get("status") == "True"
            for it in status.get("conditions") or ()
        ),
        static=_MIRROR in annotations,
        windows=_is_windows(spec),
        host_pid=bool(spec.get("hostPID")),
        shared_processes=bool(spec.get("shareProcessNamespace")),
        guaranteed=_is_guaranteed(spec),
        default_container=annotations.get(_DEFAULT_CONTAINER) or first,
        containers=containers,
        init_containers=tuple(it["name"] for it in spec.get("initContainers") or ()),
        ours=tuple(_ours(spec, status)),
        labels=meta.get("labels") or {},
        annotations=annotations,
        owner=next((it["name"] for it in meta.get("ownerReferences") or ()), ""),
        node=spec.get("nodeName") or "",
    )


def _target(
    container: Mapping[str, Any],
    spec: Mapping[str, Any],
    status: Mapping[str, Any],
    users: Mapping[str, str],
) -> TargetFacts:
    security = container.get("securityContext") or {}
    capabilities = security.get("capabilities") or {}
    image = container.get("image") or ""
    return TargetFacts(
        name=container["name"],
        image=image,
        image_id=status.get("imageID") or "",
        container_id=(status.get("containerID") or "").rpartition("//")[2],
        running="running" in (status.get("state") or {}),
        user=_declared_user(container, spec) or _seen_user(status) or _learned_user(image, users),
        privileged=bool(security.get("privileged")),
        capabilities_added=tuple(capabilities.get("add") or ()),
        capabilities_dropped=tuple(capabilities.get("drop") or ()),
    )


def _declared_user(container: Mapping[str, Any], spec: Mapping[str, Any]) -> User | None:
    pod, own = spec.get("securityContext") or {}, container.get("securityContext") or {}
    uid = own.get("runAsUser", pod.get("runAsUser"))
    gid = own.get("runAsGroup", pod.get("runAsGroup"))
    return None if uid is None else User(int(uid), None if gid is None else int(gid))


def _seen_user(status: Mapping[str, Any]) -> User | None:
    """The user that the runtime reports, with Kubernetes 1.31 or newer and containerd 2."""
    linux = (status.get("user") or {}).get("linux")
    return None if not linux else User(int(linux["uid"]), int(linux["gid"]))


def _learned_user(image: str, users: Mapping[str, str]) -> User | None:
    return User.parse(users[image]) if image in users else None


def _ours(spec: Mapping[str, Any], status: Mapping[str, Any]) -> Iterable[OursFacts]:
    groups = (
        ("ephemeralContainers", "ephemeralContainerStatuses", False),
        ("initContainers", "initContainerStatuses", True),
    )
    for group, reported, sidecar in groups:
        states = _statuses(status.get(reported))
        for container in spec.get(group) or ():
            if not container["name"].startswith(PREFIX):
                continue
            state = (states.get(container["name"]) or {}).get("state") or {}
            security = container.get("securityContext") or {}
            yield OursFacts(
                name=container["name"],
                target=container.get("targetContainerName") or "",
                sidecar=sidecar,
                image=container.get("image") or "",
                user=_declared_user(container, {}),
                capabilities=tuple((security.get("capabilities") or {}).get("add") or ()),
                running="running" in state,
                waiting=_told(state.get("waiting")),
                ended=_told(state.get("terminated"), "Ended"),
                run=_argument(container, "--run="),
                probe="--probe" in (container.get("args") or ()),
            )


def _argument(container: Mapping[str, Any], name: str) -> str:
    given = [it for it in container.get("args") or () if it.startswith(name)]
    return given[0].removeprefix(name) if given else ""


def _told(state: Mapping[str, Any] | None, default: str = "") -> str:
    if state is None:
        return ""
    reason, message = state.get("reason") or default, state.get("message") or ""
    return f"{reason}: {message}" if message else reason


def _statuses(items: Iterable[Mapping[str, Any]] | None) -> dict[str, Mapping[str, Any]]:
    return {item["name"]: item for item in items or ()}


def _is_windows(spec: Mapping[str, Any]) -> bool:
    named = (spec.get("os") or {}).get("name") or (spec.get("nodeSelector") or {}).get(_OS_LABEL)
    return named == "windows"


def _is_guaranteed(spec: Mapping[str, Any]) -> bool:
    """Whether the pod, as it is written, has the QoS class Guaranteed.

    https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/
    """
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        resources = container.get("resources") or {}
        limits = resources.get("limits") or {}
        requests = {**limits, **(resources.get("requests") or {})}
        if any(not limits.get(it) or limits[it] != requests[it] for it in ("cpu", "memory")):
            return False
    return bool(spec.get("containers"))
