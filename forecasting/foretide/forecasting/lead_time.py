"""Lead time, learned from how long the target's pods really take to become ready. Pure.

A forecast is only as good as the time it is given: replicas that are asked for at the lead time
before demand are ready when it comes. So the lead time is the 90th percentile of measured
start-ups (created → ready), and rollouts count as well as scale-ups: the same image starts.

Until five start-ups at different times have been seen, the declared lead time holds: one rollout
says nothing of the next one, since its pods share a node, an image cache and an hour.

A pod that waits for a node takes minutes longer, and there is nothing between: so these have a
percentile of their own, which counts only while nodes are short (`effective`).

The percentile of few values is that of a log-normal distribution whose spread is drawn towards a
usual one (a conjugate prior worth one value); with more of them the empirical one (Hyndman & Fan
1996, type 7) takes over. An empirical 90th percentile of five is hardly less than their maximum.
"""

import contextlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

# Pods that were created within so many seconds were asked for together.
_TOGETHER = 60.0
_OLDEST = 30 * 86_400.0
_MOST_SCALE_UPS = 60
_MOST_PODS = 200
_MOST_PODS_TOGETHER = 20
_ENOUGH_SCALE_UPS = 5

_FEW = 5
_ENOUGH_FOR_EMPIRICAL = 20
_PRIOR_SPREAD = 0.15
_PRIOR_WEIGHT = 1.0
_Z90 = 1.2816

# What a new node takes where none has been seen to come: most cloud providers' are there in less.
_NODE_WAIT = 180.0
_LONGEST = 4 * 3_600.0


class LeadTimeSource(StrEnum):
    """Where a lead time comes from."""

    DECLARED = "Declared"
    LEARNED = "Learned"


@dataclass(frozen=True, slots=True)
class StartUp:
    """A pod's way to its first readiness; times are Unix seconds.

    `waited_for_node` says that it was Unschedulable, or Pending for longer than scheduling takes.
    """

    created: float
    ready: float
    scheduled: float | None = None
    waited_for_node: bool = False

    @property
    def seconds(self) -> float:
        """From created to ready; never negative, as the two clocks may differ."""
        return max(0.0, self.ready - self.created)


@dataclass(frozen=True, slots=True)
class ScaleUp:
    """Pods that were created together at `at`, and how long each took (seconds).

    Of many pods a random few are kept; `seen` counts all of them.
    """

    at: float
    seconds: tuple[float, ...]
    waited: bool = False
    seen: int = 0

    def with_pod(self, start: StartUp) -> "ScaleUp":
        """This scale-up with one more pod in it."""
        seen = max(self.seen, len(self.seconds)) + 1
        if len(self.seconds) < _MOST_PODS_TOGETHER:
            return replace(self, seconds=(*self.seconds, start.seconds), seen=seen)
        # Reservoir sampling (Vitter 1985). The pod's own times are the dice, so that the same
        # pods always leave the same state.
        position = hash((start.created, start.ready, seen)) % seen
        if position >= len(self.seconds):
            return replace(self, seen=seen)
        kept = list(self.seconds)
        kept[position] = start.seconds
        return replace(self, seconds=tuple(kept), seen=seen)


@dataclass(frozen=True, slots=True)
class StartHistory:
    """The recent start-ups, oldest first, bounded in number and age."""

    scale_ups: tuple[ScaleUp, ...] = ()

    def after(self, starts: Iterable[StartUp], now: float) -> "StartHistory":
        """The history with these start-ups in it, and what is old or too much left out."""
        known = list(self.scale_ups)
        for start in starts:
            _add(known, start)
        recent = [one for one in known if now - _OLDEST <= one.at <= now + _TOGETHER]
        recent = sorted(recent, key=lambda one: one.at)[-_MOST_SCALE_UPS:]
        while len(recent) > 1 and sum(len(one.seconds) for one in recent) > _MOST_PODS:
            recent.pop(0)
        return StartHistory(tuple(recent))

    @property
    def counted_until(self) -> float:
        """No pod that became ready later than this (Unix seconds) has been counted."""
        ends = (one.at + _TOGETHER + max(one.seconds) for one in self.scale_ups)
        return max(ends, default=-math.inf)

    def nodes_short(self, now: float, *, within: float = 1_800.0) -> bool:
        """Whether a pod that was created in the last `within` seconds had to wait for a node."""
        return any(one.waited and one.at > now - within for one in self.scale_ups)

    def lines(self) -> list[str]:
        """The history for status: `2026-11-24T05:53:00Z 41 43` a scale-up, `… waited 181`."""
        return [
            " ".join(
                [
                    datetime.fromtimestamp(one.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                    *(["waited"] if one.waited else []),
                    *(f"{round(seconds, 1):g}" for seconds in one.seconds),
                ]
            )
            for one in self.scale_ups
        ]

    @classmethod
    def from_lines(cls, lines: Iterable[object], now: float) -> "StartHistory":
        """The history of earlier `lines`; what cannot be read is left out."""
        found = []
        for line in lines:
            # Status may have been edited by hand; a bad line must not lose the others.
            with contextlib.suppress(AttributeError, ValueError, IndexError, OverflowError):
                found.append(_parse(line))
        return cls(tuple(found)).after((), now)


@dataclass(frozen=True, slots=True)
class LeadTime:
    """How long replicas take to be ready, in seconds, and what that is taken from.

    `samples` pods started in `scale_ups` groups without waiting for a node, with the percentiles
    `p50` and `p90`; `node_p90` is of those that waited. All three are None where none was seen.
    A `seconds` that is declared includes the margin that the user wanted; a learned one has none.
    """

    seconds: float
    source: LeadTimeSource
    samples: int = 0
    scale_ups: int = 0
    p50: float | None = None
    p90: float | None = None
    node_p90: float | None = None


def learn(history: StartHistory, declared: float) -> LeadTime:
    """The lead time by what has been measured, or `declared` (seconds) until that is enough."""
    ordinary = [one for one in history.scale_ups if not one.waited]
    seconds = [value for one in ordinary for value in one.seconds]
    waited = [value for one in history.scale_ups if one.waited for value in one.seconds]
    p90 = percentile_90(seconds) if seconds else None
    learned = p90 is not None and len(ordinary) >= _ENOUGH_SCALE_UPS
    return LeadTime(
        seconds=p90 if learned and p90 is not None else declared,
        source=LeadTimeSource.LEARNED if learned else LeadTimeSource.DECLARED,
        samples=len(seconds),
        scale_ups=len(ordinary),
        p50=_empirical(seconds, 0.5) if seconds else None,
        p90=p90,
        node_p90=percentile_90(waited) if waited else None,
    )


def effective(
    lead: LeadTime,
    *,
    unschedulable_now: int,
    nodes_short_recently: bool,
    sync_period: float,
    metric_lag: float,
) -> float:
    """The lead time to decide by, in seconds.

    While pods wait for a node, or had to lately, it is the longer one of those that did; before
    any has been measured, three minutes are added. To a learned time come the sync period and the
    metric's lag, for so long may pass before demand is seen and acted on; a declared one has the
    user's margin in it. Four hours at most.
    """
    learned = lead.source is LeadTimeSource.LEARNED
    margin = sync_period + metric_lag
    seconds = lead.seconds + (margin if learned else 0.0)
    if unschedulable_now > 0 or nodes_short_recently:
        if lead.node_p90 is None:
            seconds += _NODE_WAIT
        else:
            seconds = max(seconds, lead.node_p90 + margin)
    return min(seconds, _LONGEST)


def percentile_90(seconds: Sequence[float]) -> float:
    """The 90th percentile of start-up times (at least one), steady with few of them."""
    empirical = _empirical(seconds, 0.9)
    if len(seconds) >= _ENOUGH_FOR_EMPIRICAL:
        return empirical
    logs = [math.log(max(value, 1.0)) for value in seconds]
    mean = math.fsum(logs) / len(logs)
    squares = math.fsum((value - mean) ** 2 for value in logs)
    variance = (_PRIOR_WEIGHT * _PRIOR_SPREAD**2 + squares) / (_PRIOR_WEIGHT + len(logs) - 1)
    few = math.exp(mean + _Z90 * math.sqrt(variance))
    # No jump from one to the other: the empirical one has a little more of a say with each value.
    weight = max(0.0, (len(seconds) - _FEW) / (_ENOUGH_FOR_EMPIRICAL - _FEW))
    return (1 - weight) * few + weight * empirical


def _add(known: list[ScaleUp], start: StartUp) -> None:
    for position, one in enumerate(known):
        if one.waited == start.waited_for_node and abs(start.created - one.at) < _TOGETHER:
            known[position] = one.with_pod(start)
            return
    known.append(ScaleUp(start.created, (start.seconds,), start.waited_for_node, 1))


def _empirical(values: Sequence[float], quantile: float) -> float:
    ordered = sorted(values)
    position = quantile * (len(ordered) - 1)
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def _parse(line: object) -> ScaleUp:
    words = str(line).split()
    at = datetime.fromisoformat(words[0]).timestamp()
    waited = words[1] == "waited"
    seconds = tuple(float(word) for word in words[2 if waited else 1 :])
    if not seconds or not all(math.isfinite(value) and value >= 0 for value in seconds):
        raise ValueError("not start-up times")
    return ScaleUp(at, seconds[:_MOST_PODS_TOGETHER], waited, len(seconds))
