"""Pure arithmetic of playing a trace: what a series shows at an instant, and as what text."""

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from sandbox.spec import DAY, SCRAPE_LABELS, DemandSeries

WEEK = 7 * DAY


@dataclass(frozen=True)
class Sample:
    """One sample as Prometheus stores it: `at` is Unix seconds."""

    at: float
    value: float


class Playback:
    """One series tied to the wall clock: `started` (Unix seconds) shows the trace's `origin`."""

    def __init__(
        self, series: DemandSeries, *, started: float, speed: float, lookback: float
    ) -> None:
        self.series = series
        self._started = started
        self._speed = speed
        self._lookback = lookback
        times = series.times
        span = times[-1] - times[0]
        self._step = median(b - a for a, b in pairwise(times))
        self._period = WEEK if span >= WEEK else DAY if span >= DAY else None
        # Prometheus itself bridges `lookback` between samples; a coarse trace needs its own step.
        # What is longer is a hole in the trace, and stays one.
        self._bridge = max(1.5 * self._step, lookback * speed)

    def value_at(self, now: float) -> float | None:
        """The trace's value at Unix time `now`, or None in a hole of the trace."""
        times = self.series.times
        instant = self.series.origin + (now - self._started) * self._speed
        if instant > times[-1] + self._step:
            if self._period is None:
                return self.series.values[-1]
            instant -= math.ceil((instant - times[-1]) / self._period) * self._period
        index = bisect_right(times, instant) - 1
        if index < 0 or instant - times[index] > self._bridge:
            return None
        return self.series.values[index]

    def history(self) -> Iterator[Sample]:
        """Samples that end before the start, in order, dense enough for the lookback."""
        end = self._started - self.series.history_gap_seconds
        until: float | None = None
        held = 0.0
        for instant, value in zip(self.series.times, self.series.values, strict=True):
            at = self._started + (instant - self.series.origin) / self._speed
            if until is not None:
                yield from self._fill(until, min(at, end), held)
            # One second of distance: a block that reaches into the future makes every later
            # scrape fail with "out of bounds", and the clock's millisecond is not worth it.
            if at > end - 1.0:
                return
            yield Sample(at, value)
            until, held = at, value
        if until is not None:
            yield from self._fill(until, min(until + self._step / self._speed, end), held)

    def _fill(self, since: float, until: float, value: float) -> Iterator[Sample]:
        gap = until - since
        if gap <= self._lookback or gap * self._speed > self._bridge:
            return
        count = math.ceil(gap / self._lookback)
        for k in range(1, count):
            at = since + k * gap / count
            if at <= self._started - self.series.history_gap_seconds - 1.0:
                yield Sample(at, value)


def exposed(
    playback: Playback, mode: str | float, *, now: float, last: Sample | None
) -> Sample | None:
    """What the player shows for one series at Unix time `now`; None where it shows nothing.

    `last` is the sample that "stale" repeats.
    """
    if mode == "absent":
        return None
    if mode == "stale":
        return last
    if mode == "play":
        value = playback.value_at(now)
        return None if value is None else Sample(now, value)
    if isinstance(mode, str):
        return Sample(now, math.nan if mode == "nan" else 0.0)
    return Sample(now, mode)


def exposition(samples: Mapping[str, list[tuple[Mapping[str, str], Sample]]]) -> str:
    """Prometheus' text format, with explicit timestamps (milliseconds)."""
    lines = []
    for name, rows in samples.items():
        lines.append(f"# TYPE {name} gauge")
        lines += [f"{_id(name, labels)} {s.value!r} {round(s.at * 1000)}" for labels, s in rows]
    return "\n".join(lines) + "\n"


def openmetrics(playbacks: list[Playback]) -> Iterator[str]:
    """The history of all series as OpenMetrics lines (timestamps in seconds), up to `# EOF`.

    The labels are those that a scrape would set, so that history and live are one series.
    """
    by_name: dict[str, list[Playback]] = {}
    for playback in playbacks:
        if playback.series.history:
            by_name.setdefault(playback.series.name, []).append(playback)
    for name, members in by_name.items():
        yield f"# TYPE {name} gauge\n"
        for playback in members:
            prefix = _id(name, {**playback.series.labels, **SCRAPE_LABELS})
            for sample in playback.history():
                yield f"{prefix} {sample.value!r} {sample.at:.3f}\n"
    yield "# EOF\n"


def _id(name: str, labels: Mapping[str, str]) -> str:
    inner = ",".join(f'{key}="{_escape(value)}"' for key, value in labels.items())
    return f"{name}{{{inner}}}" if inner else name


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
