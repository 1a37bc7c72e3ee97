"""What to do about each pod of a Profiler now. Pure: facts and what came back in, actions out.

Nothing is remembered of a run that could not be read again: which container is whose stands in the
pod, and what became of it in that container's log.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from foretide.profiling.events import Event, Kind

from ..api.profiler import Capability, ProfilerMode, ProfilerSpec
from . import containers, rotation, routes
from .facts import OursFacts, PodFacts, TargetFacts
from .routes import Access, Attachment, Refusal, Route

# So many pods are refused before no more are tried: those of one workload are alike.
MOST_REFUSED = 5


class State(StrEnum):
    """How it stands with a pod."""

    STARTING = "Starting"
    PROFILING = "Profiling"
    IDLE = "Idle"
    DONE = "Done"
    REFUSED = "Refused"
    FAILED = "Failed"
    WAITING = "Waiting"

    @property
    def is_under_way(self) -> bool:
        """Whether more will come of it."""
        return self in (State.STARTING, State.PROFILING)


@dataclass(frozen=True, slots=True)
class Attach:
    """Add an ephemeral container, as the first of these that admission lets in."""

    target: TargetFacts
    accesses: tuple[Access, ...]


@dataclass(frozen=True, slots=True)
class Reuse:
    """Send an order to the container that is there."""

    container: str


@dataclass(frozen=True, slots=True)
class Turn:
    """Set the annotation that gives the pod's sidecar its turn, or ends it."""

    text: str


Action = Attach | Reuse | Turn


@dataclass(frozen=True, slots=True)
class PodPlan:
    """How it stands with one pod, and what to do."""

    pod: PodFacts
    state: State
    container: str = ""
    route: Route | None = None
    reason: str = ""
    message: str = ""
    action: Action | None = None


_ABOUT_RUNS = (Kind.BEGAN, Kind.DONE, Kind.REFUSED)


@dataclass(frozen=True, slots=True)
class Returned:
    """What has come back from a pod in this run.

    `events` by our container's name; `ordered` the container that a running order went to;
    `refusal` what admission said the last time; `deaf` are containers that took no order;
    `measured` says whether any window has come.
    """

    events: Mapping[str, tuple[Event, ...]] = field(default_factory=dict)
    ordered: str = ""
    refusal: Refusal | None = None
    deaf: frozenset[str] = frozenset()
    measured: bool = False

    def busy_with(self, container: str) -> str | None:
        """The run that a container is at work for; None where it waits for orders."""
        said = [it for it in self.events.get(container, ()) if it.kind in _ABOUT_RUNS]
        if not said:
            return ""  # it has only just begun
        return said[-1].run if said[-1].kind is Kind.BEGAN else None


def plan(
    pods: Iterable[PodFacts],
    returned: Mapping[str, Returned],
    spec: ProfilerSpec,
    *,
    run: str,
    now: float,
) -> tuple[PodPlan, ...]:
    """What to do about all pods; `returned` by their uid."""
    alive = [pod for pod in pods if not pod.ending]
    if spec.mode is ProfilerMode.CONTINUOUS:
        return _continuous(alive, returned, spec, now)
    return _once(alive, returned, spec, run)


def _once(
    pods: list[PodFacts], returned: Mapping[str, Returned], spec: ProfilerSpec, run: str
) -> tuple[PodPlan, ...]:
    known = {pod.uid: _under_way(pod, returned.get(pod.uid, Returned()), spec, run) for pod in pods}
    found = [it for it in known.values() if it is not None]
    refused = sum(it.state in (State.REFUSED, State.FAILED) for it in found)
    # A pod that has gone was measured all the same: its successor may be of another version.
    gone = sum(it.measured for uid, it in returned.items() if uid not in known)
    begun = sum(it.state.is_under_way or it.state is State.DONE for it in found)
    room = spec.pods - begun - gone
    fresh = [pod for pod in pods if known[pod.uid] is None]
    for pod in rotation.pick(fresh, len(fresh), turn=run, keep=_ready(fresh)):
        if room <= 0 or refused >= MOST_REFUSED:
            break
        started = _start(pod, spec, returned.get(pod.uid, Returned()))
        found.append(started)
        refused += started.state is State.REFUSED
        room -= started.state.is_under_way
    return tuple(found)


def _ready(pods: Iterable[PodFacts]) -> frozenset[str]:
    """Those that serve are the ones that people wonder about."""
    return frozenset(pod.uid for pod in pods if pod.ready)


def _under_way(pod: PodFacts, returned: Returned, spec: ProfilerSpec, run: str) -> PodPlan | None:
    """How it stands with a pod that this run has begun with; None where it has not."""
    ours = next((it for it in reversed(pod.ours) if it.run == run), None) or next(
        (it for it in pod.ours if it.name == returned.ordered and not it.ended), None
    )
    if ours is None or ours.sidecar:
        # A reused container's events tell of the run, also after a restart of the operator.
        told = (it for it in pod.ours if not it.probe and _said(returned, it.name, run))
        ours = next(told, None)
    if ours is None:
        if returned.refusal is not None and not returned.refusal.passing:
            return _refused(pod, returned.refusal)
        return _probing(pod, spec, returned)
    said = _said(returned, ours.name, run)
    if Kind.DONE in said:
        return _on(pod, ours, State.DONE)
    if Kind.REFUSED in said:
        return _failed(pod, ours, spec, said[Kind.REFUSED])
    if ours.ended:
        return _on(pod, ours, State.FAILED, "SamplerEnded", _ended(ours))
    if Kind.BEGAN in said and returned.busy_with(ours.name) != run:
        return _on(pod, ours, State.FAILED, "Interrupted", "another run has taken its place")
    if not ours.running:
        return _on(pod, ours, State.STARTING, "ContainerStarting", ours.waiting)
    return _on(pod, ours, State.PROFILING)


def _probing(pod: PodFacts, spec: ProfilerSpec, returned: Returned) -> PodPlan | None:
    """How it stands with finding out as whom the target runs; None where nothing is to be."""
    target = pod.container(spec.container)
    probe = next((it for it in pod.ours if it.probe and target and it.target == target.name), None)
    if target is None or target.user is not None or probe is None:
        return None
    if not probe.ended:
        return _on(pod, probe, State.STARTING, "FindingUser", probe.waiting)
    if any(it.kind is Kind.USER for it in returned.events.get(probe.name, ())):
        return None  # it will be known when the pod is read next
    refusal = routes.user_unknown(target)
    message = f"{refusal}. The container that was to find out: {_ended(probe)}"
    return _on(pod, probe, State.FAILED, refusal.reason, message)


def _start(pod: PodFacts, spec: ProfilerSpec, returned: Returned) -> PodPlan:
    found = routes.choose(
        pod, spec.container, allow_ptrace=spec.capability is Capability.SYS_PTRACE
    )
    if isinstance(found, Refusal):
        return _refused(pod, found)
    target = found.target
    for access in found.accesses:
        ours = None if access.is_probe else pod.reusable(target.name, access.add)
        if ours is None or ours.name in returned.deaf:
            continue
        if ours.running and ours.user == access.user:
            if returned.busy_with(ours.name) is not None:
                return _refused(pod, _busy(ours))
            return PodPlan(
                pod,
                State.STARTING,
                target.name,
                Route.EPHEMERAL,
                "Ordered",
                action=Reuse(ours.name),
            )
    if len(pod.ours) >= routes.MOST_ENTRIES:
        return _refused(
            pod,
            Refusal(
                "TooManyContainers",
                f"the pod has {len(pod.ours)} containers of Foretide's, which cannot be taken away",
                "They go when the pod is replaced",
            ),
        )
    return PodPlan(
        pod,
        State.STARTING,
        target.name,
        Route.EPHEMERAL,
        "FindingUser" if found.accesses[0].is_probe else "Attaching",
        action=Attach(target, found.accesses),
    )


def _failed(pod: PodFacts, ours: OursFacts, spec: ProfilerSpec, event: Event) -> PodPlan:
    """The sampler could not look into the target: with a capability, if that is allowed."""
    found = routes.choose(
        pod, spec.container, allow_ptrace=spec.capability is Capability.SYS_PTRACE
    )
    following = (
        routes.after_failure(pod, found, ours.capabilities)
        if isinstance(found, Attachment)
        else None
    )
    if following is None or not isinstance(found, Attachment):
        return _on(pod, ours, State.REFUSED, event.reason, event.message)
    return PodPlan(
        pod,
        State.STARTING,
        ours.target,
        Route.EPHEMERAL,
        "AttachingWithCapability",
        event.message,
        Attach(found.target, (following,)),
    )


def _continuous(
    pods: list[PodFacts], returned: Mapping[str, Returned], spec: ProfilerSpec, now: float
) -> tuple[PodPlan, ...]:
    carrying = [pod for pod in pods if pod.sidecar is not None]
    turn = rotation.turn_of(now, spec.rotate_every)
    ends = rotation.turn_ends(now, spec.rotate_every)
    running = [pod for pod in carrying if pod.sidecar is not None and pod.sidecar.running]
    chosen = {pod.uid for pod in rotation.pick(running, spec.pods, turn=turn)}
    plans = []
    for pod in pods:
        target = pod.container(spec.container)
        if pod.sidecar is None:
            refusal = returned.get(pod.uid, Returned()).refusal or without_sidecar(pod, spec)
            plans.append(_refused(pod, refusal))
        elif target is None:
            plans.append(_refused(pod, routes.no_such_container(pod, spec.container)))
        else:
            until = ends if pod.uid in chosen and not spec.suspend else 0.0
            plans.append(_turn(pod, pod.sidecar, target, returned.get(pod.uid, Returned()), until))
    return tuple(plans)


def _turn(
    pod: PodFacts, ours: OursFacts, target: TargetFacts, returned: Returned, until: float
) -> PodPlan:
    text = f"{until:.0f} {target.container_id}" if until else ""
    action = Turn(text) if pod.annotations.get(containers.TURN, "") != text else None
    refused = [it for it in returned.events.get(ours.name, ()) if it.kind is Kind.REFUSED]
    if refused and until:
        state, reason, message = State.REFUSED, refused[-1].reason, refused[-1].message
    elif not ours.running:
        state, reason, message = State.STARTING, "ContainerStarting", ours.waiting or ours.ended
    else:
        state, reason, message = (State.PROFILING if until else State.IDLE), "", ""
    return PodPlan(pod, state, target.name, Route.SIDECAR, reason, message, action)


def without_sidecar(pod: PodFacts, spec: ProfilerSpec) -> Refusal:
    """Why a running pod has no sidecar."""
    found = routes.of_new_pod(
        pod, spec.container, allow_ptrace=spec.capability is Capability.SYS_PTRACE
    )
    if isinstance(found, Refusal):
        return found
    return Refusal(
        "CreatedBefore",
        "the pod was created without a sidecar, and Foretide restarts nothing unasked",
        "It gets one when it is created anew; allowRollout: true lets Foretide have that done",
        passing=True,
    )


def _said(returned: Returned, container: str, run: str) -> dict[Kind, Event]:
    """The last event of each kind that a container told of this run."""
    return {it.kind: it for it in returned.events.get(container, ()) if it.run == run}


def _busy(ours: OursFacts) -> Refusal:
    return Refusal(
        "SamplerBusy",
        f"{ours.name} is at work for another Profiler, or another run",
        "This one follows when that is done",
        passing=True,
    )


def _ended(ours: OursFacts) -> str:
    return f"{ours.name} has ended ({ours.ended})"


def _refused(pod: PodFacts, refusal: Refusal) -> PodPlan:
    state = State.WAITING if refusal.passing else State.REFUSED
    return PodPlan(pod, state, reason=refusal.reason, message=str(refusal))


def _on(
    pod: PodFacts, ours: OursFacts, state: State, reason: str = "", message: str = ""
) -> PodPlan:
    return PodPlan(pod, state, ours.target, Route.EPHEMERAL, reason, message)
