"""Carries out what the plan says: ephemeral containers, orders, turns."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from ..api.profiler import Capability, ProfilerMode, ProfilerSpec
from ..cluster import ClusterError
from ..profiling_settings import ProfilingSettings
from . import containers, routes
from .admission import Injection
from .containers import Order
from .door import Pods, to_json
from .facts import PodFacts
from .member import Member
from .plan import Attach, PodPlan, Reuse, Turn
from .routes import Access, Refusal

logger = logging.getLogger(__name__)

# A pod's API server answers these when admission does not let a container in.
_REFUSED = frozenset({400, 403, 422})
# Another Profiler has added a container of this name in the same moment.
_TAKEN = "existing ephemeral containers"
_PSS = "pod-security.kubernetes.io/enforce"


def order_of(member: Member, spec: ProfilerSpec, settings: ProfilingSettings) -> Order:
    """What a sampler of this Profiler is to do."""
    once = spec.mode is ProfilerMode.ONCE
    return Order(
        image=settings.image,
        run=member.run,
        seconds=spec.duration if once else None,
        rate=spec.rate,
        window=settings.window,
        idle=settings.idle,
        locals=spec.locals,
    )


def is_for_new_pods(spec: ProfilerSpec | None) -> bool:
    """Whether new pods are to get a sidecar from the webhook."""
    return (
        spec is not None
        and spec.mode is ProfilerMode.CONTINUOUS
        and not spec.suspend
        and not spec.allow_rollout
    )


def injection_of(member: Member, settings: ProfilingSettings) -> Injection | None:
    """What a Profiler asks for in new pods, if it does."""
    spec = member.spec
    if spec is None or not is_for_new_pods(spec) or not member.match_labels:
        return None
    return Injection(
        profiler=member.name,
        namespace=member.namespace,
        selector=member.match_labels,
        container=spec.container,
        allow_ptrace=spec.capability is Capability.SYS_PTRACE,
        order=order_of(member, spec, settings),
        users=member.users,
    )


@dataclass(frozen=True, slots=True)
class Actor:
    """Acts on pods, if it may."""

    pods: Pods
    settings: Callable[[], ProfilingSettings]
    may_write: Callable[[], bool]
    clock: Callable[[], float]

    async def act(self, member: Member, plan: PodPlan) -> None:
        """Do what the plan of one pod says. What is refused is remembered, and shown next time.

        Raises:
            ClusterError: the API server could not be asked.
        """
        if plan.action is None or member.spec is None or not self.may_write():
            return
        match plan.action:
            case Attach():
                await self._attach(member, plan.pod, plan.action)
            case Reuse():
                await self._order(member, plan.pod, plan.action.container)
            case Turn():
                await self._give_turn(member, plan.pod, plan.action.text)

    async def _attach(self, member: Member, pod: PodFacts, action: Attach) -> None:
        assert member.spec is not None
        order = order_of(member, member.spec, self.settings())
        name = routes.fresh_name(pod)
        refused: list[str] = []
        for access in action.accesses:
            container = containers.ephemeral(name, pod, action.target, access, order)
            try:
                await self.pods.attach(pod.namespace, pod.name, container, dry_run=True)
            except ClusterError as error:
                if error.status not in _REFUSED or _TAKEN in error.message:
                    raise  # the next tick knows more
                refused.append(error.message)
                continue
            await self.pods.attach(pod.namespace, pod.name, container, dry_run=False)
            member.from_pod(pod.uid, pod.name).refusal = None
            member.targets[pod.uid] = (pod.name, name)  # it may be gone before the next look
            logger.info("%s/%s: %s joins pod %s", member.namespace, member.name, name, pod.name)
            return
        refusal = await self._forbidden(pod, action.accesses[0], refused[0])
        member.from_pod(pod.uid, pod.name).refuse(refusal, self.clock())

    async def _forbidden(self, pod: PodFacts, access: Access, said: str) -> Refusal:
        """What admission said, with what to do about it."""
        try:
            labels = (await self.pods.namespace(pod.namespace))["metadata"].get("labels") or {}
        except ClusterError:
            labels = {}
        level = labels.get(_PSS, "")
        if "PodSecurity" in said:
            if access.user is not None and access.user.uid == 0:
                remedy = "Let the application run as a user other than root (runAsUser)"
            else:
                remedy = f"Let the application itself meet the level {level or 'in force'}"
        elif "ephemeralcontainers" in said and "cannot" in said:
            remedy = "Give the operator the verb patch on pods/ephemeralcontainers"
        else:
            remedy = "Let the policy pass ephemeral containers of the sampler's image"
        return Refusal("PolicyForbids", said, remedy)

    async def _order(self, member: Member, pod: PodFacts, container: str) -> None:
        assert member.spec is not None
        text = to_json(
            {
                "run": member.run,
                "seconds": member.spec.duration,
                "rate": member.spec.rate,
                "window": self.settings().window,
            }
        )
        try:
            answer = await self.pods.order(pod.namespace, pod.name, container, text)
        except ClusterError as error:
            answer = error.message
        from_pod = member.from_pod(pod.uid, pod.name)
        if answer == "ok":
            from_pod.ordered = container
            return
        # Without the right to exec, say: another container is added then, and this one ends.
        logger.info("%s/%s takes no order: %s", pod.name, container, answer)
        from_pod.deaf.add(container)

    async def _give_turn(self, member: Member, pod: PodFacts, text: str) -> None:
        value = {containers.TURN: text or None}
        await self.pods.annotate(pod.namespace, pod.name, value)

    async def detach(self, member: Member) -> None:
        """End what runs in pods for a Profiler that is gone or suspended.

        What fails ends by itself: an ephemeral container when it has been idle for a while, a
        sidecar's sampling with its turn.
        """
        for uid, (pod, container) in list(member.targets.items()):
            returned = member.from_pod(uid, pod).returned(self.clock())
            if returned.busy_with(container) not in (None, "", *member.runs):
                continue  # it is at work for another, who ends it
            try:
                await self.pods.order(member.namespace, pod, container, "end")
            except ClusterError as error:
                if error.status != 404:
                    logger.info("%s/%s ends by itself: %s", pod, container, error.message)
            member.targets.pop(uid, None)
        for uid, pod in list(member.turns.items()):
            try:
                await self.pods.annotate(member.namespace, pod, {containers.TURN: None})
            except ClusterError as error:
                if error.status != 404:
                    logger.info("%s keeps its turn until it ends: %s", pod, error.message)
            member.turns.pop(uid, None)
