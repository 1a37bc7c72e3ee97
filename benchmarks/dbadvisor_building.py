"""Indexes really built, what queries cost with them, and which of them make a query slower.

What takes time is to run queries, and most sets of indexes leave most plans as they were: so each
plan of a query is timed once, and what has the same plan again takes the same time. Only what looks
slower is run anew.
"""

import hashlib
import json
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import psycopg

from foretide.dbadvisor import ddl, verifying
from foretide.dbadvisor.candidate import Candidate
from foretide.dbadvisor.verifying import Trial
from foretide.dbadvisor.whatif import index_names

RUNS = 2
LONG = 4.0  # seconds; a query that takes longer is not run again
LONGEST = 20.0  # seconds; one that takes longer counts as that, on whichever side
AT_LEAST = 1.0  # seconds that the verification waits for a query
MOST_AGAIN = 3  # times that a run is made again because of a pause
# What EXPLAIN says of a plan's steps that does not belong to the steps themselves.
ESTIMATES = frozenset({"Startup Cost", "Total Cost", "Plan Rows", "Plan Width"})
# Slower is what takes this share longer, and so many seconds.
SLOWER_SHARE = 0.2
SLOWER_SECONDS = 0.03
# What takes less than this share was never slower, however much chance there is in its times.
SURELY_FASTER = 0.8
PARTS = """
WITH RECURSIVE parts (oid) AS (
    SELECT %s::regclass::oid UNION ALL
    SELECT inhrelid FROM pg_inherits JOIN parts ON inhparent = parts.oid)
SELECT relname, pg_relation_size(oid) FROM parts JOIN pg_class USING (oid)"""


Times = dict[tuple[str, str], float]  # seconds, by query and the steps of its plan


class Explained(NamedTuple):
    """EXPLAIN's cost, which of the indexes that were built the plan uses, and a hash of its steps
    without any estimate.
    """

    cost: float
    used: frozenset[Candidate]
    steps: str


@dataclass(frozen=True)
class Built:
    """Bytes of each index; EXPLAIN's cost and the time in seconds of each query. `reverted`: what
    the verification took back; queries that looked `slower_at_first` to it, and that are `slower`
    still. `seen_slower`: those that are by a measurement of our own, after it.
    """

    sizes: Mapping[Candidate, float]
    costs: Mapping[str, float]
    times: Mapping[str, float]
    reverted: tuple[Candidate, ...] = ()
    slower_at_first: tuple[str, ...] = ()
    slower: tuple[str, ...] = ()
    seen_slower: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.bytes / 1e6:.1f} MB, cost {self.cost:.0f}, {self.seconds:.2f} s"

    @property
    def bytes(self) -> float:
        return sum(self.sizes.values())

    @property
    def cost(self) -> float:
        return sum(self.costs.values())

    @property
    def seconds(self) -> float:
        return sum(self.times.values())


class _Pauses:
    """Counts how often this process was stopped and went on."""

    count = 0


def notice_pauses() -> None:
    """Has runs of queries during which this process was stopped (Ctrl-Z does it) made again, but
    not for ever.
    """

    def gone_on(*_: object) -> None:
        _Pauses.count += 1

    signal.signal(signal.SIGCONT, gone_on)


class Standing:
    """A database in which some indexes stand, until `standing` ends. `times`: those of plans that
    were run before, of the same data; what is run now is added.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], queries: Mapping[str, str], times: Times
    ) -> None:
        self._connection = connection
        self._queries = queries
        self._times = times
        self._names: dict[Candidate, str] = {}
        self._of_plans: dict[str, Candidate] = {}
        self.sizes: dict[Candidate, float] = {}

    @property
    def indexes(self) -> list[Candidate]:
        return list(self._names)

    def create(self, candidates: Iterable[Candidate]) -> None:
        for candidate in candidates:
            name = ddl.name_of(candidate)
            self._connection.execute(ddl.definition(candidate, name=name).encode())
            self._names[candidate] = f"{ddl.quoted(candidate.table.schema)}.{ddl.quoted(name)}"
            parts = self._connection.execute(PARTS, (self._names[candidate],)).fetchall()
            self.sizes[candidate] = float(sum(size for _, size in parts))
            self._of_plans.update((part, candidate) for part, _ in parts)

    def drop(self, candidates: Iterable[Candidate]) -> None:
        for candidate in candidates:
            self._connection.execute(f"DROP INDEX {self._names.pop(candidate)}".encode())

    @contextmanager
    def without(self, candidates: Iterable[Candidate]) -> Iterator[None]:
        """As if these were not there; nothing is really dropped."""
        with self._connection.transaction(force_rollback=True):
            for candidate in candidates:
                self._connection.execute(f"DROP INDEX {self._names[candidate]}".encode())
            yield

    def analyze(self) -> None:
        self._connection.execute("VACUUM ANALYZE")

    def explained(self, names: Iterable[str] | None = None) -> dict[str, Explained]:
        wanted = sorted(self._queries if names is None else names)
        return {name: self._explained(self._queries[name]) for name in wanted}

    def times(
        self, explained: Mapping[str, Explained], most: Mapping[str, float] | None = None
    ) -> dict[str, float]:
        """Seconds of each query, of which this is the plan now. What takes longer than `most`
        counts as that, and is not known for another time.
        """
        limits = {} if most is None else most
        found = {}
        for query, plan in explained.items():
            key, limit = (query, plan.steps), limits.get(query, LONGEST)
            if key in self._times:
                found[query] = min(self._times[key], limit)
                continue
            found[query] = self._fastest(self._queries[query], limit)
            if found[query] < limit or limit >= LONGEST:
                self._times[key] = found[query]
        return found

    def seconds(
        self, names: Iterable[str], most: Mapping[str, float] | None = None
    ) -> dict[str, float]:
        """The same, run anew: the fastest of some runs. What takes longer than `most` counts as
        that.
        """
        limits = {} if most is None else most
        return {
            name: self._fastest(self._queries[name], limits.get(name, LONGEST))
            for name in sorted(names)
        }

    def _plan(self, text: str) -> Any:
        row = self._connection.execute(f"EXPLAIN (FORMAT JSON) {text}".encode()).fetchone()
        answer = row[0] if row else "[]"
        return (json.loads(answer) if isinstance(answer, str) else answer)[0]["Plan"]

    def _explained(self, text: str) -> Explained:
        plan = self._plan(text)
        used = (self._of_plans.get(name) for name in index_names(plan))
        return Explained(
            float(plan["Total Cost"]), frozenset(one for one in used if one), _steps(plan)
        )

    def _fastest(self, text: str, most: float) -> float:
        found = [self._once(text, most)]
        while len(found) < RUNS and found[-1] <= LONG:
            found.append(self._once(text, most))
        return min(found)

    def _once(self, text: str, most: float) -> float:
        found: list[float] = []
        while len(found) <= MOST_AGAIN:
            pauses = _Pauses.count
            found.append(self._run(text, most))
            if _Pauses.count == pauses:
                return found[-1]
        return min(found)

    def _run(self, text: str, most: float) -> float:
        limit = max(1, round(1000 * most))  # 0 would be no limit at all
        took = most
        try:
            # Inside another transaction, settings would outlive one that ends well.
            with self._connection.transaction(force_rollback=True):
                self._connection.execute("SET LOCAL transaction_read_only = on")
                self._connection.execute(f"SET LOCAL statement_timeout = '{limit}ms'")
                begun = time.perf_counter()
                self._connection.execute(text.encode()).fetchall()
                took = time.perf_counter() - begun
                # Else it would limit the end of this transaction, too, and break the one around it.
                self._connection.execute("SET LOCAL statement_timeout = 0")
        except psycopg.errors.QueryCanceled:
            pass
        except psycopg.errors.ReadOnlySqlTransaction:
            return 0.0  # What writes is explained, and never run.
        return took


@contextmanager
def standing(
    url: str,
    queries: Mapping[str, str],
    indexes: Sequence[Candidate] = (),
    times: Times | None = None,
) -> Iterator[Standing]:
    """Builds them and analyzes; drops them in the end. `times`: see `Standing`."""
    # Nothing may be prepared: a generic plan is another one.
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        found = Standing(connection, queries, {} if times is None else times)
        try:
            found.create(indexes)
            found.analyze()
            yield found
        finally:
            found.drop(found.indexes)


def build(
    url: str, queries: Mapping[str, str], indexes: Sequence[Candidate], times: Times
) -> Built:
    """As they were chosen, whatever they do to single queries."""
    with standing(url, queries, indexes, times) as database:
        explained = database.explained()
        return Built(dict(database.sizes), _costs(explained), database.times(explained))


def build_verified(
    url: str,
    queries: Mapping[str, str],
    indexes: Sequence[Candidate],
    times: Times,
    before: Mapping[str, float],
    again: Callable[[Sequence[Candidate], Sequence[Candidate]], Sequence[Candidate]],
) -> Built:
    """Builds, times all queries, and takes back what makes one slower than `before` (seconds
    without any index). `again` says what to have instead, of what is kept and what was reverted;
    that is verified in the same way, and not once more.
    """
    with standing(url, queries, indexes, times) as database:
        first = found = _verified(database, before)
        if first.reverted:
            kept = database.indexes
            # What would be is only asked where nothing is.
            database.drop(kept)
            database.create(again(kept, first.reverted))
            found = _verified(database, before)
        return replace(
            found,
            seen_slower=seen_slower(database),
            reverted=tuple(dict.fromkeys((*first.reverted, *found.reverted))),
            slower_at_first=first.slower_at_first,
        )


def seen_slower(database: Standing) -> tuple[str, ...]:
    """Queries that take longer with the indexes that stand than without them, twice, each time as
    measured on both sides right after each other. What has the very same plan on both sides is not
    run, nor what has a plan that was far faster when it was timed, by whomever; for the others no
    trial of the verification is believed. Without indexes it is run only until it has taken as long
    as with them.
    """
    plans = database.explained()
    with database.without(database.indexes):
        bare = database.explained()
        known = database.times(bare)
    left = [
        query
        for query, seconds in database.times(plans).items()
        if plans[query].steps != bare[query].steps
        and seconds > max(SLOWER_SECONDS, SURELY_FASTER * known[query])
    ]
    for _ in range(2):
        after = database.seconds(left)
        with database.without(database.indexes):
            before = database.seconds(left, after)
        left = [query for query in left if _is_slower(before[query], after[query])]
    return tuple(left)


def _is_slower(before: float, after: float) -> bool:
    return after > (1 + SLOWER_SHARE) * before and after - before > SLOWER_SECONDS


def _verified(database: Standing, before: Mapping[str, float]) -> Built:
    """What stays of the indexes that stand, and what comes of it."""
    trying = _Trying(database, before)
    found = verifying.settled(trying.before, trying.names, trying.measure)
    reverted = [trying.names[name] for name in found.reverted]
    database.drop(reverted)
    return Built(
        {one: database.sizes[one] for one in database.indexes},
        _costs(database.explained()),
        {query: trial.best / 1000 for query, trial in found.trials.items()},
        tuple(reverted),
        trying.slower_at_first,
        # What uses none of the indexes is not slower because of them.
        tuple(one.query for one in found.regressions if one.indexes),
    )


class _Trying:
    """The verification's view of a database: indexes by name, times in milliseconds."""

    def __init__(self, database: Standing, before: Mapping[str, float]) -> None:
        self._database = database
        self.names = {ddl.name_of(one): one for one in database.indexes}
        self.before = {query: Trial((1000 * seconds,)) for query, seconds in before.items()}
        self.slower_at_first: tuple[str, ...] = ()

    def measure(
        self, kept: frozenset[str], queries: Sequence[str], again: bool
    ) -> Mapping[str, Trial]:
        """See `verifying.settled`. A plan that was run before is not run anew, unless `again`."""
        with self._database.without(one for name, one in self.names.items() if name not in kept):
            explained = self._database.explained(queries)
            # How much slower it is than twice as slow, nobody needs to know.
            most = {
                query: min(LONGEST, 2 * self.before[query].best / 1000 + AT_LEAST)
                for query in queries
            }
            if again:
                times = self._database.seconds(queries, most)
            else:
                times = self._database.times(explained, most)
        if again:
            self._measure_before(queries)
            self.slower_at_first = self.slower_at_first or tuple(sorted(queries))
        return {
            query: Trial(
                (1000 * times[query],), plan.cost, frozenset(ddl.name_of(one) for one in plan.used)
            )
            for query, plan in explained.items()
        }

    def _measure_before(self, queries: Sequence[str]) -> None:
        """Once more, right after the other side: others use the machine, too. The longer run is
        what a query may take.
        """
        with self._database.without(self._database.indexes):
            for query, seconds in self._database.seconds(queries).items():
                longer = max(1000 * seconds, self.before[query].best)
                self.before[query] = Trial((longer,))


def _steps(plan: Any) -> str:
    """A hash of a plan without its estimates."""

    def bare(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: bare(one) for name, one in node.items() if name not in ESTIMATES}
        return [bare(one) for one in node] if isinstance(node, list) else node

    return hashlib.sha256(json.dumps(bare(plan), sort_keys=True).encode()).hexdigest()


def _costs(explained: Mapping[str, Explained]) -> dict[str, float]:
    return {query: one.cost for query, one in explained.items()}
