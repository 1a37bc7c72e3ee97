"""N+1 among single executions: from log lines, spans, or anything else that shows each call.

A statement is N+1 when it looks up rows by a key, again and again with different keys, after a
statement whose rows lead to these keys. How sure that is depends on what holds the look-ups
together. Within one transaction, it is one client. In one session without transactions it may be
several clients in turn, and through a pool it may be any: then the number of look-ups must agree
with the number of rows that the parent returned.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from foretide.dbadvisor.nplusone.bursts import Burst, Group, in_pool, in_sessions
from foretide.dbadvisor.nplusone.events import Event
from foretide.dbadvisor.nplusone.findings import THRESHOLDS, Finding, Kind, Thresholds
from foretide.dbadvisor.nplusone.links import Link, links
from foretide.dbadvisor.nplusone.shapes import Shape, shape
from foretide.dbadvisor.snapshot import ForeignKey

_KEPT = 300  # keys of a finding


class _Level(IntEnum):
    TRANSACTION = 0
    SESSION = 1
    POOL = 2


@dataclass(frozen=True, slots=True)
class _Pair:
    """A parent and a child, and the bursts of one level."""

    level: _Level
    parent: str
    child: str
    link: Link
    bursts: tuple[Burst, ...]
    total: int  # look-ups of the child at this level, in bursts or not

    @property
    def calls(self) -> int:
        return sum(len(burst.calls) for burst in self.bursts)

    @property
    def parents(self) -> int:
        return sum(burst.parents for burst in self.bursts)


class _Seen:
    """Events, sorted and grouped, with the shape of each statement."""

    def __init__(self, events: Iterable[Event]) -> None:
        ordered = sorted(events, key=lambda event: event.at)
        # In the extended protocol a statement by itself has a transaction's number, too.
        sizes = Counter((event.session, event.transaction) for event in ordered)
        self._parted: dict[_Level, list[Group]] = {}
        self.texts: dict[str, str] = {}
        self.transactions: dict[tuple[str, str], list[Event]] = defaultdict(list)
        self.sessions: dict[str, list[Event]] = defaultdict(list)
        self.pools: dict[str, list[Event]] = defaultdict(list)
        for event in ordered:
            name = event.statement.fingerprint
            # The shortest, then the first in order: the same whatever came first.
            known = self.texts.get(name)
            text = event.statement.text
            self.texts[name] = text if known is None else min(known, text, key=_short)
            if event.transaction and sizes[event.session, event.transaction] > 1:
                self.transactions[event.session, event.transaction].append(event)
            else:
                self.sessions[event.session].append(event)
                self.pools[event.pool].append(event)
        self.shapes = {name: shape(text) for name, text in sorted(self.texts.items())}

    def lookups(self) -> list[str]:
        return [
            name
            for name, known in self.shapes.items()
            if known is not None and known.select and known.keys and not known.locks
        ]

    def readers(self) -> list[str]:
        return [name for name, known in self.shapes.items() if known is not None and known.select]

    def groups(self, level: _Level) -> list[list[Event]]:
        if level is _Level.TRANSACTION:
            return [self.transactions[name] for name in sorted(self.transactions)]
        by = self.sessions if level is _Level.SESSION else self.pools
        return [by[name] for name in sorted(by)]

    def parted(self, level: _Level, pause: float) -> list[Group]:
        """The groups of a level, parted by silence where these are sessions."""
        if level not in self._parted:
            silence = pause if level is _Level.SESSION else None
            self._parted[level] = [Group(group, silence) for group in self.groups(level)]
        return self._parted[level]


def detect(
    events: Iterable[Event],
    catalog: Sequence[ForeignKey] = (),
    rows: Mapping[str, float] | None = None,
    thresholds: Thresholds = THRESHOLDS,
) -> tuple[Finding, ...]:
    """Statements that are N+1, or sent again with the same parameters; those with most calls first.

    `rows`: how many rows a statement returns per call, by fingerprint, as pg_stat_statements tells.
    """
    seen = _Seen(events)
    found = _n_plus_one(seen, catalog, rows or {}, thresholds)
    loops = {pair.child for pair in found}
    findings = [_finding(seen, pair, rows or {}) for pair in found]
    findings += _redundant(seen, loops, thresholds)
    return tuple(sorted(findings, key=lambda each: (each.kind, -each.calls, each.child)))


def _short(text: str) -> tuple[int, str]:
    return len(text), text


def _n_plus_one(
    seen: _Seen,
    catalog: Sequence[ForeignKey],
    rows: Mapping[str, float],
    thresholds: Thresholds,
) -> list[_Pair]:
    """Rounds, as what is found for a parent adds tables that further look-ups may come from: each
    book's author, and then each author's country.
    """
    reach = {name: _tables(seen.shapes[name]) for name in seen.readers()}
    words = {name: _columns(seen.shapes[name]) for name in seen.readers()}
    found: dict[str, _Pair] = {}
    while True:
        fresh = {}
        for child in seen.lookups():
            if child not in found:
                pair = _best(seen, child, reach, words, catalog, rows, thresholds)
                if pair is not None:
                    fresh[child] = pair
        if not fresh:
            return [found[child] for child in sorted(found)]
        for child, pair in fresh.items():
            found[child] = pair
            reach[pair.parent] = reach[pair.parent] | _tables(seen.shapes[child])
            words[pair.parent] = words[pair.parent] | _columns(seen.shapes[child])


def _tables(known: Shape | None) -> frozenset[str]:
    return frozenset(known.tables) if known else frozenset()


def _columns(known: Shape | None) -> frozenset[str]:
    return known.columns if known else frozenset()


def _best(
    seen: _Seen,
    child: str,
    reach: Mapping[str, frozenset[str]],
    words: Mapping[str, frozenset[str]],
    catalog: Sequence[ForeignKey],
    rows: Mapping[str, float],
    thresholds: Thresholds,
) -> _Pair | None:
    """The likeliest parent of `child`, from the surest level that has one."""
    known = seen.shapes[child]
    assert known is not None
    linked = {}
    for parent, tables in reach.items():
        if parent != child and tables and rows.get(parent, thresholds.rows) >= thresholds.rows:
            ways = links(tables, words[parent], known, catalog)
            if ways:
                linked[parent] = ways[0]
    for level in _Level:
        pairs = [
            pair
            for parent, link in sorted(linked.items())
            if (pair := _pair(seen, level, parent, child, link, thresholds)) is not None
            and _holds(pair, rows.get(parent), thresholds)
        ]
        if pairs:
            return min(pairs, key=_preference)
    return None


def _preference(pair: _Pair) -> tuple[int, float, float, str]:
    some = [burst.wait for burst in pair.bursts if burst.calls]
    wait = sum(some) / len(some)
    return pair.link.rank, -round(pair.calls / pair.total, 1), wait, pair.parent


def _pair(
    seen: _Seen, level: _Level, parent: str, child: str, link: Link, thresholds: Thresholds
) -> _Pair | None:
    bursts: list[Burst] = []
    total = 0
    for group in seen.parted(level, thresholds.pause):
        total += group.count(child)
        if level is _Level.POOL:
            some = in_pool(group, parent, child, thresholds.pooled_pause)
        else:
            some = in_sessions(group, parent, child)
        bursts += some
    if not any(burst.calls for burst in bursts):
        return None
    return _Pair(level, parent, child, link, tuple(bursts), total)


def _holds(pair: _Pair, rows: float | None, thresholds: Thresholds) -> bool:
    """Whether what is seen of a pair is N+1. `rows`: what the parent returns per call."""
    loops = [
        burst
        for burst in pair.bursts
        if len(burst.calls) >= thresholds.calls * burst.parents
        and _distinct(burst) >= thresholds.distinct
    ]
    if not loops:
        return False
    ratio = pair.calls / (pair.parents * rows) if rows else None
    if pair.level is _Level.TRANSACTION:
        return ratio is None or ratio <= thresholds.most
    share = sum(len(burst.calls) for burst in loops) / pair.total
    if pair.level is _Level.SESSION:
        pure = sum(burst.purity >= thresholds.purity for burst in loops) >= len(loops) / 2
        agrees = (
            ratio is None
            or _within(ratio, thresholds.ratio)
            or _once_each(pair, loops, ratio, thresholds)
        )
        often = len(loops) >= thresholds.often * len(pair.bursts)
        return pure and agrees and often and share >= thresholds.share
    # Nothing but numbers tells the clients of a pool apart.
    crowded = max(burst.parents for burst in loops) > 3
    if ratio is None:
        return len(loops) >= 3 and not crowded and share >= 0.9
    return share >= thresholds.share and _within(
        ratio, thresholds.exact if crowded else thresholds.ratio
    )


def _within(ratio: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= ratio <= bounds[1]


def _distinct(burst: Burst) -> int:
    return len(set(burst.values))


def _once_each(pair: _Pair, loops: Sequence[Burst], ratio: float, thresholds: Thresholds) -> bool:
    """An ORM that keeps what it has read asks once for each key, and so less often than there are
    rows: then no key comes twice, nothing else comes in between, and it does so every time.
    """
    return (
        0.1 <= ratio <= 1
        and len(loops) >= thresholds.always * len(pair.bursts)
        and all(_distinct(burst) == len(burst.calls) and burst.purity >= 0.9 for burst in loops)
    )


def _finding(seen: _Seen, pair: _Pair, rows: Mapping[str, float]) -> Finding:
    calls = [call for burst in pair.bursts for call in burst.calls]
    per_parent = len(calls) / pair.parents
    where = {
        _Level.TRANSACTION: "within one transaction",
        _Level.SESSION: "one after the other in one session",
        _Level.POOL: "through a pool of sessions",
    }[pair.level]
    evidence = [
        f"{len(calls)} look-ups after {pair.parents} executions of the parent, {where}",
        f"{len({call.parameters for call in calls})} different keys; {pair.link.why}",
    ]
    if pair.parent in rows:
        evidence.append(
            f"{per_parent:.1f} look-ups per parent, which returns {rows[pair.parent]:.1f} rows"
        )
    return Finding(
        Kind.N_PLUS_ONE,
        seen.texts[pair.child],
        seen.texts[pair.parent],
        len(calls),
        per_parent,
        pair.link,
        sum(call.seconds for call in calls),
        tuple(evidence),
        tuple(sorted({call.parameters for call in calls}, key=str)[:_KEPT]),
    )


def _redundant(seen: _Seen, loops: set[str], thresholds: Thresholds) -> list[Finding]:
    """Statements with one and the same parameters within a transaction, or one right after the
    other in a session.
    """
    found: dict[str, list[list[Event]]] = defaultdict(list)
    for group in seen.groups(_Level.TRANSACTION):
        same: dict[tuple[str, tuple[str | None, ...]], list[Event]] = defaultdict(list)
        for event in group:
            same[event.statement.fingerprint, event.parameters].append(event)
        for (name, _), run in same.items():
            found[name].append(run)
    for group in seen.groups(_Level.SESSION):
        run = []
        for event in group:
            if run and not _again(run[-1], event, thresholds.pause):
                found[run[-1].statement.fingerprint].append(run)
                run = []
            run.append(event)
        found[run[-1].statement.fingerprint].append(run)
    findings = []
    for name, all_runs in sorted(found.items()):
        known = seen.shapes[name]
        runs = [run for run in all_runs if len(run) >= thresholds.calls and run[0].parameters]
        if runs and name not in loops and known and known.keys and not known.locks:
            findings.append(_repeated(seen.texts[name], runs))
    return findings


def _again(before: Event, after: Event, pause: float) -> bool:
    same = before.statement.fingerprint == after.statement.fingerprint
    return same and before.parameters == after.parameters and after.at - before.end <= pause


def _repeated(text: str, runs: Sequence[Sequence[Event]]) -> Finding:
    calls = sum(map(len, runs))
    return Finding(
        Kind.REDUNDANT,
        text,
        None,
        calls,
        calls / len(runs),
        None,
        sum(event.seconds for run in runs for event in run),
        (f"{calls} times in {len(runs)} stretches, with the same parameters in each",),
    )
