"""Which repeated queries to cache, for how long, and what that would save."""

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from foretide.dbadvisor import deltas, normalized
from foretide.dbadvisor.cacheable import NotCacheable, Reading, functions, read, refused
from foretide.dbadvisor.executed import EXECUTIONS, Execution
from foretide.dbadvisor.popularity import Look, Repeats, Unknown, repeats
from foretide.dbadvisor.projecting import Traffic, projected
from foretide.dbadvisor.pulses import Seen, seen
from foretide.dbadvisor.rhythm import Counts
from foretide.dbadvisor.snapshot import Constant, Pulse, Query, Relation, Snapshot, Workload
from foretide.dbadvisor.writes import write_rates, writers

TTLS = (1.0, 5.0, 30.0, 60.0, 300.0, 1800.0, 3600.0)  # s
# What the cache itself takes, ms: a question to the session, and an empty query to know of changes;
# for a miss a transaction of its own with a look at its locks, too. On loopback, as
# `benchmarks/dbadvisor_caching.py` measures it; a network adds its round trips, two and five.
HIT_MS = 0.1
MISS_MS = 0.6
SLACK = 0.05  # a TTL that saves so much less than the best is taken for its fresher answers
LEAST_HIT_RATE = 0.2
LEAST_SAVED = 1e-4  # ms of each second
MOST_UNCERTAIN = 0.08  # of a hit rate; beyond that a TTL is not spoken of
HOUR = 3600.0
WHOLE = 0.9  # of the time: a log that tells of so much tells of all
# What was counted before is told of where it is so long, against what was watched, too, and reads
# came more or less often by such a factor: a projection is of what was watched.
LONG_BEFORE, TIMES_LONGER, UNUSUAL = 6 * HOUR, 3.0, 1.5
FOLLOWED = 50  # queries, and with them the statements that change their tables
EVENLY = "its reads are taken to come evenly within a minute: in bursts there will be more hits"
FEW = "too few executions were seen, with their constants or from close by: watch longer"
TIMES = (
    "keys are asked for at times of their own, which were seen neither long enough nor closely"
    " enough: watch longer, or give a log with the statements' parameters"
)

Constants = defaultdict[str, list[Look]]


@dataclass(frozen=True, slots=True)
class Projection:
    """What a TTL (s) brings. `hit_rate`: of the cache with a TTL alone; `invalidated`: of one that
    drops answers when their tables change; both may be off by `uncertain`. `saved`: milliseconds of
    the database in each second, with invalidation.
    """

    ttl: float
    hit_rate: float
    invalidated: float
    saved: float
    uncertain: float = 0.0


@dataclass(frozen=True, slots=True)
class Cacheable:
    """A query that can be cached. `ttl`: the one to use, s, or None: it is not worth it, `why`.

    `keys` is how many combinations of constants there are, about; `basis` what that is known from.
    `writes`: changes of its `tables` in a second.
    """

    tables: tuple[Relation, ...]
    projections: tuple[Projection, ...]
    ttl: float | None
    keys: float
    basis: str
    writes: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class Undecided:
    """Whether it is worth caching cannot be said, and what is missing for that."""

    reason: str


@dataclass(frozen=True, slots=True)
class CacheAdvice:
    """What is advised for one query."""

    query: Query
    verdict: Cacheable | NotCacheable | Undecided

    @property
    def saved(self) -> float:
        """Milliseconds of the database in each second; 0 where nothing is advised."""
        if not isinstance(self.verdict, Cacheable) or self.verdict.ttl is None:
            return 0.0
        return next(p.saved for p in self.verdict.projections if p.ttl == self.verdict.ttl)


def to_follow(workload: Workload, snapshot: Snapshot, most: int = FOLLOWED) -> tuple[int, ...]:
    """The ids of the costliest queries that might be cached, and of what changes their tables."""
    known = writers(workload, snapshot)
    ids: set[str] = set()
    queries = 0
    for query in workload.queries:
        if queries >= most:
            break
        reading = read(query.text, snapshot)
        if not isinstance(reading, NotCacheable):
            queries += 1
            ids |= {query.id}.union(*(known.get(table, ()) for table in reading.tables))
    return tuple(sorted(int(each) for each in ids if each.removeprefix("-").isdigit()))


def functions_called(workload: Workload) -> list[str]:
    """The names whose volatility `advise` wants to know."""
    names: set[str] = set()
    for query in workload.queries:
        with contextlib.suppress(normalized.Unreadable):
            names |= functions(query.text)
    return sorted(names)


def advise(
    workload: Workload,
    snapshot: Snapshot,
    *,
    volatilities: Mapping[str, str],
    before: Snapshot | None = None,
    executions: Mapping[str, Sequence[Execution]] | None = None,
    windows: Sequence[Workload] = (),
    pulses: Sequence[Pulse] = (),
    marks: Sequence[Pulse] = (),
    constants: Sequence[Look] = (),
    caches: int = 1,
    ttls: Sequence[float] = TTLS,
) -> tuple[CacheAdvice, ...]:
    """For each query of a workload, those that save most first.

    `volatilities` of functions by name (`cacheable.volatilities`). `before`: the snapshot at the
    workload's beginning, for what has been written since. `executions`: those of that time
    that were seen one by one (`executed.executions`).
    `windows`: the workload in stretches of a minute or so. `pulses`: a closer look (`pulses`),
    without which reads are taken to come evenly within a minute. `marks`: looks a quarter of an
    hour or so apart, over all the workload's time, where `windows` are of its end. `constants`:
    those that pg_qualstats had seen by earlier moments and by the snapshot's, which tell of keys
    that have their times. `caches`: how many processes cache on their own; 1 for a shared Redis.
    """
    facts = _Facts(
        workload,
        snapshot,
        volatilities,
        _by_query(constants or [(snapshot.at, snapshot.constants)]),
        executions or {},
        write_rates(workload, snapshot, before),
        writers(workload, snapshot),
        seen(windows, pulses, marks),
        deltas.total(before) if before is not None else None,
    )
    advice = [
        CacheAdvice(query, _verdict(query, facts, max(caches, 1), ttls))
        for query in workload.queries
    ]
    return tuple(sorted(advice, key=lambda each: (-each.saved, each.query.id)))


def _by_query(looks: Sequence[Look]) -> Constants:
    found: Constants = defaultdict(list)
    for place, (at, some) in enumerate(looks):
        by_query: dict[str, list[Constant]] = defaultdict(list)
        for constant in some:
            by_query[str(constant.queryid)].append(constant)
        for query in by_query.keys() | found.keys():
            # Before it was first seen nothing had been seen of it.
            known = found[query] or [(earlier, ()) for earlier, _ in looks[:place]]
            found[query] = [*known, (at, tuple(by_query.get(query, ())))]
    return found


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is known of the workload: see `advise`. `rates`: changes of each table in a second;
    `writing`: the statements that they come from. `earlier`: all that was counted before.
    """

    workload: Workload
    snapshot: Snapshot
    volatilities: Mapping[str, str]
    constants: Constants
    executions: Mapping[str, Sequence[Execution]]
    rates: Mapping[Relation, float]
    writing: Mapping[Relation, frozenset[str]]
    looks: Seen
    earlier: Workload | None

    def traffic(self, query: Query, reading: Reading, seconds: float, caches: int) -> Traffic:
        """How a query and changes of its tables come."""
        changes = sum(self.rates.get(table, 0.0) for table in reading.tables)
        writing = self._writing(reading)
        told = sum(each.calls for each in self.workload.queries if each.id in writing) / seconds
        rhythm = self.looks.rhythm(query.id, writing, max(0.0, changes - told))
        return Traffic(query.calls / seconds, changes, rhythm, caches)

    def logged(self, executed: Sequence[Execution]) -> float:
        """Which share of the time executions were seen in: a log may begin late, and of what was
        executed very often the first ones are kept.
        """
        every = [executed] if len(executed) >= EXECUTIONS else list(self.executions.values())
        moments = [each[place].at for each in every if each for place in (0, -1)]
        if not moments or not self.workload.seconds:
            return 1.0
        share = (max(moments) - min(moments)) / self.workload.seconds
        return share if share < WHOLE else 1.0

    def usually(self, query: Query, reading: Reading, traffic: Traffic) -> Traffic | None:
        """The same with as many reads and changes as there were before on average, and the time of
        that; None where nothing else is known of it, or it is about the same.
        """
        earlier, seconds = self.earlier, self.workload.seconds
        if earlier is None or not earlier.seconds or not seconds:
            return None
        calls = {each.id: each.calls for each in earlier.queries}
        reads = calls.get(query.id, 0.0) / earlier.seconds
        if earlier.seconds < max(LONG_BEFORE, TIMES_LONGER * seconds) or not reads:
            return None
        if 1 / UNUSUAL < reads / traffic.reads < UNUSUAL:
            return None
        changes = sum(calls.get(each, 0.0) for each in self._writing(reading)) / earlier.seconds
        every = Counts(earlier.seconds, (reads * earlier.seconds,), (changes * earlier.seconds,))
        rhythm = traffic.rhythm and replace(traffic.rhythm, day=every)
        return replace(traffic, reads=reads, changes=changes, rhythm=rhythm)

    def _writing(self, reading: Reading) -> frozenset[str]:
        nobody: frozenset[str] = frozenset()
        return nobody.union(*(self.writing.get(table, nobody) for table in reading.tables))


def _verdict(
    query: Query, facts: _Facts, caches: int, ttls: Sequence[float]
) -> Cacheable | NotCacheable | Undecided:
    reading = read(query.text, facts.snapshot)
    if isinstance(reading, NotCacheable):
        return reading
    refusal = refused(reading, facts.snapshot, facts.volatilities)
    if refusal is not None:
        return refusal
    seconds = facts.workload.seconds
    if not seconds:
        return Undecided("over which time it was executed is not known")
    executed = facts.executions.get(query.id, ())
    calls = query.calls * facts.logged(executed)
    known = repeats(reading, facts.snapshot, facts.constants[query.id], executed, calls)
    if isinstance(known, Unknown):
        return Undecided(known.reason)
    traffic = facts.traffic(query, reading, seconds, caches)
    found = _cacheable(query, reading, known, traffic, ttls)
    usual = facts.usually(query, reading, traffic)
    if usual is None or isinstance(found, Undecided) or found.ttl is None:
        return found
    hits, doubt = _middle(projected(known, usual, found.ttl, invalidated=True))
    if doubt > MOST_UNCERTAIN:
        return found
    assert facts.earlier is not None
    told = (
        f"; in the {(facts.earlier.seconds or 0.0) / HOUR:.0f} hours before reads came"
        f" {usual.reads / traffic.reads:.2g} times as often: then {hits:.0%} are answered"
    )
    return replace(found, basis=found.basis + told)


def _cacheable(
    query: Query,
    reading: Reading,
    known: Repeats,
    traffic: Traffic,
    ttls: Sequence[float],
) -> Cacheable | Undecided:
    mean = query.total_ms / query.calls if query.calls else 0.0
    basis = known.basis + ("" if _is_close(traffic) else f"; {EVENLY}")
    projections, unsaid = [], []
    for ttl in sorted(ttls):
        alone, doubt = _middle(projected(known, traffic, ttl, invalidated=False))
        kept, doubt_too = _middle(projected(known, traffic, ttl, invalidated=True))
        if max(doubt, doubt_too) <= MOST_UNCERTAIN:
            saved = traffic.reads * (kept * (mean - HIT_MS) - (1 - kept) * MISS_MS)
            projections.append(Projection(ttl, alone, kept, saved, max(doubt, doubt_too)))
        else:
            unsaid.append(ttl)
    if unsaid:
        missing = _missing(known, unsaid)
        if not projections:
            return Undecided(f"{missing} ({basis})")
        told = ", ".join(f"{ttl:g}" for ttl in unsaid)
        basis += f"; nothing is said of a TTL of {told} s: {missing}"
    most = max(projection.saved for projection in projections)
    worth = [p for p in projections if p.saved >= most - abs(most) * SLACK]
    ttl, why = worth[0].ttl, ""
    if mean <= HIT_MS:
        why = f"it takes {mean:.2f} ms, no longer than to ask whether an answer is still valid"
    elif most <= LEAST_SAVED or worth[0].invalidated < LEAST_HIT_RATE:
        best = max(p.invalidated for p in projections)
        often = traffic.changes > traffic.reads / traffic.caches
        reason = "its tables change too often" if often else "it is seldom repeated"
        why = f"{best:.0%} of its reads would be answered: {reason}"
    return Cacheable(
        reading.tables,
        tuple(projections),
        None if why else ttl,
        known.popularity.keys,
        basis,
        traffic.changes,
        why,
    )


def _missing(known: Repeats, ttls: Sequence[float]) -> str:
    """Why nothing can be said of these."""
    arriving = known.firsts or known
    if all(arriving.is_beyond(ttl) or arriving.comes_evenly(ttl) for ttl in ttls):
        return TIMES
    if known.lost:
        return "pg_qualstats has thrown rare constants away"
    return FEW


def _is_close(traffic: Traffic) -> bool:
    """Whether it was looked at more closely than once a minute."""
    return traffic.rhythm is not None and traffic.rhythm.fine is not None


def _middle(between: tuple[float, float]) -> tuple[float, float]:
    """The middle of an interval, and how far its ends are from there."""
    return (between[0] + between[1]) / 2, (between[1] - between[0]) / 2


def summary(advice: Iterable[CacheAdvice]) -> str:
    """The advice that saves something, as lines of text."""
    lines = []
    for each in advice:
        verdict = each.verdict
        if isinstance(verdict, Cacheable) and verdict.ttl is not None:
            chosen = next(p for p in verdict.projections if p.ttl == verdict.ttl)
            lines.append(
                f"{each.query.id}: ttl={verdict.ttl:g} s, {chosen.invalidated:.0%} of its reads"
                f" from the cache, {chosen.saved:.1f} ms of each second saved ({verdict.basis})"
            )
    return "\n".join(lines)
