"""Shadow mode: what would have been, had the recommendations been followed. Pure.

In `Recommend` mode each tick tells how many replicas were recommended, how many the target asked
for, how many were ready, and how many demand needed (without headroom). From these come two sums
for each hour, of what happened and of what would have: pod-minutes, and the minutes in which fewer
replicas were ready than demand needed.

- A recommended replica costs from the moment it is asked for, and is ready a lead time later: of
  the counts recommended within the last lead time, the lowest is ready. One that is taken away is
  gone at once. What happened needs no such rule, as readiness was seen.
- A tick's figures hold until the next one, for two minutes at most: time in which nobody looked is
  left out of both sums, and so is under-provisioning while demand was unknown.
- It starts with the replicas that are ready, so that neither side has an advantage.

What it cannot know: with other replicas demand itself may have been different (a queue that is
drained sooner, retries that do not happen), and a recommendation starts from the replicas that
there are, so a slow ramp by rate policies is not followed to its end.

Seven days by the hour are kept. Status holds what is older than a day by six hours, which is small
enough for it, and costs a restart no more than that the oldest of these go together.
"""

import contextlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

_HOUR = 3_600.0
_HOURS = 7 * 24
_LONGEST_GAP = 120.0
_MOST_PENDING = 64
_RECENT_HOURS = 24
_COARSE_HOURS = 6


@dataclass(frozen=True, slots=True)
class Tick:
    """What was seen and recommended at one time (Unix seconds).

    `asked` and `ready` are the target's replicas, `needed` what demand needs without headroom,
    None while demand is unknown. `lead_time` is in seconds.
    """

    at: float
    recommended: int
    asked: int
    ready: int
    needed: int | None
    lead_time: float


@dataclass(frozen=True, slots=True)
class Hour:
    """Sums over what was seen of one hour, in minutes and pod-minutes."""

    hour: int
    seen: float = 0.0
    would_cost: float = 0.0
    did_cost: float = 0.0
    would_lack: float = 0.0
    did_lack: float = 0.0

    def __add__(self, later: "Hour") -> "Hour":
        """Both together, under the later one's number."""
        return Hour(
            later.hour,
            self.seen + later.seen,
            self.would_cost + later.would_cost,
            self.did_cost + later.did_cost,
            self.would_lack + later.would_lack,
            self.did_lack + later.did_lack,
        )

    def plus(self, minutes: float, tick: Tick, would_be_ready: int) -> "Hour":
        """These sums and so many minutes with a tick's figures."""
        needed = tick.needed if tick.needed is not None else 0
        return Hour(
            self.hour,
            self.seen + minutes,
            self.would_cost + minutes * tick.recommended,
            self.did_cost + minutes * tick.asked,
            self.would_lack + minutes * (needed > would_be_ready),
            self.did_lack + minutes * (needed > tick.ready),
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """What happened against what would have, over the time that was seen (`seen_minutes`)."""

    seen_minutes: float
    would_pod_minutes: float
    did_pod_minutes: float
    would_lack_minutes: float
    did_lack_minutes: float

    @property
    def cost_ratio(self) -> float | None:
        """Pod-minutes that would have been used for each that was; None where there were none."""
        return self.would_pod_minutes / self.did_pod_minutes if self.did_pod_minutes else None

    def sentence(self) -> str:
        """The comparison for people."""
        if self.seen_minutes < 1:
            return "nothing has been compared yet"
        ratio = self.cost_ratio
        change = "" if ratio is None else f" ({ratio - 1:+.0%})"
        return (
            f"over {_time(self.seen_minutes)} Foretide would have used "
            f"{_pod_hours(self.would_pod_minutes)} pod-hours instead of "
            f"{_pod_hours(self.did_pod_minutes)}{change}, with too few replicas for "
            f"{_time(self.would_lack_minutes)} instead of {_time(self.did_lack_minutes)}"
        )


@dataclass(frozen=True, slots=True)
class Shadow:
    """The state: `hours` ascending, the last tick, and recommendations that are not ready yet.

    `pending` holds (asked at, replicas), both ascending: the first is ready, as no lower count has
    been recommended within the lead time.
    """

    hours: tuple[Hour, ...] = ()
    last: Tick | None = None
    pending: tuple[tuple[float, int], ...] = ()

    def after(self, tick: Tick) -> "Shadow":
        """The state with what has passed since the last tick in it."""
        if self.last is None or tick.at <= self.last.at:
            # The first look, or a clock that was set back: what runs now is where both start.
            start = min(tick.ready, tick.recommended)
            pending = _push(((-math.inf, start),), tick)
            return replace(self, last=tick, pending=_settle(pending, tick))
        hours = self._add(self.last, min(tick.at, self.last.at + _LONGEST_GAP))
        pending = _settle(_push(self.pending, tick), tick)
        return Shadow(hours[-_HOURS:], tick, pending)

    @property
    def would_be_ready(self) -> int:
        """Replicas that would be ready now, had the recommendations been followed."""
        return self.pending[0][1] if self.pending else 0

    def compare(self, now: float) -> Comparison:
        """The sums over the last seven days."""
        oldest = now / _HOUR - _HOURS
        recent = [hour for hour in self.hours if oldest <= hour.hour <= now / _HOUR]
        return Comparison(
            math.fsum(hour.seen for hour in recent),
            math.fsum(hour.would_cost for hour in recent),
            math.fsum(hour.did_cost for hour in recent),
            math.fsum(hour.would_lack for hour in recent),
            math.fsum(hour.did_lack for hour in recent),
        )

    def figures(self) -> list[str]:
        """The sums for status, a line each; see `Hour` for the order."""
        newest = self.hours[-1].hour if self.hours else 0
        grouped: dict[int, Hour] = {}
        for one in self.hours:
            recent = one.hour > newest - _RECENT_HOURS
            key = one.hour if recent else one.hour - one.hour % _COARSE_HOURS
            grouped[key] = grouped[key] + one if key in grouped else one
        return [
            f"{one.hour} {one.seen:.1f} {one.would_cost:.0f} {one.did_cost:.0f} "
            f"{one.would_lack:.1f} {one.did_lack:.1f}"
            for one in grouped.values()
        ]

    @classmethod
    def from_figures(cls, figures: Iterable[object]) -> "Shadow":
        """The sums of earlier `figures`; lines that cannot be read are left out."""
        hours: dict[int, Hour] = {}
        for line in figures:
            with contextlib.suppress(AttributeError, IndexError, OverflowError, ValueError):
                hour = _parse(line)
                hours[hour.hour] = hour
        return cls(tuple(hours[key] for key in sorted(hours))[-_HOURS:])

    def _add(self, tick: Tick, until: float) -> tuple[Hour, ...]:
        """The sums with a tick's figures from its time on; `pending` is that of the tick."""
        hours, start = list(self.hours), tick.at
        while start < until:
            hour = math.floor(start / _HOUR)
            end = min(until, (hour + 1) * _HOUR)
            ready = _settle(self.pending, replace(tick, at=start))[0][1]
            if not hours or hours[-1].hour != hour:
                # After a clock that was set back an earlier hour may be met again.
                hours = [one for one in hours if one.hour < hour]
                hours.append(Hour(hour))
            hours[-1] = hours[-1].plus((end - start) / 60, tick, ready)
            start = end
        return tuple(hours)


def _push(pending: tuple[tuple[float, int], ...], tick: Tick) -> tuple[tuple[float, int], ...]:
    """The recommendations with this one in: what is more than it has been taken away."""
    kept = [entry for entry in pending if entry[1] < tick.recommended]
    at = next((since for since, count in pending if count >= tick.recommended), tick.at)
    merged = [*kept, (at, tick.recommended)]
    # A long ramp: the smaller counts between are made to wait for the larger ones.
    while len(merged) > _MOST_PENDING:
        del merged[1]
    return tuple(merged)


def _settle(pending: tuple[tuple[float, int], ...], tick: Tick) -> tuple[tuple[float, int], ...]:
    """The recommendations without those that a larger one has overtaken by being ready."""
    ready = tick.at - tick.lead_time
    first = max((i for i, (since, _) in enumerate(pending) if since <= ready), default=0)
    return pending[first:]


def _parse(line: object) -> Hour:
    words = str(line).split()
    values = [float(word) for word in words[1:6]]
    if len(values) != 5 or not all(math.isfinite(value) and value >= 0 for value in values):
        raise ValueError("not the sums of an hour")
    return Hour(int(words[0]), *values)


def _pod_hours(minutes: float) -> str:
    hours = minutes / 60
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.1f}"


def _time(minutes: float) -> str:
    if minutes >= 2 * 1_440:
        return f"{minutes / 1_440:.1f} days"
    return f"{minutes / 60:.1f} h" if minutes >= 120 else f"{minutes:.0f} min"
