"""Which part of a trace a demo plays: one with a rise that a reactive scaler misses.

The window is chosen by replaying HPA's rules from every possible start in the second half of the
trace. That looks at the window itself, which a demo may: it decides what is shown, not what the
forecast knows. The forecast sees only what lies before.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sandbox.errors import SandboxError
from sandbox.traces import Trace

Array = NDArray[np.float64]

DEFAULT_TRACE = "alibaba2018"
# Day 5, 20:09:00 of the Alibaba trace: cluster CPU in a lull, two minutes before it doubles.
DEFAULT_START = 504_540.0

TARGET_UTILIZATION = 0.7
PEAK_REPLICAS = 40
LIVE = 285.0
DAY = 86_400.0
# What the operator's own minHistory is where nobody says: with less there is no forecast.
MIN_HISTORY = 2 * DAY
_SPARE = 600.0
_BLOCK, _TICK, _SYNC = 300.0, 5.0, 15.0
_MOST_STARTS = 30_000


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is played. `start_at` is on the trace's clock, in seconds.

    `per_replica` is the safe load of one replica, `replicas` what HPA holds at the start's demand;
    `expected_miss` is for how many seconds a reactive scaler will be under-provisioned, at least.
    """

    trace: Trace
    start_at: float
    per_replica: float
    replicas: int
    expected_miss: float | None = None

    def demand_at(self, seconds: float) -> float:
        """Demand so many seconds after the start; the trace is held between its samples."""
        return float(_demand(self.trace, np.array([self.start_at + seconds]))[0])


def choose(trace: Trace, *, pod_ready: float) -> Scenario:
    """The scenario for a trace. `pod_ready` is how long pods take to become ready, in seconds.

    Raises:
        SandboxError: the trace is too short, or has no demand.
    """
    if trace.name == DEFAULT_TRACE:
        return at(trace, DEFAULT_START)
    start, miss = _best_start(trace, pod_ready)
    return at(trace, start, expected_miss=miss)


def at(trace: Trace, start_at: float, *, expected_miss: float | None = None) -> Scenario:
    """The scenario that begins at a given instant of the trace's clock."""
    per_replica = _per_replica(trace)
    demand = float(_demand(trace, np.array([start_at]))[0])
    replicas = max(1, int(np.ceil(demand / (TARGET_UTILIZATION * per_replica))))
    return Scenario(trace, start_at, per_replica, replicas, expected_miss)


def _per_replica(trace: Trace) -> float:
    highest = float(np.quantile(np.array(trace.values), 0.9999))
    if highest <= 0:
        raise SandboxError(f"trace {trace.name}: there is no demand in it")
    return float(f"{highest / PEAK_REPLICAS:.4g}")


def _demand(trace: Trace, at: Array) -> Array:
    times, values = np.array(trace.times), np.array(trace.values)
    held: Array = values[np.clip(np.searchsorted(times, at, side="right") - 1, 0, None)]
    return held


@dataclass(frozen=True, slots=True)
class _Replay:
    """One entry for each start: seconds under-provisioned, pod-seconds, time of the first miss."""

    under: Array
    used: Array
    first: Array


def _best_start(trace: Trace, pod_ready: float) -> tuple[float, float]:
    """The start where HPA misses most and what earlier days show would have been enough."""
    first, last = trace.times[0] + trace.seconds / 2, trace.times[-1] - LIVE
    if last <= first:
        raise SandboxError(f"trace {trace.name}: too short, it needs to be longer than 10 minutes")
    learned = trace.times[0] + MIN_HISTORY + _SPARE
    if learned < last:
        first = max(first, learned)
    step = max(10.0, _TICK * np.ceil((last - first) / _MOST_STARTS / _TICK))
    starts = np.arange(first, last, step)
    band = _band_of_earlier_days(trace, starts)
    rounds = [(phase, lag) for phase in (0.0, 5.0, 10.0) for lag in (5.0, 10.0)]
    hpa = [_replay(trace, starts, pod_ready, phase, lag, None) for phase, lag in rounds]
    ours = [_replay(trace, starts, pod_ready, phase, lag, band) for phase, lag in rounds]
    missed = np.min([replay.under for replay in hpa], axis=0)
    soonest = np.min([replay.first for replay in hpa], axis=0)
    wrong = np.max([replay.under for replay in ours], axis=0)
    ratio = np.max([r.used for r in ours], axis=0) / np.min([r.used for r in hpa], axis=0)
    # People should see the gap between the two; a rise that comes at once, a forecast that is
    # wrong or wasteful, or a handful of pods show nothing.
    score = np.minimum(missed, 120) - 5 * wrong - 400 * np.maximum(0, ratio - 1.05)
    score -= 2 * np.maximum(0, 120 - np.where(np.isinf(soonest), 0, soonest))
    score -= 10 * np.maximum(0, 8 - _replicas_at(trace, starts))
    best = int(np.argmax(score))
    return float(starts[best]), float(missed[best])


def _replicas_at(trace: Trace, starts: Array) -> Array:
    per_replica = _per_replica(trace)
    return np.maximum(1, np.ceil(_demand(trace, starts) / (TARGET_UTILIZATION * per_replica)))


def _replay(
    trace: Trace, starts: Array, pod_ready: float, phase: float, lag: float, band: Array | None
) -> _Replay:
    """HPA (or, with a band, a scaler that keeps capacity for it) from all starts at once."""
    per_replica = _per_replica(trace)
    target = TARGET_UTILIZATION * per_replica
    count = _replicas_at(trace, starts)
    delay = int(pod_ready / _TICK)
    counts = [count] * (delay + 1)
    under, used = np.zeros_like(count), np.zeros_like(count)
    first = np.full_like(count, np.inf)
    due = phase
    for second in np.arange(0, LIVE, _TICK):
        if second >= due:  # nothing goes down: five minutes of stabilisation outlast the window
            due += _SYNC
            now = _demand(trace, starts + second - lag)
            if band is None:
                wanted = np.where(now > 1.1 * target * count, np.ceil(now / target), 0)
            else:
                wanted = np.ceil(np.maximum(now, band) / per_replica)
            count = np.maximum(count, np.minimum(wanted, np.maximum(2 * count, count + 4)))
        counts.append(count)
        missed = _demand(trace, starts + second) > counts[-1 - delay] * per_replica
        first = np.where(missed, np.minimum(first, second), first)
        under, used = under + _TICK * missed, used + _TICK * count
    return _Replay(under, used, first)


def _band_of_earlier_days(trace: Trace, starts: Array) -> Array:
    """The 0.95 quantile of the 5-minute peaks within 20 minutes of this time on earlier days."""
    times, values = np.array(trace.times), np.array(trace.values)
    block = ((times - times[0]) // _BLOCK).astype(int)
    peaks = np.zeros(block[-1] + 1)
    np.maximum.at(peaks, block, values)
    slots = ((starts - times[0]) // _BLOCK).astype(int)
    bands = np.zeros(block[-1] + 1)
    for slot in np.unique(slots):
        days = np.arange(1, min(14, int(slot * _BLOCK // DAY)) + 1)
        past = (slot - days[:, None] * round(DAY / _BLOCK) + np.arange(-3, 5)).ravel()
        past = past[(past >= 0) & (past < slot)]
        bands[slot] = np.quantile(peaks[past], 0.95) if past.size else 0.0
    band: Array = bands[slots]
    return band
