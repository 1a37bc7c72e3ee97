"""Start-up times, read from pods as the API server lists them. Pure.

Kubernetes keeps no record of when a pod was first ready: `Ready` says only when it last changed.
So a pod's start-up counts once, and only where that time is its first:

- it was seen before, not ready and never ready yet: then it is ready for the first time now;
- or it is ready when first seen, but was created after the pods were last listed (a quick start);
- or it is ready when first seen, nothing was listed before (a restart of the operator, a new
  resource), and it took no longer than `_PLAUSIBLE`: a readiness probe that failed after days
  would look like a start of days.

A container that restarted on the way is a fault, not a slow start, and a pod that was ready before
never counts again. `never ready yet` is HPA's test (replica_calculator.go, groupPods): not ready
since it was started, give or take 30 s.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from foretide.forecasting.lead_time import StartUp

_PLAUSIBLE = 600.0
_READINESS_DELAY = 30.0
# The scheduler takes less than a second for a pod that has a place; a busy one a few.
_SCHEDULING = 15.0
# Creation is told in whole seconds, by another clock than that of the listing.
_CLOCKS = 5.0


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What matters of a pod for its readiness; times are Unix seconds, None when not there yet.

    `ready_changed` is when `Ready` last changed to what it is, `restarts` the sum over containers.
    """

    uid: str
    created: float
    started: float | None = None
    scheduled: float | None = None
    unschedulable: bool = False
    ready: bool = False
    ready_changed: float | None = None
    restarts: int = 0
    ending: bool = False

    @property
    def never_ready(self) -> bool:
        """Whether it has not been ready once since it was started."""
        if self.ready:
            return False
        if self.started is None or self.ready_changed is None:
            return True
        return self.ready_changed <= self.started + _READINESS_DELAY

    @property
    def waited_for_node(self) -> bool:
        """Whether it waits, or waited, longer than scheduling takes where there is room."""
        late = self.scheduled is not None and self.scheduled - self.created > _SCHEDULING
        return self.unschedulable or late


@dataclass(frozen=True, slots=True)
class PodWatch:
    """What earlier listings of one target's pods left behind. Bounded by the pods there are.

    `starting` pods were seen before they were first ready, with whether they waited for a node;
    `done` ones are not looked at again. `counted_until` (Unix seconds) comes from the history of
    start-ups after a restart: what became ready before then has been counted.
    """

    starting: Mapping[str, bool] = field(default_factory=dict)
    done: frozenset[str] = frozenset()
    listed_at: float | None = None
    counted_until: float = -math.inf


def observe(
    pods: Iterable[PodFacts], watch: PodWatch, now: float
) -> tuple[tuple[StartUp, ...], PodWatch]:
    """The start-ups that have come to their end since the last listing, and the new watch."""
    starts: list[StartUp] = []
    starting: dict[str, bool] = {}
    done: set[str] = set()
    for pod in pods:
        waited = watch.starting.get(pod.uid, False) or pod.waited_for_node
        if pod.uid in watch.done or pod.ending:
            done.add(pod.uid)
        elif pod.ready:
            done.add(pod.uid)
            if _is_first(pod, watch):
                starts.append(_start(pod, waited))
        elif pod.never_ready and pod.restarts == 0:
            starting[pod.uid] = waited
        else:
            done.add(pod.uid)
    return tuple(starts), PodWatch(starting, frozenset(done), now, watch.counted_until)


def read_pod(pod: Mapping[str, Any]) -> PodFacts | None:
    """The facts of a pod as the API serves it; None for one that has ended or cannot be read."""
    try:
        meta, status = pod["metadata"], pod.get("status") or {}
        if status.get("phase") in ("Succeeded", "Failed"):
            return None
        conditions = {one["type"]: one for one in status.get("conditions") or ()}
        scheduled, ready = conditions.get("PodScheduled", {}), conditions.get("Ready", {})
        containers = [
            *(status.get("initContainerStatuses") or ()),
            *(status.get("containerStatuses") or ()),
        ]
        return PodFacts(
            uid=str(meta["uid"]),
            created=_time(meta["creationTimestamp"]),
            started=_maybe_time(status.get("startTime")),
            scheduled=_maybe_time(scheduled.get("lastTransitionTime"))
            if scheduled.get("status") == "True"
            else None,
            unschedulable=scheduled.get("status") == "False"
            and scheduled.get("reason") == "Unschedulable",
            ready=ready.get("status") == "True",
            ready_changed=_maybe_time(ready.get("lastTransitionTime")),
            restarts=sum(int(one.get("restartCount") or 0) for one in containers),
            ending=meta.get("deletionTimestamp") is not None,
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _is_first(pod: PodFacts, watch: PodWatch) -> bool:
    if pod.restarts > 0 or pod.ready_changed is None:
        return False
    if pod.uid in watch.starting:
        return True
    if watch.listed_at is not None:
        return pod.created > watch.listed_at - _CLOCKS
    plausible = pod.ready_changed - pod.created <= _PLAUSIBLE
    return plausible and pod.ready_changed > watch.counted_until


def _start(pod: PodFacts, waited: bool) -> StartUp:
    assert pod.ready_changed is not None
    return StartUp(pod.created, pod.ready_changed, pod.scheduled, waited)


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _maybe_time(text: str | None) -> float | None:
    return None if text is None else _time(text)
