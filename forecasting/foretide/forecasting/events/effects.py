"""What events do to demand: learned effects, and the multipliers that follow from a calendar.

The rules, where several events are in force at once:

- of those that raise demand the highest counts, of those that lower it the lowest;
- a rise that was declared is not diminished by a fall;
- a declared multiplier wins over what was learned about the same event.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from .days import Days, Floats, Ints, WallClock, reference_weekday, wall_clock
from .model import Event, EventCalendar, Kind

# Positions within an event: steps of the ramp before it, of the event itself, of the ramp after.
RAMP, CORE = 4, 24
POSITIONS = RAMP + CORE + RAMP
SLOTS = 48  # half hours of a day


@dataclass(frozen=True, slots=True)
class KeyEffect:
    """What was learned about the events of one key, or of a whole pool.

    `median` and `upper` are for people: demand during the event ÷ demand without it, in the middle
    and at the upper quantile. `profile` holds the log multiplier for each of `POSITIONS`; `spread`
    is what the upper quantile adds to it. `day_shape` (about 0-1) says how far a holiday makes a
    day like a day off (see days.py).
    """

    key: str
    occurrences: int
    median: float
    upper: float
    profile: tuple[float, ...]
    spread: float
    day_shape: float = 0.0


@dataclass(frozen=True, slots=True)
class LearnedEffects:
    """All that the history says about events; small, and fit to be sent between processes.

    `week` is the log of usual demand for each weekday and half hour on the wall clock of
    `time_zone` (7 times `SLOTS`), empty where the history is too short. `quantile` is the one
    that `upper` stands for.
    """

    keys: Mapping[str, KeyEffect] = field(default_factory=dict)
    week: tuple[float, ...] = ()
    time_zone: str = "UTC"
    quantile: float = 0.975

    def of(self, event: Event) -> KeyEffect | None:
        """What is known of an event, or of its nearest kin; None where nothing is."""
        known = (self.keys.get(name) for name in (event.key, *event.pools))
        return next((effect for effect in known if effect is not None), None)

    def explain(self, event: Event) -> str:
        """What is expected of an event and why, in one sentence for people."""
        learned = self.of(event)
        seen = learned.occurrences if learned is not None and learned.key == event.key else 0
        if event.effect.multiplier is not None:
            said = f"declared: {event.effect.multiplier:g} times the usual demand"
            if learned is None or not seen:
                return said
            return f"{said}; its last {_times(seen)} had {learned.median:.2g} times"
        if learned is None:
            floor = event.effect.min_replicas
            said = "not seen yet, nor anything of its kind"
            return f"{said}: only its minReplicas {floor} counts" if floor else f"{said}: no effect"
        expected = f"{learned.median:.2g} times the usual demand, up to {learned.upper:.2g}"
        if seen:
            return f"seen {_times(seen)}: {expected}"
        return f"not seen yet; {learned.key}, seen {_times(learned.occurrences)}: {expected}"


@dataclass(frozen=True, slots=True, eq=False)
class Multipliers:
    """For each time: demand ÷ what it would be without events (shape: that of the times).

    `median` goes with a forecast's median, `upper` with its upper quantile.
    """

    median: Floats
    upper: Floats


def multipliers(calendar: EventCalendar, effects: LearnedEffects, times: Floats) -> Multipliers:
    """The multipliers at the given times (Unix seconds, ascending, shape n)."""
    both = _Stack(len(times))
    if not len(times):
        return both.result()
    shape = day_shape(calendar, effects, times)
    spread = np.zeros_like(shape)
    for event in calendar.occurrences(float(times[0]), float(times[-1])):
        first, last = np.searchsorted(times, [event.begins, event.ceases])
        part = slice(int(first), int(last))
        if event.effect.multiplier is not None:
            share = np.array([event.share(float(at)) for at in times[part]])
            both.declare(part, 1 + (event.effect.multiplier - 1) * share)
            if event.kind is Kind.HOLIDAY:
                shape[part] = 0.0
        elif (learned := effects.of(event)) is not None:
            at = positions(event, times[part])
            log = np.asarray(learned.profile)[at]
            if event.kind is Kind.HOLIDAY:
                shape[part] += log
                spread[part] = learned.spread
            else:
                both.learn(part, log, np.full_like(log, learned.spread))
    if shape.any() or spread.any():
        both.learn(slice(None), shape, spread)
    return both.result()


class _Stack:
    """The highest rise and the deepest fall so far, as logs, for the median and the upper."""

    def __init__(self, size: int) -> None:
        self._rise = np.zeros((2, size))
        self._fall = np.zeros((2, size))
        self._declared = np.zeros(size)

    def learn(self, part: slice, log: Floats, spread: Floats) -> None:
        """A learned effect; its upper quantile is so much higher than its median."""
        self._include(part, np.array([log, log + spread]))

    def _include(self, part: slice, logs: Floats) -> None:
        np.maximum(self._rise[:, part], logs, out=self._rise[:, part])
        np.minimum(self._fall[:, part], logs, out=self._fall[:, part])

    def declare(self, part: slice, multiplier: Floats) -> None:
        """A declared effect: what it says is meant, at all quantiles."""
        log = np.log(multiplier)
        self._include(part, log)
        self._declared[part] = np.maximum(self._declared[part], log)

    def result(self) -> Multipliers:
        """The multipliers that come of it."""
        total = np.where(self._declared > 0, self._rise, self._rise + self._fall)
        median, upper = np.exp(total)
        return Multipliers(median, upper)


def positions(event: Event, times: Floats) -> Ints:
    """At which of `POSITIONS` each time stands; the times lie within the event and its ramps."""
    before, after = event.effect.ramp_before, event.effect.ramp_after
    ramp = np.floor((times - event.begins) / before * RAMP) if before else np.zeros_like(times)
    core = RAMP + np.floor((times - event.start) / (event.end - event.start) * CORE)
    fade = np.floor((times - event.end) / after * RAMP) if after else np.zeros_like(times)
    at = np.where(times < event.start, ramp, np.where(times < event.end, core, fade + RAMP + CORE))
    return np.clip(at, 0, POSITIONS - 1).astype(np.int64)


def day_shape(calendar: EventCalendar, effects: LearnedEffects, times: Floats) -> Floats:
    """The log multiplier that comes from days being like other weekdays (shape: the times')."""
    shape = np.zeros(len(times))
    if not effects.week:
        return shape
    clock = wall_clock(times, effects.time_zone)
    days = Days.of(calendar, clock, times, effects.time_zone)
    if not days.holidays:
        return shape
    like = week_shape(clock, days, np.asarray(effects.week))
    for day in np.unique(clock.day[like != 0]):
        event = days.holiday_near(int(day))
        learned = effects.of(event) if event is not None else None
        if learned is not None and learned.day_shape:
            today = clock.day == day
            shape[today] = learned.day_shape * like[today]
    return shape


def week_shape(clock: WallClock, days: Days, week: Floats) -> Floats:
    """Log of usual demand at the weekday that each time is like ÷ at its own (shape: the times').

    `week` is that of `LearnedEffects`; 0 where a time is like its own weekday, or nothing is known.
    """
    table = week.reshape(7, SLOTS)
    slot = slot_of_day(clock)
    ratio = table[reference_weekday(clock, days), slot] - table[clock.weekday, slot]
    return np.nan_to_num(ratio, nan=0.0, posinf=0.0, neginf=0.0)


def slot_of_day(clock: WallClock) -> Ints:
    """Which of the day's `SLOTS` each time lies in."""
    return np.minimum((clock.hour * SLOTS / 24).astype(np.int64), SLOTS - 1)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
