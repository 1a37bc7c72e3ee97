"""Whether queries got faster or slower since an index was created, by pg_stat_statements alone.

A query is judged again and again, each time by the calls since the last time, as soon as there are
enough of them. Slower are those whose mean time has grown by a share that matters and by more than
chance explains (Welch's test, by the spread that pg_stat_statements keeps), allowing for two things
that no index has done: that calls return more rows than before, and that the whole database has
become slower, as seen by queries that have nothing to do with the table. Once may be a bad hour: an
index is blamed for what was slower twice in a row.

That nothing was seen does not speak for an index. It is kept once all calls together show that none
of its queries can have become slower by what matters, or that what they may lose is less than what
others gain for certain. Until then it is waited, and in the end said that it could not be told.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from foretide.dbadvisor import deltas
from foretide.dbadvisor.snapshot import Workload
from foretide.dbadvisor.verifying import SLOWER_MS, SLOWER_SHARE

FEWEST_CALLS = 10.0
# Standard errors: to blame an index, and to say what a query loses at most, or gains at least.
SIGNIFICANT = 3.0
CONFIDENT = 2.0
TWICE = 2
FEWEST_CONTROLS = 3
MOST_DRIFT = 3.0
# So long it is watched at most: a week has all that a database does on its days. After a day in
# which its queries were called, an index that nobody has read will not be read.
VERIFY_SECONDS = 7 * 86_400.0
UNREAD_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Timing:
    """Calls of one query, what they took (ms), the rows that came back, and the sum of the squares
    of the times (ms²).
    """

    calls: float = 0.0
    total_ms: float = 0.0
    rows: float = 0.0
    squares: float = 0.0

    @property
    def mean(self) -> float:
        return self.total_ms / self.calls if self.calls > 0 else 0.0

    @property
    def variance(self) -> float:
        """Of the mean."""
        if self.calls <= 0:
            return 0.0
        return max(0.0, self.squares / self.calls - self.mean**2) / self.calls

    @property
    def rows_per_call(self) -> float:
        return self.rows / self.calls if self.calls > 0 else 0.0

    @property
    def spread(self) -> float:
        """The variance of the calls, as a share of the square of their mean."""
        return self.variance * self.calls / self.mean**2 if self.mean > 0 else 0.0

    def with_calls(self, other: "Timing", slowed: float = 1.0) -> "Timing":
        """And those of `other`, had the database not been so many times slower then."""
        return Timing(
            self.calls + other.calls,
            self.total_ms + other.total_ms / slowed,
            self.rows + other.rows,
            self.squares + other.squares / slowed**2,
        )


class Change(StrEnum):
    """What has become of a query."""

    FASTER = "Faster"
    SLOWER = "Slower"
    UNCHANGED = "Unchanged"
    FEW_CALLS = "FewCalls"  # not enough of them to tell


@dataclass(frozen=True, slots=True)
class Judgement:
    """`ratio` of the mean times, after to before. `added_ms`: what one call takes longer than it
    would have, below 0 where it is faster. `most_ms`: what it may take longer at most, by what is
    known (0 where that is no share that matters); `least_ms`: what it gains for certain.
    """

    change: Change
    ratio: float = 1.0
    added_ms: float = 0.0
    most_ms: float = math.inf
    least_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Watch:
    """One query under watch. `before` is how it was, `after` how all calls were that are judged;
    `mark` its counters when the calls began that are judged next. `slower` is how often in a row it
    was slower by the calls between two looks. `change`, `ratio` and `added_ms` are those of a
    `Judgement` of all calls, or of the last ones while these are slower. Without any `added_ms`
    comes from the few calls there were, and is 0 if there were none. `control`: it has nothing to
    do with the table.
    """

    query: str
    before: Timing
    mark: Timing
    change: Change = Change.FEW_CALLS
    ratio: float = 1.0
    added_ms: float = 0.0
    slower: int = 0
    judged: int = 0
    control: bool = False
    after: Timing = Timing()

    @property
    def known(self) -> Judgement:
        """By all calls since."""
        return judge(self.before, self.after)

    @property
    def telling(self) -> bool:
        """Of those that were seldom called before, nothing will ever be known."""
        return self.before.calls >= FEWEST_CALLS

    @property
    def seen(self) -> bool:
        """Whether it was called since."""
        return self.judged > 0 or self.added_ms != 0.0


class Outcome(StrEnum):
    KEEP = "Keep"
    REVERT = "Revert"
    WAIT = "Wait"
    UNPROVEN = "Unproven"  # the time is over, and it could not be told


@dataclass(frozen=True, slots=True)
class Verdict:
    """On one index: what to do, and why in one sentence. `faster` and `slower` are queries by id,
    `gained_ms` and `lost_ms` what as many calls as there were before take less and more.
    """

    outcome: Outcome
    reason: str
    faster: tuple[str, ...] = ()
    slower: tuple[str, ...] = ()
    gained_ms: float = 0.0
    lost_ms: float = 0.0


def timings(workload: Workload) -> dict[str, Timing]:
    """Of each query by its id."""
    return {
        query.id: Timing(
            query.calls,
            query.total_ms,
            query.rows,
            deltas.squares(query),
        )
        for query in workload.queries
    }


def since(earlier: Timing, later: Timing) -> Timing:
    """What was added. With fewer calls than before, counters began anew in between."""
    if later.calls < earlier.calls or later.total_ms < earlier.total_ms:
        return later
    return Timing(
        later.calls - earlier.calls,
        later.total_ms - earlier.total_ms,
        max(0.0, later.rows - earlier.rows),
        max(0.0, later.squares - earlier.squares),
    )


def watching(
    before: Mapping[str, Timing],
    counters: Mapping[str, Timing],
    concerned: Iterable[str],
    *,
    most: int = 30,
    controls: int = 10,
) -> tuple[Watch, ...]:
    """Whom to watch: of the queries `concerned` and of the others those that take most time.

    `before` is a stretch of time before the index was created, `counters` are all calls until now.
    """
    ours = frozenset(concerned)
    ranked = sorted(before, key=lambda query: (-before[query].total_ms, query))
    chosen = [query for query in ranked if query in ours][:most]
    others = [
        query for query in ranked if query not in ours and before[query].calls >= FEWEST_CALLS
    ]
    return tuple(
        Watch(query, before[query], counters.get(query, Timing()), control=query not in ours)
        for query in (*chosen, *others[:controls])
    )


def looked_at(watches: Sequence[Watch], counters: Mapping[str, Timing]) -> tuple[Watch, ...]:
    """The watches after another look at the counters."""
    with_controls = [
        _judged(watch, counters.get(watch.query), 1.0) if watch.control else watch
        for watch in watches
    ]
    slowed = drift(with_controls)
    return tuple(
        watch if watch.control else _judged(watch, counters.get(watch.query), slowed)
        for watch in with_controls
    )


def drift(watches: Iterable[Watch]) -> float:
    """How much slower the whole database has become: the median of the controls. At least 1, as a
    database that got faster excuses nothing.
    """
    ratios = [watch.ratio for watch in watches if watch.control and watch.judged]
    if len(ratios) < FEWEST_CONTROLS:
        return 1.0
    return min(MOST_DRIFT, max(1.0, statistics.median(ratios)))


def judge(before: Timing, after: Timing, slowed: float = 1.0) -> Judgement:
    """What has become of a query. `slowed`: how much slower the whole database has become.

    Of times with a long tail, a few calls look faster than they are, as the longest have not come
    yet: where it would speak for an index, calls are taken to spread as much as those before did.
    """
    if before.calls < FEWEST_CALLS or after.calls < FEWEST_CALLS or before.mean <= 0:
        return Judgement(Change.FEW_CALLS)
    rows = after.rows_per_call / before.rows_per_call if before.rows_per_call > 0 else 1.0
    expected = before.mean * slowed
    allowed = expected * max(1.0, rows)
    usual = slowed**2 * before.variance
    error = math.sqrt(after.variance + usual)
    spread = max(after.spread, before.spread)
    cautious = math.sqrt(spread * after.mean**2 / after.calls + usual)
    ratio, added = after.mean / before.mean, after.mean - expected
    most = after.mean + CONFIDENT * cautious - allowed
    most = most if most > SLOWER_SHARE * allowed else 0.0
    if added > SIGNIFICANT * error and after.mean > allowed * (1 + SLOWER_SHARE):
        return Judgement(Change.SLOWER, ratio, added, most)
    less = after.mean * (1 + SLOWER_SHARE) < expected * min(1.0, rows)
    if less and -added > SIGNIFICANT * cautious:
        return Judgement(Change.FASTER, ratio, added, most, -added - CONFIDENT * cautious)
    return Judgement(Change.UNCHANGED, ratio, added, most)


def decide(
    watches: Sequence[Watch],
    index: str,
    uses: Mapping[str, frozenset[str]],
    *,
    age: float = 0.0,
    limit: float = VERIFY_SECONDS,
    scans: int | None = None,
) -> Verdict:
    """Whether the index may stay.

    `uses` are the indexes, by name, in the plan of each watched query now; a query without a plan
    may use any, and so may one that writes. The index is there for `age` seconds; after `limit`
    nobody waits any longer for more calls. `scans`: how often it was read, where that is known.

    It goes when a query that uses it was slower twice in a row by more than `SLOWER_MS` a call, or
    when all slower queries together lose more time than the faster ones gain: for that, those that
    are seldom called count by what is known of them, and are waited for. It goes, too, when nobody
    reads it, though all that it may be for was called.
    """
    over = age >= limit
    ours = [watch for watch in watches if not watch.control]
    using = [watch for watch in ours if index in uses.get(watch.query, frozenset({index}))]
    slower = [watch for watch in using if watch.slower >= TWICE]
    faster = [watch for watch in using if watch.change is Change.FASTER]
    seldom = [watch for watch in using if watch.change is Change.FEW_CALLS]
    gained = -sum(min(0.0, each.added_ms) * each.before.calls for each in (*faster, *seldom))
    lost = sum(watch.added_ms * watch.before.calls for watch in slower)
    said = (
        tuple(watch.query for watch in faster),
        tuple(watch.query for watch in slower),
        gained,
        lost,
    )
    worst = max(slower, key=lambda watch: (watch.added_ms, watch.query), default=None)
    if worst is not None and (worst.added_ms > SLOWER_MS or lost > gained):
        unseen = [watch for watch in seldom if not watch.seen]
        if worst.added_ms > SLOWER_MS or over or not unseen:
            return Verdict(Outcome.REVERT, _slower(worst, len(slower)), *said)
        waiting = f"{len(unseen)} queries that it may help were not called yet"
        return Verdict(Outcome.WAIT, waiting, *said)
    if scans == 0 and age >= UNREAD_SECONDS and ours and all(watch.seen for watch in ours):
        return Verdict(Outcome.REVERT, "nobody has read it, though its queries were called", *said)
    doubt = "nobody has read it" if scans == 0 else _doubt(using, over)
    if doubt:
        if over:
            return Verdict(Outcome.UNPROVEN, f"it could not be told: {doubt}", *said)
        return Verdict(Outcome.WAIT, doubt, *said)
    told = f"{len(faster)} queries are faster, {len(slower)} slower"
    if seldom:
        told += f"; {len(seldom)} had too few calls to tell"
    return Verdict(Outcome.KEEP, told, *said)


def _doubt(using: Sequence[Watch], over: bool) -> str:
    """Why it is not known that the index does more good than harm; "" if it is. In the end nobody
    waits for queries that are not called any more, where others have gained.
    """
    telling = [watch for watch in using if watch.telling]
    if not telling:
        return "no query that is called often is known to use it"
    known = {watch: watch.known for watch in telling if watch.judged}
    gain = sum(it.least_ms * watch.before.calls for watch, it in known.items())
    risk = sum(it.most_ms * watch.before.calls for watch, it in known.items())
    doubtful = {
        watch
        for watch, it in known.items()
        if it.most_ms > SLOWER_MS or (it.most_ms > 0 and risk > gain)
    }
    doubtful |= {it for it in using if it.change is Change.SLOWER and it.slower < TWICE}
    if not over or gain <= 0:
        doubtful |= {watch for watch in telling if watch.judged < TWICE}
    return f"{len(doubtful)} of {len(using)} queries need more calls" if doubtful else ""


def _slower(watch: Watch, count: int) -> str:
    others = f", and {count - 1} more are slower" if count > 1 else ""
    return (
        f"query {watch.query} takes {watch.before.mean * watch.ratio:.3g} ms instead of "
        f"{watch.before.mean:.3g} ms, seen {watch.slower} times in a row{others}"
    )


def _judged(watch: Watch, counters: Timing | None, slowed: float) -> Watch:
    """Judges the calls since the mark, once there are enough of them."""
    if counters is None:  # thrown away to make room: it comes back with counters that begin anew
        return watch
    mark = watch.mark if counters.calls >= watch.mark.calls else Timing()
    calls = since(mark, counters)
    last = judge(watch.before, calls, slowed)
    if last.change is Change.FEW_CALLS:
        if watch.judged or not calls.calls or not watch.before.calls:
            return replace(watch, mark=mark)
        # No judgement, but better than nothing where gains and losses are weighed.
        added = calls.mean - watch.before.mean * slowed
        return replace(watch, mark=mark, added_ms=added)
    after = watch.after.with_calls(calls, slowed)
    is_slower = last.change is Change.SLOWER
    # Controls tell how the database is now.
    shown = last if is_slower or watch.control else judge(watch.before, after)
    return replace(
        watch,
        mark=counters,
        change=shown.change,
        ratio=shown.ratio,
        added_ms=shown.added_ms,
        slower=watch.slower + 1 if is_slower else 0,
        judged=watch.judged + 1,
        after=after,
    )
