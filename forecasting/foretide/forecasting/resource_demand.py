"""CPU and memory as demand: HPA's arithmetic on a total that can be forecast. Pure.

**Demand is what all counted pods use together**, in cores or bytes, and the safe load of a replica
is what a pod requests. Then demand ÷ (request × target utilisation) is HPA's own arithmetic,

    pods × (usage ÷ requests) ÷ target = usage ÷ (request × target)

and a total has a history that can be forecast. A utilisation has none: it falls whenever replicas
are added, so a forecast of it would learn our own decisions. A target of more than 1 is allowed,
as in HPA: then request × target is what a replica carries, and there is no further headroom.

**Pods without a figure** count as they do in HPA (Kubernetes 1.35, replica_calculator.go,
GetResourceReplicas and groupPods), by two totals instead of a second round. `total` leaves them
out: that is HPA's way up. `cautious` is what scaling in has to respect: a missing pod uses its
whole request there (or the target, where that is more), and pods that are not ready yet, or not
even created, use what the others do while those are at the target. HPA's answer is then that of
`total` where it adds replicas, else that of `cautious`, up to the replicas there are
(`hpa_replicas`). We do not cut the utilisation to whole per cent as HPA does, which makes us ask
for one replica more now and then.

For memory nothing is forecast unless the user gives a query: what pods hold grows with their
number, so a forecast of the total argues for the replicas that there were.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from .behavior import Behavior
from .demand import Unavailable
from .load_curve import LoadCurve

CPU = "cpu"
MEMORY = "memory"

# kube-controller-manager's --horizontal-pod-autoscaler-cpu-initialization-period and
# --horizontal-pod-autoscaler-initial-readiness-delay.
_CPU_INITIALIZATION = 300.0
_READINESS_DELAY = 30.0


@dataclass(frozen=True, slots=True)
class PodUsage:
    """What one pod used, in cores or bytes, on average over `window` seconds until `at`."""

    value: float
    at: float
    window: float = 0.0


@dataclass(frozen=True, slots=True)
class ResourcePod:
    """What HPA's rules ask of a pod. Times are Unix seconds; None is what is not known.

    `ready` is the status of its condition, `ready_changed` when that last changed.
    """

    name: str
    request: float | None
    started: float | None = None
    ready: bool | None = None
    ready_changed: float | None = None
    pending: bool = False
    ended: bool = False


@dataclass(frozen=True, slots=True)
class ResourceSample:
    """The pods of a target, and by name the usage of those that have a figure."""

    pods: tuple[ResourcePod, ...]
    usage: Mapping[str, PodUsage]


@dataclass(frozen=True, slots=True)
class ResourceTarget:
    """What is asked of a resource: `utilization` is the target as a share of the request.

    `per_replica` is the safe load in cores or bytes where the user gives it, else None.
    """

    resource: str
    utilization: float = 0.7
    per_replica: float | None = None
    stale_after: float = 120.0


@dataclass(frozen=True, slots=True)
class ResourceDemand:
    """Usage as demand: `total` and `cautious` (see above), both in cores or bytes.

    `per_replica` is the safe load, `target_utilization` the share of it that is planned for without
    a forecast, `at` the time of the oldest figure. `counted` pods have a figure, `missing` ones
    should have, `unready` ones need not yet.
    """

    total: float
    cautious: float
    per_replica: float
    target_utilization: float
    at: float
    counted: int
    missing: int = 0
    unready: int = 0


@dataclass(frozen=True, slots=True)
class _Groups:
    counted: tuple[ResourcePod, ...]
    missing: tuple[ResourcePod, ...]
    unready: int


def resource_demand(
    sample: ResourceSample,
    target: ResourceTarget,
    *,
    replicas: int,
    now: float,
    tolerance: float = 0.1,
) -> ResourceDemand | Unavailable:
    """Demand of a target that asks for `replicas` now; `tolerance` is that for scaling down."""
    alive = tuple(pod for pod in sample.pods if not pod.ended)
    if not alive:
        return Unavailable("NoPods", "the target has no pods whose usage could be read")
    fresh = {
        name: usage for name, usage in sample.usage.items() if now - usage.at <= target.stale_after
    }
    groups = _group(alive, fresh, target.resource, replicas, now)
    if not groups.counted:
        return _no_figures(sample, fresh, target)
    figured = groups.counted + groups.missing
    request = target.per_replica
    if request is None:
        without = next((pod for pod in figured if not pod.request), None)
        if without is not None:
            return Unavailable(
                "RequestMissing",
                f"pod {without.name} requests no {target.resource}: "
                f"set resources.requests.{target.resource} on its containers, or give perReplica",
            )
        request = sum(pod.request or 0.0 for pod in figured) / len(figured)
    used = [fresh[pod.name] for pod in groups.counted]
    total = sum(usage.value for usage in used)
    # HPA: "treat missing pods as using 100% of the resource request, or the target if higher".
    cautious = total + len(groups.missing) * request * max(1.0, target.utilization)
    # What is not ready is no reason to scale in while the others are at their target.
    if cautious >= (1 - tolerance) * len(figured) * request * target.utilization:
        cautious *= 1 + groups.unready / len(figured)
    return ResourceDemand(
        total=total,
        cautious=cautious,
        per_replica=request * max(1.0, target.utilization),
        target_utilization=min(1.0, target.utilization),
        at=min(usage.at for usage in used),
        counted=len(groups.counted),
        missing=len(groups.missing),
        unready=groups.unready,
    )


def hpa_replicas(demand: ResourceDemand, behavior: Behavior, *, current: int) -> int:
    """HPA's answer for a `Resource` metric with an averageUtilization, within its tolerance."""
    up = _within_tolerance(demand.total, demand, behavior, current)
    if up > current:
        return up
    return min(current, _within_tolerance(demand.cautious, demand, behavior, current))


def _within_tolerance(
    usage: float, demand: ResourceDemand, behavior: Behavior, current: int
) -> int:
    planned = demand.per_replica * demand.target_utilization
    if current > 0:
        ratio = usage / (planned * current)
        if 1 - behavior.down.tolerance <= ratio <= 1 + behavior.up.tolerance:
            return current
    return LoadCurve.linear(planned).replicas_for(usage)


def _group(
    alive: tuple[ResourcePod, ...],
    usage: Mapping[str, PodUsage],
    resource: str,
    replicas: int,
    now: float,
) -> _Groups:
    counted, missing = [], []
    # Replicas that were asked for and have no pod yet are as good as unready.
    unready = max(0, replicas - len(alive))
    for pod in alive:
        if pod.pending:
            unready += 1
        elif pod.name not in usage:
            missing.append(pod)
        elif resource == CPU and _unready(pod, usage[pod.name], now):
            unready += 1
        else:
            counted.append(pod)
    return _Groups(tuple(counted), tuple(missing), unready)


def _unready(pod: ResourcePod, usage: PodUsage, now: float) -> bool:
    """Whether the CPU of a pod says nothing yet: start-up burns more than service does."""
    if pod.ready is None or pod.started is None or pod.ready_changed is None:
        return True
    if pod.started + _CPU_INITIALIZATION > now:
        return not pod.ready or usage.at < pod.ready_changed + usage.window
    return not pod.ready and pod.started + _READINESS_DELAY > pod.ready_changed


def _no_figures(
    sample: ResourceSample, fresh: Mapping[str, PodUsage], target: ResourceTarget
) -> Unavailable:
    if sample.usage and not fresh:
        return Unavailable(
            "Stale", f"every figure of {target.resource} is older than {target.stale_after:.0f} s"
        )
    return Unavailable(
        "NoUsage",
        f"no pod has a figure of {target.resource} that counts yet (pods may be starting)",
    )
