"""Counters of a few statements, looked at again and again for a few minutes: how their calls come
within a minute, which collections a minute apart do not show.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from foretide.dbadvisor.database import DatabaseAway, DatabaseError
from foretide.dbadvisor.rhythm import Counts, Rhythm, counted
from foretide.dbadvisor.snapshot import Pulse, Workload

STEP, SECONDS = 0.5, 300.0
DAY_LONGER = 2.0  # than what was seen lately: else that tells as much
LONG_STEP = 60.0  # s, of long stretches where nothing was collected meanwhile

Look = tuple[float, Mapping[str, float]]


def follow(
    look: Callable[[float], Pulse],
    *,
    seconds: float = SECONDS,
    step: float = STEP,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> tuple[Pulse, ...]:
    """What `look` (of `Collector.pulse`) sees at each moment of `clock`, every `step` s. A look
    that is refused, as it took too long, is left out.

    Raises:
        DatabaseAway: nobody answers.
    """
    seen: list[Pulse] = []
    begun = clock()
    for number in range(round(seconds / step) + 1):
        pause(max(0.0, begun + number * step - clock()))
        try:
            seen.append(look(clock()))
        except DatabaseAway:
            raise
        except DatabaseError:
            continue
    return tuple(seen)


@dataclass(frozen=True, slots=True)
class Seen:
    """Calls so far by the statement's id, in collections a minute or so apart, in looks in quick
    succession, and in some that are far apart. Make it with `seen`.
    """

    long: tuple[Look, ...] = ()
    short: tuple[Look, ...] = ()
    far: tuple[Look, ...] = ()

    def rhythm(self, query: str, writing: Iterable[str], more: float = 0.0) -> Rhythm | None:
        """How reads of a query come, and changes by statements (`writing`); `more` changes in a
        second, which no statement explains, are taken to come evenly. None where nothing was seen.
        """
        ids = sorted(writing)
        long = _series(self.long, query, ids, more)
        short = _series(_followed(self.short, query, ids), query, ids, more)
        fine = counted(short, STEP)
        slow = _evenly(long)
        if slow is None and fine is not None:
            slow = counted(short, LONG_STEP) or Counts(
                fine.step * len(fine.reads), (sum(fine.reads),), (sum(fine.changes),)
            )
        if slow is None or not sum(slow.reads):
            return None
        day = _evenly(_series(_followed(self.far, query, ids), query, ids, more))
        if day is not None and (day.seconds < DAY_LONGER * slow.seconds or not sum(day.reads)):
            day = None
        return Rhythm(slow, fine, day)


def _evenly(series: Sequence[tuple[float, float, float]]) -> Counts | None:
    """In steps as long as looks are apart, on average."""
    if len(series) < 2:
        return None
    return counted(series, (series[-1][0] - series[0][0]) / (len(series) - 1))


def _followed(looks: Sequence[Look], query: str, writing: Sequence[str]) -> list[Look]:
    """From where on all these statements were looked at, but for those that never were."""
    ever = {each for _, calls in looks for each in calls}
    wanted = [query, *(each for each in writing if each in ever)]
    return [(at, calls) for at, calls in looks if all(each in calls for each in wanted)]


def seen(windows: Sequence[Workload], pulses: Sequence[Pulse], marks: Sequence[Pulse] = ()) -> Seen:
    """`windows`: what statements cost in stretches of time that follow one another. `pulses`: what
    `follow` gives. `marks`: the same in looks that are far apart, over hours or a day.
    """
    long: list[Look] = [(0.0, {})] if windows else []
    for window in windows:
        if window.seconds:
            at, before = long[-1]
            calls = dict(before)
            for query in window.queries:
                calls[query.id] = calls.get(query.id, 0.0) + query.calls
            long.append((at + window.seconds, calls))
    return Seen(tuple(long), _by_text(pulses), _by_text(marks))


def _by_text(looks: Sequence[Pulse]) -> tuple[Look, ...]:
    return tuple(
        (look.at, {str(each): float(n) for each, n in look.calls.items()}) for look in looks
    )


def _series(
    looks: Sequence[Look], query: str, writing: Sequence[str], more: float
) -> list[tuple[float, float, float]]:
    return [
        (
            at,
            calls.get(query, 0.0),
            more * at + sum(calls.get(each, 0.0) for each in writing),
        )
        for at, calls in looks
    ]
