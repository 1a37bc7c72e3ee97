"""How a pod can be attached to, or why it cannot. Pure.

The rule of ptrace (`__ptrace_may_access` in Linux, kernel/ptrace.c): the same user and group, and
all capabilities that the target has. An application that does not run as root has none, so a
container with its user and no capability at all may look into it, which the Pod Security Standard
`restricted` allows. As root, it is the set that the application's own container has.
"""

from dataclasses import dataclass
from enum import StrEnum

from .facts import PREFIX, PodFacts, TargetFacts, User

SYS_PTRACE = "SYS_PTRACE"
# Ended containers stay in the pod for good; more of them than this is a fault that goes round.
MOST_ENTRIES = 10


class Route(StrEnum):
    """How the sampler comes into the pod."""

    EPHEMERAL = "EphemeralContainer"
    SIDECAR = "Sidecar"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a pod is not profiled, and what to do about it. `passing`: it may be so any moment."""

    reason: str
    message: str
    remedy: str = ""
    passing: bool = False

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy}" if self.remedy else self.message


@dataclass(frozen=True, slots=True)
class Access:
    """As whom the sampler runs, None to find that out first; `drop` and `add` are capabilities."""

    user: User | None
    drop: tuple[str, ...] = ("ALL",)
    add: tuple[str, ...] = ()

    @property
    def is_probe(self) -> bool:
        """Whether it only finds out as whom the application runs."""
        return self.user is None


@dataclass(frozen=True, slots=True)
class Attachment:
    """What may be tried, in this order: the first that admission lets in is taken."""

    target: TargetFacts
    accesses: tuple[Access, ...]


def choose(pod: PodFacts, container: str | None, *, allow_ptrace: bool) -> Attachment | Refusal:
    """How a running pod may be attached to with an ephemeral container."""
    if refusal := _unfit(pod) or _not_now(pod):
        return refusal
    target = pod.container(container)
    if target is None:
        return no_such_container(pod, container)
    if not target.running:
        return Refusal("ContainerNotRunning", f"container {target.name} does not run", passing=True)
    return accesses(target, allow_ptrace=allow_ptrace)


def accesses(target: TargetFacts, *, allow_ptrace: bool) -> Attachment | Refusal:
    """As whom the sampler may look into a container."""
    privileged = Access(User(0, 0), add=(SYS_PTRACE,))
    if target.user is None:
        return Attachment(target, (Access(None),))
    if target.user.uid != 0:
        found = [Access(target.user)]
    elif target.privileged or target.capabilities_added:
        found = []  # the sampler would need as much
    else:
        found = [Access(target.user, drop=target.capabilities_dropped)]
    if allow_ptrace:
        found.append(privileged)
    if found:
        return Attachment(target, tuple(found))
    what = "is privileged" if target.privileged else _added(target)
    return Refusal(
        "MoreCapabilities",
        f"container {target.name} runs as root and {what}: the kernel lets only a process with "
        "the same capabilities look into it",
        "Set capability: SysPtrace in a namespace whose policy allows it, or let the application "
        "run as another user",
    )


def after_failure(pod: PodFacts, attachment: Attachment, failed: tuple[str, ...]) -> Access | None:
    """What to try where a container with these capabilities could not look into the target."""
    places = [place for place, it in enumerate(attachment.accesses) if it.add == failed]
    following = attachment.accesses[places[0] + 1 :] if places else ()
    return following[0] if following and len(pod.ours) < MOST_ENTRIES else None


def fresh_name(pod: PodFacts) -> str:
    """A name for another ephemeral container: the entries of ended ones stay."""
    taken = {it.name for it in pod.ours}
    number = 1
    while f"{PREFIX}-{number}" in taken:
        number += 1
    return f"{PREFIX}-{number}"


def of_new_pod(pod: PodFacts, container: str | None, *, allow_ptrace: bool) -> Attachment | Refusal:
    """How a pod that is about to be created may get a sidecar."""
    if refusal := _unfit(pod):
        return refusal
    target = pod.container(container)
    if target is None:
        return no_such_container(pod, container)
    found = accesses(target, allow_ptrace=allow_ptrace)
    if isinstance(found, Attachment) and found.accesses[0].is_probe:
        return user_unknown(target)
    return found


def user_unknown(target: TargetFacts) -> Refusal:
    """Nobody says as whom a container runs, and it cannot be asked."""
    return Refusal(
        "UserUnknown",
        f"container {target.name} runs as the user of its image, and neither the pod nor its "
        "status says who that is",
        "Set securityContext.runAsUser and runAsGroup, or profile a running pod with mode Once "
        "first: Foretide then knows the image's user",
    )


def no_such_container(pod: PodFacts, container: str | None) -> Refusal:
    """The pod has no container of the name."""
    if container in pod.init_containers:
        return Refusal(
            "InitContainer",
            f"{container} is an init container: it has ended before the application starts",
            "Name one of the containers: " + ", ".join(it.name for it in pod.containers),
        )
    return Refusal(
        "NoSuchContainer",
        f"the pod has no container {container or pod.default_container}",
        "It has " + ", ".join(it.name for it in pod.containers),
    )


def _unfit(pod: PodFacts) -> Refusal | None:
    """What no waiting helps against."""
    if pod.windows:
        return Refusal("WindowsPod", "the pod runs on Windows, where there is no /proc")
    if pod.static:
        return Refusal(
            "StaticPod",
            "it is a static pod: the kubelet owns it, and the API server cannot add a container",
            "Run it as a Deployment or a DaemonSet",
        )
    if pod.host_pid:
        return Refusal(
            "HostPid",
            "the pod sees all processes of its node (hostPID): the sampler would see them as well",
            "Profile it on the node with foretide profile record PID",
        )
    return None


def _not_now(pod: PodFacts) -> Refusal | None:
    if pod.ending:
        return Refusal("PodEnding", "the pod is being deleted", passing=True)
    if pod.phase != "Running":
        ended = pod.phase in ("Succeeded", "Failed")
        return Refusal(
            "PodEnded" if ended else "PodNotRunning",
            f"the pod is {pod.phase}",
            passing=not ended,
        )
    return None


def _added(target: TargetFacts) -> str:
    return f"has the capabilities {', '.join(target.capabilities_added)} added"
