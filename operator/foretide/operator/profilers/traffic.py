"""What a workload served while it was profiled, as Prometheus remembers it.

A comparison is by the work done, where that is known: CPU seconds a request, and the latency that
users saw.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from foretide.forecasting.demand import Reading
from foretide.forecasting.prometheus import DemandSource
from foretide.profiling.comparison import Latency
from foretide.profiling.window import Window

from ..api.profiler import TrafficSpec

# A mean over less than a few scrapes would be chance (seconds).
_SHORTEST, _STEP, _FRESH = 30.0, 5.0, 300.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """Of the profiled pods, over the time of a profile: requests, latencies in seconds by name.

    `problem` says what could not be asked, and is empty otherwise.
    """

    requests: float | None = None
    latencies: Mapping[str, float] = field(default_factory=dict)
    problem: str = ""


async def measure(
    source: DemandSource | None, spec: TrafficSpec, windows: Sequence[Window], now: float
) -> Traffic:
    """Ask for the means over the time of these windows; `now` is the operator's time."""
    if source is None:
        return Traffic(problem=f"there is no source {spec.source} in the operator's configuration")
    start = min(window.started_at for window in windows)
    end = max(window.started_at + window.seconds for window in windows)
    problems: list[str] = []

    async def mean(name: str, query: str) -> float | None:
        asked = mean_of(query, start=start, end=end)
        found = await source.demand_now(asked, now=now, stale_after=_FRESH)
        if isinstance(found, Reading):
            return found.value
        problems.append(f"{name}: {found.message}")
        return None

    rate = None
    if spec.requests_per_pod is not None:
        rate = await mean("requestsPerPod", spec.requests_per_pod)
    latencies = {it.name: await mean(it.name, it.query) for it in spec.latency}
    return Traffic(
        requests=None if not rate else rate * pod_seconds(windows),
        latencies={name: value for name, value in latencies.items() if value is not None},
        problem="; ".join(problems),
    )


def mean_of(query: str, *, start: float, end: float) -> str:
    """PromQL for the mean of a query over a time (Unix seconds)."""
    span = max(_SHORTEST, end - start)
    return f"avg_over_time(({query})[{span:.0f}s:{_STEP:.0f}s] @ {end:.0f})"


def pod_seconds(windows: Sequence[Window]) -> float:
    """For how long pods were profiled, all together; processes of a pod are profiled at once."""
    longest: dict[tuple[str, float], float] = {}
    for window in windows:
        # Windows of one round begin within moments of each other, and last for seconds.
        key = (window.labels.get("pod", ""), round(window.started_at))
        longest[key] = max(longest.get(key, 0.0), window.seconds)
    return sum(longest.values())


def pairs(before: Traffic, after: Traffic) -> tuple[tuple[float, float] | None, list[Latency]]:
    """Requests and latencies as a comparison takes them: what is known of both sides."""
    requests = None
    if before.requests and after.requests:
        requests = (before.requests, after.requests)
    names = [name for name in before.latencies if name in after.latencies]
    return requests, [Latency(it, before.latencies[it], after.latencies[it]) for it in names]
