"""How the parts that look after Profilers go together; what is outside is given."""

import time
from collections.abc import Callable, Sequence

from foretide.profiling.window import Window
from foretide.store.errors import StoreError
from foretide.store.profiles import Target

from ..api.profiler import BaselineSpec
from ..cluster import Cluster
from ..conditions import STORE, Condition
from ..settings import SettingsHolder
from ..telemetry import Telemetry
from ..thinking import Think, in_thread
from ..ticking import Announce
from .acting import Actor
from .archive import windows_of
from .collecting import Collector
from .comparing import Baseline, BaselineMissing, Comparer, SourceByName
from .door import Pods
from .facts import PodFacts
from .fleet import ProfilerFleet
from .history import History, Period
from .keeping import ProfileKeeper, reference
from .member import Member
from .reconcile import ProfilerReconciler

# The label by which the store knows whose windows are whose.
PROFILER = "profiler"


def assemble(
    fleet: ProfilerFleet,
    *,
    telemetry: Telemetry,
    sources: SourceByName,
    cluster: Cluster,
    pods: Pods,
    settings: SettingsHolder,
    announce: Announce,
    may_write: Callable[[], bool],
    keeper: ProfileKeeper | None = None,
    history: History | None = None,
    think: Think = in_thread,
    clock: Callable[[], float] = time.time,
) -> ProfilerReconciler:
    """A reconciler for the fleet, which gets it. `keeper` gets each new window, and
    `history` has those of an earlier time.
    """

    async def baselines(member: Member, spec: BaselineSpec) -> Baseline:
        if spec.profiler is None:
            return await baseline_before(member, spec, history, clock())
        other = fleet.named(member.namespace, spec.profiler)
        if other is None:
            raise BaselineMissing("BaselineNotFound", f"there is no Profiler {spec.profiler}")
        return Baseline(other.extent(), lambda: windows_of(other))

    def sink(member: Member, pod: PodFacts, windows: Sequence[Window]) -> None:
        if keeper is not None:
            target = store_target(member, pod)
            member.kept_as[target.workload, target.container] = target
            keeper.keep(target, windows)

    def kept(member: Member, windows: Sequence[Window]) -> str | None:
        if keeper is None or settings.current.store is None:
            return None
        return reference(member.namespace, member.kept_as.values(), windows)

    def stored() -> Condition | None:
        state = None if keeper is None else keeper.store_state()
        if state is None or state.reason == "NotConfigured":
            return None
        return Condition(STORE, state.reason == "Reachable", state.reason, state.message)

    reconciler = ProfilerReconciler(
        cluster=cluster,
        pods=pods,
        actor=Actor(pods, lambda: settings.current.profiling, may_write, clock),
        collector=Collector(pods, sink),
        comparer=Comparer(baselines, sources, think),
        telemetry=telemetry,
        announce=announce,
        may_write=may_write,
        stored=stored,
        kept=kept,
        think=think,
        clock=clock,
    )
    fleet.reconciler = reconciler
    return reconciler


async def baseline_before(
    member: Member, spec: BaselineSpec, history: History | None, now: float
) -> Baseline:
    """The windows of a Profiler in an earlier period. Raises `BaselineMissing`."""
    if history is None or spec.period is None:
        raise BaselineMissing("StoreMissing", "a period before needs the store")
    start, end = spec.period
    period = Period(member.namespace, start, end, labels=((PROFILER, member.name),))
    try:
        windows = await history.windows(period, now=now)
    except StoreError as error:
        raise BaselineMissing(error.reason, error.message) from None

    async def read() -> Sequence[Window]:
        return windows

    return Baseline((len(windows), windows[-1].started_at if windows else 0.0), read)


def store_target(member: Member, pod: PodFacts) -> Target:
    """Whose windows the store is told they are; the image tells one version from the next."""
    spec = member.spec
    container = pod.container(spec.container if spec else None)
    return Target(
        namespace=pod.namespace,
        workload=_workload(member, pod),
        container=container.name if container else "",
        pod=pod.name,
        # A digest stands at the end, and the store takes no more characters.
        version=(container.image_id or container.image)[-253:] if container else "",
        labels={PROFILER: member.name},
    )


def _workload(member: Member, pod: PodFacts) -> str:
    if member.spec is not None and member.spec.target_ref is not None:
        return member.spec.target_ref.name
    # A ReplicaSet's name is its Deployment's with this at its end.
    return pod.owner.removesuffix("-" + pod.labels.get("pod-template-hash", "")) or pod.name
