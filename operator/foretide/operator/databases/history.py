"""What has been seen of a database lately, and the workload that advice is made for. Pure.

Nothing of it outlives the operator: PostgreSQL itself has counted since long before, and what it
says in all is the workload until there is a better one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from foretide.dbadvisor import deltas
from foretide.dbadvisor.snapshot import Activity, Pulse, Snapshot, Workload

# Seconds: so long must the counters be followed to say more than what they have counted in all,
# and so old does a beginning become. What has changed since then counts for half, at least.
ENOUGH = 3_600.0
LONGEST = 86_400.0
# Stretches between two looks, for N+1; and moments at which sessions were looked at.
MOST_STRETCHES = 30
MOST_ACTIVITIES = 300
# How a day's calls come: looks kept that are so far apart (seconds), and statements in each, the
# costliest first.
MARK_SECONDS = 900.0
MOST_MARKS = int(2 * LONGEST / MARK_SECONDS)
MARKED = 100
# A look that comes later than so many times the usual pause is one after a gap.
GAP = 5.0


@dataclass(frozen=True, slots=True)
class History:
    """`begin` is what the workload is counted from, `middle` what it will be counted from when
    that is too old. `stretches` are those between looks that follow one another, `pulses` the last
    closer looks at some statements, `marks` how often statements had been called by moments a
    quarter of an hour apart, `since` when the first look was taken (Unix seconds), `looks`
    how many there were.
    """

    begin: Snapshot | None = None
    middle: Snapshot | None = None
    last: Snapshot | None = None
    stretches: tuple[Workload, ...] = ()
    activities: tuple[Activity, ...] = ()
    pulses: tuple[Pulse, ...] = ()
    marks: tuple[Pulse, ...] = ()
    since: float = 0.0
    looks: int = 0


def with_look(
    history: History, snapshot: Snapshot, activities: Sequence[Activity], interval: float
) -> History:
    """The history with one more look. Where it does not follow from the last one (another database,
    a clock that was set back) it begins anew; `interval` in seconds is the usual pause.
    """
    last = history.last
    if last is None or last.database != snapshot.database or last.at > snapshot.at:
        return History(
            snapshot,
            snapshot,
            snapshot,
            (),
            tuple(activities),
            marks=_marked((), snapshot),
            since=snapshot.at,
            looks=1,
        )
    begin, middle = history.begin or last, history.middle or last
    if snapshot.at - middle.at >= LONGEST:
        begin, middle = middle, snapshot
    stretches, seen = history.stretches, history.activities
    if snapshot.at - last.at > GAP * interval:  # what was seen before it says nothing of after
        stretches, seen = (), ()
    else:
        stretches = (*stretches, deltas.between(last, snapshot))[-MOST_STRETCHES:]
    return replace(
        history,
        begin=begin,
        middle=middle,
        last=snapshot,
        stretches=stretches,
        activities=(*seen, *activities)[-MOST_ACTIVITIES:],
        marks=_marked(history.marks, snapshot),
        looks=history.looks + 1,
    )


def _marked(marks: tuple[Pulse, ...], snapshot: Snapshot) -> tuple[Pulse, ...]:
    """With one more where the last one is old enough. What was marked once stays so."""
    if marks and snapshot.at - marks[-1].at < MARK_SECONDS:
        return marks
    calls: dict[int, int] = {}
    for each in snapshot.statements:
        calls[each.queryid] = calls.get(each.queryid, 0) + each.calls
    costliest = sorted(snapshot.statements, key=lambda each: -each.total_ms)[:MARKED]
    kept = {each.queryid for each in costliest}.union(marks[-1].calls if marks else ())
    some = sorted(kept & calls.keys())[: 2 * MARKED]
    return (*marks, Pulse(snapshot.at, {each: calls[each] for each in some}))[-MOST_MARKS:]


def lightened(history: History) -> History:
    """The same without what takes room and is read again where advice is made: texts of statements
    and statistics of columns. Counters stay.
    """
    begin, last = _light(history.begin), _light(history.last)
    return replace(history, begin=begin, middle=begin, last=last)


def _light(snapshot: Snapshot | None) -> Snapshot | None:
    if snapshot is None:
        return None
    return replace(
        snapshot,
        statements=tuple(replace(each, text="") for each in snapshot.statements),
        tables=tuple(replace(table, columns=()) for table in snapshot.tables),
        constants=(),
        examples={},
        views=(),
    )


def workload(history: History) -> Workload:
    """What the database has had to do: lately, where that is long enough, or else in all.

    Raises:
        ValueError: nothing has been seen yet.
    """
    if history.last is None:
        raise ValueError("nothing has been seen yet")
    begin = beginning(history)
    return deltas.total(history.last) if begin is None else deltas.between(begin, history.last)


def beginning(history: History) -> Snapshot | None:
    """What the workload is counted from; None where it is all that was ever counted."""
    if history.last is None or history.begin is None:
        return None
    return history.begin if history.last.at - history.begin.at >= ENOUGH else None


def marks_since(history: History) -> tuple[Pulse, ...]:
    """How calls came in the workload's time; nothing where that is all that was ever counted."""
    begin = beginning(history)
    if begin is None:
        return ()
    return tuple(mark for mark in history.marks if mark.at >= begin.at)
