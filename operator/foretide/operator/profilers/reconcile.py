"""One tick of one Profiler: observe, decide, act, tell."""

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from foretide.profiling.window import Window

from ..api.crds import PROFILERS
from ..api.predictivescaler import ScaleTargetRef
from ..api.profiler import ProfilerMode, ProfilerSpec
from ..cluster import Cluster, ClusterError
from ..conditions import READY, Condition
from ..publishing import publish
from ..telemetry import Telemetry
from ..thinking import Think, ThinkingFailed, in_thread
from ..ticking import Announce
from . import containers, plan, rollouts, telling
from .acting import Actor, order_of
from .archive import WindowsGone, windows_of
from .collecting import Collector
from .comparing import Comparer
from .door import Pods
from .facts import PodFacts, read_pod
from .judging import judge
from .member import MOST_WINDOWS, Member
from .plan import PodPlan, Returned, State
from .routes import Refusal
from .telling import Found

logger = logging.getLogger(__name__)

# Seconds to the next tick: while something is awaited, while sidecars are at work, and otherwise.
BUSY, STEADY, QUIET = 1.0, 5.0, 15.0
# Figures are made anew this often at the most, in seconds: it takes CPU.
_JUDGE_EVERY = 10.0


@dataclass(frozen=True, slots=True)
class ProfilerReconciler:
    """Everything a tick needs. `stored` says how it stands with the store, `kept` where windows are
    kept there; both None without one.
    """

    cluster: Cluster
    pods: Pods
    actor: Actor
    collector: Collector
    comparer: Comparer
    telemetry: Telemetry
    announce: Announce
    may_write: Callable[[], bool]
    stored: Callable[[], Condition | None] = lambda: None
    kept: Callable[[Member, Sequence[Window]], str | None] = lambda member, windows: None
    think: Think = in_thread
    clock: Callable[[], float] = time.time

    async def tick(self, member: Member) -> float:
        """Look, decide and act once; the seconds until it wants to be called again.

        Raises:
            Gone: there is nothing to look after any more.
        """
        now = self.clock()
        spec = member.spec
        if spec is None:
            refusal = Refusal("InvalidSpec", member.invalid)
            await self._report(member, None, Found(trouble=refusal), now)
            return QUIET
        try:
            found = await self._look_and_act(member, spec, now)
        except ClusterError as error:
            self.telemetry.errors.labels(error.reason).inc()
            passing = Refusal(error.reason, error.message, passing=True)
            found = Found(trouble=passing, figures=_known_figures(member))
        await self._report(member, spec, found, now)
        self._measure(member, found)
        states = {it.state for it in found.plans}
        if not any(state.is_under_way for state in states):
            return QUIET
        # What goes on for ever brings a window now and then; only the first one is waited for.
        settled = spec.mode is ProfilerMode.CONTINUOUS and State.STARTING not in states
        return STEADY if settled and found.figures else BUSY

    def _measure(self, member: Member, found: Found) -> None:
        """Set the operator's own metrics; what is not known is not a number."""
        states = Counter(str(it.state) for it in found.plans)
        stopped = (found.figures.get("overhead") or {}).get("stoppedPercent")
        ratio = math.nan if stopped is None else float(stopped) / 100
        self.telemetry.observe_profiler(member.namespace, member.name, states, ratio)

    async def detach(self, member: Member) -> None:
        """Take away what of the Profiler is in the cluster: it is gone, or suspended."""
        if not self.may_write():
            return
        await self.actor.detach(member)
        await rollouts.take_back(self.pods, member)

    async def _look_and_act(self, member: Member, spec: ProfilerSpec, now: float) -> Found:
        raw = await self.pods.matching(member.namespace, await selector_of(self.pods, member))
        facts = [read_pod(pod, member.users) for pod in raw]
        unread = await self.collector.collect(member, facts)
        facts = [read_pod(pod, member.users) for pod in raw]  # users may have been learned
        _remember_whereabouts(member, facts)
        if spec.mode is ProfilerMode.CONTINUOUS:
            there = {pod.uid for pod in facts}
            most = MOST_WINDOWS * spec.pods
            member.forget(there, most=most, before=now - spec.rotate_every)
        plans: tuple[PodPlan, ...] = ()
        if spec.suspend:
            await self.detach(member)
        else:
            plans = self._plan(member, spec, facts, now)
            await self._act(member, spec, plans, now)
        compared = await self.comparer.compare(member, spec, now)
        figures = await self._figures(member, spec, now)
        return Found(
            matched=sum(not pod.ending for pod in facts),
            plans=plans,
            windows=_counts(member),
            figures={**figures, **compared.figures},
            unread=unread,
            compared=compared.condition,
            stored=self.stored(),
        )

    def _plan(
        self, member: Member, spec: ProfilerSpec, facts: list[PodFacts], now: float
    ) -> tuple[PodPlan, ...]:
        returned = {uid: pod.returned(now) for uid, pod in member.pods.items()}
        if spec.mode is ProfilerMode.CONTINUOUS and member.injection_refusal is not None:
            for pod in facts:
                returned.setdefault(pod.uid, Returned(refusal=member.injection_refusal))
        return plan.plan(facts, returned, spec, run=member.run, now=now)

    async def _act(
        self, member: Member, spec: ProfilerSpec, plans: tuple[PodPlan, ...], now: float
    ) -> None:
        if member.finished_at is not None:
            return
        if spec.allow_rollout and self.may_write():
            settings = self.actor.settings()
            await rollouts.bring_in(self.pods, member, spec, order_of(member, spec, settings))
        for one in plans:
            await self.actor.act(member, one)
            if one.state.is_under_way:
                member.started_at = member.started_at or now
        if spec.mode is ProfilerMode.ONCE and _is_done(plans, member):
            member.finished_at = now

    async def _figures(self, member: Member, spec: ProfilerSpec, now: float) -> dict[str, Any]:
        """The parts of status that come from windows, made anew when there is news."""
        continuous = spec.mode is ProfilerMode.CONTINUOUS
        since = now - spec.rotate_every if continuous else -math.inf
        extent = member.extent(since)
        if not extent[0]:
            return _known_figures(member)
        key = (*extent, spec.hotspots)
        if member.judged is not None:
            before, made_at, figures = member.judged
            fresh_enough = now - made_at < _JUDGE_EVERY and member.finished_at is None
            if before == key or fresh_enough:
                return figures
        try:
            windows = [it for it in await windows_of(member) if it.started_at > since]
        except WindowsGone:
            return _known_figures(member)
        where = self.kept(member, windows)
        try:
            figures = await self.think(
                len(windows), judge, windows, hotspots=spec.hotspots, reference=where
            )
        except ThinkingFailed as error:
            logger.warning("%s/%s: no new figures: %s", member.namespace, member.name, error)
            figures = _known_figures(member)
        member.judged = (key, now, figures)
        return figures

    async def _report(
        self, member: Member, spec: ProfilerSpec | None, found: Found, now: float
    ) -> None:
        """Write status if it has changed noticeably, and post Events for conditions that have."""
        if not self.may_write():
            return
        if spec is None:
            told = [Condition(READY, False, "InvalidSpec", member.invalid)]
            fresh: dict[str, Any] = {}
        else:
            told = telling.conditions(spec, found, finished=member.finished_at is not None)
            fresh = telling.status(member, found)
        await publish(
            member,
            fresh,
            told,
            plural=PROFILERS,
            cluster=self.cluster,
            announce=self.announce,
            noticeable=telling.noticeable,
            is_stale=partial(telling.is_stale, spec),
            now=now,
        )


async def selector_of(pods: Pods, member: Member) -> str:
    """The label selector of the pods that are asked for; the member notes how new ones are known.

    Raises:
        ClusterError: the workload is not there, or says none.
    """
    spec = member.spec
    assert spec is not None
    if spec.selector is not None:
        member.match_labels = dict(spec.selector.match_labels)
        return containers.selector_text(spec.selector.match_labels)
    ref = spec.target_ref
    assert ref is not None
    workload = await pods.template(member.namespace, ref)
    said = (workload.get("spec") or {}).get("selector") or {}
    by_labels = not said.get("matchExpressions")
    member.match_labels = dict(said.get("matchLabels") or {}) if by_labels else {}
    return workload_selector(ref, workload)


def workload_selector(ref: ScaleTargetRef, workload: Mapping[str, Any]) -> str:
    """The label selector of a workload's pods, as it is written in a URL.

    Raises:
        ClusterError: it says none, as kinds without pods of their own do.
    """
    said = (workload.get("spec") or {}).get("selector") or {}
    parts = [containers.selector_text(said.get("matchLabels") or {})]
    for one in said.get("matchExpressions") or ():
        values = ",".join(one.get("values") or ())
        parts.append(
            {
                "In": f"{one['key']} in ({values})",
                "NotIn": f"{one['key']} notin ({values})",
                "Exists": one["key"],
                "DoesNotExist": f"!{one['key']}",
            }[one["operator"]]
        )
    text = ",".join(part for part in parts if part)
    if not text:
        raise ClusterError(
            "SelectorMissing", f"{ref.kind} {ref.name} has no spec.selector: name pods by selector"
        )
    return text


def _is_done(plans: tuple[PodPlan, ...], member: Member) -> bool:
    """Whether nothing more will come, and something has."""
    states = [it.state for it in plans]
    # One that waits for another Profiler's run to end follows.
    if any(state.is_under_way or state is State.WAITING for state in states):
        return False
    return State.DONE in states or bool(member.windows())


def _remember_whereabouts(member: Member, facts: list[PodFacts]) -> None:
    """Note which containers have to end, and which turns, when the Profiler goes."""
    for pod in facts:
        from_pod = member.pods.get(pod.uid)
        for ours in pod.ours:
            said = from_pod.events.get(ours.name, ()) if from_pod else ()
            mine = ours.run in member.runs or any(it.run in member.runs for it in said)
            if ours.sidecar:
                if pod.annotations.get(containers.TURN):
                    member.turns[pod.uid] = pod.name
            elif mine and not ours.ended:
                member.targets[pod.uid] = (pod.name, ours.name)


def _counts(member: Member) -> dict[str, int]:
    return {
        uid: pod.put_away + sum(it.labels.get("run") == member.run for it in pod.windows)
        for uid, pod in member.pods.items()
    }


_FIGURES = ("profile", "bound", "hotspots", "topHotspot", "pareto", "overhead", "verdict")


def _known_figures(member: Member) -> dict[str, Any]:
    """What status says of this run already: after a restart the pods may be gone."""
    if member.status.get("runKey") != member.run:
        return {}
    return {key: member.status[key] for key in _FIGURES if member.status.get(key) is not None}
