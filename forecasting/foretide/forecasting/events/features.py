"""Events as numbers that a regression model can use.

They say what kind of day it is and how near the next event is, not which event: so a model can
use them for a holiday that it has never seen.
"""

from collections.abc import Sequence

import numpy as np

from .days import Bools, Days, Floats, reference_weekday, wall_clock
from .model import Event, EventCalendar, Kind, pool_of

# Beyond so many hours an event is far away, and one distance is as good as another.
FAR = 72.0
_HOUR = 3_600.0


def features(calendar: EventCalendar, times: Floats, time_zone: str) -> dict[str, Floats]:
    """Numbers for each of the times (Unix seconds, ascending, shape n), by name.

    | name | what |
    |---|---|
    | `holiday`, `holiday_yesterday`, `holiday_tomorrow` | 1 on such a day of `time_zone`, else 0 |
    | `free_day` | 1 on weekends and holidays |
    | `bridge_day` | 1 on a working day between two free ones |
    | `like_weekday` | the weekday (0 is Monday) that this time of day is like, see days.py |
    | `KIND` | 1 while an event of the kind takes place (`holiday` is above) |
    | `KIND_position` | how much of it has passed, 0-1; 0 outside |
    | `hours_to_KIND`, `hours_since_KIND` | to the next start, from the last end; at most `FAR` |
    | `declared` | log of the highest declared multiplier, ramps included |
    """
    if not len(times):
        return {}
    clock = wall_clock(times, time_zone)
    days = Days.of(calendar, clock, times, time_zone)
    free, working = days.is_free(clock.day), ~days.is_free(clock.day)
    between = days.is_free(clock.day - 1) & days.is_free(clock.day + 1)
    found: dict[str, Bools | Floats] = {
        "holiday_yesterday": np.isin(clock.day - 1, list(days.holidays)),
        "holiday_tomorrow": np.isin(clock.day + 1, list(days.holidays)),
        "free_day": free,
        "bridge_day": working & between,
        "like_weekday": reference_weekday(clock, days).astype(float),
    }
    reach = FAR * _HOUR
    near = list(calendar.occurrences(float(times[0]) - reach, float(times[-1]) + reach))
    for kind in Kind:
        found |= _of_kind(pool_of(kind), [event for event in near if event.kind is kind], times)
    found["declared"] = _declared(near, times)
    return {name: values.astype(float) for name, values in found.items()}


def covered(calendar: EventCalendar, times: Floats) -> Bools:
    """Where an event or one of its ramps is in force (times ascending, shape n).

    A model that is to know ordinary days only leaves these out of its fit.
    """
    found = np.zeros(len(times), dtype=bool)
    if len(times):
        for event in calendar.occurrences(float(times[0]), float(times[-1])):
            found[slice(*np.searchsorted(times, [event.begins, event.ceases]))] = True
    return found


def _of_kind(name: str, events: Sequence[Event], times: Floats) -> dict[str, "Bools | Floats"]:
    inside = np.zeros(len(times), dtype=bool)
    position = np.zeros(len(times))
    for event in events:
        part = slice(*np.searchsorted(times, [event.start, event.end]))
        inside[part] = True
        position[part] = (times[part] - event.start) / (event.end - event.start)
    starts = np.array([*sorted(event.start for event in events), np.inf])
    ends = np.array([-np.inf, *sorted(event.end for event in events)])
    ahead = starts[np.searchsorted(starts, times)] - times
    ago = times - ends[np.searchsorted(ends, times, side="right") - 1]
    return {
        name: inside,
        f"{name}_position": position,
        f"hours_to_{name}": np.minimum(ahead / _HOUR, FAR),
        f"hours_since_{name}": np.where(inside, 0.0, np.minimum(ago / _HOUR, FAR)),
    }


def _declared(events: Sequence[Event], times: Floats) -> Floats:
    found = np.zeros(len(times))
    for event in events:
        multiplier = event.effect.multiplier
        if multiplier is None:
            continue
        part = slice(*np.searchsorted(times, [event.begins, event.ceases]))
        shares = np.array([event.share(float(at)) for at in times[part]])
        log = np.log(1 + (multiplier - 1) * shares)
        found[part] = np.where(np.abs(log) > np.abs(found[part]), log, found[part])
    return found
