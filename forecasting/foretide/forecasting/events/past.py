"""A history of demand, made ready for learning what events did to it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foretide.forecasting.series import Series

from .days import Bools, Days, Floats, WallClock, reference_weekday, wall_clock
from .effects import SLOTS, slot_of_day, week_shape
from .model import Event, EventCalendar

_LOUDEST = 2.5
# One part in a hundred of usual demand: below it a ratio says nothing.
_FAINT = 0.01
_LEVEL_DAYS, _WEEK_DAYS = 7, 56


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """The history, ready to be looked at; `ratio`, `shape` and `clock` are of its steps.

    `ratio` is the log of demand ÷ baseline, less its level on the days before, NaN where unknown.
    `noise` is its usual deviation where no event is at work, `day_noise` that of a day's median.
    """

    times: Floats
    clock: WallClock
    ratio: Floats
    shape: Floats
    days: Days
    week: Floats
    noise: float
    day_noise: float


def prepare(
    history: Series,
    baseline: Floats,
    calendar: EventCalendar,
    events: Sequence[Event],
    time_zone: str,
) -> Past:
    times = history.times
    clock = wall_clock(times, time_zone)
    days = Days.of(calendar, clock, times, time_zone)
    faint = _FAINT * float(np.nanmedian(baseline))
    with np.errstate(divide="ignore", invalid="ignore"):
        demand = np.log(history.values + faint)
        ratio = np.clip(demand - np.log(baseline + faint), -_LOUDEST, _LOUDEST)
    ratio[~np.isfinite(ratio)] = np.nan
    clean = np.isfinite(ratio) & (reference_weekday(clock, days) == clock.weekday)
    for event in events:
        clean[slice(*np.searchsorted(times, [event.begins, event.ceases]))] = False
    level, day_noise = _levels(ratio, clock, clean)
    ratio = ratio - level
    recent = clean & (clock.day > clock.day[-1] - _WEEK_DAYS)
    week = _usual_week(demand, clock, recent)
    return Past(
        times=times,
        clock=clock,
        ratio=ratio,
        shape=week_shape(clock, days, week) if week.size else np.zeros_like(ratio),
        days=days,
        week=week,
        noise=_deviation(ratio[clean]),
        day_noise=day_noise,
    )


def _levels(ratio: Floats, clock: WallClock, clean: Bools) -> tuple[Floats, float]:
    """For each step the median of the days before its own, and how much days deviate from it."""
    days, first = np.unique(clock.day, return_index=True)
    medians = np.full(len(days), np.nan)
    for position, steps in enumerate(np.split(np.arange(len(ratio)), first[1:])):
        usable = steps[clean[steps]]
        if len(usable) * 2 >= len(steps):
            medians[position] = np.median(ratio[usable])
    level = np.zeros(len(days))
    for position, day in enumerate(days):
        before = medians[(days < day) & (days >= day - _LEVEL_DAYS)]
        if np.isfinite(before).any():
            level[position] = np.nanmedian(before)
    steps_of = np.searchsorted(days, clock.day)
    return level[steps_of], _deviation((medians - level)[np.isfinite(medians)])


def _usual_week(demand: Floats, clock: WallClock, usable: Bools) -> Floats:
    """Median log demand for each weekday and slot (shape 7 × SLOTS), empty if one is unknown."""
    place = (clock.weekday * SLOTS + slot_of_day(clock))[usable]
    if len(np.unique(place)) < 7 * SLOTS:
        return np.zeros(0)
    order = np.argsort(place, kind="stable")
    cuts = np.searchsorted(place[order], np.arange(1, 7 * SLOTS))
    parts = np.split(demand[usable][order], cuts)
    return np.array([np.median(part) for part in parts]).reshape(7, SLOTS)


def _deviation(values: Floats) -> float:
    """Standard deviation by way of the median absolute one, 0 for nothing."""
    if not len(values):
        return 0.0
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))
