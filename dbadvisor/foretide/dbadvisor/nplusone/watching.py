"""N+1 from counters and samples alone: nothing has to be logged, and no application is touched.

Counters say how often a look-up ran and how many rows its possible parents returned: an N+1 runs
once for each row, or once for each different key where the ORM keeps what it has read. Visitors who
open lists and details make such numbers too, but seldom the same. Samples of sessions say who ran
the look-ups: an N+1 shows one backend with the same statement again, begun anew, in the same
transaction or a moment later.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from foretide.dbadvisor.nplusone.findings import THRESHOLDS, Finding, Kind, Thresholds
from foretide.dbadvisor.nplusone.links import Link, links
from foretide.dbadvisor.nplusone.shapes import shape
from foretide.dbadvisor.nplusone.texts import normalize
from foretide.dbadvisor.snapshot import Activity, ForeignKey, Query, Workload

# Counters and samples are read at moments of their own, so that the edges never quite agree.
_EXACT = 0.02
_FEW = 20  # look-ups: fewer agree by chance
_OPEN = 3  # pages that are being shown at one moment


@dataclass(frozen=True, slots=True)
class Looks:
    """Executions of a look-up that samples showed: of them, those whose backend was seen with
    another one in the same transaction (`together`), or within a moment (`looping`, both kinds).
    """

    seen: int
    looping: int
    together: int


@dataclass(frozen=True, slots=True)
class _Counted:
    """What the windows say of one statement: calls and rows of each."""

    text: str
    calls: tuple[float, ...]
    rows: tuple[float, ...]
    milliseconds: float


def watch(
    windows: Sequence[Workload],
    activities: Sequence[Activity],
    catalog: Sequence[ForeignKey] = (),
    thresholds: Thresholds = THRESHOLDS,
) -> tuple[Finding, ...]:
    """Look-ups that are N+1, those with most calls first.

    `windows`: what statements cost in stretches of time that follow one another. `activities`:
    looks at the sessions, of which some must be less than a second apart to tell anything.
    """
    counted = _counted(windows)
    seen = looks(activities, _names(windows), thresholds)
    reach = {}
    words = {}
    for name, each in sorted(counted.items()):
        known = shape(each.text)
        if known is not None and known.select and known.tables:
            reach[name], words[name] = frozenset(known.tables), known.columns
    found: dict[str, Finding] = {}
    while True:
        fresh = {}
        for child in sorted(reach.keys() - found.keys()):
            told = _judged(child, counted, reach, words, catalog, seen, thresholds)
            if told is not None:
                fresh[child] = told
        if not fresh:
            return tuple(sorted(found.values(), key=lambda each: (-each.calls, each.child)))
        for child, (parent, finding) in sorted(fresh.items()):
            found[child] = finding
            reach[parent] |= reach[child]
            words[parent] |= words[child]


def looks(
    activities: Sequence[Activity],
    names: Mapping[str, str],
    thresholds: Thresholds = THRESHOLDS,
) -> dict[str, Looks]:
    """What samples showed of each statement, by fingerprint. `names`: fingerprints by queryid."""
    by_backend: dict[tuple[int, float | None], dict[float, tuple[str, float | None]]] = defaultdict(
        dict
    )
    for activity in activities:
        for session in activity.sessions:
            if session.query_started is not None and session.query:
                name = names.get(str(session.queryid)) or normalize(session.query).fingerprint
                backend = by_backend[session.pid, session.backend_started]
                backend[session.query_started] = (name, session.transaction_started)
    seen: dict[str, int] = defaultdict(int)
    looping: dict[str, set[tuple[int, float | None, float]]] = defaultdict(set)
    together: dict[str, set[tuple[int, float | None, float]]] = defaultdict(set)
    for key in sorted(by_backend, key=str):
        last: dict[str, tuple[float, float | None]] = {}
        for started, (name, transaction) in sorted(by_backend[key].items()):
            seen[name] += 1
            before = last.get(name)
            if before is not None:
                same = transaction is not None and transaction == before[1]
                # Between two of a loop's statements others of the same loop may be seen.
                pair = {(*key, before[0]), (*key, started)}
                if same or started - before[0] <= thresholds.pause:
                    looping[name] |= pair
                if same:
                    together[name] |= pair
            last[name] = (started, transaction)
    return {
        name: Looks(count, len(looping[name]), len(together[name]))
        for name, count in sorted(seen.items())
    }


def _names(windows: Sequence[Workload]) -> dict[str, str]:
    return {
        query.id: normalize(query.text).fingerprint
        for window in windows
        for query in window.queries
    }


def _counted(windows: Sequence[Workload]) -> dict[str, _Counted]:
    by_name: dict[str, dict[int, list[Query]]] = defaultdict(lambda: defaultdict(list))
    for place, window in enumerate(windows):
        for query in window.queries:
            by_name[normalize(query.text).fingerprint][place].append(query)
    counted = {}
    for name, places in by_name.items():
        queries = [query for some in places.values() for query in some]
        counted[name] = _Counted(
            min((normalize(query.text).text for query in queries), key=lambda t: (len(t), t)),
            tuple(sum(each.calls for each in places[place]) for place in range(len(windows))),
            tuple(sum(each.rows for each in places[place]) for place in range(len(windows))),
            sum(query.total_ms for query in queries),
        )
    return counted


def _judged(
    child: str,
    counted: Mapping[str, _Counted],
    reach: Mapping[str, frozenset[str]],
    words: Mapping[str, frozenset[str]],
    catalog: Sequence[ForeignKey],
    seen: Mapping[str, Looks],
    thresholds: Thresholds,
) -> tuple[str, Finding] | None:
    known = shape(counted[child].text)
    if known is None or not known.keys or known.locks:
        return None
    mine = counted[child]
    verdicts: list[tuple[int, float, str, Link, str]] = []
    for parent, tables in sorted(reach.items()):
        other = counted[parent]
        calls, rows = sum(other.calls), sum(other.rows)
        if parent == child or not calls or rows < thresholds.rows * calls:
            continue
        ways = links(tables, words[parent], known, catalog)
        if ways and sum(mine.calls) >= thresholds.calls * calls:
            why = _why(mine, other, seen.get(child, Looks(0, 0, 0)), thresholds)
            if why:
                distance = abs(sum(mine.calls) / rows - 1)
                verdicts.append((ways[0].rank, round(distance, 2), parent, ways[0], why))
    if not verdicts:
        return None
    _, _, parent, link, why = min(verdicts)
    total = sum(mine.calls)
    per_parent = total / sum(counted[parent].calls)
    evidence = (
        why,
        f"{per_parent:.1f} look-ups per parent, which returns "
        f"{sum(counted[parent].rows) / sum(counted[parent].calls):.1f} rows; {link.why}",
    )
    text = counted[parent].text
    seconds = mine.milliseconds / 1000
    return parent, Finding(
        Kind.N_PLUS_ONE, mine.text, text, total, per_parent, link, seconds, evidence
    )


def _why(mine: _Counted, other: _Counted, shown: Looks, thresholds: Thresholds) -> str:
    """Why the look-ups are the parent's, or "" if they need not be."""
    calls, rows = sum(mine.calls), sum(other.rows)
    ratio = calls / rows
    # Within one transaction there is one client. An ORM that keeps what it has read asks once for
    # each key, so that there may be far fewer look-ups than rows.
    enough = max(thresholds.distinct, shown.seen / 4)
    if shown.together >= enough and 0.1 <= ratio <= thresholds.most:
        return f"{shown.together} of {shown.seen} sampled look-ups shared a transaction"
    if shown.seen >= 3 * thresholds.calls and not shown.looping:
        return ""
    agrees = _agreeing(mine, other)
    low, high = thresholds.near
    if shown.looping >= enough and low <= ratio <= high and agrees >= 0.7:
        return f"{shown.looping} of {shown.seen} sampled look-ups came in loops of one backend"
    if abs(ratio - 1) > _EXACT or calls < _FEW or agrees < 0.7:
        return ""
    return f"{calls:.0f} look-ups for {rows:.0f} rows of the parent"


def _agreeing(mine: _Counted, other: _Counted) -> float:
    """The share of the moments at which there had been about as many look-ups as rows. Some pages
    are only half shown at any moment.
    """
    page = sum(other.rows) / sum(other.calls)
    calls, rows = list(accumulate(mine.calls)), list(accumulate(other.rows))
    near = [
        abs(had - returned) <= 0.15 * returned + _OPEN * page
        for had, returned in zip(calls, rows, strict=True)
        if had or returned
    ]
    return sum(near) / len(near)
