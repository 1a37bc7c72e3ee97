"""A Profiler's conditions and status, from what a tick has found. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..api.profiler import ProfilerMode, ProfilerSpec
from ..api.profiler_status import MOST_PODS, MOST_USERS, ProfiledPodStatus
from ..conditions import READY, Condition, timestamp
from .member import Member
from .plan import PodPlan, State
from .routes import Refusal

Json = dict[str, Any]

ATTACHED = "Attached"
PROFILED = "ProfileAvailable"
COMPARED = "Compared"

_LONGEST = 400
# Figures of a run that goes on are written this often, in seconds; conditions at once.
_FRESH = {ProfilerMode.ONCE: 15.0, ProfilerMode.CONTINUOUS: 120.0}


@dataclass(frozen=True, slots=True)
class Found:
    """What a tick has found. `trouble` is why nothing could be found out, `figures` the parts of
    status that come from windows, `windows` how many there are by the pod's uid.
    """

    matched: int = 0
    plans: Sequence[PodPlan] = ()
    windows: Mapping[str, int] = field(default_factory=dict)
    figures: Json = field(default_factory=dict)
    trouble: Refusal | None = None
    unread: Sequence[str] = ()
    compared: Condition | None = None
    stored: Condition | None = None


def conditions(spec: ProfilerSpec, found: Found, *, finished: bool) -> list[Condition]:
    """All conditions, the most telling first."""
    attached = _attached(spec, found, finished=finished)
    profiled = Condition(
        PROFILED,
        True if found.figures else None,
        "Available" if found.figures else "NoWindows",
        _unranked(found) if found.figures else "no window has come back yet" + _unread(found),
    )
    told = [_ready(spec, found, attached, finished), attached, profiled]
    told += [it for it in (found.compared, found.stored) if it is not None]
    return told


def _ready(spec: ProfilerSpec, found: Found, attached: Condition, finished: bool) -> Condition:
    if spec.suspend:
        return Condition(READY, True, "Suspended", "nothing is profiled, as asked for")
    if finished and found.figures:
        told = "; ".join(filter(None, ("the run is done", _unranked(found))))
        return Condition(READY, True, "Done", told)
    if found.trouble is not None or attached.holds is not True:
        return Condition(READY, attached.holds, attached.reason, attached.message)
    if not found.figures:
        return Condition(READY, None, "Measuring", "the first window is being measured")
    return Condition(READY, True, "Profiling", "")


def _attached(spec: ProfilerSpec, found: Found, *, finished: bool) -> Condition:
    """Whether there is a sampler in a pod; the reason is that of the first pod without."""
    if found.trouble is not None:
        return Condition(ATTACHED, False, found.trouble.reason, str(found.trouble)[:_LONGEST])
    if finished and not any(plan.state is State.DONE for plan in found.plans):
        return Condition(ATTACHED, None, "RunDone", "the run is done, and its pods have gone")
    if not found.matched:
        return Condition(ATTACHED, False, "NoPods", "no pod has these labels, or is of the target")
    states = [plan.state for plan in found.plans]
    held = [it for it in states if it in (State.PROFILING, State.DONE, State.IDLE)]
    told = [it for it in found.plans if it.state in (State.REFUSED, State.FAILED)]
    waiting = [it for it in found.plans if it.state in (State.WAITING, State.STARTING)]
    if held:
        wrong = f"; {_of_pods(told)}" if told else ""
        return Condition(ATTACHED, True, "Attached", f"{len(held)} of {found.matched} pods{wrong}")
    if told:
        return Condition(ATTACHED, False, told[0].reason or "Failed", _of_pods(told))
    if spec.suspend:
        return Condition(ATTACHED, None, "Suspended", "nothing is profiled, as asked for")
    if waiting:
        return Condition(ATTACHED, None, waiting[0].reason or "Starting", _of_pods(waiting))
    return Condition(ATTACHED, None, "Starting", "")


def _unranked(found: Found) -> str:
    """Why there are windows and no hotspots, and what would help."""
    return "" if found.figures.get("hotspots") else str(found.figures.get("pareto") or "")


def _of_pods(plans: Sequence[PodPlan]) -> str:
    first = plans[0]
    others = f" (and {len(plans) - 1} pods more)" if len(plans) > 1 else ""
    return f"{first.pod.name}{others}: {first.message or first.reason}"[:_LONGEST]


def _unread(found: Found) -> str:
    return f": {found.unread[0]}" if found.unread else ""


def status(member: Member, found: Found) -> Json:
    """All of a status but `observedGeneration` and the conditions; what is not known is None."""
    profiled = [it for it in found.plans if it.state in (State.PROFILING, State.DONE)]
    kept = {"profile", "bound", "hotspots", "topHotspot", "pareto", "overhead", "verdict"}
    return {
        **dict.fromkeys(kept),
        "podsMatched": found.matched,
        "podsProfiled": len(profiled),
        "podsSummary": f"{len(profiled)}/{found.matched}",
        "runKey": member.run,
        "startedAt": None if member.started_at is None else timestamp(member.started_at),
        "finishedAt": None if member.finished_at is None else timestamp(member.finished_at),
        "pods": [_pod(plan, found) for plan in found.plans[:MOST_PODS]] or None,
        "users": _users(member, found) or None,
        **found.figures,
    }


def _users(member: Member, found: Found) -> dict[str, str | None]:
    """As whom the images of these pods were seen to run; other Profilers' images are not told."""
    images = {container.image for plan in found.plans for container in plan.pod.containers}
    known = {it: user for it, user in (member.status.get("users") or {}).items() if user}
    seen = {it: member.users[it] for it in sorted(images) if it in member.users}
    older = [it for it in known if it not in seen]
    # None takes an image out of a status that is patched; each release has another image.
    gone = dict.fromkeys(older[: max(0, len(known | seen) - MOST_USERS)])
    return {**known, **seen, **gone}


def _pod(plan: PodPlan, found: Found) -> Json:
    model = ProfiledPodStatus(
        name=plan.pod.name,
        container=plan.container or None,
        route=None if plan.route is None else str(plan.route),
        state=str(plan.state),
        reason=plan.reason or None,
        message=plan.message[:_LONGEST] or None,
        windows=found.windows.get(plan.pod.uid, 0),
    )
    return model.model_dump(by_alias=True, mode="json", exclude_none=True)


def noticeable(status: Mapping[str, Any]) -> Any:
    """What a person would notice of a status, to compare with that of the last one written."""
    pods = status.get("pods") or ()
    return (
        status.get("observedGeneration"),
        status.get("podsSummary"),
        status.get("finishedAt"),
        status.get("profile") is None,
        (status.get("verdict") or {}).get("verdict"),
        (status.get("bound") or {}).get("kind"),
        [(it["name"], it["state"], it.get("reason")) for it in pods],
        [(it["type"], it["status"], it["reason"]) for it in status.get("conditions") or ()],
        status.get("users"),
    )


def is_stale(spec: ProfilerSpec | None, age: float) -> bool:
    """Whether figures that moved on are worth a write, so many seconds after the last one."""
    return age >= _FRESH[spec.mode if spec else ProfilerMode.CONTINUOUS]
