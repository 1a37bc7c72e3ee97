"""Replaying a trace under a policy: the loop of a scaler, on recorded demand."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..series import Values
from .pods import Pods
from .scoring import Score, score
from .trace import Trace


class Policy(Protocol):
    """Something that scales. A new one for each replay: it may remember."""

    def step(self, demand: float | None, replicas: int, now: float) -> int:
        """The replicas to ask for at `now`; `demand` is the newest known, None when there is none.

        Nothing that comes after `now` may be looked at, unless the policy is an oracle.
        """
        ...


@dataclass(frozen=True, slots=True)
class Setting:
    """How a replay runs. `delay` and `period` are in seconds, `start` in Unix seconds.

    Before `start` the trace is history only. `utilization` is the target: the headroom.
    `query_range` is how far back (seconds) the query looks that demand comes from.
    """

    delay: float
    start: float
    utilization: float = 0.7
    period: float = 60.0
    jitter: float = 0.0
    seed: int = 0
    min_replicas: int = 2
    max_replicas: int = 1_000
    query_range: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """What a policy asked for: `counts` (n) from each of the `moments` (n, Unix seconds) on.

    Before the first moment `initial` replicas had been there for long.
    """

    moments: Values
    counts: Values
    initial: int


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What happened: the score, and what was asked for and ready at each of the `times` (n)."""

    score: Score
    times: Values
    demand: Values
    desired: Values
    ready: Values


def replay(trace: Trace, policy: Policy, setting: Setting) -> Run:
    """Run a policy over the trace from `setting.start` to its end."""
    return judge(trace, drive(trace, policy, setting), setting)


def drive(trace: Trace, policy: Policy, setting: Setting) -> Path:
    """Ask a policy at each moment. What it asks for does not depend on when pods are ready."""
    demand = trace.demand.between(setting.start, trace.demand.end)
    moments = np.arange(demand.start, demand.end, setting.period)
    known = trace.known_at(moments)
    first = known[np.isfinite(known)]
    initial = replicas = start_replicas(float(first[0]) if len(first) else 0.0, trace, setting)
    counts = np.empty(len(moments))
    finite = np.isfinite(known).tolist()
    for position, (now, value) in enumerate(zip(moments.tolist(), known.tolist(), strict=True)):
        replicas = policy.step(value if finite[position] else None, replicas, now)
        counts[position] = replicas
    return Path(moments, counts, initial)


def judge(trace: Trace, path: Path, setting: Setting) -> Run:
    """What came of it, with pods that take `setting.delay` to become ready."""
    demand = trace.demand.between(setting.start, trace.demand.end)
    pods = Pods(setting.delay, setting.jitter, setting.seed)
    pods.start_with(path.initial, demand.start - setting.period)
    changed = np.flatnonzero(np.diff(path.counts, prepend=path.initial))
    for at in changed.tolist():
        pods.scale(int(path.counts[at]), float(path.moments[at]))
    times = demand.times
    latest = np.searchsorted(path.moments, times, side="right") - 1
    desired, ready = path.counts[latest], pods.ready(times)
    judged = score(
        demand.values,
        ready,
        desired,
        trace.per_replica,
        minimum=setting.min_replicas,
        step=demand.step,
    )
    return Run(judged, times, demand.values, desired, ready)


def start_replicas(demand: float, trace: Trace, setting: Setting) -> int:
    """The replicas that every policy starts with: HPA's answer to the first demand."""
    wanted = int(np.ceil(demand / (trace.per_replica * 0.7)))
    return min(max(setting.min_replicas, wanted), setting.max_replicas)
