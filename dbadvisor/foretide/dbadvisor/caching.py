"""Which repeated queries to cache, for how long, and what that would save."""

import contextlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from foretide.dbadvisor import normalized
from foretide.dbadvisor.cacheable import NotCacheable, Reading, functions, read, refused
from foretide.dbadvisor.hit_rate import (
    ONE_KEY,
    Popularity,
    both,
    bounds,
    estimated,
    lifetime,
    uniform,
)
from foretide.dbadvisor.snapshot import Constant, Query, Relation, Snapshot, Table, Workload
from foretide.dbadvisor.writes import write_rates

TTLS = (1.0, 5.0, 30.0, 60.0, 300.0, 1800.0, 3600.0)  # s
# What the cache itself takes, ms: an empty query to know of changes; a transaction of its own with
# a look at its locks. Estimates for loopback; a network adds its round trips, one and three.
HIT_MS = 0.1
MISS_MS = 0.6
SLACK = 0.05  # a TTL that saves so much less than the best is taken for its fresher answers
LEAST_HIT_RATE = 0.2
LEAST_SAVED = 1e-4  # ms of each second
MOST_UNCERTAIN = 0.1  # of a hit rate; beyond that a TTL is not spoken of

Parameters = tuple[str | None, ...]
Constants = defaultdict[str, list[Constant]]


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
    executions: Mapping[str, Sequence[Parameters]] | None = None,
    caches: int = 1,
    ttls: Sequence[float] = TTLS,
) -> tuple[CacheAdvice, ...]:
    """For each query of a workload, those that save most first.

    `volatilities` of functions by name (`cacheable.volatilities`). `before`: the snapshot at the
    workload's beginning, for what has been written since. `executions`: constants of executions
    that were seen, by the query's id (from a log, or spans). `caches`: how many processes cache on
    their own; 1 for a shared Redis.
    """
    writes = write_rates(workload, snapshot, before)
    constants: Constants = defaultdict(list)
    for constant in snapshot.constants:
        constants[str(constant.queryid)].append(constant)
    advice = []
    for query in workload.queries:
        reading = read(query.text, snapshot)
        verdict: Cacheable | NotCacheable | Undecided
        if isinstance(reading, NotCacheable):
            verdict = reading
        elif (refusal := refused(reading, snapshot, volatilities)) is not None:
            verdict = refusal
        elif not workload.seconds:
            verdict = Undecided("over which time it was executed is not known")
        else:
            seen = (executions or {}).get(query.id, ())
            known = _popularity(reading, snapshot, constants[query.id], seen)
            rate = query.calls / workload.seconds / max(caches, 1)
            changes = sum(writes.get(table, 0.0) for table in reading.tables)
            verdict = (
                known
                if isinstance(known, Undecided)
                else _cacheable(query, reading, known, rate, changes, max(caches, 1), ttls)
            )
        advice.append(CacheAdvice(query, verdict))
    return tuple(sorted(advice, key=lambda each: (-each.saved, each.query.id)))


def _cacheable(
    query: Query,
    reading: Reading,
    known: tuple[Popularity, str],
    rate: float,
    changes: float,
    caches: int,
    ttls: Sequence[float],
) -> Cacheable | Undecided:
    popularity, basis = known
    mean = query.total_ms / query.calls if query.calls else 0.0
    projections = []
    for ttl in sorted(ttls):
        alone, doubt = _middle(bounds(popularity, rate, ttl))
        kept, doubt_too = _middle(bounds(popularity, rate, lifetime(ttl, changes)))
        if max(doubt, doubt_too) <= MOST_UNCERTAIN:
            saved = rate * caches * (kept * (mean - HIT_MS) - (1 - kept) * MISS_MS)
            projections.append(Projection(ttl, alone, kept, saved, max(doubt, doubt_too)))
    if not projections:
        return Undecided(f"too few executions were seen with their constants ({basis})")
    most = max(projection.saved for projection in projections)
    worth = [p for p in projections if p.saved >= most - abs(most) * SLACK]
    ttl, why = worth[0].ttl, ""
    if mean <= HIT_MS:
        why = f"it takes {mean:.2f} ms, no longer than to ask whether an answer is still valid"
    elif most <= LEAST_SAVED or worth[0].invalidated < LEAST_HIT_RATE:
        best = max(p.invalidated for p in projections)
        reason = "its tables change too often" if changes > rate else "it is seldom repeated"
        why = f"{best:.0%} of its reads would be answered: {reason}"
    return Cacheable(
        reading.tables,
        tuple(projections),
        None if why else ttl,
        popularity.keys,
        basis,
        changes,
        why,
    )


def _middle(between: tuple[float, float]) -> tuple[float, float]:
    """The middle of an interval, and how far its ends are from there."""
    return (between[0] + between[1]) / 2, (between[1] - between[0]) / 2


def _popularity(
    reading: Reading,
    snapshot: Snapshot,
    constants: Sequence[Constant],
    executions: Sequence[Parameters],
) -> tuple[Popularity, str] | Undecided:
    """How its reads spread over constants, and what that is known from."""
    if not reading.parameters:
        return ONE_KEY, "it has no constants"
    tables = {table.relation: table for table in snapshot.tables}
    limits = {
        number: _distinct(tables[owner], column)
        for number, (owner, column) in reading.equals.items()
    }
    most = math.prod(limits.get(number, math.inf) for number in reading.parameters)
    if len(executions) >= 2:
        counts = Counter(executions)
        return estimated(counts.values(), most), f"the constants of {len(executions)} executions"
    parts, bases = [], set()
    for number in reading.parameters:
        seen = _counts(reading, constants, number)
        limit = limits.get(number, math.inf)
        if seen:
            parts.append(estimated(seen, limit))
            bases.add(f"the constants of {sum(seen)} executions")
        elif math.isfinite(limit):
            parts.append(uniform(limit))
            bases.add("how many values there are, each asked for alike: there will be more hits")
        else:
            return Undecided(
                f"which constants stand for ${number} is not known: install pg_qualstats, or give"
                " a log with the statements' parameters"
            )
    joined = parts[0]
    for part in parts[1:]:
        joined = both(joined, part)
    if len(parts) > 1:
        bases.add("its constants are taken to be independent: there will be more hits")
    return joined, "; ".join(sorted(bases))


def _counts(reading: Reading, constants: Sequence[Constant], number: int) -> list[int]:
    """How often each constant was seen in the place of a parameter (pg_qualstats)."""
    if number not in reading.equals:
        return []
    owner, column = reading.equals[number]
    counts: Counter[str] = Counter()
    for each in constants:
        if (each.operator, each.table, each.column) == ("=", owner, column):
            counts[each.value] += each.occurrences
    return sorted(counts.values())


def _distinct(table: Table, column: str) -> float:
    """How many different values a column has, as far as statistics tell."""
    for each in table.columns:
        if each.name == column and each.statistics is not None and table.rows > 0:
            distinct = each.statistics.distinct
            return max(1.0, distinct if distinct >= 0 else -distinct * table.rows)
    return math.inf


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
