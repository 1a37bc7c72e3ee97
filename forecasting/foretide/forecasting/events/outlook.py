"""What events mean for the coming minutes, given what demand has been.

A multiplier is demand during the event ÷ what demand would be without it. When the event's demand
comes is not known to the minute: an hour on the clock says when a campaign is sent, not when people
open it. So what is asked for is the multiplier times demand as it was *before* the event (or now,
if it is lower), a lead time before the event begins, for as long as that demand has not come:

- While it is late, nothing is taken away.
- What has come early is not multiplied again.
- Once it has been there for some minutes, demand speaks for itself.
- When the event is over, so is all that. An effect that was learned is not as sure as one that was
  declared: it is waited for no longer than `_PATIENCE`.

Nothing has to be remembered but recent demand, which is there again after a restart.
"""

import math
from collections.abc import Sequence

import numpy as np

from ..series import Series
from .days import Floats
from .effects import LearnedEffects, Multipliers, multipliers
from .model import NOTHING_AHEAD, Event, EventCalendar, EventOutlook

_DAY = 86_400.0
_LOOK = 300.0
_NAMED = 5
# Demand before an event is that of so many seconds, which end so long before it begins: as early as
# its own demand may be.
_LEVEL, _EARLY = 300.0, 300.0
_PATIENCE = 7_200.0
# An event's demand has come when it has been near what was expected in so many minutes.
_NEAR, _MINUTES = 0.9, 3
# Below so large a multiplier nobody can tell whether it has come: so many seconds are waited.
_SMALL, _SMALL_PATIENCE = 1.25, 900.0


def outlook(
    calendar: EventCalendar,
    effects: LearnedEffects,
    start: float,
    end: float,
    *,
    recent: Series | None = None,
    demand: float | None = None,
) -> EventOutlook:
    """What events mean for the time from now, `start`, to `end` (Unix seconds).

    `recent` is demand by the minute until now (NaN where unknown), `demand` that of now; None
    where it is not known. Without them an event's demand is taken to come when the event begins.
    """
    # A holiday reaches into the days around it, hence a day more on both sides.
    around = list(calendar.occurrences(start - _DAY, end + _DAY))
    if not around:
        return NOTHING_AHEAD
    ahead = [event for event in around if event.begins <= end and event.ceases > start]
    times = _moments(ahead, start, end)
    found = multipliers(calendar, effects, times)
    waited = {event for event in ahead if _is_waited_for(event, effects, times)}
    levels = {event: _before(event, calendar, effects, end - start, recent) for event in waited}
    known = {event: level for event, level in levels.items() if level is not None}
    now = demand if demand is not None else _last(recent)
    rises = [_coming(event, level, found, times, recent, now) for event, level in known.items()]
    others = found
    if known:
        rest = tuple(event for event in around if event not in known)
        others = multipliers(EventCalendar(rest, calendar.weekend), effects, times)
    named = [event.name for event in ahead if _matters(event, effects)]
    return EventOutlook(
        multiplier=float(found.upper.max()),
        rise=max(1.0, float(others.upper.max() / others.upper[0]), *rises),
        min_replicas=_floor(ahead, times),
        names=tuple(dict.fromkeys(named))[:_NAMED],
        unsure=float(found.median.max()) >= _SMALL
        and any(event.begins <= start < event.start + _PATIENCE for event in waited - known.keys()),
    )


def _moments(ahead: Sequence[Event], start: float, end: float) -> Floats:
    """When to look, so that no peak is missed (Unix seconds, ascending)."""
    breaks = [at for event in ahead for at in event.breaks if start < at < end]
    # A handful: of so few, numpy's `unique` would take most of the time of an outlook.
    return np.array(sorted({start, end, *breaks, *np.arange(start, end, _LOOK).tolist()}))


def _floor(ahead: Sequence[Event], times: Floats) -> int:
    floors = (
        math.ceil(event.effect.min_replicas * event.share(float(at)))
        for event in ahead
        if event.effect.min_replicas is not None
        for at in times
    )
    return max(floors, default=0)


def _matters(event: Event, effects: LearnedEffects) -> bool:
    declared = event.effect.multiplier is not None or event.effect.min_replicas is not None
    return declared or effects.of(event) is not None


def _is_waited_for(event: Event, effects: LearnedEffects, times: Floats) -> bool:
    """Whether it raises demand within the times, and its demand may still be on its way."""
    if event.effect.multiplier is None and times[0] >= event.start + _PATIENCE:
        return False
    alone = multipliers(EventCalendar((event,)), effects, times)
    return bool(alone.upper.max() > 1)


def _before(
    event: Event,
    calendar: EventCalendar,
    effects: LearnedEffects,
    span: float,
    recent: Series | None,
) -> float | None:
    """Demand as it was before an event, and without those that went on then; None: not known.

    `span` is how far ahead is looked, in seconds: what comes earlier than that is not multiplied
    anyway.
    """
    if recent is None:
        return None
    until = event.begins - max(span, _EARLY)
    seen = recent.between(until - _LEVEL, until).values
    seen = seen[np.isfinite(seen)]
    if not len(seen):
        return None
    carried = multipliers(calendar, effects, np.array([until])).median[0]
    return float(np.median(seen) / carried)


def _last(recent: Series | None) -> float | None:
    if recent is None:
        return None
    seen = recent.values[np.isfinite(recent.values)]
    return float(seen[-1]) if len(seen) else None


def _coming(
    event: Event,
    level: float,
    found: Multipliers,
    times: Floats,
    recent: Series | None,
    demand: float | None,
) -> float:
    """How much more than demand now an event makes of it, as far as its own has not come.

    `level` is what `_before` says, `found` what all events do at the times.
    """
    if demand is None or recent is None or _has_come(event, level, found, times, recent):
        return 1.0
    # Demand that falls for other reasons takes the event's along, but what a known event holds
    # down now will be back.
    least = min(1.0, float(found.median[0]))
    carried = demand / level if level > 0 else math.inf
    return float(found.upper.max()) / max(least, carried)


def _has_come(
    event: Event, level: float, found: Multipliers, times: Floats, recent: Series
) -> bool:
    now, expected = float(times[0]), float(found.median.max())
    if expected < _SMALL:
        return now >= event.start + _SMALL_PATIENCE
    since = recent.between(event.begins - max(float(times[-1]) - now, _EARLY), now).values
    return int((since >= _NEAR * expected * level).sum()) >= _MINUTES
