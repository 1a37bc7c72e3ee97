"""What the operator keeps in memory about one Profiler. A restart finds it again in the pods' logs
and in status."""

import hashlib
import json
import math
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from foretide.profiling.events import Event, Kind
from foretide.profiling.window import Window
from foretide.store.profiles import Target

from ..api.profiler import ProfilerMode, ProfilerSpec
from ..conditions import parse_timestamp
from ..kept import Json, Kept, named
from .log_lines import Place
from .plan import Returned
from .routes import Refusal

# Of one pod, what status and comparisons are made from: 20 minutes of one process in windows of
# 10 s. A window may take 100 kB; the store keeps all of them.
MOST_WINDOWS = 120
_MOST_EVENTS = 100
# What admission has refused is asked again after so many seconds: policies change.
ASK_AGAIN = 300.0


@dataclass(slots=True)
class FromPod:
    """What has come back from one pod. `read_to` is how far each container's log was read, and
    `read_to_end` has those of which nothing comes any more. `put_away` counts windows.
    """

    name: str
    windows: deque[Window] = field(default_factory=lambda: deque(maxlen=MOST_WINDOWS))
    events: dict[str, deque[Event]] = field(default_factory=dict)
    read_to: dict[str, Place] = field(default_factory=dict)
    read_to_end: set[str] = field(default_factory=set)
    put_away: int = 0
    ordered: str = ""
    deaf: set[str] = field(default_factory=set)
    refusal: Refusal | None = None
    refused_at: float = 0.0

    def returned(self, now: float) -> Returned:
        """The same for planning."""
        fresh = self.refusal if now < self.refused_at + ASK_AGAIN else None
        events = {name: tuple(events) for name, events in self.events.items()}
        deaf = frozenset(self.deaf)
        measured = bool(self.windows or self.put_away)
        return Returned(events, self.ordered, fresh, deaf, measured)

    def take(
        self, container: str, windows: Iterable[Window], events: Iterable[Event]
    ) -> list[Window]:
        """Take in what a log has; the windows that are new."""
        known = {(window.started_at, window.pid) for window in self.windows}
        fresh = [it for it in windows if (it.started_at, it.pid) not in known]
        self.windows.extend(fresh)
        kept = self.events.setdefault(container, deque(maxlen=_MOST_EVENTS))
        kept.extend(event for event in events if event not in kept)
        return fresh

    def refuse(self, refusal: Refusal, now: float) -> None:
        """Admission did not let the sampler in."""
        self.refusal, self.refused_at = refusal, now


@dataclass(slots=True)
class PutAway:
    """Windows of a run that is over: how many, when the newest began, and all of them packed; none
    where there was no room for them.
    """

    count: int
    newest: float
    packed: bytes


@dataclass(slots=True)
class Member(Kept[ProfilerSpec]):
    """One Profiler.

    `match_labels` are those by which a new pod is known, empty where labels alone do not say it.
    `users` are those that images were seen to run as; the fleet's Profilers share them. `pods` is
    what came back by the pod's uid, `targets` where a sampler may be that has to end with the
    Profiler: pod and container by the pod's uid. `turns` are pods whose sidecar may have its turn,
    `runs` those that there have been.
    `kept_as` is whose windows the store is told they are, by workload and container.
    """

    run: str = ""
    runs: set[str] = field(default_factory=set)
    kept_as: dict[tuple[str, str], Target] = field(default_factory=dict)
    started_at: float | None = None
    finished_at: float | None = None
    users: dict[str, str] = field(default_factory=dict)
    pods: dict[str, FromPod] = field(default_factory=dict)
    put_away: PutAway | None = None
    targets: dict[str, tuple[str, str]] = field(default_factory=dict)
    turns: dict[str, str] = field(default_factory=dict)
    injection_refusal: Refusal | None = None
    match_labels: dict[str, str] = field(default_factory=dict)
    judged: tuple[Any, float, Json] | None = None
    compared: tuple[Any, float, Any] | None = None
    rolled_out: str = ""

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> "Member":
        """Read a resource, its status included."""
        uid, namespace, name, body, status = named(body)
        member = cls(uid, namespace, name, body, status=status)
        member.users = dict(member.status.get("users") or {})
        member.update(body)
        return member

    def update(self, body: Mapping[str, Any]) -> None:
        """Take over a new version; another run forgets what the last one has brought."""
        self.compared = None  # with another baseline, say
        self.injection_refusal = None  # of what was asked for before
        if (spec := self.take_over(body, ProfilerSpec)) is None:
            return
        run = run_key(self, spec)
        if run != self.run:
            self.run = run
            self.runs.add(run)
            self.pods.clear()
            self.put_away = None
            self.kept_as.clear()
            self.judged = None
            self.started_at, self.finished_at = None, None
            if self.status.get("runKey") == run:
                self.started_at = _time(self.status.get("startedAt"))
                self.finished_at = _time(self.status.get("finishedAt"))

    def from_pod(self, uid: str, name: str) -> FromPod:
        """What has come back from a pod so far."""
        return self.pods.setdefault(uid, FromPod(name))

    def forget(self, there: Collection[str], *, most: int, before: float) -> None:
        """Let go what a Profiler that goes on for ever does not need any more.

        That are pods that are not `there` (uids) and have brought nothing since `before`, and of
        all windows those beyond the newest `most`.
        """
        for uid in [uid for uid in self.pods if uid not in there]:
            windows = self.pods[uid].windows
            if not windows or windows[-1].started_at < before:
                del self.pods[uid]
        for uid in [uid for uid in self.turns if uid not in there]:
            del self.turns[uid]
        begins = sorted(it.started_at for pod in self.pods.values() for it in pod.windows)
        if len(begins) > most:
            first = begins[-most]
            for pod in self.pods.values():
                while pod.windows and pod.windows[0].started_at < first:
                    pod.windows.popleft()

    def extent(self, since: float = -math.inf) -> tuple[int, float]:
        """How many windows of this run there are that began after `since`, and when the newest did.
        What was put away counts.
        """
        windows = [window for window in self.windows() if window.started_at > since]
        count, newest = len(windows), windows[-1].started_at if windows else 0.0
        if self.put_away is not None:
            return count + self.put_away.count, max(newest, self.put_away.newest)
        return count, newest

    def windows(self) -> list[Window]:
        """The windows of this run, of all pods, by their start, but for those put away."""
        mine = [
            window
            for pod in self.pods.values()
            for window in pod.windows
            if window.labels.get("run") == self.run
        ]
        return sorted(mine, key=lambda window: window.started_at)

    def learn_users(self, image: str, events: Iterable[Event]) -> None:
        """Remember as whom an image was seen to run."""
        for event in events:
            if event.kind is Kind.USER and event.uid is not None:
                self.users[image] = (
                    f"{event.uid}:{event.gid if event.gid is not None else event.uid}"
                )


def run_key(member: Member, spec: ProfilerSpec) -> str:
    """What tells one run from the next: all of the spec that decides what is measured."""
    said = spec.model_dump(mode="json", by_alias=True, exclude=_NOT_MEASURED)
    whose = member.uid
    if spec.mode is ProfilerMode.CONTINUOUS:
        # The sidecar of a pod keeps its run as long as the pod lives, also when its Profiler is
        # deleted and created anew: it knows it by its name.
        whose = f"{member.namespace}/{member.name}"
        said = {"mode": str(spec.mode)}
    text = json.dumps([whose, said], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


_NOT_MEASURED = {"baseline", "hotspots", "suspend", "traffic"}


def _time(text: Any) -> float | None:
    return None if not text else parse_timestamp(str(text))
